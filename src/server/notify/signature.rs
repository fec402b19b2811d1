//! The Standard Webhooks scheme: secrets, and the signature over id, time and body.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::server::cipher::{CipherError, random};
use crate::server::domain::Secret;

/// What every secret begins with, so that it is known by sight.
const PREFIX: &str = "whsec_";

/// A fresh secret: `whsec_` and 32 random bytes (the scheme asks for 24 to 64).
pub fn new_secret() -> Result<Secret, CipherError> {
    Ok(Secret::new(format!("{PREFIX}{}", STANDARD.encode(random::<32>()?))))
}

/// The header `webhook-signature`: one signature for each secret, separated by spaces. A secret that isn't one of
/// ours signs nothing.
pub fn sign(secrets: &[Secret], id: &str, timestamp: i64, body: &str) -> String {
    let signed = format!("{id}.{timestamp}.{body}");
    let signatures: Vec<String> = secrets
        .iter()
        .filter_map(|secret| STANDARD.decode(secret.expose().strip_prefix(PREFIX)?).ok())
        .map(|key| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), signed.as_bytes()))
        .map(|tag| format!("v1,{}", STANDARD.encode(tag)))
        .collect();
    signatures.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_that_the_scheme_publishes() {
        // The example of the reference libraries (standard-webhooks/standard-webhooks).
        let secrets = [Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")];
        let signed = sign(&secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}");
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn each_secret_signs() {
        let secrets = [new_secret().unwrap(), new_secret().unwrap()];
        assert_ne!(secrets[0].expose(), secrets[1].expose());
        let both = sign(&secrets, "e", 1, "{}");
        let alone = sign(&secrets[1..], "e", 1, "{}");
        assert_eq!(both.split(' ').count(), 2);
        assert_eq!(both.split(' ').nth(1), Some(alone.as_str()));
        assert_eq!(sign(&[Secret::new("other")], "e", 1, "{}"), "");
    }
}
