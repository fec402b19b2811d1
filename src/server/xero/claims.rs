//! Reads an access token's claims: whose it is, and how long it lasts.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use serde_json::Value;

use super::wire::seconds;
use crate::server::domain::AccessToken;

/// JWTs have no padding, but padding is accepted.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The ids of the user and the consent.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Claims {
    /// The Xero user, the same for every app.
    #[serde(rename = "xero_userid")]
    pub xero_user_id: String,
    /// The consent that the token comes from. The connections that it created have the same id.
    pub authentication_event_id: String,
}

/// Reads an access token's claims. Returns `None` if they are malformed or an id is missing.
///
/// Does not verify the signature: the token came from Xero's token endpoint over TLS. Never call this for a token from
/// anywhere else.
pub fn parse_claims(access: &AccessToken) -> Option<Claims> {
    let claims: Claims = serde_json::from_slice(&payload(access.expose())?).ok()?;
    let named = !claims.xero_user_id.is_empty() && !claims.authentication_event_id.is_empty();
    named.then_some(claims)
}

/// Returns the email address that an ID token names. Verifies no signature, as `parse_claims`.
pub(super) fn email_of(id_token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Person {
        email: String,
    }
    let person: Person = serde_json::from_slice(&payload(id_token)?).ok()?;
    Some(person.email)
}

/// Returns how many seconds an access token lasts from its issue, by its claims; `None` if it has no `exp`.
///
/// Counts from `nbf` or `iat`, which are by the same clock as `exp`, so that a clock that differs from Evergrant's does
/// no harm. `received_at` (unix seconds) is used if the token has neither.
pub(super) fn lifetime(access: &AccessToken, received_at: i64) -> Option<i64> {
    #[derive(Deserialize)]
    struct Times {
        exp: Value,
        nbf: Option<Value>,
        iat: Option<Value>,
    }
    let times: Times = serde_json::from_slice(&payload(access.expose())?).ok()?;
    let issued_at = times.nbf.or(times.iat).as_ref().and_then(seconds).unwrap_or(received_at);
    seconds(&times.exp)?.checked_sub(issued_at)
}

/// Decodes the claims of a JSON web token.
fn payload(token: &str) -> Option<Vec<u8>> {
    let mut parts = token.split('.');
    let (_header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    BASE64URL.decode(payload).ok()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    use super::{Claims, email_of, lifetime, parse_claims};
    use crate::server::domain::AccessToken;

    const PAYLOAD: &str =
        r#"{"xero_userid":"u-1","authentication_event_id":"e-1","sub":"s-1","scope":["openid"],"exp":1}"#;

    #[test]
    fn ids_are_parsed_with_and_without_padding() {
        let wanted = Claims { xero_user_id: "u-1".into(), authentication_event_id: "e-1".into() };
        for payload in [URL_SAFE_NO_PAD.encode(PAYLOAD), URL_SAFE.encode(PAYLOAD)] {
            assert_eq!(parse_claims(&AccessToken::new(format!("head.{payload}.signature"))), Some(wanted.clone()));
        }
    }

    #[test]
    fn token_without_ids_has_no_claims() {
        let payloads = [
            "{}",
            r#"{"xero_userid":"u-1"}"#,
            r#"{"xero_userid":"","authentication_event_id":"e-1"}"#,
            r#"{"xero_userid":7,"authentication_event_id":"e-1"}"#,
            "[]",
        ];
        for payload in payloads {
            let token = format!("head.{}.signature", URL_SAFE_NO_PAD.encode(payload));
            assert_eq!(parse_claims(&AccessToken::new(token)), None, "{payload}");
        }
        let payload = URL_SAFE_NO_PAD.encode(PAYLOAD);
        for token in ["", "opaque", "a.b", "a.!.c", &format!("head.{payload}"), &format!("a.{payload}.c.d")] {
            assert_eq!(parse_claims(&AccessToken::new(token)), None, "{token}");
        }
    }

    #[test]
    fn email_is_read_from_an_id_token() {
        let token = |payload: &str| format!("head.{}.signature", URL_SAFE_NO_PAD.encode(payload));
        assert_eq!(email_of(&token(r#"{"email":"ann@example.com"}"#)).as_deref(), Some("ann@example.com"));
        for unnamed in [token("{}"), token(r#"{"email":7}"#), "opaque".to_owned()] {
            assert_eq!(email_of(&unnamed), None, "{unnamed}");
        }
    }

    #[test]
    fn lifetime_counts_from_the_issue_by_the_same_clock() {
        for (payload, expected) in [
            (r#"{"exp":2800,"nbf":1000}"#, Some(1800)),
            (r#"{"exp":2800,"iat":1000}"#, Some(1800)),
            (r#"{"exp":"2800","nbf":1000.5}"#, Some(1800)),
            (r#"{"exp":2800}"#, Some(800)),
            (r#"{"exp":2800,"nbf":null}"#, Some(800)),
            (r#"{"exp":9223372036854775807,"nbf":-9223372036854775807}"#, None),
            (r#"{"exp":null}"#, None),
            (r#"{"nbf":1000}"#, None),
            ("[]", None),
        ] {
            let token = AccessToken::new(format!("head.{}.signature", URL_SAFE_NO_PAD.encode(payload)));
            assert_eq!(lifetime(&token, 2000), expected, "{payload}");
        }
        assert_eq!(lifetime(&AccessToken::new("opaque"), 2000), None);
    }

    proptest! {
        #[test]
        fn arbitrary_tokens_do_not_panic(token in ".{0,200}", payload in any::<Vec<u8>>()) {
            for token in [token, format!("a.{}.c", URL_SAFE_NO_PAD.encode(payload))].map(AccessToken::new) {
                parse_claims(&token);
                lifetime(&token, 0);
            }
        }
    }
}
