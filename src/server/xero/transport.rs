//! Sends a request and reads its response up to a limit.

use std::pin::pin;
use std::time::Duration;

use reqwest::{Client, Request, RequestBuilder, Response};
use secrecy::zeroize::Zeroizing;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::Instrument as _;

use super::error::XeroError;
use super::response::HttpResponse;
use crate::server::clock::Clock;
use crate::server::telemetry::traces;

/// The largest body that is read. A connection has about 350 bytes in a list, so a list of 10,000 fits, which is as many
/// as the largest limited tier allows.
pub(super) const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

/// A deadline that is seen this late was missed because the process did not run.
const SUSPENDED_AFTER: Duration = Duration::from_millis(500);
/// How long a process that did not run may take to read what arrived meanwhile.
const READ_AFTER_SUSPENSION: Duration = Duration::from_secs(2);

/// Sends a request and reads its response, of any status. The request's timeout covers both.
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

async fn send(client: Client, mut request: Request, clock: &Clock) -> Result<HttpResponse, XeroError> {
    // Ours instead of reqwest's, which gives a response up that has arrived while the process was stopped.
    let deadline = request.timeout_mut().take().map(|limit| Instant::now() + limit);
    let response = before(deadline, client.execute(request)).await.ok_or_else(XeroError::timed_out)?;
    let mut response = response.map_err(|error| XeroError::from_transport(&error))?;
    let answer = HttpResponse::from_head(response.status().as_u16(), response.headers(), clock.now());
    // Bodies of redirects, 429 and 5xx are not needed.
    if matches!(answer.status, 300..=399 | 429 | 500..=599) {
        return Ok(answer);
    }
    let body = before(deadline, read_bounded(&mut response, &answer)).await;
    let body = body.ok_or_else(|| XeroError::timed_out().with_evidence(&answer))??;
    Ok(answer.with_body(body))
}

/// Awaits `work` until the deadline, or without one. Returns `None` if it has not ended by then.
///
/// A process that was stopped, or a machine that slept, finds the deadline long past although the response lies in the
/// socket's buffer. Then `work` gets a moment to read it.
async fn before<T>(deadline: Option<Instant>, work: impl Future<Output = T>) -> Option<T> {
    let Some(deadline) = deadline else { return Some(work.await) };
    let mut work = pin!(work);
    match timeout_at(deadline, work.as_mut()).await {
        Ok(done) => Some(done),
        Err(_) if deadline.elapsed() < SUSPENDED_AFTER => None,
        Err(_) => timeout(READ_AFTER_SUSPENSION, work).await.ok(),
    }
}

async fn read_bounded(response: &mut Response, answer: &HttpResponse) -> Result<Zeroizing<Vec<u8>>, XeroError> {
    // Allocates enough for any token response, because a growing vector would leave unzeroed copies in memory.
    let lost = |error: &reqwest::Error| XeroError::from_transport(error).with_evidence(answer);
    let mut body = Zeroizing::new(Vec::with_capacity(16 * 1024));
    while let Some(chunk) = response.chunk().await.map_err(|error| lost(&error))? {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(XeroError::body_too_large(answer));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn response_that_arrived_while_the_process_was_stopped_is_read() {
        let missed = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
        // As a response does that lies in the buffer: it takes some turns of the runtime.
        let arrived = async {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            "response"
        };
        assert_eq!(before(Some(missed), arrived).await, Some("response"));
    }

    #[tokio::test(start_paused = true)]
    async fn deadline_ends_a_wait_for_nothing() {
        let begun = Instant::now();
        let nothing = std::future::pending::<()>();
        assert_eq!(before(Some(begun + Duration::from_secs(20)), nothing).await, None);
        assert!(begun.elapsed() < Duration::from_secs(21), "{:?}", begun.elapsed());
    }
}
