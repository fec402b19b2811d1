//! The names of our cookies, how they are read, written and deleted, and the hash of the secrets in them.

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};

use crate::server::config::PublicUrl;
use crate::server::crypto::random::hash_secret;
use crate::server::domain::Secret;

/// The cookie with the session's id.
pub const SESSION_COOKIE: &str = "evergrant_session";
/// The cookie by which a browser that has signed in before is known.
pub const BROWSER_COOKIE: &str = "evergrant_browser";
/// The cookie with the browser's theme.
pub const THEME_COOKIE: &str = "evergrant_theme";
/// The cookie that carries a flash to the next page.
pub const FLASH_COOKIE: &str = "evergrant_notice";
/// The cookie that remembers the page from which a person went to Xero.
pub const RETURN_PAGE_COOKIE: &str = "evergrant_return";
/// The cookie that carries what was typed into a refused form to the page that shows it again.
pub const TYPED_FORM_COOKIE: &str = "evergrant_typed";
/// The cookie that holds the query of the OAuth callback while the session is renewed.
pub const PENDING_CALLBACK_COOKIE: &str = "evergrant_consent";
/// The cookie that binds a sign-in with OpenID Connect to the browser that started it.
pub const OIDC_COOKIE: &str = "evergrant_oidc";
/// The cookie that names an identity of the provider that waits to be linked to an account.
pub const PENDING_IDENTITY_COOKIE: &str = "evergrant_identity";
/// The cookie that carries a new invitation's token to the page that shows it.
pub const NEW_INVITATION_COOKIE: &str = "evergrant_invitation";
/// The cookie that carries a new API key to the page that shows it.
pub const NEW_API_KEY_COOKIE: &str = "evergrant_new_key";

/// The cookie that carries new recovery codes to the page that shows them.
pub const RECOVERY_CODES_COOKIE: &str = "evergrant_recovery";
/// The cookie that binds a sign-in whose code is asked for to the browser that entered the password.
pub const SIGN_IN_CODE_COOKIE: &str = "evergrant_sign_in";

/// The cookie that holds the secret of an invitation that was opened.
pub const INVITATION_COOKIE: &str = "evergrant_invited";
/// The cookie that tells the page that shows it that a webhook has a new secret.
pub const NEW_WEBHOOK_COOKIE: &str = "evergrant_new_webhook";
/// The cookie that carries a new connect link to the page that shows it.
pub const NEW_CONNECT_LINK_COOKIE: &str = "evergrant_new_link";
/// The cookie that carries new connect links for several connections to the page that shows them.
pub const NEW_CONNECT_LINKS_COOKIE: &str = "evergrant_new_links";
/// The cookie that holds the secret of a connect link that was opened; its name ends with the link's id.
pub const CONNECT_LINK_COOKIE: &str = "evergrant_link";
/// The cookie that holds the secret of an unsubscribe link.
pub const UNSUBSCRIBE_COOKIE: &str = "evergrant_unsubscribe";
/// The cookie that holds the secret of a reset link.
pub const RESET_PASSWORD_COOKIE: &str = "evergrant_reset";
/// The cookie that holds the secret of a link that confirms an email address.
pub const CONFIRM_EMAIL_COOKIE: &str = "evergrant_email";

/// How many session cookies of one request are looked up. A browser sends one, or a few that were planted.
const MAX_SESSION_COOKIES: usize = 5;

/// Returns the name under which browsers store a cookie of this server.
///
/// Over https it begins with `__Host-`: browsers accept such a cookie from this host alone, so that another host of the
/// same domain can't plant one. On this machine every port shares its cookies, so the port is part of the name, except
/// for the default one.
pub fn cookie_name(public_url: &PublicUrl, base: &str) -> String {
    let prefix = if public_url.is_https() { "__Host-" } else { "" };
    match public_url.distinct_loopback_port() {
        Some(port) => format!("{prefix}{base}_{port}"),
        None => format!("{prefix}{base}"),
    }
}

/// Returns the hashes of the request's session cookies. More than one is there if somebody planted one for a longer
/// path: the browser then sends both. The sessions may not exist.
pub fn session_hashes(public_url: &PublicUrl, headers: &HeaderMap) -> Vec<String> {
    let mut values = cookie_values(headers, &cookie_name(public_url, SESSION_COOKIE));
    values.truncate(MAX_SESSION_COOKIES);
    values.into_iter().map(|value| hash_secret(&Secret::new(value))).collect()
}

/// Returns the value of one of our cookies.
pub fn read_cookie(public_url: &PublicUrl, headers: &HeaderMap, base: &str) -> Option<String> {
    cookie_values(headers, &cookie_name(public_url, base)).pop()
}

/// Returns the ids in the names of our cookies `{base}_{id}`, in the order sent: browsers send the oldest first.
pub fn cookie_ids(public_url: &PublicUrl, headers: &HeaderMap, base: &str) -> Vec<String> {
    // The port, if it is part of the name, follows the id.
    let full = cookie_name(public_url, &format!("{base}_*"));
    let (before, after) = full.split_once('*').unwrap_or((full.as_str(), ""));
    let names = cookie_pairs(headers).map(|(name, _)| name.trim());
    let ids = names.filter_map(|name| name.strip_prefix(before)?.strip_suffix(after));
    ids.filter(|id| !id.is_empty()).map(str::to_owned).collect()
}

/// Returns the different values of the cookies with this name, in the order sent. Other cookies, which another program
/// on the same host may have set, can hold any bytes.
pub fn cookie_values(headers: &HeaderMap, name: &str) -> Vec<String> {
    let mut values: Vec<String> = Vec::new();
    for (_, value) in cookie_pairs(headers).filter(|(known, _)| known.trim() == name) {
        let value = value.trim();
        if !value.is_empty() && !values.iter().any(|known| known == value) {
            values.push(value.to_owned());
        }
    }
    values
}

/// Returns the names and values of the request's cookies that are text.
fn cookie_pairs(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let all = headers.get_all(COOKIE).iter().flat_map(|header| header.as_bytes().split(|byte| *byte == b';'));
    all.filter_map(|pair| std::str::from_utf8(pair).ok()?.split_once('='))
}

/// Builds a `Set-Cookie` value for one of our cookies, which scripts can't read. `SameSite` is `Lax`, because a strict
/// cookie would be missing when Xero redirects the person back. It is sent only over https if `public_url` is. `None` if
/// the value isn't valid in a header.
pub fn write_cookie(public_url: &PublicUrl, base: &str, value: &str, seconds: i64) -> Option<HeaderValue> {
    set_cookie(public_url, &cookie_name(public_url, base), value, seconds)
}

/// Builds a `Set-Cookie` value that deletes one of our cookies.
pub fn delete_cookie(public_url: &PublicUrl, base: &str) -> Option<HeaderValue> {
    write_cookie(public_url, base, "", 0)
}

/// Builds a `Set-Cookie` value that deletes a cookie of the identity provider.
pub fn delete_foreign_cookie(public_url: &PublicUrl, name: &str) -> Option<HeaderValue> {
    set_cookie(public_url, name, "", 0)
}

fn set_cookie(public_url: &PublicUrl, name: &str, value: &str, seconds: i64) -> Option<HeaderValue> {
    let secure = if public_url.is_https() { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> PublicUrl {
        text.parse().unwrap()
    }

    fn cookies(lines: &[&[u8]]) -> HeaderMap {
        lines.iter().map(|line| (COOKIE, HeaderValue::from_bytes(line).unwrap())).collect()
    }

    #[test]
    fn session_cookie_is_http_only_and_same_site() {
        let (http, https) = (url("http://localhost:3000"), url("https://evergrant.example.com"));
        let plain = write_cookie(&http, SESSION_COOKIE, "abc", 60).unwrap();
        assert_eq!(plain, "evergrant_session=abc; Path=/; Max-Age=60; HttpOnly; SameSite=Lax");
        let secure = delete_cookie(&https, SESSION_COOKIE).unwrap();
        assert_eq!(secure, "__Host-evergrant_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure");
        assert!(write_cookie(&http, SESSION_COOKIE, "a\nb", 60).is_none());
    }

    #[test]
    fn name_keeps_hosts_of_a_domain_and_ports_of_this_machine_apart() {
        for (public_url, name) in [
            ("http://localhost:3000", "evergrant_session"),
            ("http://localhost:3999", "evergrant_session_3999"),
            ("http://127.0.0.1:3999", "evergrant_session_3999"),
            ("http://[::1]:3999", "evergrant_session_3999"),
            ("http://localhost", "evergrant_session_80"),
            ("https://localhost:3999", "__Host-evergrant_session_3999"),
            ("https://evergrant.example.com", "__Host-evergrant_session"),
            ("https://evergrant.example.com:8443", "__Host-evergrant_session"),
        ] {
            assert_eq!(cookie_name(&url(public_url), SESSION_COOKIE), name, "{public_url}");
        }
    }

    #[test]
    fn session_hashes_are_read_from_every_cookie_of_the_name() {
        let http = url("http://localhost:3000");
        assert!(session_hashes(&http, &HeaderMap::new()).is_empty());
        // SHA-256 of "abc" (FIPS 180-2, B.1), in base64url.
        let abc = "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0";
        assert_eq!(session_hashes(&http, &cookies(&[b"other=1; evergrant_session=abc"])), [abc]);
        assert!(session_hashes(&http, &cookies(&[b"evergrant_session="])).is_empty());
        let planted = session_hashes(&http, &cookies(&[b"evergrant_session=planted; evergrant_session=abc"]));
        assert!(planted.len() == 2 && planted[1] == abc);
        assert_eq!(session_hashes(&http, &cookies(&[b"evergrant_session=abc; evergrant_session=abc"])), [abc]);
        let many = "evergrant_session=".to_owned() + &"x; evergrant_session=y".repeat(40);
        assert!(session_hashes(&http, &cookies(&[many.as_bytes()])).len() <= MAX_SESSION_COOKIES);
    }

    #[test]
    fn ids_are_read_from_the_names_of_cookies() {
        let sent =
            cookies(&[b"evergrant_link_b=1; evergrant_link=2; other=3; evergrant_link_a=4", b"evergrant_link_=5"]);
        assert_eq!(cookie_ids(&url("http://localhost:3000"), &sent, CONNECT_LINK_COOKIE), ["b", "a"]);
        let sent = cookies(&[b"evergrant_link_b_3999=1; evergrant_link_a=2; evergrant_link_c_4000=3"]);
        assert_eq!(cookie_ids(&url("http://localhost:3999"), &sent, CONNECT_LINK_COOKIE), ["b"]);
        let sent = cookies(&[b"__Host-evergrant_link_b=1; evergrant_link_a=2"]);
        assert_eq!(cookie_ids(&url("https://evergrant.example.com"), &sent, CONNECT_LINK_COOKIE), ["b"]);
    }

    #[test]
    fn https_reads_only_the_cookie_that_no_other_host_can_set() {
        let https = url("https://evergrant.example.com");
        let sent = cookies(&[b"evergrant_session=planted; __Host-evergrant_session=ours; evergrant_theme=dark"]);
        assert_eq!(session_hashes(&https, &sent), [hash_secret(&Secret::new("ours"))]);
        assert_eq!(read_cookie(&https, &sent, THEME_COOKIE), None);
    }

    #[test]
    fn cookie_is_found_among_malformed_ones() {
        let read = |lines: &[&[u8]]| cookie_values(&cookies(lines), "ours").pop();
        assert_eq!(read(&[b"ours=a=b"]).as_deref(), Some("a=b"));
        assert_eq!(read(&[b"ours=old; ours=new"]).as_deref(), Some("new"));
        assert_eq!(read(&["name=Zo\u{eb}; ours=a".as_bytes()]).as_deref(), Some("a"));
        assert_eq!(read(&[b"bytes=\xff\xfe;ours= a ; more"]).as_deref(), Some("a"));
        assert_eq!(read(&[b"theirs=a", b"ours=b"]).as_deref(), Some("b"), "HTTP/2 sends one line for each");
        for none in [&b"ours="[..], b"ours", b"yours=a", b"ours=\xff", b"x=\"; ours\"=a", b""] {
            assert_eq!(read(&[none]), None, "{none:?}");
        }
    }
}
