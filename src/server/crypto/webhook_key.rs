//! Signatures of webhooks: HMAC-SHA256 over id, timestamp and body (Standard Webhooks, which Svix's are, too).

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::random::{RandomError, random_bytes};
use crate::server::domain::Secret;

/// The prefix of every secret.
const SECRET_PREFIX: &str = "whsec_";
/// The shortest key, in bytes.
const MIN_KEY_LENGTH: usize = 16;
/// The prefix of a signature, which names its version.
const SIGNATURE_PREFIX: &str = "v1,";

/// A key that signs webhooks.
#[derive(Clone)]
pub struct WebhookKey(hmac::Key);

impl WebhookKey {
    /// Generates the secret of a new key: `whsec_` and 32 random bytes in base64 (the specification requires 24 to 64).
    pub fn new_secret() -> Result<Secret, RandomError> {
        Ok(Secret::new(format!("{SECRET_PREFIX}{}", STANDARD.encode(random_bytes::<32>()?))))
    }

    /// Parses a secret: `whsec_` and base64 of at least 16 bytes.
    pub fn parse(secret: &Secret) -> Option<Self> {
        let key = STANDARD.decode(secret.expose().trim().strip_prefix(SECRET_PREFIX)?).ok()?;
        (key.len() >= MIN_KEY_LENGTH).then(|| Self(hmac::Key::new(hmac::HMAC_SHA256, &key)))
    }

    /// Returns the signature of a webhook. `timestamp` is as its header says it.
    pub fn sign(&self, id: &str, timestamp: &str, body: &[u8]) -> String {
        format!("{SIGNATURE_PREFIX}{}", STANDARD.encode(hmac::sign(&self.0, &signed_content(id, timestamp, body))))
    }

    /// Returns whether one of the signatures, which spaces separate, is this key's. There are several while a secret is
    /// being rotated.
    pub fn verify(&self, id: &str, timestamp: &str, body: &[u8], signatures: &str) -> bool {
        let content = signed_content(id, timestamp, body);
        signatures
            .split_whitespace()
            .filter_map(|signature| STANDARD.decode(signature.strip_prefix(SIGNATURE_PREFIX)?).ok())
            .any(|tag| hmac::verify(&self.0, &content, &tag).is_ok())
    }
}

fn signed_content(id: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example from the reference libraries (standard-webhooks/standard-webhooks).
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const SENT: &str = "1614265330";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn key() -> WebhookKey {
        WebhookKey::parse(&Secret::new(SECRET)).unwrap()
    }

    #[test]
    fn signature_matches_the_published_example() {
        assert_eq!(key().sign(ID, SENT, BODY), SIGNATURE);
    }

    #[test]
    fn one_valid_signature_among_several_is_enough() {
        assert!(key().verify(ID, SENT, BODY, SIGNATURE));
        assert!(key().verify(ID, SENT, BODY, &format!("v1,AAAA v2,{} {SIGNATURE}", &SIGNATURE[3..])));
        for wrong in ["", "v1,", "v1a,AAAA", &SIGNATURE[3..], &format!("v2{}", &SIGNATURE[2..])] {
            assert!(!key().verify(ID, SENT, BODY, wrong), "{wrong}");
        }
        assert!(!key().verify(ID, SENT, b"{}", SIGNATURE) && !key().verify("msg_2", SENT, BODY, SIGNATURE));
        assert!(!key().verify(ID, "1614265331", BODY, SIGNATURE));
        let other = WebhookKey::parse(&WebhookKey::new_secret().unwrap()).unwrap();
        assert!(!other.verify(ID, SENT, BODY, SIGNATURE));
    }

    #[test]
    fn secret_is_a_prefix_and_at_least_sixteen_bytes() {
        let parses = |text: &str| WebhookKey::parse(&Secret::new(text)).is_some();
        assert!(parses(SECRET) && parses(&format!(" {SECRET}\n")) && parses("whsec_AAAAAAAAAAAAAAAAAAAAAA=="));
        for wrong in ["", "whsec_", "whsec_AAAA", "whsec_!", &SECRET[6..], "other"] {
            assert!(!parses(wrong), "{wrong}");
        }
    }
}
