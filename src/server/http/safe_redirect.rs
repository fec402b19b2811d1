//! Redirect targets that a form may choose: our own pages and nothing else.

use axum::http::HeaderMap;
use axum::http::header::REFERER;
use url::Url;

use crate::model::paths;
use crate::server::config::PublicUrl;

/// Returns the path and query of one of our pages, or `None` for another host, another scheme, the API or the sign-in
/// page. The OAuth callback counts as a page, because it redirects to one.
pub fn safe_redirect(public: &PublicUrl, text: &str) -> Option<String> {
    if !text.starts_with('/') {
        return None;
    }
    let base = Url::parse(public.origin()).ok()?;
    // Browsers treat `//host` and `/\host` as another host. So does this parser, so the origin differs.
    let url = base.join(text).ok()?;
    let page = url.path() != paths::LOGIN && !url.path().starts_with("/api/") && !url.path().starts_with("//");
    // A consent that returned without a session resumes here after the login.
    let page = page || text == paths::CALLBACK;
    let local = url.origin() == base.origin() && page;
    local.then(|| match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    })
}

/// Returns the page that a form was posted from (`Referer`), with its query; `None` if unknown.
pub fn referer_page(public: &PublicUrl, headers: &HeaderMap) -> Option<String> {
    let from = Url::parse(headers.get(REFERER)?.to_str().ok()?).ok()?;
    let here = from.origin().ascii_serialization() == public.origin();
    let path = from.query().map_or_else(|| from.path().to_owned(), |query| format!("{}?{query}", from.path()));
    here.then(|| safe_redirect(public, &path)).flatten()
}

/// Returns the page that a form was posted from (`Referer`), without one parameter of its query; `None` if unknown.
pub fn referer_without(public: &PublicUrl, headers: &HeaderMap, parameter: &str) -> Option<String> {
    let page = referer_page(public, headers)?;
    let Some((path, query)) = page.split_once('?') else { return Some(page) };
    let rest = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != parameter);
    let rest = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(rest).finish();
    Some(if rest.is_empty() { path.to_owned() } else { format!("{path}?{rest}") })
}

/// Returns the page that a form was posted from (`Referer`), without its query; `/` if unknown.
pub fn referer_path(public: &PublicUrl, headers: &HeaderMap) -> String {
    let from = headers.get(REFERER).and_then(|value| value.to_str().ok()).and_then(|text| Url::parse(text).ok());
    let path = from.filter(|url| url.origin().ascii_serialization() == public.origin());
    path.and_then(|url| safe_redirect(public, url.path())).unwrap_or_else(|| paths::HOME.to_owned())
}

/// Returns the path of the sign-in page, which returns to `next` afterwards.
pub fn login_path(next: &str) -> String {
    if next == paths::HOME {
        return paths::LOGIN.to_owned();
    }
    format!("{}?{}", paths::LOGIN, encode_query(&[("next", next)]))
}

/// Encodes the pairs as a query string.
pub fn encode_query(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public() -> PublicUrl {
        "https://evergrant.example.com".parse().unwrap()
    }

    #[test]
    fn own_pages_are_allowed_with_their_query() {
        for page in ["/", "/settings/integrations", "/settings/integrations?disconnect=b-1", paths::CALLBACK] {
            assert_eq!(safe_redirect(&public(), page).as_deref(), Some(page));
        }
        assert_eq!(safe_redirect(&public(), "/a/../settings#here").as_deref(), Some("/settings"));
    }

    #[test]
    fn foreign_and_non_page_targets_are_rejected() {
        for text in [
            "",
            "//evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "/a/..//evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "settings",
            "/login",
            "/login?next=/login",
            "/api/session/logout",
            "/api/integrations/xero/callback?code=c",
        ] {
            assert_eq!(safe_redirect(&public(), text), None, "{text}");
        }
    }

    #[test]
    fn referer_is_used_only_if_it_is_ours() {
        let from = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REFERER, text.parse().unwrap());
            referer_path(&public(), &headers)
        };
        assert_eq!(from("https://evergrant.example.com/settings/integrations?a=b"), "/settings/integrations");
        assert_eq!(from("https://evil.example/settings/integrations"), "/");
        let page = |text: &str| referer_page(&public(), &HeaderMap::from_iter([(REFERER, text.parse().unwrap())]));
        assert_eq!(page("https://evergrant.example.com/a?b=c").as_deref(), Some("/a?b=c"));
        assert_eq!(page("https://evil.example/a?b=c"), None);
        assert_eq!(page("https://evergrant.example.com/api/session/logout"), None);
        assert_eq!(referer_path(&public(), &HeaderMap::new()), "/");
        let without = |page: &str| {
            let from = format!("https://evergrant.example.com{page}");
            referer_without(&public(), &HeaderMap::from_iter([(REFERER, from.parse().unwrap())]), "ask").unwrap()
        };
        assert_eq!(
            ["/a", "/a?ask=b", "/a?ask=b&q=caf%C3%A9&page=2"].map(without),
            ["/a", "/a", "/a?q=caf%C3%A9&page=2"]
        );
    }

    #[test]
    fn login_path_carries_the_next_page() {
        assert_eq!(login_path("/"), "/login");
        assert_eq!(login_path("/a?b=c"), "/login?next=%2Fa%3Fb%3Dc");
    }
}
