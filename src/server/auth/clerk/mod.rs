//! Sign-in with Clerk, which manages people and organizations. Each request carries a token that Clerk signed.

mod claims;
pub(super) mod jwks;
mod page;
#[cfg(test)]
mod testing;
mod verify;
mod webhook;

use std::sync::Arc;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use axum::http::{HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use self::claims::Claims;
use self::jwks::{JwksError, VerificationKeys};
use self::verify::{TokenSource, Verifier, VerifyError};
pub use self::webhook::WebhookRejection;
use super::api_keys::has_key_prefix;
use super::bearer::bearer_token;
use super::caller::Caller;
use super::cookie::{cookie_values, delete_foreign_cookie};
use super::error::AuthError;
use crate::server::clock::Clock;
use crate::server::config::{ClerkApp, PublicUrl};
use crate::server::crypto::random::hash_secret;
use crate::server::domain::Secret;
use crate::server::store::{IdentityClaims, OrgClaims, ReceivedEvent, Store};

/// The cookie in which Clerk's script stores the session token. It also stores it under this name with a suffix that is
/// the application's own, because two applications on one domain would overwrite each other's.
const TOKEN_COOKIE: &str = "__session";

/// How many session tokens of one request are verified.
const MAX_TOKENS: usize = 5;

/// The result of a webhook delivery from the identity provider.
#[derive(Debug, PartialEq)]
pub enum InboundWebhookResult {
    /// It was applied.
    Applied,
    /// The same delivery was applied before; nothing changed.
    Duplicate,
    /// It is about something that Evergrant doesn't use.
    Ignored,
    /// It could not be verified or parsed; nothing changed.
    Refused(WebhookRejection),
    /// This server accepts no deliveries.
    NotConfigured,
}

/// Sign-in with Clerk. Cheap to clone; clones share the fetched keys.
#[derive(Clone)]
pub struct ClerkAuth {
    store: Store,
    app: Arc<ClerkApp>,
    verifier: Arc<Verifier>,
    /// The name of this application's own session cookie.
    suffixed_cookie: Arc<str>,
}

impl ClerkAuth {
    /// Creates the sign-in. Fetches no keys yet.
    pub fn new(store: Store, app: ClerkApp) -> Result<Self, AuthError> {
        let keys = match &app.jwt_key {
            Some(key) => VerificationKeys::configured(key.clone()),
            None => VerificationKeys::from_frontend_api(&app.frontend_api, store.clock().clone())?,
        };
        let verifier = Verifier::new(keys, store.clock().clone(), &app);
        tracing::info!(at = %app.frontend_api, parties = ?app.authorized_parties, "clerk sign-in enabled");
        if app.webhook_key.is_none() {
            tracing::warn!("CLERK_WEBHOOK_SECRET is not set: API keys that people created are refused");
        }
        let suffixed_cookie = suffixed_cookie(&app.publishable_key).into();
        Ok(Self { store, app: Arc::new(app), verifier: Arc::new(verifier), suffixed_cookie })
    }

    /// Returns the person whose session token the request carries; `None` without a valid one.
    pub async fn caller(&self, headers: &HeaderMap) -> Result<Option<Caller>, AuthError> {
        let mut rejection = None;
        for (token, source) in self.request_tokens(headers) {
            match self.verifier.verify(&token, source).await {
                Ok(claims) => return Ok(Some(self.upsert_caller(claims).await?)),
                // Another application's token says nothing about ours.
                Err(VerifyError::Rejected(why)) => rejection = rejection.or(Some(why)),
                Err(VerifyError::Jwks(error)) => return Err(error.into()),
            }
        }
        if let Some(rejection) = rejection {
            rejection.log();
        }
        Ok(None)
    }

    /// Returns the `Set-Cookie` values that end the session in the browser.
    pub fn expired_token_cookies(&self, public_url: &PublicUrl) -> Vec<HeaderValue> {
        let names = [&self.suffixed_cookie, TOKEN_COOKIE];
        names.into_iter().filter_map(|name| delete_foreign_cookie(public_url, name)).collect()
    }

    /// Returns the request's tokens, those to try first at the front: ours by the cookie's suffix, then each `__session`,
    /// of which another application on this domain may have written some.
    ///
    /// With a bearer token the cookies are ignored, because a script set the header on purpose. An API key isn't a
    /// session token. Other schemes in the header are for a proxy and are ignored.
    fn request_tokens(&self, headers: &HeaderMap) -> Vec<(Secret, TokenSource)> {
        if let Some(token) = bearer_token(headers) {
            let is_key = has_key_prefix(token.expose());
            return if is_key { Vec::new() } else { vec![(token, TokenSource::Header)] };
        }
        let ours = cookie_values(headers, &self.suffixed_cookie);
        let all = ours.into_iter().chain(cookie_values(headers, TOKEN_COOKIE));
        all.take(MAX_TOKENS).map(|token| (Secret::new(token), TokenSource::Cookie)).collect()
    }

    /// Verifies and applies a webhook delivery. Its id is stored in the transaction of its changes, so that a delivery
    /// that failed is applied when Clerk sends it again.
    pub async fn apply_webhook(&self, headers: &HeaderMap, body: &[u8]) -> Result<InboundWebhookResult, AuthError> {
        let Some(key) = &self.app.webhook_key else { return Ok(InboundWebhookResult::NotConfigured) };
        let delivery = match webhook::verify_and_parse(key, headers, body, self.store.clock().now()) {
            Ok(delivery) => delivery,
            Err(why) => return Ok(InboundWebhookResult::Refused(why)),
        };
        let Some(news) = delivery.event else { return Ok(InboundWebhookResult::Ignored) };
        Ok(match self.store.receive_clerk_event(&delivery.id, delivery.occurred_at, &news).await? {
            ReceivedEvent::Applied => InboundWebhookResult::Applied,
            ReceivedEvent::Duplicate => InboundWebhookResult::Duplicate,
        })
    }

    /// Updates the stored identity from the claims. The caller's only organization is the token's, because the token
    /// says nothing about others.
    async fn upsert_caller(&self, claims: Claims) -> Result<Caller, AuthError> {
        let org = claims.org.as_ref();
        let known = self
            .store
            .sync_identity(&IdentityClaims {
                user: &claims.user,
                email: claims.email.as_deref(),
                org: org.map(|org| OrgClaims { id: &org.id, slug: org.slug.as_deref(), role: org.role }),
                issued_at: claims.issued_at,
            })
            .await?;
        let external_org = known.org.is_some().then(|| claims.org.map(|org| org.id)).flatten();
        let orgs = known.org.into_iter().collect();
        // The session id isn't a secret, but the database doesn't need it either.
        let session_hash = hash_secret(&claims.session);
        let caller = Caller::new(known.user, known.email, orgs, None, session_hash);
        Ok(Caller { external_org, read: known.read, ..caller.in_time_zone(known.time_zone) })
    }
}

/// Fetches the keys that tokens are verified with and returns how many there are; `None` if one is configured.
pub async fn probe_keys(app: &ClerkApp, clock: &Clock) -> Result<Option<usize>, JwksError> {
    if app.jwt_key.is_some() {
        return Ok(None);
    }
    VerificationKeys::from_frontend_api(&app.frontend_api, clock.clone())?.fetch_count().await
}

/// Returns the name of the cookie that only the application with this key writes: Clerk's suffix is the beginning of the
/// key's SHA-1, which identifies it and protects nothing.
fn suffixed_cookie(publishable_key: &str) -> String {
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, publishable_key.as_bytes());
    let suffix: String = URL_SAFE_NO_PAD.encode(digest.as_ref()).chars().take(8).collect();
    format!("{TOKEN_COOKIE}_{suffix}")
}

#[cfg(test)]
mod tests {
    use axum::http::header::AUTHORIZATION;
    use serde_json::json;

    use super::testing::{Issuer, NOW, claims};
    use super::*;
    use crate::model::{Permission, Role};
    use crate::server::store::testing::{each_store, sqlite, store_on};

    fn with(name: &'static str, value: String) -> HeaderMap {
        HeaderMap::from_iter([(axum::http::HeaderName::from_static(name), value.parse().unwrap())])
    }

    #[apply(each_store!)]
    async fn token_identifies_the_person_and_the_organization(store: Store) {
        let issuer = Issuer::new("k1");
        let auth = ClerkAuth::new(store.clone(), issuer.app_with_pem()).unwrap();
        assert_eq!(auth.caller(&HeaderMap::new()).await.unwrap(), None);

        let cookie = with("cookie", format!("{TOKEN_COOKIE}={}", issuer.sign(&claims())));
        let ann = auth.caller(&cookie).await.unwrap().unwrap();
        let org = ann.org.clone().unwrap();
        assert_eq!((org.name.as_str(), org.role), ("harbour", Role::Admin));
        assert_eq!((ann.orgs.len(), ann.external_org.as_deref()), (1, Some("org_1")));

        // The same person and session in the header, in another organization.
        let mut other = claims();
        other["o"] = json!({ "id": "org_2", "slg": "southerly", "rol": "keeper-of-books" });
        let header = with("authorization", format!("Bearer {}", issuer.sign(&other)));
        let there = auth.caller(&header).await.unwrap().unwrap();
        assert_eq!((&there.user_id, &there.session_hash), (&ann.user_id, &ann.session_hash));
        assert_eq!(there.org.as_ref().map(|org| org.role), Some(Role::Member));
        assert!(!there.may(Permission::ManageConnections));

        other["o"] = json!(null);
        other["sid"] = json!("sess_2");
        let nowhere = auth.caller(&with("cookie", format!("{TOKEN_COOKIE}={}", issuer.sign(&other)))).await;
        let nowhere = nowhere.unwrap().unwrap();
        assert_eq!((nowhere.org, nowhere.external_org), (None, None));
        assert_ne!(nowhere.session_hash, ann.session_hash);
    }

    #[tokio::test]
    async fn token_is_found_beside_those_of_another_app_on_the_domain() {
        let (issuer, other) = (Issuer::new("k1"), Issuer::new("k2"));
        let auth = ClerkAuth::new(store_on(sqlite().await), issuer.app_with_pem()).unwrap();
        let (ours, theirs) = (issuer.sign(&claims()), other.sign(&claims()));
        let suffixed = &auth.suffixed_cookie;
        for cookies in [
            format!("{TOKEN_COOKIE}={theirs}; {suffixed}={ours}"),
            format!("{suffixed}={ours}; {TOKEN_COOKIE}={theirs}"),
            format!("{TOKEN_COOKIE}={theirs}; {TOKEN_COOKIE}={ours}"),
            format!("{TOKEN_COOKIE}={ours}; {TOKEN_COOKIE}={theirs}; {TOKEN_COOKIE}_another={theirs}"),
        ] {
            assert!(auth.caller(&with("cookie", cookies.clone())).await.unwrap().is_some(), "{cookies}");
        }
        let foreign = format!("{TOKEN_COOKIE}={theirs}; {TOKEN_COOKIE}_another={ours}");
        assert!(auth.caller(&with("cookie", foreign)).await.unwrap().is_none());
    }

    #[test]
    fn suffix_is_the_beginning_of_the_keys_sha_1() {
        // SHA-1 of "abc" (FIPS 180-2, A.1) is a9993e36 4706816a …, in base64url qZk-NkcGgWq….
        assert_eq!(suffixed_cookie("abc"), "__session_qZk-NkcG");
    }

    #[tokio::test]
    async fn a_bearer_token_hides_the_cookie() {
        let issuer = Issuer::new("k1");
        let store = store_on(sqlite().await);
        let auth = ClerkAuth::new(store, issuer.app_with_pem()).unwrap();
        let good = issuer.sign(&claims());
        for (header, counts) in [
            ("Bearer nonsense", false),
            ("Bearer egk_0123", false),
            ("Bearer", false),
            ("bearer ", false),
            ("Basic YTpi", true),
        ] {
            let mut headers = with("cookie", format!("{TOKEN_COOKIE}={good}"));
            headers.insert(AUTHORIZATION, header.parse().unwrap());
            assert_eq!(auth.caller(&headers).await.unwrap().is_some(), counts, "{header}");
        }
        let basic = with("authorization", format!("Basic {good}"));
        assert!(auth.caller(&basic).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn email_claim_is_used_if_present() {
        let issuer = Issuer::new("k1");
        let store = store_on(sqlite().await);
        let auth = ClerkAuth::new(store, issuer.app_with_pem()).unwrap();
        let mut claimed = claims();
        claimed["email"] = json!("Ann@Example.com");
        claimed["iat"] = json!(NOW);
        let ann =
            auth.caller(&with("authorization", format!("bearer {}", issuer.sign(&claimed)))).await.unwrap().unwrap();
        assert_eq!(ann.email, "ann@example.com");
    }
}
