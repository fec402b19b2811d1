//! A stand-in for Clerk: an issuer with a key of its own and its key set on loopback, and webhooks signed as Svix does.

use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use axum::Json;
use axum::http::StatusCode;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::databases::TestDatabase;
use super::web::{Browser, Page, Web};

const WEBHOOK_KEY: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Evergrant with Clerk's place taken by this.
pub struct Clerk {
    pub web: Web,
    pub issuer: String,
    key: EncodingKey,
}

/// One signed-in session at Clerk.
#[derive(Clone)]
pub struct Visitor {
    pub user: String,
    pub session: String,
    /// Id, slug and role.
    pub org: Option<(&'static str, &'static str, &'static str)>,
}

impl Visitor {
    pub fn ann() -> Self {
        Self { user: "user_ann".into(), session: "sess_ann".into(), org: Some(("org_1", "harbour", "admin")) }
    }

    pub fn with_role(self, role: &'static str) -> Self {
        Self { org: Some(("org_1", "harbour", role)), ..self }
    }

    pub fn nowhere(self) -> Self {
        Self { org: None, ..self }
    }
}

impl Clerk {
    pub async fn on(database: TestDatabase) -> Self {
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
        let secret = format!("whsec_{WEBHOOK_KEY}");
        let flags = [
            ("--auth", "clerk"),
            ("--clerk-publishable-key", publishable.as_str()),
            ("--clerk-webhook-secret", secret.as_str()),
        ];
        Self { web: Web::with(database, &flags).await, issuer: format!("http://{host}"), key }
    }

    pub async fn each() -> Vec<Self> {
        let mut each = Vec::new();
        for database in TestDatabase::each().await {
            each.push(Self::on(database).await);
        }
        each
    }

    /// What a token of this session says now.
    pub fn claims(&self, visitor: &Visitor) -> Value {
        let now = self.web.clock.now();
        let mut claims = json!({
            "v": 2, "sub": visitor.user, "sid": visitor.session, "sts": "active", "iss": self.issuer,
            "azp": self.web.base, "iat": now, "nbf": now - 10, "exp": now + 60,
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

    pub fn token(&self, visitor: &Visitor) -> String {
        self.sign(&self.claims(visitor))
    }

    /// A browser with this session's cookie.
    pub fn browser(&self, visitor: &Visitor) -> Browser {
        let browser = self.web.browser();
        browser.set_cookie("__session", &self.token(visitor));
        browser
    }

    /// The refresh function, called as a script calls it.
    pub async fn refresh(&self, authorization: Option<String>) -> Page {
        let browser = self.web.browser();
        let mut request = browser.client.post(browser.at("/api/integrations/xero/refresh"));
        if let Some(token) = authorization {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        browser.send(request).await
    }

    /// Delivers an event, signed now; says how it was answered.
    pub async fn deliver(&self, id: &str, kind: &str, data: Value) -> (StatusCode, String) {
        let body = json!({ "object": "event", "type": kind, "data": data }).to_string();
        let sent = self.web.clock.now().to_string();
        let signature = signature(id, &sent, &body);
        self.post_webhook(&[("svix-id", id), ("svix-timestamp", &sent), ("svix-signature", &signature)], body).await
    }

    pub async fn post_webhook(&self, headers: &[(&str, &str)], body: String) -> (StatusCode, String) {
        let browser = self.web.browser();
        let mut request = browser.client.post(browser.at("/api/webhooks/clerk")).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let page = browser.send(request).await;
        (page.status, page.text)
    }
}

pub fn signature(id: &str, sent: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(WEBHOOK_KEY).unwrap());
    let tag = hmac::sign(&key, format!("{id}.{sent}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(tag))
}

/// What Clerk tells of a membership.
pub fn membership(user: &str, identifier: &str, role: &str) -> Value {
    json!({
        "id": "orgmem_1", "object": "organization_membership", "role": role,
        "organization": { "id": "org_1", "name": "Harbour Group", "slug": "harbour" },
        "public_user_data": { "user_id": user, "identifier": identifier },
    })
}

/// Made once: it takes its time.
fn private_key() -> &'static str {
    static KEY: OnceLock<String> = OnceLock::new();
    KEY.get_or_init(|| {
        let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der = key.as_der().unwrap();
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()))
    })
}
