//! RS256 JSON web tokens: signing, verification, and the public key as a JWK.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::error::SandboxError;

/// A fixed 2048-bit RSA key as PKCS#8 DER, for [`Options::signing_key`](crate::Options::signing_key) in tests.
///
/// It protects nothing: it is published with the source, and saves tests the generation of a key per sandbox.
pub const TEST_SIGNING_KEY: &[u8] = include_bytes!("test_key.der");

/// The provider's signing key.
pub(crate) struct Signer {
    key: KeyPair,
    key_id: String,
}

impl Signer {
    /// Generates a 2048-bit key, and returns it as PKCS#8 DER too. Takes up to a second.
    pub fn generate() -> Result<(Self, Vec<u8>), SandboxError> {
        let key = KeyPair::generate(KeySize::Rsa2048).map_err(|_| SandboxError::SigningKey)?;
        let pkcs8: Pkcs8V1Der = key.as_der().map_err(|_| SandboxError::SigningKey)?;
        let pkcs8 = pkcs8.as_ref().to_vec();
        Ok((Self::new(key), pkcs8))
    }

    /// Reads a key from PKCS#8 DER.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, SandboxError> {
        KeyPair::from_pkcs8(pkcs8).map(Self::new).map_err(|_| SandboxError::SigningKey)
    }

    fn new(key: KeyPair) -> Self {
        let key_id = hex(&Sha256::digest(key.public_key().as_ref())[..20]).to_uppercase();
        Self { key, key_id }
    }

    /// Returns the claims as a signed token.
    pub fn sign(&self, claims: &Value) -> Result<String, SandboxError> {
        let header = json!({ "alg": "RS256", "kid": self.key_id, "typ": "JWT" });
        let mut token = format!("{}.{}", encode(&header), encode(claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), token.as_bytes(), &mut signature)
            .map_err(|_| SandboxError::SigningKey)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(&signature, &mut token);
        Ok(token)
    }

    /// Returns the claims of a token that this key signed. Does not check the expiry.
    pub fn verify(&self, token: &str) -> Option<Value> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (_, claims) = signed.split_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, self.key.public_key().as_ref())
            .verify(signed.as_bytes(), &signature)
            .ok()?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }

    /// Returns the JSON web key set.
    pub fn jwks(&self) -> Value {
        let key = self.key.public_key();
        json!({ "keys": [{
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": self.key_id,
            "n": URL_SAFE_NO_PAD.encode(key.modulus().big_endian_without_leading_zero()),
            "e": URL_SAFE_NO_PAD.encode(key.exponent().big_endian_without_leading_zero()),
        }]})
    }
}

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// Returns lowercase hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The only test that generates a key.
    #[test]
    fn token_verifies_with_the_stored_key_only() {
        let (signer, pkcs8) = Signer::generate().unwrap();
        let token = signer.sign(&json!({ "sub": "mere" })).unwrap();
        let reloaded = Signer::from_pkcs8(&pkcs8).unwrap();
        assert_eq!(reloaded.verify(&token), Some(json!({ "sub": "mere" })));
        assert_eq!(reloaded.jwks(), signer.jwks());

        let forged = format!("{}.{}", encode(&json!({ "alg": "none" })), encode(&json!({ "sub": "mere" })));
        assert_eq!(signer.verify(&forged), None);
        assert_eq!(signer.verify(&format!("{forged}.")), None);
        let other = Signer::from_pkcs8(TEST_SIGNING_KEY).unwrap();
        assert_eq!(other.verify(&token), None);
    }
}
