//! RS256 JSON web tokens: signing, checking, and the public key as a JWK.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::SandboxError;

/// The provider's one key.
pub(super) struct Signer {
    key: KeyPair,
    kid: String,
}

impl Signer {
    /// A new 2048 bit key, and its PKCS8 in base64 for the state file. Takes up to a second.
    pub fn generate() -> Result<(Self, String), SandboxError> {
        let key = KeyPair::generate(KeySize::Rsa2048).map_err(|_| SandboxError::Key)?;
        let pkcs8: Pkcs8V1Der = key.as_der().map_err(|_| SandboxError::Key)?;
        let text = STANDARD.encode(pkcs8.as_ref());
        Ok((Self::new(key), text))
    }

    pub fn load(pkcs8: &str) -> Result<Self, SandboxError> {
        let bytes = STANDARD.decode(pkcs8).map_err(|_| SandboxError::Key)?;
        KeyPair::from_pkcs8(&bytes).map(Self::new).map_err(|_| SandboxError::Key)
    }

    fn new(key: KeyPair) -> Self {
        let kid = hex(&Sha256::digest(key.public_key().as_ref())[..20]).to_uppercase();
        Self { key, kid }
    }

    pub fn sign(&self, claims: &Value) -> Result<String, SandboxError> {
        let header = json!({ "alg": "RS256", "kid": self.kid, "typ": "JWT" });
        let mut token = format!("{}.{}", encoded(&header), encoded(claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), token.as_bytes(), &mut signature)
            .map_err(|_| SandboxError::Key)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(&signature, &mut token);
        Ok(token)
    }

    /// The claims of a token of ours. Whether it has expired is the caller's to judge.
    pub fn open(&self, token: &str) -> Option<Value> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (_, claims) = signed.split_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, self.key.public_key().as_ref())
            .verify(signed.as_bytes(), &signature)
            .ok()?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }

    /// The key set that `jwks` serves.
    pub fn jwks(&self) -> Value {
        let key = self.key.public_key();
        json!({ "keys": [{
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": self.kid,
            "n": URL_SAFE_NO_PAD.encode(key.modulus().big_endian_without_leading_zero()),
            "e": URL_SAFE_NO_PAD.encode(key.exponent().big_endian_without_leading_zero()),
        }]})
    }
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// Lower case.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_signed_opens_with_the_kept_key_and_nothing_else_does() {
        let (signer, kept) = Signer::generate().unwrap();
        let token = signer.sign(&json!({ "sub": "mere" })).unwrap();
        let again = Signer::load(&kept).unwrap();
        assert_eq!(again.open(&token), Some(json!({ "sub": "mere" })));
        assert_eq!(again.jwks(), signer.jwks());

        let forged = format!("{}.{}", encoded(&json!({ "alg": "none" })), encoded(&json!({ "sub": "mere" })));
        assert_eq!(signer.open(&forged), None);
        assert_eq!(signer.open(&format!("{forged}.")), None);
        let (other, _) = Signer::generate().unwrap();
        assert_eq!(other.open(&token), None);
    }
}
