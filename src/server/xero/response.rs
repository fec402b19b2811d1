//! A response: status, evidence and body, not yet interpreted.

use std::time::Duration;

use chrono::DateTime;
use reqwest::header::{AGE, CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER};
use secrecy::zeroize::Zeroizing;

use crate::server::domain::parse_retry_after;

/// The header with the app's remaining calls in this minute, over all tenants.
const APP_LIMIT_REMAINING_HEADER: &str = "x-appminlimit-remaining";

/// A response of any status. Has no `Debug`, because the body may contain tokens.
pub struct HttpResponse {
    /// HTTP status code.
    pub status: u16,
    /// How long to wait according to `Retry-After`; `None` if the header is absent or malformed.
    pub retry_after: Option<Duration>,
    /// `Xero-Correlation-Id`, if it has the form of an id.
    pub correlation_id: Option<String>,
    /// Unix seconds of the `Date` header, by the sender's clock.
    pub date: Option<i64>,
    /// The app has no call left in this minute, for any tenant.
    pub app_limit_reached: bool,
    is_json: bool,
    body: Zeroizing<Vec<u8>>,
}

impl HttpResponse {
    /// Returns a response without a body. `now` (unix seconds) is the base for a `Retry-After` date.
    pub fn from_head(status: u16, headers: &HeaderMap, now: i64) -> Self {
        Self {
            status,
            retry_after: headers.get(RETRY_AFTER).and_then(|value| parse_retry_after(value.to_str().ok()?, now)),
            correlation_id: correlation_id(headers),
            date: date(headers),
            app_limit_reached: headers.get(APP_LIMIT_REMAINING_HEADER).is_some_and(|left| left == "0"),
            is_json: is_json(headers),
            body: Zeroizing::default(),
        }
    }

    /// Adds the body.
    pub fn with_body(self, body: impl Into<Zeroizing<Vec<u8>>>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// Returns whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Returns the body, whatever its content type.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    /// Returns the body if its content type is JSON, unlike a proxy's error page.
    pub fn json(&self) -> Option<&[u8]> {
        self.is_json.then_some(&**self.body)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let essence = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(|essence| essence.trim().to_ascii_lowercase());
    essence.is_some_and(|essence| essence == "application/json" || essence == "application/problem+json")
}

/// Returns the sender's `Date` plus the `Age` from a cache (RFC 9110, 6.6.1; RFC 9111, 5.1), in unix seconds.
fn date(headers: &HeaderMap) -> Option<i64> {
    let sent = DateTime::parse_from_rfc2822(headers.get(DATE)?.to_str().ok()?.trim()).ok()?.timestamp();
    let age = headers.get(AGE).and_then(|age| age.to_str().ok()).and_then(|age| age.trim().parse::<u32>().ok());
    Some(sent + age.map_or(0, i64::from))
}

/// Returns the correlation id if it has the form of an id, because it is journaled and shown on pages.
fn correlation_id(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("xero-correlation-id")?.to_str().ok()?;
    let is_id = (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_id.then(|| text.to_owned())
}

#[cfg(test)]
impl HttpResponse {
    /// Returns a response for tests of the parsers.
    pub fn for_test(status: u16, content_type: &str, body: &[u8]) -> Self {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, content_type.parse().unwrap())]);
        Self::from_head(status, &headers, 0).with_body(body.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::{AGE, DATE, HeaderMap};

    use super::{correlation_id, date};

    #[test]
    fn date_includes_the_age_header() {
        // The example date of RFC 9110.
        let (text, seconds) = ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777);
        let mut headers = HeaderMap::from_iter([(DATE, text.parse().unwrap())]);
        assert_eq!(date(&headers), Some(seconds));
        headers.insert(AGE, "90".parse().unwrap());
        assert_eq!(date(&headers), Some(seconds + 90));
        headers.insert(AGE, "-1".parse().unwrap());
        assert_eq!(date(&headers), Some(seconds));
        headers.insert(DATE, "yesterday".parse().unwrap());
        assert_eq!(date(&headers), None);
        assert_eq!(date(&HeaderMap::new()), None);
    }

    #[test]
    fn correlation_id_must_have_the_form_of_an_id() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("Xero-Correlation-Id", text.parse().unwrap());
            correlation_id(&headers)
        };
        assert_eq!(read("3fa85f64-5717-4562-b3fc-2c963f66afa6").unwrap(), "3fa85f64-5717-4562-b3fc-2c963f66afa6");
        assert_eq!(read("<script>"), None);
        assert_eq!(read(&"a".repeat(65)), None);
    }
}
