//! Standard Webhooks: signing secrets, and the signature over id, timestamp and body.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::server::crypto::random::{RandomError, random_bytes};
use crate::server::domain::Secret;

/// The prefix of every secret.
const SECRET_PREFIX: &str = "whsec_";

/// Generates a secret: `whsec_` and 32 random bytes in base64 (the specification requires 24 to 64).
pub fn new_signing_secret() -> Result<Secret, RandomError> {
    Ok(Secret::new(format!("{SECRET_PREFIX}{}", STANDARD.encode(random_bytes::<32>()?))))
}

/// Returns the value of the `webhook-signature` header: one signature per secret, separated by spaces. A secret of
/// another format is skipped.
pub fn sign(secrets: &[Secret], id: &str, timestamp: i64, body: &str) -> String {
    let signed = format!("{id}.{timestamp}.{body}");
    let signatures: Vec<String> = secrets
        .iter()
        .filter_map(|secret| STANDARD.decode(secret.expose().strip_prefix(SECRET_PREFIX)?).ok())
        .map(|key| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), signed.as_bytes()))
        .map(|tag| format!("v1,{}", STANDARD.encode(tag)))
        .collect();
    signatures.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_matches_the_published_example() {
        // The example from the reference libraries (standard-webhooks/standard-webhooks).
        let secrets = [Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")];
        let signed = sign(&secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}");
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn one_signature_per_secret() {
        let secrets = [new_signing_secret().unwrap(), new_signing_secret().unwrap()];
        assert_ne!(secrets[0].expose(), secrets[1].expose());
        let both = sign(&secrets, "e", 1, "{}");
        let alone = sign(&secrets[1..], "e", 1, "{}");
        assert_eq!(both.split(' ').count(), 2);
        assert_eq!(both.split(' ').nth(1), Some(alone.as_str()));
        assert_eq!(sign(&[Secret::new("other")], "e", 1, "{}"), "");
    }
}
