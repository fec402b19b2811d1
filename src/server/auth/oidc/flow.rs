//! One sign-in in progress: its `state`, nonce and PKCE verifier, all derived from one secret in the browser's cookie.
//! Nothing is stored here, so that anonymous requests cost the database nothing, and another browser's `state` never
//! fits.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;

use super::ProviderSession;
use crate::server::crypto::random::{RandomError, hash_secret, new_secret};
use crate::server::domain::Secret;

/// How long a person has to sign in at the provider, in seconds.
pub const FLOW_LIFETIME_SECONDS: i64 = 10 * 60;
/// The longest page to return to, in bytes, so that the cookie stays within the 4 kB that browsers accept.
const MAX_NEXT_BYTES: usize = 1500;
/// What the cookie of a flow has that asks for a new sign-in.
const AGAIN: &str = "again";

/// A sign-in in progress.
pub struct Flow {
    secret: Secret,
    started_at: i64,
    /// What a session at the provider counts for.
    pub(super) session: ProviderSession,
    /// The hash of the session of the account to link; `None` for a sign-in.
    link_mark: Option<String>,
    /// The page to show afterwards.
    pub next: Option<String>,
}

impl Flow {
    /// Starts a sign-in.
    pub fn start(next: Option<String>, now: i64) -> Result<Self, RandomError> {
        let next = next.filter(|next| next.len() <= MAX_NEXT_BYTES);
        let session = ProviderSession::Accepted;
        Ok(Self { secret: new_secret()?, started_at: now, session, link_mark: None, next })
    }

    /// Asks for a new sign-in at the provider, which proves who the person is.
    pub fn signing_in_again(self) -> Self {
        Self { session: ProviderSession::SignInAgain, ..self }
    }

    /// Makes it a link to the account of the session with this hash, instead of a sign-in.
    pub fn linking(self, session_hash: &str) -> Self {
        Self { link_mark: Some(mark_of(session_hash)), ..self }
    }

    /// Returns whether it links an account instead of signing in.
    pub fn is_link(&self) -> bool {
        self.link_mark.is_some()
    }

    /// Returns whether it links the account of the session with this hash.
    pub fn links(&self, session_hash: &str) -> bool {
        self.link_mark.as_ref().is_some_and(|mark| *mark == mark_of(session_hash))
    }

    /// Returns the cookie's value.
    pub fn cookie(&self) -> Secret {
        let next = URL_SAFE_NO_PAD.encode(self.next.as_deref().unwrap_or_default());
        let mark = self.link_mark.as_deref().unwrap_or_default();
        let again = if self.session == ProviderSession::SignInAgain { AGAIN } else { "" };
        Secret::new(format!("{}.{}.{again}.{mark}.{next}", self.secret.expose(), self.started_at))
    }

    /// Reads the cookie's value. `None` if it is malformed, or too old.
    pub fn parse(cookie: &str, now: i64) -> Option<Self> {
        let mut parts = cookie.splitn(5, '.');
        let (secret, started_at) = (parts.next()?, parts.next()?.parse::<i64>().ok()?);
        let session = if parts.next()? == AGAIN { ProviderSession::SignInAgain } else { ProviderSession::Accepted };
        let (mark, next) = (parts.next()?, parts.next()?);
        let fits = URL_SAFE_NO_PAD.decode(secret).is_ok_and(|bytes| bytes.len() == 32);
        let next = String::from_utf8(URL_SAFE_NO_PAD.decode(next).ok()?).ok()?;
        let in_time = (0..FLOW_LIFETIME_SECONDS).contains(&now.checked_sub(started_at)?);
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let (link_mark, next) = (given(mark), given(&next));
        (fits && in_time).then(|| Self { secret: Secret::new(secret), started_at, session, link_mark, next })
    }

    /// Returns the `state` of the authorization request.
    pub fn state(&self) -> Secret {
        self.derive("state")
    }

    /// Returns whether this is the flow's `state`.
    pub fn has_state(&self, state: &str) -> bool {
        self.state().expose().as_bytes().ct_eq(state.as_bytes()).into()
    }

    /// Returns the nonce that the ID token must contain.
    pub fn nonce(&self) -> Secret {
        // The browser keeps the flow: another nonce, so that no flow becomes a new sign-in on the way.
        self.derive(match self.session {
            ProviderSession::Accepted => "nonce",
            ProviderSession::SignInAgain => "nonce of a new sign-in",
        })
    }

    /// Returns the PKCE verifier.
    pub fn verifier(&self) -> Secret {
        self.derive("verifier")
    }

    /// Hashes the secret for one purpose, so that the values which travel in URLs reveal neither it nor each other.
    fn derive(&self, purpose: &str) -> Secret {
        Secret::new(hash_secret(&Secret::new(format!("{purpose} {}", self.secret.expose()))))
    }
}

/// Hashes a session's hash, so that the cookie has nothing that the database has.
fn mark_of(session_hash: &str) -> String {
    hash_secret(&Secret::new(session_hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    #[test]
    fn flow_is_read_back_from_its_cookie_for_ten_minutes() {
        let flow = Flow::start(Some("/activity?a=b".to_owned()), NOW).unwrap();
        let read = |later: i64| Flow::parse(flow.cookie().expose(), NOW + later);
        let again = read(FLOW_LIFETIME_SECONDS - 1).unwrap();
        assert!(again.has_state(flow.state().expose()) && again.next == flow.next);
        assert_eq!(again.verifier().expose(), flow.verifier().expose());
        assert!(read(FLOW_LIFETIME_SECONDS).is_none() && read(-1).is_none());
        let none = Flow::start(Some("/".repeat(MAX_NEXT_BYTES + 1)), NOW).unwrap();
        assert_eq!(Flow::parse(none.cookie().expose(), NOW).unwrap().next, None);
    }

    #[test]
    fn flow_becomes_no_new_sign_in_by_its_cookie() {
        let flow = Flow::start(None, NOW).unwrap();
        let edited = flow.cookie().expose().replacen("..", ".again.", 1);
        let edited = Flow::parse(&edited, NOW).unwrap();
        assert_eq!(edited.session, ProviderSession::SignInAgain);
        assert_ne!(edited.nonce().expose(), flow.nonce().expose(), "the token has another nonce");
        let again = flow.signing_in_again();
        let read = Flow::parse(again.cookie().expose(), NOW).unwrap();
        assert_eq!((read.session, read.nonce().expose()), (ProviderSession::SignInAgain, again.nonce().expose()));
    }

    #[test]
    fn link_is_of_one_session_and_no_sign_in() {
        let flow = Flow::start(Some("/account".to_owned()), NOW).unwrap().linking("session");
        let again = Flow::parse(flow.cookie().expose(), NOW).unwrap();
        assert!(again.is_link() && again.links("session") && !again.links("another") && !again.links(""));
        assert_eq!(again.next.as_deref(), Some("/account"));
        assert!(!flow.cookie().expose().contains(".session."));
        let sign_in = Flow::start(None, NOW).unwrap();
        assert!(!sign_in.is_link() && !sign_in.links("session") && !sign_in.links(""));
    }

    #[test]
    fn values_differ_by_purpose_and_by_flow() {
        let (one, other) = (Flow::start(None, NOW).unwrap(), Flow::start(None, NOW).unwrap());
        let mut values = vec![];
        for flow in [&one, &other] {
            values.extend([flow.state(), flow.nonce(), flow.verifier()].map(|value| value.expose().to_owned()));
        }
        values.sort();
        values.dedup();
        assert_eq!(values.len(), 6);
        assert!(values.iter().all(|value| value.len() == 43), "a PKCE verifier has 43 to 128 characters");
        assert!(!one.has_state(other.state().expose()) && !one.has_state(""));
    }

    #[test]
    fn malformed_cookies_are_no_flow() {
        for cookie in
            ["", ".", "a.1...", "....", &format!("{}.x...", "A".repeat(43)), &format!("{}.{NOW}...*", "A".repeat(43))]
        {
            assert!(Flow::parse(cookie, NOW).is_none(), "{cookie}");
        }
        assert!(Flow::parse(&format!("{}.{}...", "A".repeat(43), i64::MIN), NOW).is_none());
    }
}
