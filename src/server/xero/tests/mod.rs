//! The adapter against small servers on a port of their own: what it sends, and what it makes of what it gets.

mod bytes;
mod calls;
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

use super::{Asker, CodeGrant, Endpoints, Exchanged, XeroClient, XeroError};
use crate::server::clock::Clock;
use crate::server::domain::{AccessToken, RefreshToken, Secret};

const NOW: i64 = 1_790_000_000;
const ACCESS: &str = "sent-access-token";
const REFRESH: &str = "sent-refresh-token";
const CODE: &str = "sent-code";
const VERIFIER: &str = "sent-verifier";
const CLIENT_SECRET: &str = "sent client&secret";

/// A request as the provider saw it.
struct Seen {
    line: String,
    headers: HeaderMap,
    body: String,
}

/// A provider that gives every request the same kind of answer and remembers what was asked.
struct Provider {
    address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Provider {
    async fn start(answer: impl Fn() -> Response + Clone + Send + Sync + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let remembered = seen.clone();
        let app = Router::new().fallback(async move |request: Request| {
            let (head, body) = request.into_parts();
            let body = to_bytes(body, 1024 * 1024).await.unwrap();
            let body = String::from_utf8(body.to_vec()).unwrap();
            let line = format!("{} {}", head.method, head.uri);
            remembered.lock().unwrap().push(Seen { line, headers: head.headers, body });
            answer()
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, seen }
    }

    fn client(&self) -> XeroClient {
        client(&self.address, Duration::from_secs(20))
    }

    fn only_request(&self) -> Seen {
        let mut seen = self.seen.lock().unwrap();
        assert_eq!(seen.len(), 1);
        seen.remove(0)
    }
}

/// A client whose three bases have a path each, so that every test also joins paths.
fn client(address: &str, timeout: Duration) -> XeroClient {
    let endpoints =
        Endpoints::parse(&format!("{address}/login"), &format!("{address}/identity"), &format!("{address}/api/"))
            .unwrap();
    let clock = Clock::manual(NOW);
    XeroClient::new(endpoints, "client id".into(), Secret::new(CLIENT_SECRET), timeout, clock).unwrap()
}

fn answer(status: u16, content_type: &str, body: impl Into<Body>) -> Response {
    Response::builder()
        .status(status)
        .header("content-type", content_type)
        .header("xero-correlation-id", "corr-1")
        .body(body.into())
        .unwrap()
}

fn json(status: u16, body: &'static str) -> Response {
    answer(status, "application/json", body)
}

async fn refresh(client: &XeroClient) -> Result<Exchanged, XeroError> {
    let Ok(pass) = client.breaker().admit(Asker::CannotWait) else { panic!("what can't wait is let through") };
    client.refresh_tokens(&RefreshToken::new(REFRESH), pass).await
}

async fn exchange(client: &XeroClient) -> Result<CodeGrant, XeroError> {
    client.exchange_code(&Secret::new(CODE), "http://localhost:3000/callback", &Secret::new(VERIFIER)).await
}

fn access() -> AccessToken {
    AccessToken::new(ACCESS)
}

/// The error of a call that should have failed; tokens have no `Debug`, so `unwrap_err` can't be had.
fn error_of<T>(result: Result<T, XeroError>) -> XeroError {
    match result {
        Ok(_) => panic!("the call succeeded"),
        Err(error) => error,
    }
}

/// No error may repeat what was sent, however it is printed.
fn assert_free_of_secrets(error: &XeroError) {
    let printed = format!("{error:?} {error} {} {}", error.summary(), error.evidence_code());
    for secret in [ACCESS, REFRESH, CODE, VERIFIER, CLIENT_SECRET] {
        assert!(!printed.contains(secret), "{printed}");
    }
}
