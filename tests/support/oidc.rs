//! A fake OpenID Connect provider on loopback: discovery, keys, and a token endpoint that issues what a test sets.

use std::sync::{Arc, Mutex};

use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use evergrant_sandbox::TEST_SIGNING_KEY;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use url::Url;

use super::browser::{Browser, Page};
use super::databases::TestDatabase;
use super::test_server::TestServer;

const CLIENT_ID: &str = "evergrant client";
const CLIENT_SECRET: &str = "s3cret:&";
const CODE: &str = "code-1";

/// What the provider answers with.
#[derive(Clone)]
struct Behavior {
    down: bool,
    kid: &'static str,
    algorithm: Algorithm,
    unsigned: bool,
    claims: Value,
    /// Claims that replace those of a correct token.
    changes: Vec<(&'static str, Value)>,
}

struct Shared {
    issuer: String,
    key: EncodingKey,
    behavior: Mutex<Behavior>,
    /// The nonce and the PKCE challenge of the last authorization.
    authorized: Mutex<Option<(String, String)>>,
}

/// A server whose people may sign in with the fake provider.
pub struct FakeOidc {
    pub server: TestServer,
    shared: Arc<Shared>,
}

impl FakeOidc {
    /// Starts both. Verified addresses of `harbour.example` are admitted.
    pub async fn on(database: TestDatabase, extra_flags: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let pem =
            format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(TEST_SIGNING_KEY));
        let behavior = Behavior {
            down: false,
            kid: "k1",
            algorithm: Algorithm::RS256,
            unsigned: false,
            claims: json!({ "sub": "ann", "email": "Ann@Harbour.example", "email_verified": true }),
            changes: Vec::new(),
        };
        let shared = Arc::new(Shared {
            issuer: issuer.clone(),
            key: EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap(),
            behavior: Mutex::new(behavior),
            authorized: Mutex::default(),
        });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let flags = [
            ("--oidc-issuer", issuer.as_str()),
            ("--oidc-client-id", CLIENT_ID),
            ("--oidc-client-secret", CLIENT_SECRET),
            ("--oidc-domains", "harbour.example"),
            ("--oidc-name", "Harbour ID"),
        ];
        Self { server: TestServer::with_flags(database, &[&flags[..], extra_flags].concat()).await, shared }
    }

    pub fn issuer(&self) -> &str {
        &self.shared.issuer
    }

    pub fn set_down(&self, down: bool) {
        self.shared.behavior.lock().unwrap().down = down;
    }

    /// Signs with the key of this id from now on, and publishes no other.
    pub fn rotate_key(&self, kid: &'static str) {
        self.shared.behavior.lock().unwrap().kid = kid;
    }

    /// Says who signs in.
    pub fn set_person(&self, claims: Value) {
        self.shared.behavior.lock().unwrap().claims = claims;
    }

    /// Issues tokens with these claims instead of correct ones.
    pub fn set_changes(&self, changes: Vec<(&'static str, Value)>) {
        self.shared.behavior.lock().unwrap().changes = changes;
    }

    /// Issues tokens without a signature.
    pub fn set_unsigned(&self, unsigned: bool) {
        self.shared.behavior.lock().unwrap().unsigned = unsigned;
    }

    /// Issues tokens signed with the client secret.
    pub fn set_algorithm(&self, algorithm: Algorithm) {
        self.shared.behavior.lock().unwrap().algorithm = algorithm;
    }

    /// Starts a sign-in, authorizes it at the provider, and returns the callback's path.
    pub async fn authorize(&self, browser: &Browser, start: &str) -> String {
        let page = browser.get(start).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER);
        let url = Url::parse(page.location()).expect("the start must redirect to the provider");
        assert!(url.as_str().starts_with(&format!("{}/authorize?", self.shared.issuer)), "{url}");
        let query: std::collections::HashMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!((query["response_type"].as_str(), query["client_id"].as_str()), ("code", CLIENT_ID));
        assert_eq!(query["code_challenge_method"], "S256");
        assert!(query["scope"].split(' ').any(|scope| scope == "openid"));
        let callback = query["redirect_uri"].strip_prefix(&self.server.base).unwrap();
        *self.shared.authorized.lock().unwrap() = Some((query["nonce"].clone(), query["code_challenge"].clone()));
        format!("{callback}?code={CODE}&state={}", query["state"])
    }

    /// Signs in with the provider and returns the response of the callback.
    pub async fn sign_in(&self, browser: &Browser, start: &str) -> Page {
        let callback = self.authorize(browser, start).await;
        browser.get(&callback).await
    }
}

async fn discovery(State(shared): State<Arc<Shared>>) -> Response {
    if shared.behavior.lock().unwrap().down {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let at = |path: &str| format!("{}{path}", shared.issuer);
    Json(json!({
        "issuer": shared.issuer, "authorization_endpoint": at("/authorize"), "token_endpoint": at("/token"),
        "jwks_uri": at("/keys"), "response_types_supported": ["code"],
    }))
    .into_response()
}

async fn keys(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let mut jwk = Jwk::from_encoding_key(&shared.key, Algorithm::RS256).unwrap();
    jwk.common.key_id = Some(shared.behavior.lock().unwrap().kid.to_owned());
    Json(json!({ "keys": [jwk] }))
}

/// Issues a token as the standard asks: once for the code, to this client, for the verifier of the challenge.
async fn token(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Form(form): Form<std::collections::HashMap<String, String>>,
) -> Response {
    let behavior = shared.behavior.lock().unwrap().clone();
    if behavior.down {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let encode_part = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let credentials = format!("{}:{}", encode_part(CLIENT_ID), encode_part(CLIENT_SECRET));
    if headers["authorization"] != format!("Basic {}", STANDARD.encode(credentials)) {
        return refuse("invalid_client");
    }
    let Some((nonce, challenge)) = shared.authorized.lock().unwrap().take() else { return refuse("invalid_grant") };
    let proven = URL_SAFE_NO_PAD.encode(Sha256::digest(form["code_verifier"].as_bytes())) == challenge;
    if !proven || form["code"] != CODE || form["grant_type"] != "authorization_code" {
        return refuse("invalid_grant");
    }
    let mut claims = behavior.claims.clone();
    let now = crate::sandbox::START;
    for (name, value) in [
        ("iss", json!(shared.issuer)),
        ("aud", json!(CLIENT_ID)),
        ("iat", json!(now)),
        ("exp", json!(now + 300)),
        ("nonce", json!(nonce)),
    ] {
        claims[name] = value;
    }
    for (name, value) in behavior.changes {
        claims[name] = value;
    }
    Json(json!({ "access_token": "a", "token_type": "Bearer", "id_token": sign(&shared, &claims) })).into_response()
}

fn sign(shared: &Shared, claims: &Value) -> String {
    let behavior = shared.behavior.lock().unwrap();
    if behavior.unsigned {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        return format!("{}.{}.", part(&json!({ "alg": "none", "kid": behavior.kid })), part(claims));
    }
    let header = Header { kid: Some(behavior.kid.to_owned()), ..Header::new(behavior.algorithm) };
    match behavior.algorithm {
        Algorithm::HS256 => encode(&header, claims, &EncodingKey::from_secret(CLIENT_SECRET.as_bytes())),
        _ => encode(&header, claims, &shared.key),
    }
    .unwrap()
}

fn refuse(error: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response()
}
