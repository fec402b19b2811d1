//! The names of our cookies, how they are read, written and deleted, and the hash of the secrets in them.

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};

use crate::server::config::PublicUrl;
use crate::server::crypto::random::hash_secret;
use crate::server::domain::Secret;

/// The cookie with the session's id.
pub const SESSION_COOKIE: &str = "evergrant_session";
/// The cookie with the browser's theme.
pub const THEME_COOKIE: &str = "evergrant_theme";
/// The cookie that carries a flash to the next page.
pub const FLASH_COOKIE: &str = "evergrant_notice";
/// The cookie that holds the query of the OAuth callback while the session is renewed.
pub const PENDING_CALLBACK_COOKIE: &str = "evergrant_consent";
/// The cookie that binds a sign-in with OpenID Connect to the browser that started it.
pub const OIDC_COOKIE: &str = "evergrant_oidc";
/// The cookie that carries a new invitation's token to the page that shows it once.
pub const NEW_INVITATION_COOKIE: &str = "evergrant_invitation";
/// The cookie that carries a new API key to the page that shows it once.
pub const NEW_API_KEY_COOKIE: &str = "evergrant_new_key";

/// The cookie that holds the secret of a reset link.
pub const RESET_PASSWORD_COOKIE: &str = "evergrant_reset";
/// The cookie that holds the secret of a link that confirms an email address.
pub const CONFIRM_EMAIL_COOKIE: &str = "evergrant_email";

/// Returns the hash of the request's session cookie. The session may not exist.
pub fn session_hash(headers: &HeaderMap) -> Option<String> {
    read_cookie(headers, SESSION_COOKIE).map(|value| hash_secret(&Secret::new(value)))
}

/// Returns a cookie's value. Other cookies, which another program on the same host may have set, can hold any bytes.
pub fn read_cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get_all(COOKIE).iter().flat_map(|header| header.as_bytes().split(|byte| *byte == b';'));
    let pairs = all.filter_map(|pair| std::str::from_utf8(pair).ok()?.split_once('='));
    let value = pairs.filter(|(known, _)| known.trim() == name).map(|(_, value)| value.trim()).next_back()?;
    (!value.is_empty()).then(|| value.to_owned())
}

/// Builds a `Set-Cookie` value that scripts can't read. `SameSite` is `Lax`, because a strict cookie would be missing
/// when Xero redirects the person back. It is sent only over https if `public_url` is. `None` if the value isn't valid
/// in a header.
pub fn write_cookie(public_url: &PublicUrl, name: &str, value: &str, seconds: i64) -> Option<HeaderValue> {
    let secure = if public_url.is_https() { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::from_str(&text).ok()
}

/// Builds a `Set-Cookie` value that deletes a cookie.
pub fn delete_cookie(public_url: &PublicUrl, name: &str) -> Option<HeaderValue> {
    write_cookie(public_url, name, "", 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_cookie_is_http_only_and_same_site() {
        let (http, https) =
            ("http://localhost:3000".parse().unwrap(), "https://evergrant.example.com".parse().unwrap());
        let plain = write_cookie(&http, SESSION_COOKIE, "abc", 60).unwrap();
        assert_eq!(plain, "evergrant_session=abc; Path=/; Max-Age=60; HttpOnly; SameSite=Lax");
        let secure = delete_cookie(&https, SESSION_COOKIE).unwrap();
        assert_eq!(secure, "evergrant_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure");
        assert!(write_cookie(&http, SESSION_COOKIE, "a\nb", 60).is_none());
    }

    #[test]
    fn session_hash_is_read_from_the_cookie() {
        let mut headers = HeaderMap::new();
        assert_eq!(session_hash(&headers), None);
        headers.insert("cookie", HeaderValue::from_static("other=1; evergrant_session=abc"));
        // SHA-256 of "abc" (FIPS 180-2, B.1), in base64url.
        assert_eq!(session_hash(&headers).as_deref(), Some("ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"));
        headers.insert("cookie", HeaderValue::from_static("evergrant_session="));
        assert_eq!(session_hash(&headers), None);
    }

    #[test]
    fn cookie_is_found_among_malformed_ones() {
        let read = |lines: &[&[u8]]| {
            let lines = lines.iter().map(|line| (COOKIE, HeaderValue::from_bytes(line).unwrap()));
            read_cookie(&lines.collect(), "ours")
        };
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
