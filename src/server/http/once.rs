//! A new secret's way to the one page that shows it, once: a cookie for the redirect that follows, which only the
//! browser that made the secret has.

use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;

use super::notice::with_cookie;
use crate::server::auth::cookie::{forget_cookie, read_cookie, write_cookie};
use crate::server::domain::Secret;
use crate::server::state::AppState;

/// Long enough for the redirect that follows, in seconds.
const LIFE: i64 = 60;

/// One kind of secret.
pub struct Once {
    cookie: &'static str,
    /// The page that shows it.
    pub page: &'static str,
}

pub const INVITATION: Once = Once { cookie: "evergrant_invitation", page: "/settings/members" };
pub const API_KEY: Once = Once { cookie: "evergrant_new_key", page: "/settings/api-keys" };

impl Once {
    /// The cookie that takes it there.
    pub fn cookie(&self, state: &AppState, secret: &Secret) -> Option<HeaderValue> {
        write_cookie(self.cookie, secret.expose(), LIFE, state.secure())
    }

    /// What a request to the page brings along.
    pub fn brought(&self, headers: &HeaderMap) -> Option<Secret> {
        read_cookie(headers, self.cookie).map(Secret::new)
    }

    /// Takes it back from the browser once its page was rendered.
    pub fn forget(&self, state: &AppState, request: &HeaderMap, response: Response) -> Response {
        let there = self.brought(request).is_some();
        with_cookie(response, there.then(|| forget_cookie(self.cookie, state.secure())).flatten())
    }
}
