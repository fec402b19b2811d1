//! One request out, one bounded answer back: status, evidence and body, before anybody asks what they mean.

use std::time::Duration;

use chrono::DateTime;
use reqwest::header::{AGE, CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Request, RequestBuilder, Response};
use secrecy::zeroize::Zeroizing;
use tracing::Instrument as _;

use super::error::{ErrorKind, Transient, XeroError};
use crate::server::clock::Clock;
use crate::server::domain::retry_after;
use crate::server::traces;

/// The largest body that is read. Xero's own are a few kilobytes; eight hundred connections of one user fit in.
pub(super) const LARGEST_BODY: usize = 256 * 1024;

/// How many calls the app has left in this minute, over all tenants.
const APP_CALLS_LEFT: &str = "x-appminlimit-remaining";

/// What came back. No `Debug`: the body may hold tokens.
pub struct Answer {
    pub status: u16,
    pub retry_after: Option<Duration>,
    pub correlation_id: Option<String>,
    /// Unix seconds on the sender's clock, where it says.
    pub date: Option<i64>,
    /// No call of the app's is left in this minute, whichever tenant it is for.
    pub app_is_over_its_limit: bool,
    is_json: bool,
    body: Zeroizing<Vec<u8>>,
}

impl Answer {
    /// An answer by its head alone. `now` is what an HTTP date in it is counted from.
    pub fn headed(status: u16, headers: &HeaderMap, now: i64) -> Self {
        Self {
            status,
            retry_after: headers.get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?, now)),
            correlation_id: correlation_id(headers),
            date: date(headers),
            app_is_over_its_limit: headers.get(APP_CALLS_LEFT).is_some_and(|left| left == "0"),
            is_json: is_json(headers),
            body: Zeroizing::default(),
        }
    }

    /// The same with what followed the head.
    pub fn with_body(self, body: impl Into<Zeroizing<Vec<u8>>>) -> Self {
        Self { body: body.into(), ..self }
    }

    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body where it says that it is JSON; a proxy's error page doesn't.
    pub fn json(&self) -> Option<&[u8]> {
        self.is_json.then_some(&**self.body)
    }
}

/// Sends a request and reads its answer, of any status. The client's time-out covers both.
pub(super) async fn fetch(request: RequestBuilder, clock: &Clock) -> Result<Answer, XeroError> {
    let (client, request) = request.build_split();
    let request = request.map_err(|error| XeroError::of_transport(&error))?;
    let url = request.url();
    // Without its query, which may hold more than ids.
    let span = traces::call(request.method(), url.host_str().unwrap_or_default(), url.path());
    let answer = answer(client, request, clock).instrument(span.clone()).await;
    match &answer {
        Ok(answer) => traces::called(&span, Some(answer.status), answer.correlation_id.as_deref(), None),
        Err(error) => {
            traces::called(&span, error.status, error.correlation_id.as_deref(), Some(error.evidence_code()));
        }
    }
    answer
}

async fn answer(client: Client, request: Request, clock: &Clock) -> Result<Answer, XeroError> {
    let mut response = client.execute(request).await.map_err(|error| XeroError::of_transport(&error))?;
    let answer = Answer::headed(response.status().as_u16(), response.headers(), clock.now());
    // Redirects, 429 and 5xx say all in their status and headers.
    if matches!(answer.status, 300..=399 | 429 | 500..=599) {
        return Ok(answer);
    }
    match read_bounded(&mut response).await {
        Ok(body) => Ok(answer.with_body(body)),
        Err(error) => Err(error.with_evidence(&answer)),
    }
}

async fn read_bounded(response: &mut Response) -> Result<Zeroizing<Vec<u8>>, XeroError> {
    // Room for any token answer at once: a growing vector would leave copies of what it held behind.
    let mut body = Zeroizing::new(Vec::with_capacity(16 * 1024));
    while let Some(chunk) = response.chunk().await.map_err(|error| XeroError::of_transport(&error))? {
        if body.len() + chunk.len() > LARGEST_BODY {
            return Err(XeroError::without_answer(ErrorKind::Transient(Transient::Malformed), "body_too_large"));
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

/// The sender's `Date`, moved on by the `Age` that a cache on the way adds (RFC 9110, 6.6.1; RFC 9111, 5.1).
fn date(headers: &HeaderMap) -> Option<i64> {
    let sent = DateTime::parse_from_rfc2822(headers.get(DATE)?.to_str().ok()?.trim()).ok()?.timestamp();
    let age = headers.get(AGE).and_then(|age| age.to_str().ok()).and_then(|age| age.trim().parse::<u32>().ok());
    Some(sent + age.map_or(0, i64::from))
}

/// Kept only in the shape of an id, since it ends up in journals and on pages.
fn correlation_id(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("xero-correlation-id")?.to_str().ok()?;
    let is_id = (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_id.then(|| text.to_owned())
}

#[cfg(test)]
impl Answer {
    /// An answer that never travelled, for tests of what is made of it.
    pub fn made_up(status: u16, content_type: &str, body: &[u8]) -> Self {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, content_type.parse().unwrap())]);
        Self::headed(status, &headers, 0).with_body(body.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::{AGE, DATE, HeaderMap};

    use super::{correlation_id, date};

    #[test]
    fn the_senders_clock_is_read_with_a_caches_age() {
        // RFC 9110's own example date.
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
    fn a_correlation_id_is_kept_only_in_the_shape_of_one() {
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
