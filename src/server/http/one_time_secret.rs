//! Passes a new secret to the page that shows it, in a short-lived cookie of the browser that created it.
//!
//! Reading the page does not use the secret up: a prefetch, a reload or a lost response would otherwise lose it. The
//! cookie ends by its lifetime.

use axum::http::{HeaderMap, HeaderValue};

use super::state::AppState;
use crate::model::paths;
use crate::server::auth::cookie::{
    NEW_API_KEY_COOKIE, NEW_CONNECT_LINK_COOKIE, NEW_CONNECT_LINKS_COOKIE, NEW_INVITATION_COOKIE, NEW_WEBHOOK_COOKIE,
    RECOVERY_CODES_COOKIE, read_cookie, write_cookie,
};
use crate::server::domain::Secret;

/// The cookie's lifetime in seconds: long enough for the redirect that follows, and for a reload.
const MAX_AGE_SECONDS: i64 = 60;

/// A kind of secret: its cookie, and the page that shows it.
pub struct OneTimeSecret {
    cookie: &'static str,
    /// The path of the page that shows it.
    pub page: &'static str,
}

/// A new invitation's token.
pub const INVITATION: OneTimeSecret = OneTimeSecret { cookie: NEW_INVITATION_COOKIE, page: paths::MEMBERS };
/// A new API key.
pub const API_KEY: OneTimeSecret = OneTimeSecret { cookie: NEW_API_KEY_COOKIE, page: paths::API_KEYS };
/// The id of a webhook with a new secret. The secret itself stays in the database.
pub const WEBHOOK: OneTimeSecret = OneTimeSecret { cookie: NEW_WEBHOOK_COOKIE, page: paths::NOTIFICATIONS };
/// A new connect link: its id and its secret, with a dot between them.
pub const CONNECT_LINK: OneTimeSecret =
    OneTimeSecret { cookie: NEW_CONNECT_LINK_COOKIE, page: paths::CONNECT_LINK_LIST };
/// New connect links for several connections: the id of their batch and its secret, with a dot between them.
pub const CONNECT_LINKS: OneTimeSecret =
    OneTimeSecret { cookie: NEW_CONNECT_LINKS_COOKIE, page: paths::CONNECT_LINK_LIST };
/// New recovery codes.
pub const RECOVERY_CODES: OneTimeSecret = OneTimeSecret { cookie: RECOVERY_CODES_COOKIE, page: paths::ACCOUNT };

impl OneTimeSecret {
    /// Returns the cookie that carries the secret.
    pub fn cookie(&self, state: &AppState, secret: &Secret) -> Option<HeaderValue> {
        write_cookie(&state.config.public_url, self.cookie, secret.expose(), MAX_AGE_SECONDS)
    }

    /// Reads the secret from the request's cookie.
    pub fn read(&self, state: &AppState, headers: &HeaderMap) -> Option<Secret> {
        read_cookie(&state.config.public_url, headers, self.cookie).map(Secret::new)
    }
}
