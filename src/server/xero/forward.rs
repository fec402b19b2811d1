//! Sends a program's call to Xero's API, with a grant's token and one tenant.

use axum::http::{HeaderMap, Method};
use reqwest::{Body, Response};
use tokio::time::{Instant, timeout_at};

use super::client::XeroClient;
use crate::server::domain::AccessToken;
use crate::server::telemetry::traces;

/// A path below the API's base URL, percent-encoded and without dot segments.
#[derive(Debug)]
pub struct ApiPath(String);

impl ApiPath {
    /// Wraps a path that was checked.
    pub fn new(path: String) -> Self {
        Self(path)
    }

    /// Returns the path, without a leading slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A program's call.
pub struct ForwardedCall<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path.
    pub path: &'a ApiPath,
    /// The query as it was sent.
    pub query: Option<&'a str>,
    /// The headers, without token and tenant.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
    /// Until when the head of the response has to arrive.
    pub deadline: Instant,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// No connection could be made, so Xero has not seen the call.
    #[error("no connection to Xero")]
    NotSent(#[source] reqwest::Error),
    /// The connection ended without a response. Xero may have acted on the call.
    #[error("no response from Xero")]
    NoAnswer(#[source] reqwest::Error),
    /// The response took too long. Xero may have acted on the call.
    #[error("Xero took too long to respond")]
    TimedOut,
}

impl XeroClient {
    /// Sends a call and returns the response, whose body has not been read. Follows no redirect and never retries.
    pub async fn forward(
        &self,
        access: &AccessToken,
        tenant_id: &str,
        call: ForwardedCall<'_>,
    ) -> Result<Response, ForwardError> {
        let mut url = self.endpoints().api.clone();
        url.set_path(&format!("{}/{}", url.path().trim_end_matches('/'), call.path.as_str()));
        url.set_query(call.query);
        let span = traces::xero_call_span(call.method, url.host_str().unwrap_or_default(), url.path());
        let request = self
            .request_to(call.method.clone(), url)
            .headers(call.headers)
            .bearer_auth(access.expose())
            .header("xero-tenant-id", tenant_id)
            .body(call.body);
        let sent = timeout_at(call.deadline, request.send()).await;
        let answer = match sent {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if error.is_connect() => Err(ForwardError::NotSent(error.without_url())),
            Ok(Err(error)) => Err(ForwardError::NoAnswer(error.without_url())),
            Err(_) => Err(ForwardError::TimedOut),
        };
        let status = answer.as_ref().ok().map(|response| response.status().as_u16());
        traces::record_xero_response(&span, status, None, answer.is_err().then_some("no_response"));
        answer
    }
}
