//! The sandbox over TCP, and `Provider`, which starts one for the tests of other parts.

mod api;
mod control;
mod faults;
mod journey;
mod oddities;
mod refusals;

use crate::support::http::test_client;
use crate::support::wait::{MAX_WAIT, eventually};
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use evergrant::server::clock::Clock;
use evergrant_sandbox::{DEFAULT_SCOPES, Options, SANDBOX_CLIENT_ID, SANDBOX_CLIENT_SECRET, Sandbox, TEST_SIGNING_KEY};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub(crate) const START: i64 = 1_800_000_000;
const CALLBACK: &str = "http://localhost:3000/api/integrations/xero/callback";
/// The verifier and challenge of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const HARBOUR: &str = "c3f2a0d4-51f7-4c0e-8a39-0b6c8e7d1a01";

/// A sandbox on its own port, with a manual clock and the fixed signing key.
pub(crate) struct Provider {
    pub(crate) base: String,
    pub(crate) sandbox: Sandbox,
    pub(crate) client: Client,
    pub(crate) clock: Arc<AtomicI64>,
    /// The names of all request headers received so far.
    pub(crate) headers: Arc<Mutex<BTreeSet<String>>>,
    serving: JoinHandle<io::Result<()>>,
}

impl Provider {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn with_state_file(file: PathBuf) -> Self {
        Self::start_with(|options| options.state_file = Some(file)).await
    }

    /// Starts on the machine's time, as a test needs whose server runs in a process of its own.
    pub(crate) async fn on_system_time() -> Self {
        Self::on_system_time_with(|_| {}).await
    }

    pub(crate) async fn on_system_time_with(adjust: impl FnOnce(&mut Options)) -> Self {
        let clock = Clock::system();
        Self::start_with(|options| {
            options.now = Arc::new(move || clock.now());
            adjust(options);
        })
        .await
    }

    pub(crate) async fn start_with(adjust: impl FnOnce(&mut Options)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let clock = Arc::new(AtomicI64::new(START));
        let now = clock.clone();
        let mut options = Options::new(base.clone(), Arc::new(move || now.load(Ordering::SeqCst)));
        options.signing_key = Some(TEST_SIGNING_KEY.to_vec());
        adjust(&mut options);
        let sandbox = Sandbox::open(options).await.unwrap();
        let headers = Arc::<Mutex<BTreeSet<String>>>::default();
        let received = headers.clone();
        let record_headers = move |request: Request, next: Next| {
            received.lock().unwrap().extend(request.headers().keys().map(ToString::to_string));
            next.run(request)
        };
        let router = sandbox.router().layer(middleware::from_fn(record_headers));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await });
        let client = test_client();
        Self { base, sandbox, client, clock, headers, serving }
    }

    /// Accepts no more connections.
    pub(crate) async fn stop(&self) {
        self.serving.abort();
        let closed = async || self.client.get(&self.base).send().await.is_err_and(|error| error.is_connect());
        eventually("the end of the provider", MAX_WAIT, closed).await;
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.clock.fetch_add(seconds, Ordering::SeqCst);
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.client.get(format!("{}{path}", self.base)).send().await.unwrap()
    }

    pub(crate) async fn get_as(&self, access_token: &str, path: &str) -> Response {
        self.client.get(format!("{}{path}", self.base)).bearer_auth(access_token).send().await.unwrap()
    }

    pub(crate) async fn organization(&self, access_token: &str, tenant_id: &str) -> Response {
        self.organization_request(access_token, tenant_id).send().await.unwrap()
    }

    pub(crate) fn organization_request(&self, access_token: &str, tenant_id: &str) -> RequestBuilder {
        let address = format!("{}/api.xro/2.0/Organisation", self.base);
        self.client.get(address).bearer_auth(access_token).header("xero-tenant-id", tenant_id)
    }

    pub(crate) fn token_request(&self, form: &[(&str, &str)]) -> RequestBuilder {
        let address = format!("{}/connect/token", self.base);
        self.client.post(address).basic_auth(SANDBOX_CLIENT_ID, Some(SANDBOX_CLIENT_SECRET)).form(form)
    }

    pub(crate) fn refresh_request(&self, refresh_token: &str) -> RequestBuilder {
        self.token_request(&[("grant_type", "refresh_token"), ("refresh_token", refresh_token)])
    }

    pub(crate) async fn refresh(&self, refresh_token: &str) -> (StatusCode, Value) {
        read_json(self.refresh_request(refresh_token).send().await.unwrap()).await
    }

    pub(crate) async fn redeem(&self, code: &str, verifier: &str) -> (StatusCode, Value) {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", verifier),
        ];
        read_json(self.token_request(&form).send().await.unwrap()).await
    }

    /// Submits the form of the consent page.
    pub(crate) async fn submit_consent(&self, fields: &[(&str, &str)]) -> Response {
        let mut form = authorize_fields(DEFAULT_SCOPES);
        form.extend_from_slice(fields);
        self.client.post(format!("{}/identity/connect/authorize", self.base)).form(&form).send().await.unwrap()
    }

    /// Connects tenants as Mere and returns the code.
    pub(crate) async fn consent(&self, tenants: &[&str]) -> String {
        let mut form = vec![("person", "mere"), ("decision", "allow")];
        form.extend(tenants.iter().map(|tenant| ("tenant", *tenant)));
        let response = self.submit_consent(&form).await;
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        callback_parameter(&response, "code").unwrap()
    }

    /// Posts to a control route and returns the response's JSON.
    pub(crate) async fn control(&self, path: &str, body: Value) -> Value {
        let address = format!("{}/_control/{path}", self.base);
        let response = self.client.post(address).json(&body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path} {body}");
        response.json().await.unwrap()
    }

    /// Injects a fault into the provider's next responses.
    pub(crate) async fn inject_fault(&self, fault: Value) {
        self.control("faults", fault).await;
    }

    /// Removes every fault that has not struck.
    pub(crate) async fn clear_faults(&self) {
        self.clear("faults").await;
    }

    /// Removes every oddity that has not been used.
    pub(crate) async fn clear_oddities(&self) {
        self.clear("oddities").await;
    }

    async fn clear(&self, queue: &str) {
        let response = self.client.delete(format!("{}/_control/{queue}", self.base)).send().await.unwrap();
        assert!(response.status().is_success(), "{queue}");
    }

    /// Waits until this many responses are held. Panics if fewer are after the provider's own limit, or more.
    pub(crate) async fn waiting(&self, responses: usize) {
        let body: Value = self.get(&format!("/_control/waiting?at_least={responses}")).await.json().await.unwrap();
        assert_eq!(body["waiting"], responses, "held responses");
    }

    /// Counts the refresh requests that reached the token endpoint.
    pub(crate) async fn exchange_count(&self) -> usize {
        self.ledger().await.iter().filter(|entry| entry["grant_type"] == "refresh_token").count()
    }

    pub(crate) async fn ledger(&self) -> Vec<Value> {
        self.get("/_control/ledger").await.json().await.unwrap()
    }

    pub(crate) async fn connections(&self, access_token: &str) -> Vec<Value> {
        let response = self.get_as(access_token, "/connections").await;
        assert_eq!(response.status(), StatusCode::OK);
        response.json().await.unwrap()
    }
}

/// The fields of the app's authorize request.
fn authorize_fields(scope: &str) -> Vec<(&str, &str)> {
    vec![
        ("response_type", "code"),
        ("client_id", SANDBOX_CLIENT_ID),
        ("redirect_uri", CALLBACK),
        ("scope", scope),
        ("state", "a state & more"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ]
}

/// Returns a parameter of the callback that a response redirects to.
fn callback_parameter(response: &Response, name: &str) -> Option<String> {
    let location = response.headers()["location"].to_str().unwrap();
    assert!(location.starts_with(&format!("{CALLBACK}?")), "{location}");
    let address = url::Url::parse(location).unwrap();
    address.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

async fn read_json(response: Response) -> (StatusCode, Value) {
    (response.status(), response.json().await.unwrap())
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("no {field} in {value}")).to_owned()
}

fn invalid_grant() -> (StatusCode, Value) {
    (StatusCode::BAD_REQUEST, json!({ "error": "invalid_grant" }))
}
