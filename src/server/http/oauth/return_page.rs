//! The page of the list from which a person went to Xero, to which the callback leads back: with the same search, filter
//! and page.

use axum::http::HeaderMap;
use axum::response::Response;

use crate::model::paths;
use crate::server::auth::cookie::{RETURN_PAGE_COOKIE, read_cookie, write_cookie};
use crate::server::http::flash::{clear_cookie, with_cookie};
use crate::server::http::safe_redirect::{referer_page, safe_redirect};
use crate::server::http::state::AppState;
use crate::server::store::OAUTH_STATE_LIFETIME;

/// Remembers the page that the form was posted from, as long as the consent may take.
pub fn remember_page(state: &AppState, headers: &HeaderMap, response: Response) -> Response {
    let url = &state.config.public_url;
    let page = referer_page(url, headers).filter(|page| is_kept(page));
    with_cookie(response, page.and_then(|page| write_cookie(url, RETURN_PAGE_COOKIE, &page, OAUTH_STATE_LIFETIME)))
}

/// Returns the remembered page, or the list.
pub fn remembered_page(state: &AppState, headers: &HeaderMap) -> String {
    let url = &state.config.public_url;
    let page = read_cookie(url, headers, RETURN_PAGE_COOKIE).and_then(|page| safe_redirect(url, &page));
    page.filter(|page| is_kept(page)).unwrap_or_else(|| paths::INTEGRATIONS.to_owned())
}

/// Forgets the remembered page.
pub fn forget_page(state: &AppState, headers: &HeaderMap, response: Response) -> Response {
    clear_cookie(state, RETURN_PAGE_COOKIE, headers, response)
}

/// Returns whether a page is kept: one about connections that asks nothing, and that a cookie can hold.
fn is_kept(page: &str) -> bool {
    let path = page.split('?').next().unwrap_or_default();
    let is_about_connections = path == paths::INTEGRATIONS || path.starts_with(&format!("{}/", paths::INTEGRATIONS));
    is_about_connections
        && !page.contains("disconnect=")
        && !page.contains([';', ',', '"', '\\', ' '])
        && page.len() < 1_000
}

#[cfg(test)]
mod tests {
    use super::is_kept;

    #[test]
    fn only_pages_about_connections_are_kept() {
        for page in
            ["/settings/integrations", "/settings/integrations?q=caf%C3%A9&page=2", "/settings/integrations/b-1"]
        {
            assert!(is_kept(page), "{page}");
        }
        for page in [
            "/",
            "/settings/integrations-of-others",
            "/settings/integrations?disconnect=b",
            "/settings/integrations?q=a;b",
        ] {
            assert!(!is_kept(page), "{page}");
        }
    }
}
