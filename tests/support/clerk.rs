//! A fake Clerk: an issuer with its key set on loopback, and webhooks with Svix signatures.

use aws_lc_rs::hmac;
use axum::Json;
use axum::http::StatusCode;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use evergrant_sandbox::TEST_SIGNING_KEY;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::browser::{Browser, Page};
use super::databases::TestDatabase;
use super::test_server::TestServer;

const WEBHOOK_KEY: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A server that authenticates with the fake Clerk.
pub struct FakeClerk {
    pub server: TestServer,
    pub issuer: String,
    key: EncodingKey,
}

/// A signed-in session at Clerk.
#[derive(Clone)]
pub struct ClerkSession {
    pub user: String,
    pub session: String,
    /// Organization id, slug and role.
    pub org: Option<(&'static str, &'static str, &'static str)>,
}

impl ClerkSession {
    pub fn ann() -> Self {
        Self { user: "user_ann".into(), session: "sess_ann".into(), org: Some(("org_1", "harbour", "admin")) }
    }

    pub fn with_role(self, role: &'static str) -> Self {
        Self { org: Some(("org_1", "harbour", role)), ..self }
    }

    pub fn without_org(self) -> Self {
        Self { org: None, ..self }
    }
}

impl FakeClerk {
    pub async fn on(database: TestDatabase) -> Self {
        let secret = format!("whsec_{WEBHOOK_KEY}");
        Self::with_flags(database, &[("--clerk-webhook-secret", secret.as_str())]).await
    }

    /// Starts a server that accepts no webhooks.
    pub async fn without_webhooks(database: TestDatabase) -> Self {
        Self::with_flags(database, &[]).await
    }

    async fn with_flags(database: TestDatabase, extra_flags: &[(&str, &str)]) -> Self {
        let key = EncodingKey::from_rsa_pem(private_key().as_bytes()).unwrap();
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::RS256).unwrap();
        jwk.common.key_id = Some("k1".to_owned());
        let keys = json!({ "keys": [jwk] });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let answer = move || std::future::ready(Json(keys.clone()));
        let router = axum::Router::new().route("/.well-known/jwks.json", get(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });

        let publishable = format!("pk_test_{}", STANDARD.encode(format!("{host}$")));
        let flags = [("--auth", "clerk"), ("--clerk-publishable-key", publishable.as_str())];
        let flags = [&flags[..], extra_flags].concat();
        Self { server: TestServer::with_flags(database, &flags).await, issuer: format!("http://{host}"), key }
    }

    /// Returns the claims of a token that is issued now for this session.
    pub fn claims(&self, visitor: &ClerkSession) -> Value {
        let now = self.server.clock.now();
        let mut claims = json!({
            "v": 2, "sub": visitor.user, "sid": visitor.session, "sts": "active", "iss": self.issuer,
            "azp": self.server.base, "iat": now, "nbf": now - 10, "exp": now + 60,
        });
        if let Some((id, slug, role)) = visitor.org {
            claims["o"] = json!({ "id": id, "slg": slug, "rol": role });
        }
        claims
    }

    pub fn sign(&self, claims: &Value) -> String {
        self.sign_as("k1", claims)
    }

    pub fn sign_as(&self, kid: &str, claims: &Value) -> String {
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::RS256) };
        encode(&header, claims, &self.key).unwrap()
    }

    pub fn token(&self, visitor: &ClerkSession) -> String {
        self.sign(&self.claims(visitor))
    }

    /// Returns a browser with this session's cookie.
    pub fn browser(&self, visitor: &ClerkSession) -> Browser {
        let browser = self.server.browser();
        browser.set_cookie("__session", &self.token(visitor));
        browser
    }

    /// Calls the refresh function with an optional bearer token.
    pub async fn refresh(&self, authorization: Option<String>) -> Page {
        let browser = self.server.browser();
        let mut request = browser.client.post(browser.url("/api/integrations/xero/refresh"));
        if let Some(token) = authorization {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        browser.send(request).await
    }

    /// Signs and delivers a webhook event, and returns the response's status and body.
    pub async fn deliver_event(&self, id: &str, kind: &str, data: Value) -> (StatusCode, String) {
        let body = json!({ "object": "event", "type": kind, "data": data }).to_string();
        let sent = self.server.clock.now().to_string();
        let signature = signature(id, &sent, &body);
        self.post_webhook(&[("svix-id", id), ("svix-timestamp", &sent), ("svix-signature", &signature)], body).await
    }

    pub async fn post_webhook(&self, headers: &[(&str, &str)], body: String) -> (StatusCode, String) {
        let browser = self.server.browser();
        let mut request = browser.client.post(browser.url("/api/webhooks/clerk")).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let page = browser.send(request).await;
        (page.status, page.text)
    }
}

/// Returns the `svix-signature` header.
pub fn signature(id: &str, timestamp: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(WEBHOOK_KEY).unwrap());
    let tag = hmac::sign(&key, format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(tag))
}

/// Returns the data of a membership event.
pub fn membership_data(user: &str, identifier: &str, role: &str) -> Value {
    json!({
        "id": "orgmem_1", "object": "organization_membership", "role": role,
        "organization": { "id": "org_1", "name": "Harbour Group", "slug": "harbour" },
        "public_user_data": { "user_id": user, "identifier": identifier },
    })
}

/// Returns the sandbox's RSA key as PEM. A new one would take a moment in each process.
fn private_key() -> String {
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(TEST_SIGNING_KEY))
}
