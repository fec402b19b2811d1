//! Whether a session token is one: signed by Clerk, for this application, now.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};

use super::claims::{Claims, RawClaims};
use super::keys::{Keys, KeysError, Lookup};
use crate::server::clock::Clock;
use crate::server::config::ClerkApp;
use crate::server::domain::Secret;

/// How far Clerk's clock and ours may be apart, in seconds; a token lives for sixty.
const LEEWAY: i64 = 5;

/// How a token came here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// `Authorization`: a script sent it, and Clerk's script names the page's origin in `azp`.
    Header,
    /// The browser sent it by itself. One that was made on a navigation can lack `azp`.
    Cookie,
}

/// Why a token doesn't count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("it isn't a session token")]
    Malformed,
    #[error("it isn't signed with RS256")]
    Algorithm,
    #[error("it is signed with a key that Clerk doesn't publish")]
    UnknownKey,
    #[error("its signature is wrong")]
    Signature,
    #[error("it has ended")]
    Expired,
    #[error("it begins later than now: is the clock of this machine right?")]
    NotYetValid,
    #[error("another Clerk application issued it than CLERK_PUBLISHABLE_KEY names")]
    Issuer,
    #[error("it is for an origin that CLERK_AUTHORIZED_PARTIES doesn't name")]
    Party,
    #[error("its session waits for a step of the sign-in")]
    Pending,
}

pub struct Verifier {
    keys: Keys,
    clock: Clock,
    issuer: String,
    parties: Vec<String>,
    /// Signature and spelling alone: time is our clock's, and the rest is compared below.
    validation: Validation,
}

impl Verifier {
    pub fn new(keys: Keys, clock: Clock, app: &ClerkApp) -> Self {
        // The one algorithm is set here and never read from the token: neither `none` nor HS256 with the public key
        // for a secret gets past it.
        let mut validation = Validation::new(Algorithm::RS256);
        validation.validate_exp = false;
        validation.validate_aud = false;
        Self { keys, clock, issuer: app.frontend_api.clone(), parties: app.authorized_parties.clone(), validation }
    }

    /// The outer error is ours: there are no keys to check with.
    pub async fn verify(&self, token: &Secret, carrier: Carrier) -> Result<Result<Claims, Refused>, KeysError> {
        let kid = match kid(token) {
            Ok(kid) => kid,
            Err(refused) => return Ok(Err(refused)),
        };
        let key = match self.keys.find(kid.as_deref()).await? {
            Lookup::Found(key) => key,
            Lookup::Unknown => return Ok(Err(Refused::UnknownKey)),
        };
        Ok(match decode::<RawClaims>(token.expose(), &key, &self.validation) {
            Ok(token) => self.check(token.claims, carrier),
            Err(error) if *error.kind() == ErrorKind::InvalidSignature => Err(Refused::Signature),
            Err(_) => Err(Refused::Malformed),
        })
    }

    fn check(&self, claims: RawClaims, carrier: Carrier) -> Result<Claims, Refused> {
        let now = self.clock.now();
        if claims.exp.saturating_add(LEEWAY) <= now {
            return Err(Refused::Expired);
        }
        if claims.nbf.is_some_and(|from| from > now + LEEWAY) {
            return Err(Refused::NotYetValid);
        }
        if claims.iss != self.issuer {
            return Err(Refused::Issuer);
        }
        let party = match &claims.azp {
            Some(party) => self.parties.contains(party),
            None => carrier == Carrier::Cookie,
        };
        if !party {
            return Err(Refused::Party);
        }
        if claims.sts.as_deref() == Some("pending") {
            return Err(Refused::Pending);
        }
        claims.read().ok_or(Refused::Malformed)
    }
}

impl Refused {
    /// What somebody should mend is told; what happens every minute, or what a stranger can cause, isn't.
    pub fn log(self) {
        match self {
            Self::NotYetValid | Self::Issuer | Self::Party => {
                tracing::warn!(reason = %self, "a token of Clerk's is refused")
            }
            _ => tracing::debug!(reason = %self, "a token is refused"),
        }
    }
}

/// The name of the key that the token says it is signed with.
fn kid(token: &Secret) -> Result<Option<String>, Refused> {
    // An algorithm that the library doesn't know, `none` among them, is no header to it.
    let header = decode_header(token.expose()).map_err(|_| Refused::Malformed)?;
    if header.alg != Algorithm::RS256 {
        return Err(Refused::Algorithm);
    }
    Ok(header.kid)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    use super::super::testing::{Issuer, NOW, ORIGIN, claims};
    use super::*;

    async fn said(issuer: &Issuer, token: String, carrier: Carrier) -> Result<(), Refused> {
        let app = issuer.app_with_pem();
        let keys = Keys::given(app.jwt_key.clone().unwrap());
        let verifier = Verifier::new(keys, Clock::manual(NOW), &app);
        verifier.verify(&Secret::new(token), carrier).await.unwrap().map(|_| ())
    }

    async fn with(name: &str, value: Value) -> Result<(), Refused> {
        let issuer = Issuer::new("k1");
        let mut changed = claims();
        changed[name] = value;
        said(&issuer, issuer.sign(&changed), Carrier::Header).await
    }

    #[tokio::test]
    async fn a_good_token_counts_until_its_end_and_a_moment() {
        assert_eq!(with("exp", json!(NOW + 60)).await, Ok(()));
        assert_eq!(with("exp", json!(NOW - LEEWAY + 1)).await, Ok(()));
        assert_eq!(with("exp", json!(NOW - LEEWAY)).await, Err(Refused::Expired));
        assert_eq!(with("exp", json!(i64::MAX)).await, Ok(()), "no sum overflows");
        assert_eq!(with("exp", json!("soon")).await, Err(Refused::Malformed));
        assert_eq!(with("exp", json!(null)).await, Err(Refused::Malformed));
    }

    #[tokio::test]
    async fn a_token_from_the_future_is_refused() {
        assert_eq!(with("nbf", json!(NOW + LEEWAY)).await, Ok(()));
        assert_eq!(with("nbf", json!(NOW + LEEWAY + 1)).await, Err(Refused::NotYetValid));
    }

    #[tokio::test]
    async fn another_issuers_token_is_refused() {
        for issuer in ["https://other.clerk.accounts.dev", "", "https://clerk.example.com.evil.example"] {
            assert_eq!(with("iss", json!(issuer)).await, Err(Refused::Issuer), "{issuer}");
        }
    }

    #[tokio::test]
    async fn a_token_for_another_origin_is_refused_and_one_for_none_counts_in_the_cookie_alone() {
        assert_eq!(with("azp", json!("https://evil.example")).await, Err(Refused::Party));
        assert_eq!(with("azp", json!(format!("{ORIGIN}/"))).await, Err(Refused::Party));
        assert_eq!(with("azp", json!(null)).await, Err(Refused::Party));
        let issuer = Issuer::new("k1");
        let mut without = claims();
        without["azp"] = json!(null);
        assert_eq!(said(&issuer, issuer.sign(&without), Carrier::Cookie).await, Ok(()));
        without["azp"] = json!("https://evil.example");
        assert_eq!(said(&issuer, issuer.sign(&without), Carrier::Cookie).await, Err(Refused::Party));
    }

    #[tokio::test]
    async fn a_session_that_is_not_ready_is_refused() {
        assert_eq!(with("sts", json!("pending")).await, Err(Refused::Pending));
        assert_eq!(with("sts", json!("active")).await, Ok(()));
    }

    #[tokio::test]
    async fn a_token_without_a_session_is_refused() {
        assert_eq!(with("sid", json!("")).await, Err(Refused::Malformed));
        assert_eq!(with("sid", json!(null)).await, Err(Refused::Malformed));
    }

    #[tokio::test]
    async fn a_tampered_token_is_refused() {
        let issuer = Issuer::new("k1");
        let token = issuer.sign(&claims());
        let parts: Vec<&str> = token.split('.').collect();
        let mut more = claims();
        more["o"]["rol"] = json!("owner");
        let more = URL_SAFE_NO_PAD.encode(more.to_string());
        let last = if parts[2].ends_with('A') { "BAAA" } else { "AAAA" };
        for forged in [
            format!("{}.{more}.{}", parts[0], parts[2]),
            format!("{}.{}.{}{last}", parts[0], parts[1], &parts[2][..parts[2].len() - 4]),
            format!("{}.{}.", parts[0], parts[1]),
        ] {
            assert_eq!(said(&issuer, forged, Carrier::Header).await, Err(Refused::Signature));
        }
        assert_eq!(said(&issuer, Issuer::new("k1").sign(&claims()), Carrier::Header).await, Err(Refused::Signature));
        for nonsense in ["", ".", "a.b.c", "..", &format!("{}.{}", parts[0], parts[1])] {
            let answer = said(&issuer, nonsense.to_owned(), Carrier::Header).await;
            assert!(matches!(answer, Err(Refused::Malformed | Refused::Signature)), "{nonsense}: {answer:?}");
        }
    }

    #[tokio::test]
    async fn no_algorithm_but_rs256_gets_in() {
        let issuer = Issuer::new("k1");
        for (forged, why) in issuer.confused(&claims()) {
            let answer = said(&issuer, forged, Carrier::Header).await;
            assert!(matches!(answer, Err(Refused::Algorithm | Refused::Malformed)), "{why}: {answer:?}");
        }
    }
}
