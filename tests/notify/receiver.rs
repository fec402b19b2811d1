//! A webhook receiver that verifies each signature by the specification of the scheme, without our code.

use crate::support::wait::{MAX_WAIT, within};
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

/// A server on its own port. It ends with the test's runtime.
#[derive(Clone)]
pub struct Receiver {
    base: String,
    state: Arc<Mutex<ReceiverState>>,
    delivered: Arc<Notify>,
}

#[derive(Default)]
struct ReceiverState {
    secret: String,
    responses: Vec<(StatusCode, &'static str, String)>,
    deliveries: Vec<ReceivedDelivery>,
}

/// A received delivery.
#[derive(Clone, Debug)]
pub struct ReceivedDelivery {
    pub id: String,
    pub timestamp: i64,
    pub text: String,
    pub body: Value,
    /// Number of signatures in the header.
    pub signatures: usize,
    /// Whether one of them is valid for the secret.
    pub verified: bool,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let receiver = Self { base, state: Arc::default(), delivered: Arc::default() };
        let router = Router::new().fallback(receive_delivery).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        receiver
    }

    pub fn url(&self) -> String {
        format!("{}/hooks?key=private", self.base)
    }

    pub fn port(&self) -> u16 {
        self.base.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// Sets the secret that verifies deliveries.
    pub fn set_secret(&self, secret: Secret) {
        self.state.lock().unwrap().secret = secret.expose().to_owned();
    }

    /// Queues responses to the next deliveries: status, header name and header value. Later ones get 204.
    pub fn queue_responses(&self, answers: &[(u16, &'static str, &str)]) {
        let answers = answers
            .iter()
            .map(|(status, header, value)| (StatusCode::from_u16(*status).unwrap(), *header, (*value).to_owned()));
        self.state.lock().unwrap().responses.extend(answers);
    }

    /// Waits until a delivery has arrived.
    pub async fn wait_for_delivery(&self) {
        within("a delivery", MAX_WAIT, self.delivered.notified()).await;
    }

    pub fn deliveries(&self) -> Vec<ReceivedDelivery> {
        self.state.lock().unwrap().deliveries.clone()
    }
}

async fn receive_delivery(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> Response {
    let mut shared = receiver.state.lock().unwrap();
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let (id, timestamp, text) =
        (header("webhook-id"), header("webhook-timestamp"), String::from_utf8(body.to_vec()).unwrap());
    let key = STANDARD.decode(shared.secret.trim_start_matches("whsec_")).unwrap();
    let right = format!("v1,{}", STANDARD.encode(hmac(&key, format!("{id}.{timestamp}.{text}").as_bytes())));
    let signatures = header("webhook-signature");
    shared.deliveries.push(ReceivedDelivery {
        timestamp: timestamp.parse().unwrap_or_default(),
        body: serde_json::from_str(&text).unwrap_or_default(),
        signatures: signatures.split(' ').count(),
        verified: signatures.split(' ').any(|signature| signature == right),
        id,
        text,
    });
    // Stores a permit if no one is waiting yet.
    receiver.delivered.notify_one();
    if shared.responses.is_empty() {
        return StatusCode::NO_CONTENT.into_response();
    }
    let (status, header, value) = shared.responses.remove(0);
    let mut response = (status, "x".repeat(100_000)).into_response();
    if !header.is_empty() {
        response.headers_mut().insert(header, HeaderValue::from_str(&value).unwrap());
    }
    response
}

/// HMAC-SHA256 (RFC 2104).
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 64];
    block[..key.len()].copy_from_slice(key);
    let pad = |with: u8| block.map(|byte| byte ^ with);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}
