//! Sends a request and reads its response up to a limit.

use reqwest::{Client, Request, RequestBuilder, Response};
use secrecy::zeroize::Zeroizing;
use tracing::Instrument as _;

use super::error::XeroError;
use super::response::HttpResponse;
use crate::server::clock::Clock;
use crate::server::telemetry::traces;

/// The largest body that is read. A connection has about 350 bytes in a list, so a list of 10,000 fits, which is as many
/// as the largest limited tier allows.
pub(super) const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

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
    let body = read_bounded(&mut response, &answer).await?;
    Ok(answer.with_body(body))
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
