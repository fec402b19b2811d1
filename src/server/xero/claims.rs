//! Reads the claims of tokens: whose they are, and how long an access token lasts.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use serde_json::Value;

use super::wire::seconds;
use crate::server::domain::{AccessToken, XeroUserName};

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

/// The longest name or address that is kept, in characters.
const MAX_NAME_CHARACTERS: usize = 200;

/// Reads the name and the address of the Xero user from the id token beside an access token. Does not verify it, either.
pub(super) fn xero_user(id_token: &str) -> XeroUserName {
    #[derive(Default, Deserialize)]
    struct Profile {
        name: Option<Value>,
        given_name: Option<Value>,
        family_name: Option<Value>,
        email: Option<Value>,
    }
    let profile: Profile =
        payload(id_token).and_then(|payload| serde_json::from_slice(&payload).ok()).unwrap_or_default();
    let line = |value: Option<Value>| {
        let text = value.as_ref().and_then(Value::as_str).unwrap_or_default().trim();
        let text: String = text.chars().filter(|one| !one.is_control()).take(MAX_NAME_CHARACTERS).collect();
        Some(text).filter(|text| !text.is_empty())
    };
    let parts: Vec<String> = [line(profile.given_name), line(profile.family_name)].into_iter().flatten().collect();
    let name = line(profile.name).or_else(|| Some(parts.join(" ")).filter(|name| !name.is_empty()));
    XeroUserName { name, email: line(profile.email) }
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

    use super::{Claims, lifetime, parse_claims, xero_user};
    use crate::server::domain::{AccessToken, XeroUserName};

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

    #[test]
    fn xero_user_is_named_as_far_as_the_id_token_tells() {
        let named = |payload: &str| xero_user(&format!("head.{}.signature", URL_SAFE_NO_PAD.encode(payload)));
        let known = |name: Option<&str>, email: Option<&str>| XeroUserName {
            name: name.map(str::to_owned),
            email: email.map(str::to_owned),
        };
        let whole = r#"{"given_name":"Mere","family_name":"Tane","email":"mere@example.com"}"#;
        assert_eq!(named(whole), known(Some("Mere Tane"), Some("mere@example.com")));
        assert_eq!(named(r#"{"name":" Mere\n ","given_name":7}"#), known(Some("Mere"), None));
        assert_eq!(named("[]"), XeroUserName::default());
        assert_eq!(xero_user("opaque"), XeroUserName::default());
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
