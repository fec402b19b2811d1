//! Where a connect link may send the browser afterwards: addresses of an allow-list that the organization's owners edit.

use url::{Host, Url};

/// The most addresses of an organization.
pub const MAX_RETURN_URLS: usize = 20;
/// The longest address, in bytes.
const MAX_BYTES: usize = 500;

/// What `normalize_return_url` requires.
pub const RETURN_URL_RULE: &str = "a return address is https, or http to this machine, without a query or a fragment";

/// Returns an address of the allow-list in its normal form; `None` if it can't be one.
pub fn normalize_return_url(text: &str) -> Option<String> {
    let url = parse(text)?;
    (url.query().is_none() && url.fragment().is_none()).then(|| url.to_string())
}

/// Returns the address to return to, if it begins with one of the allow-list: the same origin, and the same path or one
/// below it.
pub fn allowed_return_url(allowed: &[String], text: &str) -> Option<Url> {
    let url = parse(text)?;
    let begins = |prefix: &Url| {
        let below = url.path().strip_prefix(prefix.path());
        let is_below =
            below.is_some_and(|rest| rest.is_empty() || prefix.path().ends_with('/') || rest.starts_with('/'));
        prefix.origin() == url.origin() && is_below
    };
    allowed.iter().filter_map(|prefix| Url::parse(prefix).ok()).any(|prefix| begins(&prefix)).then_some(url)
}

/// Parses an address that a browser may be sent to. Resolves `..`, so that the path is the one that is requested.
fn parse(text: &str) -> Option<Url> {
    let url = Url::parse(text.trim()).ok().filter(|_| text.len() <= MAX_BYTES)?;
    let is_local = match url.host()? {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    let is_safe = url.scheme() == "https" || url.scheme() == "http" && is_local;
    // An encoded slash or dot can mean another path to the server that decodes it.
    let path = url.path().to_ascii_lowercase();
    let is_plain = !path.contains("%2f") && !path.contains("%2e") && !path.contains("%5c");
    (is_safe && is_plain && url.username().is_empty() && url.password().is_none()).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_below_an_allowed_one_are_returned_to() {
        let allowed = ["https://books.example.com/xero", "http://localhost:8080/"].map(str::to_owned);
        for (url, is_allowed) in [
            ("https://books.example.com/xero", true),
            ("https://books.example.com/xero/done?customer=7", true),
            ("https://books.example.com/xeroes", false),
            ("https://books.example.com/", false),
            ("https://books.example.com/xero/../admin", false),
            ("https://books.example.com/xero/%2e%2e/admin", false),
            ("https://books.example.com/xero/..%2fadmin", false),
            ("https://books.example.com/xero/..%5cadmin", false),
            ("https://books.example.com@evil.example/xero", false),
            ("https://user@books.example.com/xero", false),
            ("https://:secret@books.example.com/xero", false),
            ("https://books.example.com.evil.example/xero", false),
            ("https://books.example.com:8443/xero", false),
            ("http://books.example.com/xero", false),
            ("http://localhost:8080/anything", true),
            ("javascript:alert(1)", false),
            ("//books.example.com/xero", false),
            ("", false),
        ] {
            assert_eq!(allowed_return_url(&allowed, url).is_some(), is_allowed, "{url}");
        }
        assert!(allowed_return_url(&[], "https://books.example.com/xero").is_none());
    }

    #[test]
    fn addresses_of_the_allow_list_are_normalized_or_refused() {
        assert_eq!(normalize_return_url(" https://Books.example.com ").as_deref(), Some("https://books.example.com/"));
        for wrong in ["https://books.example.com/?a=b", "https://books.example.com/#x", "ftp://a.example", "books", ""]
        {
            assert_eq!(normalize_return_url(wrong), None, "{wrong}");
        }
        let longest = format!("https://a.example/{}", "x".repeat(482));
        assert!(longest.len() == 500 && normalize_return_url(&longest).is_some());
        assert_eq!(normalize_return_url(&format!("{longest}x")), None);
    }

    #[test]
    fn only_this_machine_is_returned_to_without_tls() {
        for local in ["http://localhost:3000/", "http://127.0.0.1:3000/", "http://[::1]:3000/"] {
            assert_eq!(normalize_return_url(local).as_deref(), Some(local));
        }
        for other in ["http://books.example.com/", "http://192.168.0.7/", "http://[fd00::1]/"] {
            assert_eq!(normalize_return_url(other), None, "{other}");
        }
    }
}
