//! Verifies ID tokens: signed by the provider, for this app, for this sign-in, valid now (OpenID Connect Core, 3.1.3.7).

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;

use crate::server::domain::Secret;

/// The accepted clock difference in seconds. A token is used moments after it was issued.
const LEEWAY: i64 = 60;
/// The longest `sub` (OpenID Connect Core, 2).
const MAX_SUBJECT_CHARACTERS: usize = 255;

/// Why an ID token is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenRejection {
    /// It can't be read.
    #[error("not an ID token")]
    Malformed,
    /// Its header names another algorithm.
    #[error("not signed with RS256")]
    Algorithm,
    /// Its key isn't published.
    #[error("signed with a key that the provider doesn't publish")]
    UnknownKey,
    /// Its signature doesn't match.
    #[error("wrong signature")]
    Signature,
    /// `iss` isn't the issuer.
    #[error("issued by another issuer than EVERGRANT_OIDC_ISSUER")]
    Issuer,
    /// `aud` or `azp` isn't this app.
    #[error("for another client than EVERGRANT_OIDC_CLIENT_ID")]
    Audience,
    /// `nonce` isn't the one that was sent.
    #[error("for another sign-in")]
    Nonce,
    /// `exp` has passed.
    #[error("expired: check this machine's clock")]
    Expired,
    /// `nbf` hasn't come.
    #[error("not valid yet: check this machine's clock")]
    NotYetValid,
}

/// Who signed in, as the provider says.
#[derive(Debug, PartialEq)]
pub struct Identity {
    /// The provider's name for the person.
    pub subject: String,
    /// The person's email address.
    pub email: Option<String>,
    /// Whether the provider says that the address is the person's.
    pub email_verified: bool,
    /// Unix seconds at which the person last signed in there; `None` if the provider doesn't say.
    pub signed_in_at: Option<i64>,
}

/// What a token must be for.
pub struct Expected<'a> {
    pub issuer: &'a str,
    pub client_id: &'a str,
    pub nonce: &'a Secret,
    pub now: i64,
}

#[derive(Deserialize)]
struct RawClaims {
    iss: String,
    sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: i64,
    nbf: Option<i64>,
    nonce: Option<String>,
    auth_time: Option<i64>,
    email: Option<String>,
    /// Some providers send a text. Only the boolean of the standard counts.
    email_verified: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// Returns the id of the key that the token names.
pub fn key_id(token: &Secret) -> Result<Option<String>, IdTokenRejection> {
    // The library rejects headers with an unknown algorithm, such as `none`.
    let header = decode_header(token.expose()).map_err(|_| IdTokenRejection::Malformed)?;
    if header.alg == Algorithm::RS256 { Ok(header.kid) } else { Err(IdTokenRejection::Algorithm) }
}

/// Verifies the token with the key that it names.
pub fn verify(token: &Secret, key: &DecodingKey, expected: &Expected<'_>) -> Result<Identity, IdTokenRejection> {
    // The algorithm is fixed and never read from the token. Times are checked below, by our clock.
    let mut validation = Validation::new(Algorithm::RS256);
    validation.validate_exp = false;
    validation.validate_aud = false;
    let claims = match decode::<RawClaims>(token.expose(), key, &validation) {
        Ok(token) => token.claims,
        Err(error) if *error.kind() == ErrorKind::InvalidSignature => return Err(IdTokenRejection::Signature),
        Err(_) => return Err(IdTokenRejection::Malformed),
    };
    check(claims, expected)
}

fn check(claims: RawClaims, expected: &Expected<'_>) -> Result<Identity, IdTokenRejection> {
    if claims.iss != expected.issuer {
        return Err(IdTokenRejection::Issuer);
    }
    let for_us = match &claims.aud {
        Audience::One(audience) => audience == expected.client_id,
        // With several audiences, the token names the one that asked for it.
        Audience::Many(all) => {
            all.iter().any(|audience| audience == expected.client_id) && (all.len() == 1 || claims.azp.is_some())
        }
    };
    if !for_us || claims.azp.as_ref().is_some_and(|party| party != expected.client_id) {
        return Err(IdTokenRejection::Audience);
    }
    if claims.nonce.as_deref() != Some(expected.nonce.expose()) {
        return Err(IdTokenRejection::Nonce);
    }
    if claims.exp.saturating_add(LEEWAY) <= expected.now {
        return Err(IdTokenRejection::Expired);
    }
    if claims.nbf.is_some_and(|from| from > expected.now + LEEWAY) {
        return Err(IdTokenRejection::NotYetValid);
    }
    if claims.sub.is_empty() || claims.sub.chars().count() > MAX_SUBJECT_CHARACTERS {
        return Err(IdTokenRejection::Malformed);
    }
    let email_verified = claims.email_verified == Some(serde_json::Value::Bool(true));
    let signed_in_at = claims.auth_time.map(|at| at.min(expected.now));
    Ok(Identity { subject: claims.sub, email: claims.email, email_verified, signed_in_at })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn claims() -> Value {
        json!({
            "iss": "https://a.example", "sub": "ann", "aud": "us", "exp": NOW + 300, "nonce": "n",
            "email": "ann@example.com", "email_verified": true,
        })
    }

    fn check_with(name: &str, value: Value) -> Result<Identity, IdTokenRejection> {
        let mut changed = claims();
        changed[name] = value;
        let (nonce, claims) = (Secret::new("n"), serde_json::from_value(changed).unwrap());
        check(claims, &Expected { issuer: "https://a.example", client_id: "us", nonce: &nonce, now: NOW })
    }

    #[test]
    fn only_a_token_for_this_app_and_sign_in_is_accepted() {
        use IdTokenRejection::{Audience, Expired, Issuer, Malformed, Nonce, NotYetValid};
        for (name, value, rejection) in [
            ("iss", json!("https://a.example/"), Issuer),
            ("aud", json!("them"), Audience),
            ("aud", json!(["us", "them"]), Audience),
            ("azp", json!("them"), Audience),
            ("nonce", json!("other"), Nonce),
            ("nonce", Value::Null, Nonce),
            ("exp", json!(NOW - LEEWAY), Expired),
            ("nbf", json!(NOW + LEEWAY + 1), NotYetValid),
            ("sub", json!(""), Malformed),
            ("sub", json!("x".repeat(256)), Malformed),
        ] {
            assert_eq!(check_with(name, value.clone()), Err(rejection), "{name} {value}");
        }
        for (name, value) in [("aud", json!(["us"])), ("azp", json!("us")), ("exp", json!(NOW - LEEWAY + 1))] {
            assert_eq!(check_with(name, value).unwrap().subject, "ann", "{name}");
        }
    }

    #[test]
    fn person_signed_in_when_the_token_says_and_never_later_than_now() {
        for (auth_time, at) in [(json!(NOW - 700), Some(NOW - 700)), (json!(NOW + 5), Some(NOW)), (Value::Null, None)] {
            assert_eq!(check_with("auth_time", auth_time.clone()).unwrap().signed_in_at, at, "{auth_time}");
        }
    }

    #[test]
    fn email_is_verified_only_if_the_claim_is_true() {
        assert!(check_with("email_verified", json!(true)).unwrap().email_verified);
        for other in [json!("true"), json!(1), json!(false), Value::Null] {
            assert!(!check_with("email_verified", other.clone()).unwrap().email_verified, "{other}");
        }
    }
}
