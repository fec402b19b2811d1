//! Cookies: how they are written, read and taken back, the session's above all.

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::server::cipher::{CipherError, random};
use crate::server::domain::Secret;

/// The session's cookie.
pub const SESSION_COOKIE: &str = "evergrant_session";

/// 32 random bytes, in letters that a cookie and an address take as they are: a session's id, a `state`, a verifier.
pub fn new_secret() -> Result<Secret, CipherError> {
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(random::<32>()?)))
}

/// What the database knows such a secret by.
pub fn hashed(secret: &Secret) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(secret.expose().as_bytes()))
}

/// The hash of the session that a request names, whether or not there is one.
pub fn session_hash(headers: &HeaderMap) -> Option<String> {
    read_cookie(headers, SESSION_COOKIE).map(|value| hashed(&Secret::new(value)))
}

/// A cookie's value. Those beside it may hold anything: what another program of the same host put there, in whatever
/// letters, is no reason not to find ours.
pub fn read_cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get_all(COOKIE).iter().flat_map(|header| header.as_bytes().split(|byte| *byte == b';'));
    let pairs = all.filter_map(|pair| std::str::from_utf8(pair).ok()?.split_once('='));
    let value = pairs.filter(|(known, _)| known.trim() == name).map(|(_, value)| value.trim()).next_back()?;
    (!value.is_empty()).then(|| value.to_owned())
}

/// A `Set-Cookie` that no script can read. Lax, because a strict one would be missing when Xero sends the person
/// back to us. `None` where the value isn't fit for a header.
pub fn write_cookie(name: &str, value: &str, seconds: i64, secure: bool) -> Option<HeaderValue> {
    let secure = if secure { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::from_str(&text).ok()
}

/// A `Set-Cookie` that makes the browser forget one.
pub fn forget_cookie(name: &str, secure: bool) -> Option<HeaderValue> {
    write_cookie(name, "", 0, secure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_cookie_is_out_of_reach_of_scripts_and_other_sites() {
        let plain = write_cookie(SESSION_COOKIE, "abc", 60, false).unwrap();
        assert_eq!(plain, "evergrant_session=abc; Path=/; Max-Age=60; HttpOnly; SameSite=Lax");
        let secure = forget_cookie(SESSION_COOKIE, true).unwrap();
        assert_eq!(secure, "evergrant_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure");
        assert!(write_cookie(SESSION_COOKIE, "a\nb", 60, false).is_none());
    }

    #[test]
    fn a_request_names_its_session_by_hash() {
        let mut headers = HeaderMap::new();
        assert_eq!(session_hash(&headers), None);
        headers.insert("cookie", HeaderValue::from_static("other=1; evergrant_session=abc"));
        // SHA-256 of "abc" (FIPS 180-2, B.1), in base64url.
        assert_eq!(session_hash(&headers).as_deref(), Some("ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"));
        headers.insert("cookie", HeaderValue::from_static("evergrant_session="));
        assert_eq!(session_hash(&headers), None);
    }

    #[test]
    fn a_cookie_is_found_whatever_stands_beside_it() {
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

    #[test]
    fn secrets_differ_and_carry_32_bytes() {
        let (a, b) = (new_secret().unwrap(), new_secret().unwrap());
        assert_ne!(a.expose(), b.expose());
        assert_eq!(URL_SAFE_NO_PAD.decode(a.expose()).unwrap().len(), 32);
    }
}
