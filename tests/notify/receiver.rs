//! A receiver of webhooks that checks each signature by itself, from the scheme's text and not with our code.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use evergrant::server::domain::Secret;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// A server on a port of its own; it ends with the test.
#[derive(Clone)]
pub struct Receiver {
    base: String,
    shared: Arc<Mutex<Shared>>,
    came: Arc<Notify>,
}

#[derive(Default)]
struct Shared {
    secret: String,
    answers: Vec<(StatusCode, &'static str, String)>,
    got: Vec<Got>,
}

/// What came in.
#[derive(Clone, Debug)]
pub struct Got {
    pub id: String,
    pub timestamp: i64,
    pub text: String,
    pub body: Value,
    /// How many signatures it had, and whether one of them was right.
    pub signatures: usize,
    pub verified: bool,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let receiver = Self { base, shared: Arc::default(), came: Arc::default() };
        let router = Router::new().fallback(take).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        receiver
    }

    pub fn url(&self) -> String {
        format!("{}/hooks?key=private", self.base)
    }

    pub fn port(&self) -> u16 {
        self.base.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// The secret that the page showed.
    pub fn trust(&self, secret: Secret) {
        self.shared.lock().unwrap().secret = secret.expose().to_owned();
    }

    /// What the next deliveries are answered, in this order; then 204.
    pub fn answer(&self, answers: &[(u16, &'static str, &str)]) {
        let answers = answers
            .iter()
            .map(|(status, header, value)| (StatusCode::from_u16(*status).unwrap(), *header, (*value).to_owned()));
        self.shared.lock().unwrap().answers.extend(answers);
    }

    /// Waits until something has come.
    pub async fn first(&self) {
        self.came.notified().await;
    }

    pub fn got(&self) -> Vec<Got> {
        self.shared.lock().unwrap().got.clone()
    }
}

async fn take(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> Response {
    let mut shared = receiver.shared.lock().unwrap();
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let (id, timestamp, text) =
        (header("webhook-id"), header("webhook-timestamp"), String::from_utf8(body.to_vec()).unwrap());
    let key = STANDARD.decode(shared.secret.trim_start_matches("whsec_")).unwrap();
    let right = format!("v1,{}", STANDARD.encode(hmac(&key, format!("{id}.{timestamp}.{text}").as_bytes())));
    let signatures = header("webhook-signature");
    shared.got.push(Got {
        timestamp: timestamp.parse().unwrap_or_default(),
        body: serde_json::from_str(&text).unwrap_or_default(),
        signatures: signatures.split(' ').count(),
        verified: signatures.split(' ').any(|signature| signature == right),
        id,
        text,
    });
    // Kept for who asks later.
    receiver.came.notify_one();
    if shared.answers.is_empty() {
        return StatusCode::NO_CONTENT.into_response();
    }
    let (status, header, value) = shared.answers.remove(0);
    let mut response = (status, "x".repeat(100_000)).into_response();
    if !header.is_empty() {
        response.headers_mut().insert(header, HeaderValue::from_str(&value).unwrap());
    }
    response
}

/// HMAC-SHA256 by the book (RFC 2104).
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 64];
    block[..key.len()].copy_from_slice(key);
    let pad = |with: u8| block.map(|byte| byte ^ with);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}
