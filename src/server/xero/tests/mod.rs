//! Tests of the client against local HTTP servers: what it sends and how it reads the responses.

mod bytes;
mod calls;
mod circuit;
mod odd_tokens;
mod table;
mod transport;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::Response;
use tokio::net::TcpListener;

use super::{CodeExchange, Endpoints, ExchangedTokens, Priority, XeroClient, XeroError};
use crate::server::clock::Clock;
use crate::server::domain::{AccessToken, AppIdentity, RefreshToken, Secret};

const NOW: i64 = 1_790_000_000;
const ACCESS: &str = "sent-access-token";
const REFRESH: &str = "sent-refresh-token";
const CODE: &str = "sent-code";
const VERIFIER: &str = "sent-verifier";
const CLIENT_SECRET: &str = "sent client&secret";

/// A request that the provider received.
struct ReceivedRequest {
    line: String,
    headers: HeaderMap,
    body: String,
}

/// A provider that sends every request the same response and records the requests.
struct Provider {
    address: String,
    requests: Arc<Mutex<Vec<ReceivedRequest>>>,
}

impl Provider {
    async fn start(answer: impl Fn() -> Response + Clone + Send + Sync + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let recorded = seen.clone();
        let app = Router::new().fallback(async move |request: Request| {
            let (head, body) = request.into_parts();
            let body = to_bytes(body, 1024 * 1024).await.unwrap();
            let body = String::from_utf8(body.to_vec()).unwrap();
            let line = format!("{} {}", head.method, head.uri);
            recorded.lock().unwrap().push(ReceivedRequest { line, headers: head.headers, body });
            answer()
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, requests: seen }
    }

    fn client(&self) -> XeroClient {
        client(&self.address, Duration::from_secs(20))
    }

    fn only_request(&self) -> ReceivedRequest {
        let mut seen = self.requests.lock().unwrap();
        assert_eq!(seen.len(), 1);
        seen.remove(0)
    }
}

/// Returns a client whose three base URLs have a path, so that every test also joins paths.
fn client(address: &str, timeout: Duration) -> XeroClient {
    let endpoints =
        Endpoints::parse(&format!("{address}/login"), &format!("{address}/identity"), &format!("{address}/api/"))
            .unwrap();
    let clock = Clock::manual(NOW);
    let app = AppIdentity { client_id: "client id".into(), issuer: endpoints.issuer() };
    XeroClient::new(endpoints, app, Secret::new(CLIENT_SECRET), timeout, clock).unwrap()
}

fn respond(status: u16, content_type: &str, body: impl Into<Body>) -> Response {
    Response::builder()
        .status(status)
        .header("content-type", content_type)
        .header("xero-correlation-id", "corr-1")
        .body(body.into())
        .unwrap()
}

fn json(status: u16, body: &'static str) -> Response {
    respond(status, "application/json", body)
}

async fn refresh(client: &XeroClient) -> Result<ExchangedTokens, XeroError> {
    let Ok(pass) = client.breaker().acquire(Priority::MustNotWait) else {
        panic!("the breaker denied an urgent request")
    };
    client.refresh_tokens(&RefreshToken::new(REFRESH), pass).await
}

async fn exchange(client: &XeroClient) -> Result<CodeExchange, XeroError> {
    client.exchange_code(&Secret::new(CODE), "http://localhost:3000/callback", &Secret::new(VERIFIER)).await
}

fn access() -> AccessToken {
    AccessToken::new(ACCESS)
}

/// Returns the error of a call. Tokens have no `Debug`, so `unwrap_err` is not available.
fn error_of<T>(result: Result<T, XeroError>) -> XeroError {
    match result {
        Ok(_) => panic!("the call succeeded"),
        Err(error) => error,
    }
}

/// Asserts that no printed form of the error contains a secret that was sent.
fn assert_free_of_secrets(error: &XeroError) {
    let printed = format!("{error:?} {error} {} {}", error.summary(), error.evidence_code());
    for secret in [ACCESS, REFRESH, CODE, VERIFIER, CLIENT_SECRET] {
        assert!(!printed.contains(secret), "{printed}");
    }
}
