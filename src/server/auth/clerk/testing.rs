//! A token issuer for tests: keys, valid and forged tokens, and a key set on loopback.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::server::config::ClerkApp;

pub use crate::server::store::testing::START as NOW;

pub const ISSUER: &str = "https://clerk.example.com";
pub const ORIGIN: &str = "https://evergrant.example.com";

/// Returns the claims of Ann, an admin of Harbour, valid for a minute.
pub fn claims() -> Value {
    json!({
        "v": 2, "sub": "user_1", "sid": "sess_1", "sts": "active", "iss": ISSUER, "azp": ORIGIN,
        "iat": NOW, "nbf": NOW - 10, "exp": NOW + 60,
        "o": { "id": "org_1", "slg": "harbour", "rol": "admin", "per": "read", "fpm": "1" },
    })
}

pub struct Issuer {
    pub kid: String,
    pem: String,
    signing: EncodingKey,
}

impl Issuer {
    /// Creates an issuer. There are only two keys, because generating one is slow; consecutive issuers differ.
    pub fn new(kid: &str) -> Self {
        static KEYS: OnceLock<[(String, String); 2]> = OnceLock::new();
        static TURN: AtomicUsize = AtomicUsize::new(0);
        let keys = KEYS.get_or_init(|| [generate_keys(), generate_keys()]);
        let (private, public) = &keys[TURN.fetch_add(1, Ordering::SeqCst) % 2];
        let signing = EncodingKey::from_rsa_pem(private.as_bytes()).unwrap();
        Self { kid: kid.to_owned(), pem: public.clone(), signing }
    }

    pub fn app_with_pem(&self) -> ClerkApp {
        ClerkApp {
            publishable_key: "pk_test_x".into(),
            frontend_api: ISSUER.into(),
            jwt_key: Some(DecodingKey::from_rsa_pem(self.pem.as_bytes()).unwrap()),
            authorized_parties: vec![ORIGIN.into()],
            webhook_key: None,
        }
    }

    pub fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::RS256) };
        encode(&header, claims, &self.signing).unwrap()
    }

    /// Signs the claims with wrong algorithms: unsigned, with the public key as the secret, and with other RSA schemes.
    pub fn sign_with_wrong_algorithms(&self, claims: &Value) -> Vec<(String, &'static str)> {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let unsigned = |alg: &str| format!("{}.{}.", part(&json!({ "alg": alg, "kid": self.kid })), part(claims));
        let with = |algorithm, key: &EncodingKey| {
            let header = Header { kid: Some(self.kid.clone()), ..Header::new(algorithm) };
            encode(&header, claims, key).unwrap()
        };
        let public = EncodingKey::from_secret(self.pem.as_bytes());
        vec![
            (unsigned("none"), "none"),
            (unsigned("None"), "None"),
            (with(Algorithm::HS256, &public), "HS256 with the public key"),
            (with(Algorithm::RS384, &self.signing), "RS384"),
            (with(Algorithm::PS256, &self.signing), "PS256"),
        ]
    }

    fn jwk(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.signing, Algorithm::RS256).unwrap();
        jwk.common.key_id = Some(self.kid.clone());
        serde_json::to_value(jwk).unwrap()
    }
}

/// Generates a private key and its public key, as PEM.
fn generate_keys() -> (String, String) {
    let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let private: Pkcs8V1Der = key.as_der().unwrap();
    let public: PublicKeyX509Der = key.public_key().as_der().unwrap();
    (pem("PRIVATE KEY", private.as_ref()), pem("PUBLIC KEY", public.as_ref()))
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

/// A key set, served on loopback.
pub struct JwksServer {
    pub origin: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    keys: Mutex<Vec<Value>>,
    requests: AtomicUsize,
    failing: AtomicBool,
}

impl JwksServer {
    pub async fn serve(issuers: &[Issuer]) -> Self {
        let shared = Arc::new(Shared::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let answering = Arc::clone(&shared);
        let answer = move || std::future::ready(answering.respond());
        let router = axum::Router::new().route("/.well-known/jwks.json", axum::routing::get(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let jwks = Self { origin, shared };
        jwks.publish(issuers);
        jwks
    }

    pub fn publish(&self, issuers: &[Issuer]) {
        *self.shared.keys.lock().unwrap() = issuers.iter().map(Issuer::jwk).collect();
    }

    pub fn set_failing(&self, failing: bool) {
        self.shared.failing.store(failing, Ordering::SeqCst);
    }

    pub fn request_count(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn respond(&self) -> (StatusCode, axum::Json<Value>) {
        self.requests.fetch_add(1, Ordering::SeqCst);
        let failing = self.failing.load(Ordering::SeqCst);
        let status = if failing { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
        (status, axum::Json(json!({ "keys": *self.keys.lock().unwrap() })))
    }
}
