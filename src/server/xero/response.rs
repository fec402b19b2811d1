//! Sends a request and reads its response: status, evidence and a bounded body, not yet interpreted.

use std::time::Duration;

use chrono::DateTime;
use reqwest::header::{AGE, CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Request, RequestBuilder, Response};
use secrecy::zeroize::Zeroizing;
use tracing::Instrument as _;

use super::error::{ErrorKind, Transient, XeroError};
use crate::server::clock::Clock;
use crate::server::domain::parse_retry_after;
use crate::server::telemetry::traces;

/// The largest body that is read. Xero's are a few kilobytes; a list of 800 connections fits.
pub(super) const MAX_BODY_BYTES: usize = 256 * 1024;

/// The header with the app's remaining calls in this minute, over all tenants.
const APP_LIMIT_REMAINING_HEADER: &str = "x-appminlimit-remaining";

/// A response of any status. Has no `Debug`, because the body may contain tokens.
pub struct HttpResponse {
    pub status: u16,
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

    /// Returns the body if its content type is JSON, unlike a proxy's error page.
    pub fn json(&self) -> Option<&[u8]> {
        self.is_json.then_some(&**self.body)
    }
}

/// Sends a request and reads its response, of any status. The client's timeout covers both.
pub(super) async fn fetch(request: RequestBuilder, clock: &Clock) -> Result<HttpResponse, XeroError> {
    let (client, request) = request.build_split();
    let request = request.map_err(|error| XeroError::from_transport(&error))?;
    let url = request.url();
    // Without the query, which may contain more than ids.
    let span = traces::xero_call_span(request.method(), url.host_str().unwrap_or_default(), url.path());
    let answer = send(client, request, clock).instrument(span.clone()).await;
    match &answer {
        Ok(answer) => traces::record_xero_response(&span, Some(answer.status), answer.correlation_id.as_deref(), None),
        Err(error) => {
            traces::record_xero_response(
                &span,
                error.status,
                error.correlation_id.as_deref(),
                Some(error.evidence_code()),
            );
        }
    }
    answer
}

async fn send(client: Client, request: Request, clock: &Clock) -> Result<HttpResponse, XeroError> {
    let mut response = client.execute(request).await.map_err(|error| XeroError::from_transport(&error))?;
    let answer = HttpResponse::from_head(response.status().as_u16(), response.headers(), clock.now());
    // Bodies of redirects, 429 and 5xx are not needed.
    if matches!(answer.status, 300..=399 | 429 | 500..=599) {
        return Ok(answer);
    }
    match read_bounded(&mut response).await {
        Ok(body) => Ok(answer.with_body(body)),
        Err(error) => Err(error.with_evidence(&answer)),
    }
}

async fn read_bounded(response: &mut Response) -> Result<Zeroizing<Vec<u8>>, XeroError> {
    // Allocates enough for any token response, because a growing vector would leave unzeroed copies in memory.
    let mut body = Zeroizing::new(Vec::with_capacity(16 * 1024));
    while let Some(chunk) = response.chunk().await.map_err(|error| XeroError::from_transport(&error))? {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(XeroError::without_response(ErrorKind::Transient(Transient::Malformed), "body_too_large"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
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
