//! People of our own: e-mail address and password, checked here.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::HeaderMap;

mod joining;

pub use joining::{Joined, Newcomer};

use super::cookie::session_hash;
use super::passwords::{MIN_CHARACTERS, Passwords};
use super::tries::Tries;
use super::{AuthError, Caller};
use crate::model::{Action, LoginProblem, OrgId, UserId};
use crate::server::domain::{Actor, Secret};
use crate::server::store::{Added, NewUser, Store};

/// Sign-in by e-mail address and password. Cheap to clone; clones count tries together.
#[derive(Clone)]
pub struct LocalAuth {
    store: Store,
    passwords: Passwords,
    tries: Arc<Tries>,
}

/// How a sign-in ended.
pub enum Login {
    /// The new session's id, for the cookie.
    SignedIn(Secret),
    Refused(LoginProblem),
    /// Nobody signs in here: the login page leads to where they do.
    Elsewhere,
}

/// Why a person can't be added.
#[derive(Debug, thiserror::Error)]
pub enum AddUserError {
    #[error("{0:?} isn't an e-mail address")]
    Email(String),
    #[error("the password must have at least {MIN_CHARACTERS} characters")]
    ShortPassword,
    #[error("{0} is somebody's address already")]
    Taken(String),
    #[error(transparent)]
    Auth(#[from] AuthError),
}

impl LocalAuth {
    pub fn new(store: Store) -> Result<Self, AuthError> {
        let tries = Arc::new(Tries::new(store.clock()));
        Ok(Self { store, passwords: Passwords::new()?, tries })
    }

    /// Checks a password and makes a session. The session that the browser had is deleted, so that nobody can be
    /// made to go on with one that somebody else knows.
    pub async fn login(
        &self,
        email: &str,
        password: Secret,
        from: IpAddr,
        headers: &HeaderMap,
    ) -> Result<Login, AuthError> {
        // An address that can't be anybody's is checked all the same: the answer must take as long.
        let email = normal(email).unwrap_or_default();
        if !self.tries.count(&email, from) {
            return Ok(Login::Refused(LoginProblem::TooManyTries));
        }
        let (user, hash) = match self.store.account(&email).await? {
            Some(account) => (Some(account.id), Some(account.password_hash)),
            None => (None, None),
        };
        let known = user.clone();
        let right = self.passwords.verify(password, hash).await?;
        let Some(user) = user.filter(|_| right) else {
            if let Some(user) = known {
                self.remember_refused(user, &email, from);
            }
            return Ok(Login::Refused(LoginProblem::Credentials));
        };
        let first = self.store.memberships(&user).await?.into_iter().next();
        let session = self.open_session(headers, &user, first.as_ref().map(|org| &org.id)).await?;
        let actor = Actor::person(&user, &email, Some(from.to_string()));
        self.store.acting(actor).record_of_person(&user, Action::SignedIn).await?;
        Ok(Login::SignedIn(session))
    }

    /// Writes a wrong password down beside the answer, which mustn't take longer for an address that is somebody's.
    fn remember_refused(&self, user: UserId, email: &str, from: IpAddr) {
        let store = self.store.acting(Actor::person(&user, email, Some(from.to_string())));
        tokio::spawn(async move {
            if let Err(error) = store.record_of_person(&user, Action::SignInRefused).await {
                tracing::error!(%user, %error, "a refused sign-in couldn't be written down");
            }
        });
    }

    pub async fn logout(&self, headers: &HeaderMap) -> Result<(), AuthError> {
        if let Some(hash) = session_hash(headers) {
            self.store.delete_session(&hash).await?;
        }
        Ok(())
    }

    pub async fn caller(&self, headers: &HeaderMap) -> Result<Option<Caller>, AuthError> {
        let Some(hash) = session_hash(headers) else { return Ok(None) };
        let Some(session) = self.store.session(&hash).await? else { return Ok(None) };
        let orgs = self.store.memberships(&session.user).await?;
        let (user, email) = (session.user.clone(), session.email.clone());
        let caller = Caller::new(user, email, orgs, session.active_org.as_ref(), hash);
        let org = caller.org.as_ref().map(|org| &org.id);
        self.store.session_was_used(&caller.session_hash, &session, org).await?;
        Ok(Some(caller))
    }

    /// Makes another organisation the session's; `false` where the person isn't a member of it.
    pub async fn switch_org(&self, caller: &Caller, org: &OrgId) -> Result<bool, AuthError> {
        Ok(self.store.switch_session(&caller.session_hash, org).await?)
    }

    pub async fn has_nobody(&self) -> Result<bool, AuthError> {
        Ok(!self.store.has_users().await?)
    }

    /// Adds a person. An organisation that is there already is joined as admin; any other is made and owned.
    pub async fn add_user(&self, email: &str, password: Secret, org: Option<&str>) -> Result<Added, AddUserError> {
        let normal_email = normal(email).ok_or_else(|| AddUserError::Email(email.trim().to_owned()))?;
        if password.expose().chars().count() < MIN_CHARACTERS {
            return Err(AddUserError::ShortPassword);
        }
        let hash = self.passwords.hash(password).await?;
        let new = NewUser { email: &normal_email, password_hash: &hash, org };
        let added = self.store.add_user(new).await.map_err(AuthError::from)?;
        added.ok_or(AddUserError::Taken(normal_email))
    }
}

/// An address as we keep it: trimmed and in lower case. `None` for what can't be one (RFC 5321 ends them at 254).
fn normal(email: &str) -> Option<String> {
    let email = email.trim().to_lowercase();
    let (name, domain) = email.rsplit_once('@')?;
    let plain = !email.contains(|c: char| c.is_whitespace() || c.is_control());
    (plain && !name.is_empty() && !domain.is_empty() && email.len() <= 254).then_some(email)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::server::auth::cookie::SESSION_COOKIE;
    use crate::server::store::testing::stores;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const PASSWORD: &str = "correct horse battery";

    async fn with_ann(store: &Store) -> LocalAuth {
        let auth = LocalAuth::new(store.clone()).unwrap();
        auth.add_user(" Ann@Example.com ", Secret::new(PASSWORD), Some("Harbour Coffee")).await.unwrap();
        auth
    }

    fn with_cookie(session: &Secret) -> HeaderMap {
        let cookie = format!("{SESSION_COOKIE}={}", session.expose());
        HeaderMap::from_iter([(axum::http::header::COOKIE, HeaderValue::from_str(&cookie).unwrap())])
    }

    async fn sign_in(auth: &LocalAuth, headers: &HeaderMap) -> Secret {
        match auth.login("ann@example.com", Secret::new(PASSWORD), HOME, headers).await.unwrap() {
            Login::SignedIn(session) => session,
            Login::Refused(problem) => panic!("refused: {problem:?}"),
            Login::Elsewhere => panic!("elsewhere"),
        }
    }

    #[tokio::test]
    async fn who_signs_in_is_known_by_the_cookie_until_they_sign_out() {
        for (name, store) in stores().await {
            let auth = with_ann(&store).await;
            let cookie = with_cookie(&sign_in(&auth, &HeaderMap::new()).await);
            let caller = auth.caller(&cookie).await.unwrap().unwrap();
            assert_eq!(caller.email, "ann@example.com", "{name}");
            assert_eq!(caller.org.as_ref().map(|org| org.name.as_str()), Some("Harbour Coffee"), "{name}");
            assert!(auth.caller(&with_cookie(&Secret::new("guess"))).await.unwrap().is_none(), "{name}");
            assert!(auth.caller(&HeaderMap::new()).await.unwrap().is_none(), "{name}");

            auth.logout(&cookie).await.unwrap();
            assert!(auth.caller(&cookie).await.unwrap().is_none(), "{name}");
        }
    }

    #[tokio::test]
    async fn a_login_ends_the_session_that_the_browser_came_with() {
        for (name, store) in stores().await {
            let auth = with_ann(&store).await;
            let first = with_cookie(&sign_in(&auth, &HeaderMap::new()).await);
            let second = with_cookie(&sign_in(&auth, &first).await);
            assert!(auth.caller(&first).await.unwrap().is_none(), "{name}");
            assert!(auth.caller(&second).await.unwrap().is_some(), "{name}");
        }
    }

    #[tokio::test]
    async fn an_unknown_address_and_a_wrong_password_are_refused_alike() {
        for (name, store) in stores().await {
            let auth = with_ann(&store).await;
            for (email, password) in [("ann@example.com", "wrong"), ("nobody@example.com", PASSWORD), ("", "")] {
                let login = auth.login(email, Secret::new(password), HOME, &HeaderMap::new()).await.unwrap();
                assert!(matches!(login, Login::Refused(LoginProblem::Credentials)), "{name}: {email}");
            }
        }
    }

    #[tokio::test]
    async fn too_many_tries_are_refused_until_time_has_passed() {
        for (name, store) in stores().await {
            let auth = with_ann(&store).await;
            for _ in 0..10 {
                auth.login("ann@example.com", Secret::new("wrong"), HOME, &HeaderMap::new()).await.unwrap();
            }
            let none = HeaderMap::new();
            let right = || auth.login("Ann@example.com", Secret::new(PASSWORD), HOME, &none);
            assert!(matches!(right().await.unwrap(), Login::Refused(LoginProblem::TooManyTries)), "{name}");
            store.clock().advance(60);
            assert!(matches!(right().await.unwrap(), Login::SignedIn(_)), "{name}");
        }
    }

    #[tokio::test]
    async fn a_person_is_added_once_with_a_real_address_and_a_long_password() {
        let (_, store) = stores().await.remove(0);
        let auth = with_ann(&store).await;
        let add = async |email: &str, password: &str| {
            auth.add_user(email, Secret::new(password), None).await.err().map(|error| error.to_string())
        };
        assert_eq!(add("ANN@example.com", PASSWORD).await.unwrap(), "ann@example.com is somebody's address already");
        assert_eq!(
            add("bob@example.com", "elevenchars").await.unwrap(),
            "the password must have at least 12 characters"
        );
        for email in ["bob", "@example.com", "bob@", "bob smith@example.com"] {
            assert!(add(email, PASSWORD).await.unwrap().contains("isn't an e-mail address"), "{email}");
        }
        assert_eq!(add("bob@example.com", PASSWORD).await, None);
    }
}
