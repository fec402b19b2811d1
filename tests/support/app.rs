//! A whole server in sandbox mode on its own port, with a manual clock and the demo users.

use std::future::pending;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use evergrant::server::clock::Clock;
use evergrant::server::config::{Config, MetricsConfig, NotifyConfig, ServingConfig, SignIn, SweepConfig};
use evergrant::server::domain::{KeepHot, Secret};
use evergrant::server::seed::{DEMO_EMAIL, DEMO_PASSWORD};
use evergrant::server::startup::App;
use evergrant::server::telemetry::logging::LogFormat;
use evergrant::server::xero::Endpoints;
use evergrant_sandbox::{Options, Sandbox, TEST_SIGNING_KEY};
use reqwest::header::{ACCEPT, COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::databases::TestDatabase;
use super::http::test_client;
use crate::sandbox::START;

/// The bearer token for `/metrics`.
pub const METRICS_TOKEN: &str = "scrape-me";
pub const JSON: &str = "application/json";
pub const HTML: &str = "text/html,application/xhtml+xml";

/// A running server. It stops with the test's runtime.
pub struct DemoServer {
    pub database: TestDatabase,
    pub base: String,
    pub client: Client,
    _data: TempDir,
}

/// A client with a cookie jar.
pub struct Browser<'a> {
    app: &'a DemoServer,
    cookies: Vec<(String, String)>,
}

impl DemoServer {
    /// Starts a server on `database` and waits until it answers.
    pub async fn start(database: TestDatabase) -> Self {
        let data = TempDir::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        let config = config(&database, &base, &data);
        store_signing_key(data.path()).await;
        // The test's runtime stops this task.
        tokio::spawn(async move {
            App::build(config, Clock::manual(START), listener).await.unwrap().run_until_stopped(pending()).await
        });
        let client = test_client();
        let app = Self { database, base, client, _data: data };
        app.wait_until_ready().await;
        app
    }

    /// Sends a first request. The listener queues it until the server has started.
    async fn wait_until_ready(&self) {
        let answer = self.client.get(format!("{}/healthz", self.base)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }

    pub fn browser(&self) -> Browser<'_> {
        Browser { app: self, cookies: Vec::new() }
    }

    /// Returns a browser that is signed in as the demo user.
    pub async fn demo_browser(&self) -> Browser<'_> {
        let mut browser = self.browser();
        let answer =
            browser.post_form("/api/session/login", &[("email", DEMO_EMAIL), ("password", DEMO_PASSWORD)]).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        browser
    }

    /// Posts to the sandbox's control API.
    pub async fn control(&self, path: &str, body: Value) -> Value {
        let answer =
            self.client.post(format!("{}/sandbox/xero/_control/{path}", self.base)).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path} {body}");
        answer.json().await.unwrap()
    }

    /// Counts the refresh requests that reached the provider's token endpoint.
    pub async fn exchange_count(&self) -> usize {
        let answer = self.client.get(format!("{}/sandbox/xero/_control/ledger", self.base)).send().await.unwrap();
        let ledger: Vec<Value> = answer.json().await.unwrap();
        ledger.iter().filter(|entry| entry["grant_type"] == "refresh_token").count()
    }
}

impl Browser<'_> {
    pub fn request(&self, method: Method, path: &str, accept: &str) -> RequestBuilder {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let address = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.app.base) };
        let request = self.app.client.request(method, address).header(ACCEPT, accept);
        if cookies.is_empty() { request } else { request.header(COOKIE, cookies.join("; ")) }
    }

    pub async fn get(&mut self, path: &str) -> Response {
        let request = self.request(Method::GET, path, HTML);
        self.send(request).await
    }

    /// Returns the body of a page that answers 200.
    pub async fn page_text(&mut self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.text().await.unwrap()
    }

    /// Posts a plain form, as a browser without wasm does.
    pub async fn post_form(&mut self, path: &str, fields: &[(&str, &str)]) -> Response {
        let request = self.request(Method::POST, path, HTML).header("origin", &self.app.base).form(fields);
        self.send(request).await
    }

    /// Calls a server function, as the page's script does.
    pub async fn call_server_fn(&mut self, path: &str, fields: &[(&str, &str)]) -> (StatusCode, Value) {
        let request = self.request(Method::POST, path, JSON).header("origin", &self.app.base).form(fields);
        let answer = self.send(request).await;
        let status = answer.status();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or_else(|_| json!(text)))
    }

    pub async fn send(&mut self, request: RequestBuilder) -> Response {
        let answer = request.send().await.unwrap();
        for cookie in answer.headers().get_all(SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.retain(|(known, _)| known != name);
            if !value.is_empty() {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        answer
    }

    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns the id of the organization with this name, read from the page's switcher.
    pub async fn org_id(&mut self, name: &str) -> String {
        let page = self.page_text("/").await;
        switcher_organizations(&page).into_iter().find(|(_, known)| known == name).map(|(id, _)| id).unwrap()
    }
}

/// Writes the sandbox's state file with the fixed signing key, so that the server doesn't generate one.
async fn store_signing_key(data_dir: &Path) {
    let mut options = Options::new("http://localhost", Arc::new(|| START));
    options.state_file = Some(data_dir.join("sandbox.json"));
    options.signing_key = Some(TEST_SIGNING_KEY.to_vec());
    Sandbox::open(options).await.unwrap();
}

/// Returns the `Location` header.
pub fn location(answer: &Response) -> &str {
    answer.headers()[LOCATION].to_str().unwrap()
}

/// Returns the id and name of each button of the organization switcher.
fn switcher_organizations(page: &str) -> Vec<(String, String)> {
    page.split("name=\"org_id\"")
        .skip(1)
        .filter_map(|rest| {
            let id = rest.split("value=\"").nth(1)?.split('"').next()?;
            let text = rest.split_once('>')?.1.split("</button>").next()?;
            let name: String =
                text.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text)).collect();
            Some((id.to_owned(), name.trim().to_owned()))
        })
        .collect()
}

fn config(database: &TestDatabase, base: &str, data: &TempDir) -> Config {
    let provider = "https://provider.invalid";
    Config {
        database_url: Secret::new(database.url.clone()),
        listen: "127.0.0.1:0".parse().unwrap(),
        public_url: base.parse().unwrap(),
        serving: ServingConfig { max_connections: 1000, drain: Duration::ZERO },
        trusted_proxies: "".parse().unwrap(),
        data_dir: data.path().to_owned(),
        keys: None,
        keys_file: None,
        xero_app: None,
        xero_endpoints: Endpoints::parse(provider, provider, provider).unwrap(),
        xero_scopes: "openid profile email offline_access accounting.settings.read".to_owned(),
        refresh_buffer: Duration::from_secs(600),
        roll_after: Duration::from_secs(45 * 24 * 60 * 60),
        lease_ttl: Duration::from_secs(60),
        xero_timeout: Duration::from_secs(5),
        // Background passes run only if a test calls them.
        activity_retention: Duration::from_secs(365 * 24 * 60 * 60),
        api_calls_per_minute: NonZeroU32::new(60).unwrap(),
        sweep: SweepConfig {
            interval: Duration::from_secs(60 * 60),
            keep_hot: KeepHot::None,
            exchanges_per_minute: NonZeroU32::MAX,
            connections_interval: Duration::from_secs(24 * 60 * 60),
        },
        log_format: LogFormat::Text,
        notify: NotifyConfig::default(),
        sign_in: SignIn::Local,
        metrics: MetricsConfig { token: Some(Secret::new(METRICS_TOKEN)), listen: None },
    }
}
