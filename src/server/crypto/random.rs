//! Random secrets, and the hashes by which the database finds them.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::server::domain::Secret;

/// The operating system returned no random bytes.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("the system returned no random bytes")]
pub struct RandomError;

/// Returns cryptographically secure random bytes.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], RandomError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| RandomError)?;
    Ok(bytes)
}

/// Returns 32 random bytes in base64url, for a session id, a `state` or a PKCE verifier.
pub fn new_secret() -> Result<Secret, RandomError> {
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(random_bytes::<32>()?)))
}

/// Returns the secret of this name that follows from another secret, by HMAC-SHA-256 in base64url. It tells nothing of
/// the other secret, or of those of other names.
pub fn derive_secret(from: &Secret, name: &str) -> Secret {
    let key = hmac::Key::new(hmac::HMAC_SHA256, from.expose().as_bytes());
    Secret::new(URL_SAFE_NO_PAD.encode(hmac::sign(&key, name.as_bytes())))
}

/// Returns the hash by which the database stores such a secret: its SHA-256 in base64url.
pub fn hash_secret(secret: &Secret) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(secret.expose().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_unique_and_hold_32_bytes() {
        let (a, b) = (new_secret().unwrap(), new_secret().unwrap());
        assert_ne!(a.expose(), b.expose());
        assert_eq!(URL_SAFE_NO_PAD.decode(a.expose()).unwrap().len(), 32);
    }

    #[test]
    fn derived_secret_is_hmac_sha_256() {
        // RFC 4231, test case 2, in base64url.
        let derived = derive_secret(&Secret::new("Jefe"), "what do ya want for nothing?");
        assert_eq!(derived.expose(), "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM");
    }

    #[test]
    fn hash_is_sha_256() {
        // SHA-256 of "abc" (FIPS 180-2, B.1), in base64url.
        assert_eq!(hash_secret(&Secret::new("abc")), "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
    }
}
