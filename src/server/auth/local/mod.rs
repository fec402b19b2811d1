//! Local sign-in with an email address and a password.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::HeaderMap;

mod identity_link;
mod joining;
mod operators;
mod own_account;
mod password_policy;
pub mod passwords;
mod proof;
mod second_factor;
mod sign_in;

pub use identity_link::LinkLogin;
pub(super) use joining::SignInProof;
pub use joining::{JoinResult, NewAccount};
pub use operators::AccountError;
pub use own_account::AccountChange;
pub use proof::ProofResult;
pub use second_factor::RecoveryCodes;
pub use sign_in::{CodeLogin, Login};

use super::Switched;
use super::attempt_limiter::AttemptLimiter;
use super::caller::Caller;
use super::cookie::{BROWSER_COOKIE, read_cookie, session_hashes};
use super::error::AuthError;
use super::oidc::OidcProvider;
use crate::model::{OrgId, PasswordProblem, UserId};
use crate::server::config::{OidcConfig, PublicUrl};
use crate::server::crypto::random::hash_secret;
use crate::server::domain::Secret;
use crate::server::store::{self, CreatedUser, NewUser, RowChange, Store, UserOrg};
use crate::server::telemetry::metrics::Metrics;
use password_policy::NewPassword;
use passwords::Passwords;

/// Local sign-in. Cheap to clone; clones share the rate limits.
#[derive(Clone)]
pub struct LocalAuth {
    pub(super) store: Store,
    oidc: Option<OidcProvider>,
    passwords: Passwords,
    attempts: Arc<AttemptLimiter>,
    /// Decides the names of the cookies.
    public_url: PublicUrl,
}

/// The secrets of a session that was just created, for its cookies.
pub struct SessionCookies {
    /// The session's id, for its cookie.
    pub session: Secret,
    /// What the browser is known by from now on, for its cookie.
    pub browser: Secret,
}

/// Why a user can't be added.
#[derive(Debug, thiserror::Error)]
pub enum AddUserError {
    /// The text is not an email address.
    #[error("{0:?} isn't an email address")]
    MalformedEmail(String),
    /// The password doesn't fit the policy.
    #[error(transparent)]
    Password(#[from] PasswordProblem),
    /// Another user has this email address.
    #[error("there is already a user with the address {0}")]
    EmailTaken(String),
    /// The store failed, or the password could not be hashed.
    #[error(transparent)]
    Auth(#[from] AuthError),
}

impl LocalAuth {
    /// Creates local sign-in. Cookies have the names of a server that has nothing set.
    pub fn new(store: Store) -> Result<Self, AuthError> {
        let attempts = Arc::new(AttemptLimiter::new(store.clone()));
        Ok(Self { store, oidc: None, passwords: Passwords::new()?, attempts, public_url: PublicUrl::default() })
    }

    /// Lets people sign in with this OpenID Connect provider too.
    pub(super) fn with_oidc(self, config: &OidcConfig) -> Result<Self, AuthError> {
        let provider = OidcProvider::new(config, self.store.clone().clock().clone())?;
        Ok(Self { oidc: Some(provider), ..self })
    }

    /// Returns the OpenID Connect provider, if people may sign in with one.
    pub fn oidc(&self) -> Option<&OidcProvider> {
        self.oidc.as_ref()
    }

    /// Names the cookies for the server at this URL.
    pub fn at(self, public_url: &PublicUrl) -> Self {
        Self { public_url: public_url.clone(), ..self }
    }

    /// Counts the attempts that the limits on guessing refuse.
    pub(super) fn counted_by(self, metrics: &Metrics) -> Self {
        let attempts = AttemptLimiter::new(self.store.clone()).counted_by(metrics);
        Self { attempts: Arc::new(attempts), ..self }
    }

    /// Returns the limits on guessing, for every secret that people type.
    pub fn attempts(&self) -> &AttemptLimiter {
        &self.attempts
    }

    /// Returns the hash of the browser's cookie, if this account has signed in with it.
    pub async fn known_browser(&self, user: &UserId, headers: &HeaderMap) -> Result<Option<String>, AuthError> {
        let Some(cookie) = read_cookie(&self.public_url, headers, BROWSER_COOKIE) else { return Ok(None) };
        let hash = hash_secret(&Secret::new(cookie));
        Ok(self.store.knows_browser(user, &hash).await?.then_some(hash))
    }

    /// Deletes the sessions that the request's cookies name, and records it.
    pub async fn logout(&self, headers: &HeaderMap, from: IpAddr) -> Result<(), AuthError> {
        Ok(self.store.sign_out(&session_hashes(&self.public_url, headers), &from.to_string()).await?)
    }

    /// Returns the person whose session the request's cookie names, and records that the session was used. Of several
    /// session cookies the one that opens counts. If more than one does, somebody planted one, and none counts: signing
    /// in ends them all.
    pub async fn caller(&self, headers: &HeaderMap) -> Result<Option<Caller>, AuthError> {
        let mut open = None;
        for hash in session_hashes(&self.public_url, headers) {
            let Some(session) = self.store.session(&hash).await? else { continue };
            if open.replace((hash, session)).is_some() {
                tracing::warn!("request with two open sessions treated as signed out");
                return Ok(None);
            }
        }
        let Some((hash, session)) = open else { return Ok(None) };
        let (user, email, orgs) = (session.user.clone(), session.email.clone(), session.orgs.clone());
        let caller = Caller::new(user, email, orgs, session.active_org.as_ref(), hash).proven(session.proof);
        let mut caller = caller.in_time_zone(session.time_zone.clone());
        (caller.read, caller.is_enrolling) = (session.read, session.is_enrolling);
        if caller.lacks_factor() {
            caller = caller.without_factor(&session.factor_deadlines, self.store.clock().now());
        }
        let org = caller.org.as_ref().map(|org| &org.id);
        self.store.touch_session(&caller.session_hash, &session, org).await?;
        Ok(Some(caller))
    }

    /// Switches the session to another organization.
    pub async fn switch_org(&self, caller: &Caller, org: &OrgId) -> Result<Switched, AuthError> {
        Ok(match self.store.switch_session_org(&caller.session_hash, org).await? {
            RowChange::Applied => Switched::Yes,
            RowChange::NotFound => Switched::NotAMember,
        })
    }

    /// Returns whether there are no users.
    pub async fn has_no_users(&self) -> Result<bool, AuthError> {
        Ok(!self.store.has_users().await?)
    }

    /// Adds a user, who owns a new organization, joins an existing one as admin, or belongs to none.
    pub async fn add_user(
        &self,
        email: &str,
        password: Secret,
        org: Option<UserOrg<'_>>,
    ) -> Result<CreatedUser, AddUserError> {
        let normal_email =
            normalize_email(email).ok_or_else(|| AddUserError::MalformedEmail(email.trim().to_owned()))?;
        let hash = self.passwords.hash(NewPassword::check(&password, &normal_email)?).await?;
        let new = NewUser { email: &normal_email, password_hash: &hash, org };
        self.store.add_user(new).await.map_err(|error| match error {
            store::AddUserError::EmailTaken => AddUserError::EmailTaken(normal_email),
            store::AddUserError::Store(error) => AuthError::from(error).into(),
        })
    }
}

/// What an address has no use for, and what a mail program reads as more than an address: a name beside it, or a list
/// (RFC 5322, 3.2.3 and 3.4).
const NOT_IN_ADDRESSES: [char; 11] = ['<', '>', '(', ')', '[', ']', ',', ';', ':', '"', '\\'];

/// Normalizes an email address: trimmed and in lower case. `None` if it can't be one (at most 254 bytes, RFC 5321), or is
/// written in another way than `name@domain`, so that no mailbox has two addresses here by its spelling.
pub fn normalize_email(email: &str) -> Option<String> {
    let email = email.trim().to_lowercase();
    let (name, domain) = email.rsplit_once('@')?;
    let plain = !email.contains(|c: char| c.is_whitespace() || c.is_control()) && !email.contains(NOT_IN_ADDRESSES);
    let plain = plain && !name.contains('@');
    (plain && !name.is_empty() && !domain.is_empty() && email.len() <= 254).then_some(email)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use axum::http::HeaderValue;

    use super::*;
    use crate::server::auth::attempt_limiter::AttemptScope;
    use crate::server::auth::cookie::SESSION_COOKIE;
    use crate::server::store::testing::{each_store, sqlite, store_on};

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const PASSWORD: &str = "correct horse battery";

    async fn with_ann(store: &Store) -> LocalAuth {
        let auth = LocalAuth::new(store.clone()).unwrap();
        auth.add_user(" Ann@Example.com ", Secret::new(PASSWORD), Some(UserOrg::New("Harbour Coffee"))).await.unwrap();
        auth
    }

    fn with_cookie(session: &Secret) -> HeaderMap {
        let cookie = format!("{SESSION_COOKIE}={}", session.expose());
        HeaderMap::from_iter([(axum::http::header::COOKIE, HeaderValue::from_str(&cookie).unwrap())])
    }

    async fn sign_in(auth: &LocalAuth, headers: &HeaderMap) -> Secret {
        sign_in_from(auth, HOME, headers).await.session
    }

    async fn sign_in_from(auth: &LocalAuth, from: IpAddr, headers: &HeaderMap) -> SessionCookies {
        match auth.login("ann@example.com", Secret::new(PASSWORD), from, headers).await.unwrap() {
            Login::SignedIn(session) => session,
            Login::CodeRequired(_) => panic!("a code is required"),
            Login::WrongCredentials => panic!("wrong credentials"),
            Login::Limited(scope) => panic!("limited: {scope:?}"),
            Login::Delegated => panic!("elsewhere"),
        }
    }

    #[apply(each_store!)]
    async fn session_cookie_identifies_the_person_until_logout(store: Store) {
        let auth = with_ann(&store).await;
        let cookie = with_cookie(&sign_in(&auth, &HeaderMap::new()).await);
        let caller = auth.caller(&cookie).await.unwrap().unwrap();
        assert_eq!(caller.email, "ann@example.com");
        assert_eq!(caller.org.as_ref().map(|org| org.name.as_str()), Some("Harbour Coffee"));
        assert!(auth.caller(&with_cookie(&Secret::new("guess"))).await.unwrap().is_none());
        assert!(auth.caller(&HeaderMap::new()).await.unwrap().is_none());

        auth.logout(&cookie, HOME).await.unwrap();
        assert!(auth.caller(&cookie).await.unwrap().is_none());
    }

    #[apply(each_store!)]
    async fn login_deletes_the_browsers_previous_session(store: Store) {
        let auth = with_ann(&store).await;
        let first = with_cookie(&sign_in(&auth, &HeaderMap::new()).await);
        let second = with_cookie(&sign_in(&auth, &first).await);
        assert!(auth.caller(&first).await.unwrap().is_none());
        assert!(auth.caller(&second).await.unwrap().is_some());
    }

    #[apply(each_store!)]
    async fn unknown_email_and_wrong_password_get_the_same_refusal(store: Store) {
        let auth = with_ann(&store).await;
        for (email, password) in [("ann@example.com", "wrong"), ("nobody@example.com", PASSWORD), ("", "")] {
            let login = auth.login(email, Secret::new(password), HOME, &HeaderMap::new()).await.unwrap();
            assert!(matches!(login, Login::WrongCredentials), "{email}");
        }
    }

    #[apply(each_store!)]
    async fn twelve_wrong_passwords_from_elsewhere_do_not_keep_the_owner_out(store: Store) {
        let auth = with_ann(&store).await;
        let stranger = IpAddr::from([192, 0, 2, 1]);
        let known = sign_in_from(&auth, HOME, &HeaderMap::new()).await.browser;
        for _ in 0..12 {
            auth.login("ann@example.com", Secret::new("wrong"), stranger, &HeaderMap::new()).await.unwrap();
        }
        // Another instance, or the same one after a restart, has the same counts.
        let auth = LocalAuth::new(store.clone()).unwrap();
        let there = auth.login("Ann@example.com", Secret::new(PASSWORD), stranger, &HeaderMap::new()).await.unwrap();
        assert!(matches!(there, Login::Limited(AttemptScope::AccountAndNetwork)));
        sign_in_from(&auth, HOME, &HeaderMap::new()).await;

        // All are behind one address, as behind a proxy that was not named.
        let cookie = format!("{BROWSER_COOKIE}={}", known.expose());
        let browser = HeaderMap::from_iter([(axum::http::header::COOKIE, HeaderValue::from_str(&cookie).unwrap())]);
        let again = sign_in_from(&auth, stranger, &browser).await;
        assert_eq!(again.browser.expose(), known.expose(), "the browser keeps what it is known by");
        store.clock().advance(60);
        sign_in_from(&auth, stranger, &HeaderMap::new()).await;
    }

    #[apply(each_store!)]
    async fn fifty_wrong_passwords_behind_one_address_keep_nobody_out(store: Store) {
        let auth = with_ann(&store).await;
        for n in 0..50 {
            let email = format!("{n}@example.com");
            auth.login(&email, Secret::new("wrong"), HOME, &HeaderMap::new()).await.unwrap();
        }
        sign_in(&auth, &HeaderMap::new()).await;
    }

    #[apply(each_store!)]
    async fn planted_browser_cookie_is_replaced(store: Store) {
        let auth = with_ann(&store).await;
        let planted = format!("{BROWSER_COOKIE}=planted");
        let headers = HeaderMap::from_iter([(axum::http::header::COOKIE, HeaderValue::from_str(&planted).unwrap())]);
        assert_ne!(sign_in_from(&auth, HOME, &headers).await.browser.expose(), "planted");
        let ann = store.account("ann@example.com").await.unwrap().unwrap().id;
        assert_eq!(auth.known_browser(&ann, &headers).await.unwrap(), None);
    }

    #[apply(each_store!)]
    async fn of_two_session_cookies_the_planted_one_never_counts(store: Store) {
        let auth = with_ann(&store).await;
        let hers = sign_in(&auth, &HeaderMap::new()).await;
        auth.add_user("eve@example.com", Secret::new(PASSWORD), None).await.unwrap();
        let eve = auth.login("eve@example.com", Secret::new(PASSWORD), HOME, &HeaderMap::new()).await.unwrap();
        let Login::SignedIn(eves) = eve else { panic!("Eve is not signed in") };
        let both = |first: &str, second: &str| {
            let cookies = format!("{SESSION_COOKIE}={first}; {SESSION_COOKIE}={second}");
            HeaderMap::from_iter([(axum::http::header::COOKIE, HeaderValue::from_str(&cookies).unwrap())])
        };
        for headers in [both("planted", hers.expose()), both(hers.expose(), "planted")] {
            assert_eq!(auth.caller(&headers).await.unwrap().unwrap().email, "ann@example.com");
        }
        let planted = both(eves.session.expose(), hers.expose());
        assert!(auth.caller(&planted).await.unwrap().is_none(), "which is whose can't be known");
        let new = sign_in(&auth, &planted).await;
        let headers = both(eves.session.expose(), new.expose());
        assert_eq!(auth.caller(&headers).await.unwrap().unwrap().email, "ann@example.com", "signing in ends both");
    }

    #[tokio::test]
    async fn new_user_needs_a_valid_unused_email_and_a_long_password() {
        let store = store_on(sqlite().await);
        let auth = with_ann(&store).await;
        let add = async |email: &str, password: &str| {
            auth.add_user(email, Secret::new(password), None).await.err().map(|error| error.to_string())
        };
        assert_eq!(
            add("ANN@example.com", PASSWORD).await.unwrap(),
            "there is already a user with the address ann@example.com"
        );
        assert_eq!(
            add("bob@example.com", "elevenchars").await.unwrap(),
            "the password must have at least 12 characters"
        );
        for email in [
            "bob",
            "@example.com",
            "bob@",
            "bob smith@example.com",
            "bob<ann@example.com>",
            "<bob@example.com>",
            "bob@example.com,ann@example.com",
            "bob(ann)@example.com",
            "ann@example.com@example.net",
        ] {
            assert!(add(email, PASSWORD).await.unwrap().contains("isn't an email address"), "{email}");
        }
        assert_eq!(add("bob@example.com", PASSWORD).await, None);
    }
}
