//! People and organisations that Clerk keeps: each request brings a token that Clerk signed, and nothing else counts.

mod claims;
mod keys;
mod page;
#[cfg(test)]
mod testing;
mod verify;
mod webhook;

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

use self::claims::Claims;
use self::keys::Keys;
pub use self::keys::KeysError;
use self::verify::{Carrier, Verifier};
pub use self::webhook::NotTaken;
use super::cookie::{hashed, read_cookie};
use super::keys::is_a_key;
use super::{AuthError, Caller, Delivered};
use crate::server::clock::Clock;
use crate::server::config::ClerkApp;
use crate::server::domain::Secret;
use crate::server::store::{Asserted, AssertedOrg, Store};

/// Where Clerk's script keeps the session's token.
pub const TOKEN_COOKIE: &str = "__session";

/// Sign-in with Clerk. Cheap to clone; clones share the keys they fetched.
#[derive(Clone)]
pub struct ClerkAuth {
    store: Store,
    app: Arc<ClerkApp>,
    verifier: Arc<Verifier>,
}

impl ClerkAuth {
    pub fn new(store: Store, app: ClerkApp) -> Result<Self, AuthError> {
        let keys = match &app.jwt_key {
            Some(key) => Keys::given(key.clone()),
            None => Keys::of(&app.frontend_api, store.clock().clone())?,
        };
        let verifier = Verifier::new(keys, store.clock().clone(), &app);
        tracing::info!(at = %app.frontend_api, parties = ?app.authorized_parties, "people sign in with Clerk");
        Ok(Self { store, app: Arc::new(app), verifier: Arc::new(verifier) })
    }

    pub async fn caller(&self, headers: &HeaderMap) -> Result<Option<Caller>, AuthError> {
        let Some((token, carrier)) = carried(headers) else { return Ok(None) };
        let claims = match self.verifier.verify(&token, carrier).await? {
            Ok(claims) => claims,
            Err(refused) => {
                refused.log();
                return Ok(None);
            }
        };
        Ok(Some(self.somebody(claims).await?))
    }

    /// Takes a webhook's news in. Its id is remembered together with what it changed: one that failed comes again.
    pub async fn news(&self, headers: &HeaderMap, body: &[u8]) -> Result<Delivered, AuthError> {
        let Some(key) = &self.app.webhook_key else { return Ok(Delivered::NotHere) };
        let delivery = match webhook::read(key, headers, body, self.store.clock().now()) {
            Ok(delivery) => delivery,
            Err(why) => return Ok(Delivered::Refused(why)),
        };
        let Some(news) = delivery.news else { return Ok(Delivered::Ignored) };
        let new = self.store.take_news(&delivery.id, delivery.at, &news).await?;
        Ok(if new { Delivered::Taken } else { Delivered::Before })
    }

    /// The organisation is the token's and no other: of those that it doesn't name nothing is known just now.
    async fn somebody(&self, claims: Claims) -> Result<Caller, AuthError> {
        let org = claims.org.as_ref();
        let known = self
            .store
            .known(&Asserted {
                user: &claims.user,
                email: claims.email.as_deref(),
                org: org.map(|org| AssertedOrg { id: &org.id, slug: org.slug.as_deref(), role: org.role }),
                issued_at: claims.issued_at,
            })
            .await?;
        let external_org = known.org.is_some().then(|| claims.org.map(|org| org.id)).flatten();
        let orgs = known.org.into_iter().collect();
        // A session's id isn't a key to it, but the database needn't know it either.
        let session_hash = hashed(&claims.session);
        let caller = Caller::new(known.user, known.email, orgs, None, session_hash);
        Ok(Caller { external_org, ..caller })
    }
}

/// Asks for the keys that tokens are checked with, and counts them; `None` where they needn't be asked for.
pub async fn probe_keys(app: &ClerkApp, clock: &Clock) -> Result<Option<usize>, KeysError> {
    if app.jwt_key.is_some() {
        return Ok(None);
    }
    Keys::of(&app.frontend_api, clock.clone())?.count().await
}

/// The token that a request brings. A bearer is the only one that is looked at: what a script sent by name means more
/// than what the browser added by itself; and one of our own API keys is nobody's session. What a proxy in front asks
/// for in that header is none of ours.
fn carried(headers: &HeaderMap) -> Option<(Secret, Carrier)> {
    if let Some(value) = headers.get(AUTHORIZATION) {
        let text = value.to_str().ok()?;
        let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
        if scheme.eq_ignore_ascii_case("bearer") {
            if is_a_key(token.trim()) {
                return None;
            }
            return Some((Secret::new(token.trim()), Carrier::Header));
        }
    }
    read_cookie(headers, TOKEN_COOKIE).map(|token| (Secret::new(token), Carrier::Cookie))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::testing::{Issuer, NOW, claims};
    use super::*;
    use crate::model::{Permission, Role};
    use crate::server::store::testing::stores;

    fn with(name: &'static str, value: String) -> HeaderMap {
        HeaderMap::from_iter([(axum::http::HeaderName::from_static(name), value.parse().unwrap())])
    }

    #[tokio::test]
    async fn a_token_says_who_asks_and_for_which_organisation() {
        let issuer = Issuer::new("k1");
        for (name, store) in stores().await {
            let auth = ClerkAuth::new(store.clone(), issuer.app_with_pem()).unwrap();
            assert_eq!(auth.caller(&HeaderMap::new()).await.unwrap(), None);

            let cookie = with("cookie", format!("{TOKEN_COOKIE}={}", issuer.sign(&claims())));
            let ann = auth.caller(&cookie).await.unwrap().unwrap();
            let org = ann.org.clone().unwrap();
            assert_eq!((org.name.as_str(), org.role), ("harbour", Role::Admin), "{name}");
            assert_eq!((ann.orgs.len(), ann.external_org.as_deref()), (1, Some("org_1")), "{name}");

            // The same person and session by the header, in another organisation.
            let mut other = claims();
            other["o"] = json!({ "id": "org_2", "slg": "southerly", "rol": "keeper-of-books" });
            let header = with("authorization", format!("Bearer {}", issuer.sign(&other)));
            let there = auth.caller(&header).await.unwrap().unwrap();
            assert_eq!((&there.user_id, &there.session_hash), (&ann.user_id, &ann.session_hash), "{name}");
            assert_eq!(there.org.as_ref().map(|org| org.role), Some(Role::Member), "{name}");
            assert!(!there.may(Permission::ManageConnections));

            other["o"] = json!(null);
            other["sid"] = json!("sess_2");
            let nowhere = auth.caller(&with("cookie", format!("{TOKEN_COOKIE}={}", issuer.sign(&other)))).await;
            let nowhere = nowhere.unwrap().unwrap();
            assert_eq!((nowhere.org, nowhere.external_org), (None, None), "{name}");
            assert_ne!(nowhere.session_hash, ann.session_hash, "{name}");
        }
    }

    #[tokio::test]
    async fn a_bearer_is_the_only_one_that_is_looked_at() {
        let issuer = Issuer::new("k1");
        let (_, store) = stores().await.remove(0);
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
    async fn an_address_comes_along_where_the_application_sends_it() {
        let issuer = Issuer::new("k1");
        let (_, store) = stores().await.remove(0);
        let auth = ClerkAuth::new(store, issuer.app_with_pem()).unwrap();
        let mut told = claims();
        told["email"] = json!("Ann@Example.com");
        told["iat"] = json!(NOW);
        let ann = auth.caller(&with("authorization", format!("bearer {}", issuer.sign(&told)))).await.unwrap().unwrap();
        assert_eq!(ann.email, "ann@example.com");
    }
}
