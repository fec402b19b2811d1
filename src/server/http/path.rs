//! Which addresses a form may send a person to: our own pages and nothing else.

use axum::http::HeaderMap;
use axum::http::header::REFERER;
use url::Url;

use super::connect::CALLBACK;
use crate::server::config::PublicUrl;

/// A path of ours with its query, or `None` for anything that could lead elsewhere: another host, another scheme,
/// the API, or the sign-in page itself. A consent's way back counts as a page, as a redirect to one follows it.
pub fn ours(public: &PublicUrl, text: &str) -> Option<String> {
    if !text.starts_with('/') {
        return None;
    }
    let base = Url::parse(public.origin()).ok()?;
    // Browsers read `//host` and `/\host` as another host; so does this parser, and the origin tells.
    let url = base.join(text).ok()?;
    let page = url.path() != "/login" && !url.path().starts_with("/api/") && !url.path().starts_with("//");
    // A consent that came back to nobody goes on here.
    let page = page || text == CALLBACK;
    let local = url.origin() == base.origin() && page;
    local.then(|| match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    })
}

/// The page that a form was posted from, without its query; `/` where the browser doesn't say.
pub fn back(public: &PublicUrl, headers: &HeaderMap) -> String {
    let from = headers.get(REFERER).and_then(|value| value.to_str().ok()).and_then(|text| Url::parse(text).ok());
    let path = from.filter(|url| url.origin().ascii_serialization() == public.origin());
    path.and_then(|url| ours(public, url.path())).unwrap_or_else(|| "/".to_owned())
}

/// The sign-in page, which leads back to `next` afterwards.
pub fn login(next: &str) -> String {
    if next == "/" { "/login".to_owned() } else { format!("/login?{}", query(&[("next", next)])) }
}

pub fn query(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public() -> PublicUrl {
        "https://evergrant.example.com".parse().unwrap()
    }

    #[test]
    fn a_page_of_ours_passes_with_its_query() {
        for page in ["/", "/settings/integrations", "/settings/integrations?disconnect=b-1", CALLBACK] {
            assert_eq!(ours(&public(), page).as_deref(), Some(page));
        }
        assert_eq!(ours(&public(), "/a/../settings#here").as_deref(), Some("/settings"));
    }

    #[test]
    fn nothing_that_leads_elsewhere_passes() {
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
            assert_eq!(ours(&public(), text), None, "{text}");
        }
    }

    #[test]
    fn a_form_leads_back_to_its_own_page_only() {
        let from = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REFERER, text.parse().unwrap());
            back(&public(), &headers)
        };
        assert_eq!(from("https://evergrant.example.com/settings/integrations?a=b"), "/settings/integrations");
        assert_eq!(from("https://evil.example/settings/integrations"), "/");
        assert_eq!(back(&public(), &HeaderMap::new()), "/");
    }

    #[test]
    fn signing_in_remembers_the_way() {
        assert_eq!(login("/"), "/login");
        assert_eq!(login("/a?b=c"), "/login?next=%2Fa%3Fb%3Dc");
    }
}
