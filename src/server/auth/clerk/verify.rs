//! Verifies session tokens: signed by Clerk, for this application, valid now.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};

use super::claims::{Claims, RawClaims};
use super::jwks::{JwksError, VerificationKeys};
use crate::server::clock::Clock;
use crate::server::config::ClerkApp;
use crate::server::domain::Secret;

/// The accepted clock difference in seconds. A token is valid for 60.
const LEEWAY: i64 = 5;

/// Where a request carries its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// In `Authorization`, set by Clerk's script, which has the page's origin in `azp`.
    Header,
    /// In the cookie, which the browser sends by itself. A token issued on a navigation can lack `azp`.
    Cookie,
}

/// Why a token is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRejection {
    #[error("not a session token")]
    Malformed,
    #[error("not signed with RS256")]
    Algorithm,
    #[error("signed with a key that Clerk doesn't publish")]
    UnknownKey,
    #[error("wrong signature")]
    Signature,
    #[error("expired")]
    Expired,
    #[error("not valid yet: check this machine's clock")]
    NotYetValid,
    #[error("issued by another Clerk application than CLERK_PUBLISHABLE_KEY names")]
    Issuer,
    #[error("for an origin that CLERK_AUTHORIZED_PARTIES doesn't list")]
    Party,
    #[error("its session is pending a sign-in step")]
    Pending,
}

/// Why a token can't be used: it is rejected, or there are no keys to verify it with.
#[derive(Debug)]
pub enum VerifyError {
    Rejected(TokenRejection),
    Jwks(JwksError),
}

impl From<TokenRejection> for VerifyError {
    fn from(rejection: TokenRejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl From<JwksError> for VerifyError {
    fn from(error: JwksError) -> Self {
        Self::Jwks(error)
    }
}

/// Verifies the session tokens of one Clerk application.
pub struct Verifier {
    keys: VerificationKeys,
    clock: Clock,
    issuer: String,
    parties: Vec<String>,
    /// Covers the signature and the format. `check` covers times, by our clock, and the other claims.
    validation: Validation,
}

impl Verifier {
    /// Creates a verifier for the application.
    pub fn new(keys: VerificationKeys, clock: Clock, app: &ClerkApp) -> Self {
        // The algorithm is fixed and never read from the token: `none`, and HS256 with the public key as the secret,
        // are rejected.
        let mut validation = Validation::new(Algorithm::RS256);
        validation.validate_exp = false;
        validation.validate_aud = false;
        Self { keys, clock, issuer: app.frontend_api.clone(), parties: app.authorized_parties.clone(), validation }
    }

    /// Verifies a token and returns its claims.
    pub async fn verify(&self, token: &Secret, carrier: TokenSource) -> Result<Claims, VerifyError> {
        let kid = header_kid(token)?;
        let key = self.keys.find(kid.as_deref()).await?.ok_or(TokenRejection::UnknownKey)?;
        match decode::<RawClaims>(token.expose(), &key, &self.validation) {
            Ok(token) => Ok(self.check(token.claims, carrier)?),
            Err(error) if *error.kind() == ErrorKind::InvalidSignature => Err(TokenRejection::Signature.into()),
            Err(_) => Err(TokenRejection::Malformed.into()),
        }
    }

    fn check(&self, claims: RawClaims, carrier: TokenSource) -> Result<Claims, TokenRejection> {
        let now = self.clock.now();
        if claims.exp.saturating_add(LEEWAY) <= now {
            return Err(TokenRejection::Expired);
        }
        if claims.nbf.is_some_and(|from| from > now + LEEWAY) {
            return Err(TokenRejection::NotYetValid);
        }
        if claims.iss != self.issuer {
            return Err(TokenRejection::Issuer);
        }
        let party = match &claims.azp {
            Some(party) => self.parties.contains(party),
            None => carrier == TokenSource::Cookie,
        };
        if !party {
            return Err(TokenRejection::Party);
        }
        if claims.sts.as_deref() == Some("pending") {
            return Err(TokenRejection::Pending);
        }
        claims.parse().ok_or(TokenRejection::Malformed)
    }
}

impl TokenRejection {
    /// Logs what an operator should fix as a warning. What happens often, or what anyone can cause, is a debug line.
    pub fn log(self) {
        match self {
            Self::NotYetValid | Self::Issuer | Self::Party => {
                tracing::warn!(reason = %self, "session token rejected")
            }
            _ => tracing::debug!(reason = %self, "session token rejected"),
        }
    }
}

/// Returns the key id in the token's header.
fn header_kid(token: &Secret) -> Result<Option<String>, TokenRejection> {
    // The library rejects headers with an unknown algorithm, such as `none`.
    let header = decode_header(token.expose()).map_err(|_| TokenRejection::Malformed)?;
    if header.alg != Algorithm::RS256 {
        return Err(TokenRejection::Algorithm);
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

    async fn verify_token(issuer: &Issuer, token: String, carrier: TokenSource) -> Result<(), TokenRejection> {
        let app = issuer.app_with_pem();
        let keys = VerificationKeys::configured(app.jwt_key.clone().unwrap());
        let verifier = Verifier::new(keys, Clock::manual(NOW), &app);
        match verifier.verify(&Secret::new(token), carrier).await {
            Ok(_) => Ok(()),
            Err(VerifyError::Rejected(rejection)) => Err(rejection),
            Err(VerifyError::Jwks(error)) => panic!("{error}"),
        }
    }

    async fn verify_with_claim(name: &str, value: Value) -> Result<(), TokenRejection> {
        let issuer = Issuer::new("k1");
        let mut changed = claims();
        changed[name] = value;
        verify_token(&issuer, issuer.sign(&changed), TokenSource::Header).await
    }

    #[tokio::test]
    async fn valid_token_is_accepted_until_expiry_plus_leeway() {
        assert_eq!(verify_with_claim("exp", json!(NOW + 60)).await, Ok(()));
        assert_eq!(verify_with_claim("exp", json!(NOW - LEEWAY + 1)).await, Ok(()));
        assert_eq!(verify_with_claim("exp", json!(NOW - LEEWAY)).await, Err(TokenRejection::Expired));
        assert_eq!(verify_with_claim("exp", json!(i64::MAX)).await, Ok(()), "no overflow");
        assert_eq!(verify_with_claim("exp", json!("soon")).await, Err(TokenRejection::Malformed));
        assert_eq!(verify_with_claim("exp", json!(null)).await, Err(TokenRejection::Malformed));
    }

    #[tokio::test]
    async fn a_token_from_the_future_is_refused() {
        assert_eq!(verify_with_claim("nbf", json!(NOW + LEEWAY)).await, Ok(()));
        assert_eq!(verify_with_claim("nbf", json!(NOW + LEEWAY + 1)).await, Err(TokenRejection::NotYetValid));
    }

    #[tokio::test]
    async fn another_issuers_token_is_refused() {
        for issuer in ["https://other.clerk.accounts.dev", "", "https://clerk.example.com.evil.example"] {
            assert_eq!(verify_with_claim("iss", json!(issuer)).await, Err(TokenRejection::Issuer), "{issuer}");
        }
    }

    #[tokio::test]
    async fn token_needs_an_authorized_origin_or_in_the_cookie_none() {
        assert_eq!(verify_with_claim("azp", json!("https://evil.example")).await, Err(TokenRejection::Party));
        assert_eq!(verify_with_claim("azp", json!(format!("{ORIGIN}/"))).await, Err(TokenRejection::Party));
        assert_eq!(verify_with_claim("azp", json!(null)).await, Err(TokenRejection::Party));
        let issuer = Issuer::new("k1");
        let mut without = claims();
        without["azp"] = json!(null);
        assert_eq!(verify_token(&issuer, issuer.sign(&without), TokenSource::Cookie).await, Ok(()));
        without["azp"] = json!("https://evil.example");
        assert_eq!(verify_token(&issuer, issuer.sign(&without), TokenSource::Cookie).await, Err(TokenRejection::Party));
    }

    #[tokio::test]
    async fn a_pending_session_is_refused() {
        assert_eq!(verify_with_claim("sts", json!("pending")).await, Err(TokenRejection::Pending));
        assert_eq!(verify_with_claim("sts", json!("active")).await, Ok(()));
    }

    #[tokio::test]
    async fn a_token_without_a_session_is_refused() {
        assert_eq!(verify_with_claim("sid", json!("")).await, Err(TokenRejection::Malformed));
        assert_eq!(verify_with_claim("sid", json!(null)).await, Err(TokenRejection::Malformed));
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
            assert_eq!(verify_token(&issuer, forged, TokenSource::Header).await, Err(TokenRejection::Signature));
        }
        assert_eq!(
            verify_token(&issuer, Issuer::new("k1").sign(&claims()), TokenSource::Header).await,
            Err(TokenRejection::Signature)
        );
        for nonsense in ["", ".", "a.b.c", "..", &format!("{}.{}", parts[0], parts[1])] {
            let answer = verify_token(&issuer, nonsense.to_owned(), TokenSource::Header).await;
            assert!(
                matches!(answer, Err(TokenRejection::Malformed | TokenRejection::Signature)),
                "{nonsense}: {answer:?}"
            );
        }
    }

    #[tokio::test]
    async fn only_rs256_is_accepted() {
        let issuer = Issuer::new("k1");
        for (forged, why) in issuer.sign_with_wrong_algorithms(&claims()) {
            let answer = verify_token(&issuer, forged, TokenSource::Header).await;
            assert!(matches!(answer, Err(TokenRejection::Algorithm | TokenRejection::Malformed)), "{why}: {answer:?}");
        }
    }
}
