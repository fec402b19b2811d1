//! The secret of a link in a message or of an invitation: moved from the query into a cookie by a redirect at once, so
//! that it stays in no address bar, history or `Referer`. Reading the page uses nothing up.

use axum::http::{HeaderMap, Uri};
use axum::response::Response;

use super::flash::{see_other, with_cookie};
use super::state::AppState;
use crate::model::{AccountMessageKind, paths};
use crate::server::auth::cookie::{
    CONFIRM_EMAIL_COOKIE, INVITATION_COOKIE, RESET_PASSWORD_COOKIE, delete_cookie, read_cookie, write_cookie,
};
use crate::server::domain::Secret;
use crate::server::store::LINK_LIFETIME;

/// The longest text that can be the secret of a link.
const MAX_LENGTH: usize = 64;

/// A kind of link: its page, the cookie that holds its secret, and the message that it is in.
pub struct LinkSecret {
    cookie: &'static str,
    page: &'static str,
    /// How long the cookie lasts, in seconds.
    lifetime: i64,
    /// What the account message is about; `None` for an invitation.
    pub kind: Option<AccountMessageKind>,
}

/// The link that resets a password.
pub const RESET_PASSWORD: LinkSecret = LinkSecret {
    cookie: RESET_PASSWORD_COOKIE,
    page: paths::RESET_PASSWORD,
    lifetime: LINK_LIFETIME,
    kind: Some(AccountMessageKind::ResetPassword),
};
/// The link that confirms a new email address.
pub const CONFIRM_EMAIL: LinkSecret = LinkSecret {
    cookie: CONFIRM_EMAIL_COOKIE,
    page: paths::CONFIRM_EMAIL,
    lifetime: LINK_LIFETIME,
    kind: Some(AccountMessageKind::ConfirmEmail),
};
/// The link of an invitation. Its cookie outlasts a sign-in, and the person who opens it may first ask somebody.
pub const INVITATION: LinkSecret =
    LinkSecret { cookie: INVITATION_COOKIE, page: paths::INVITATION, lifetime: 24 * 60 * 60, kind: None };

impl LinkSecret {
    /// Returns the link whose page has this path.
    pub fn of_page(path: &str) -> Option<Self> {
        [RESET_PASSWORD, CONFIRM_EMAIL, INVITATION].into_iter().find(|link| link.page == path)
    }

    /// Returns the redirect that moves the secret of a request's query into the cookie; `None` without one.
    pub fn moved_from_query(&self, state: &AppState, uri: &Uri) -> Option<Response> {
        let pairs = url::form_urlencoded::parse(uri.query()?.as_bytes());
        let token = pairs.into_iter().find(|(key, _)| key == "token")?.1;
        let fits = token.len() <= MAX_LENGTH && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        let cookie = fits.then(|| write_cookie(&state.config.public_url, self.cookie, &token, self.lifetime)).flatten();
        Some(with_cookie(see_other(self.page), cookie))
    }

    /// Reads the secret from the request's cookie.
    pub fn read(&self, state: &AppState, headers: &HeaderMap) -> Option<Secret> {
        read_cookie(&state.config.public_url, headers, self.cookie).map(Secret::new)
    }

    /// Deletes the cookie.
    pub fn forget(&self, state: &AppState, response: Response) -> Response {
        with_cookie(response, delete_cookie(&state.config.public_url, self.cookie))
    }
}
