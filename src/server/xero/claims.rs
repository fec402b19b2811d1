//! What an access token says about itself.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use crate::server::domain::AccessToken;

/// JWTs come without padding; one that has it is read as well.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Who consented, and in which consent.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Claims {
    /// The Xero user, the same for every app.
    #[serde(rename = "xero_userid")]
    pub xero_user_id: String,
    /// The consent that this token comes from; a connection made by it carries the same id.
    pub authentication_event_id: String,
    #[serde(default)]
    pub sub: Option<String>,
}

/// Reads an access token's claims, or `None` where they can't be read or lack an id.
///
/// The signature is not verified: the token came straight from Xero's token endpoint over TLS, which vouches for it.
/// Never use this on a token that somebody else handed in.
pub fn claims(access: &AccessToken) -> Option<Claims> {
    let mut parts = access.expose().split('.');
    let (_header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let payload = BASE64URL.decode(payload).ok()?;
    let claims: Claims = serde_json::from_slice(&payload).ok()?;
    let named = !claims.xero_user_id.is_empty() && !claims.authentication_event_id.is_empty();
    named.then_some(claims)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    use super::{Claims, claims};
    use crate::server::domain::AccessToken;

    const PAYLOAD: &str =
        r#"{"xero_userid":"u-1","authentication_event_id":"e-1","sub":"s-1","scope":["openid"],"exp":1}"#;

    #[test]
    fn the_ids_are_read_with_and_without_padding() {
        let wanted =
            Claims { xero_user_id: "u-1".into(), authentication_event_id: "e-1".into(), sub: Some("s-1".into()) };
        for payload in [URL_SAFE_NO_PAD.encode(PAYLOAD), URL_SAFE.encode(PAYLOAD)] {
            assert_eq!(claims(&AccessToken::new(format!("head.{payload}.signature"))), Some(wanted.clone()));
        }
    }

    #[test]
    fn a_token_without_the_ids_has_no_claims() {
        let payloads = [
            "{}",
            r#"{"xero_userid":"u-1"}"#,
            r#"{"xero_userid":"","authentication_event_id":"e-1"}"#,
            r#"{"xero_userid":7,"authentication_event_id":"e-1"}"#,
            "[]",
        ];
        for payload in payloads {
            let token = format!("head.{}.signature", URL_SAFE_NO_PAD.encode(payload));
            assert_eq!(claims(&AccessToken::new(token)), None, "{payload}");
        }
        let payload = URL_SAFE_NO_PAD.encode(PAYLOAD);
        for token in ["", "opaque", "a.b", "a.!.c", &format!("head.{payload}"), &format!("a.{payload}.c.d")] {
            assert_eq!(claims(&AccessToken::new(token)), None, "{token}");
        }
    }

    proptest! {
        #[test]
        fn no_token_makes_it_panic(token in ".{0,200}", payload in any::<Vec<u8>>()) {
            claims(&AccessToken::new(token));
            claims(&AccessToken::new(format!("a.{}.c", URL_SAFE_NO_PAD.encode(payload))));
        }
    }
}
