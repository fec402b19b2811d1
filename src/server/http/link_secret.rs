//! The secret of a link in a message, of an invitation or of a connect link: moved from the query into a cookie by a redirect at once, so
//! that it stays in no address bar, history or `Referer`. Reading the page uses nothing up.

use axum::http::{HeaderMap, Uri};
use axum::response::Response;

use super::flash::{see_other, with_cookie};
use super::state::AppState;
use crate::model::{AccountMessageKind, paths};
use crate::server::auth::cookie::{
    CONFIRM_EMAIL_COOKIE, CONNECT_LINK_COOKIE, INVITATION_COOKIE, RESET_PASSWORD_COOKIE, UNSUBSCRIBE_COOKIE,
    cookie_ids, delete_cookie, read_cookie, write_cookie,
};
use crate::server::domain::Secret;
use crate::server::store::LINK_LIFETIME;

/// The longest text that can be the secret of a link.
const MAX_LENGTH: usize = 64;
/// How many opened links a browser remembers, with a cookie each. Proxies refuse requests with more than 8 kB of cookies.
pub const MAX_OPENED: usize = 20;

/// A kind of link: its page, the cookie that holds its secret, and the message that it is in.
pub struct LinkSecret {
    cookie: &'static str,
    page: &'static str,
    /// How long the cookie lasts, in seconds.
    lifetime: i64,
    /// What the account message is about; `None` for another link.
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
/// The link of an invitation. Its cookie lasts a day, because people may not accept at once.
pub const INVITATION: LinkSecret =
    LinkSecret { cookie: INVITATION_COOKIE, page: paths::INVITATION, lifetime: 24 * 60 * 60, kind: None };
/// The connect links. Each has a page and a cookie of its own, whose names end with the link's id.
pub const CONNECT_LINK: LinkSecret =
    LinkSecret { cookie: CONNECT_LINK_COOKIE, page: paths::CONNECT_LINKS, lifetime: 24 * 60 * 60, kind: None };

/// The link that stops the letters to a contact.
pub const UNSUBSCRIBE: LinkSecret =
    LinkSecret { cookie: UNSUBSCRIBE_COOKIE, page: paths::UNSUBSCRIBE, lifetime: 24 * 60 * 60, kind: None };

impl LinkSecret {
    /// Returns the link whose page has this path.
    pub fn of_page(path: &str) -> Option<Self> {
        [RESET_PASSWORD, CONFIRM_EMAIL, INVITATION, CONNECT_LINK, UNSUBSCRIBE]
            .into_iter()
            .find(|link| link.cookie_at(path).is_some())
    }

    /// Returns the name of the cookie for the page at this path; `None` if it is no page of this link.
    fn cookie_at(&self, path: &str) -> Option<String> {
        let id = path.strip_prefix(self.page)?;
        match (self.page.ends_with('/'), id) {
            (false, "") => Some(self.cookie.to_owned()),
            (true, id) if is_id(id) => Some(format!("{}_{id}", self.cookie)),
            _ => None,
        }
    }

    /// Returns the redirect that moves the secret of a request's query into the cookie; `None` without one.
    /// Of links with a page each, it forgets those that were opened long before.
    pub fn moved_from_query(&self, state: &AppState, headers: &HeaderMap, uri: &Uri) -> Option<Response> {
        let pairs = url::form_urlencoded::parse(uri.query()?.as_bytes());
        let token = pairs.into_iter().find(|(key, _)| key == "token")?.1;
        let fits = token.len() <= MAX_LENGTH && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        let name = self.cookie_at(uri.path()).filter(|_| fits);
        let url = &state.config.public_url;
        let mut response = see_other(uri.path());
        if let Some(name) = name {
            let opened = self.opened_ids(state, headers).into_iter().map(|id| format!("{}_{id}", self.cookie));
            let others: Vec<String> = opened.filter(|other| *other != name).collect();
            for old in others.iter().skip(MAX_OPENED - 1) {
                response = with_cookie(response, delete_cookie(url, old));
            }
            response = with_cookie(response, write_cookie(url, &name, &token, self.lifetime));
        }
        Some(response)
    }

    /// Returns the ids of the links with a page each that the browser has opened, the latest first.
    pub fn opened_ids(&self, state: &AppState, headers: &HeaderMap) -> Vec<String> {
        let mut ids = cookie_ids(&state.config.public_url, headers, self.cookie);
        ids.retain(|id| is_id(id));
        ids.reverse();
        ids
    }

    /// Reads the secret from the request's cookie.
    pub fn read(&self, state: &AppState, headers: &HeaderMap) -> Option<Secret> {
        read_cookie(&state.config.public_url, headers, self.cookie).map(Secret::new)
    }

    /// Reads the secret of the page at this path from the request's cookie.
    pub fn read_at(&self, state: &AppState, headers: &HeaderMap, path: &str) -> Option<Secret> {
        read_cookie(&state.config.public_url, headers, &self.cookie_at(path)?).map(Secret::new)
    }

    /// Deletes the cookie.
    pub fn forget(&self, state: &AppState, response: Response) -> Response {
        with_cookie(response, delete_cookie(&state.config.public_url, self.cookie))
    }
}

/// Returns whether a text has the form of a link's id.
fn is_id(text: &str) -> bool {
    (1..=MAX_LENGTH).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}
