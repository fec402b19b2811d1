//! The whole server on a port of its own, in sandbox mode, with a clock that stands still and the demo's people.

use std::num::NonZeroU32;
use std::time::Duration;

use evergrant::server::app;
use evergrant::server::clock::Clock;
use evergrant::server::config::{Config, LogFormat, MetricsConfig, NotifyConfig, ServingConfig, SignIn, SweepConfig};
use evergrant::server::domain::{KeepHot, Secret};
use evergrant::server::seed::{DEMO_EMAIL, DEMO_PASSWORD};
use evergrant::server::xero::Endpoints;
use reqwest::header::{ACCEPT, COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::databases::TestDatabase;
use crate::sandbox::START;

/// What reads `/metrics`.
pub const METRICS_TOKEN: &str = "scrape-me";
pub const JSON: &str = "application/json";
pub const HTML: &str = "text/html,application/xhtml+xml";

/// A running server; it ends with the test.
pub struct App {
    pub database: TestDatabase,
    pub base: String,
    pub client: Client,
    _data: TempDir,
}

/// One browser's cookies.
pub struct Browser<'a> {
    app: &'a App,
    cookies: Vec<(String, String)>,
}

impl App {
    pub async fn each() -> Vec<Self> {
        let mut each = Vec::new();
        for database in TestDatabase::each().await {
            each.push(Self::start(database).await);
        }
        each
    }

    pub async fn start(database: TestDatabase) -> Self {
        let data = TempDir::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        let config = config(&database, &base, &data);
        // It is stopped with the test's runtime.
        tokio::spawn(app::run(config, Clock::manual(START), listener, std::future::pending()));
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
        let app = Self { database, base, client, _data: data };
        app.wait_until_it_answers().await;
        app
    }

    /// The listener queues a first request while the server still starts.
    async fn wait_until_it_answers(&self) {
        let answer = self.client.get(format!("{}/healthz", self.base)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }

    pub fn browser(&self) -> Browser<'_> {
        Browser { app: self, cookies: Vec::new() }
    }

    /// Somebody signed in as the demo's person.
    pub async fn demo(&self) -> Browser<'_> {
        let mut browser = self.browser();
        let answer = browser.form("/api/session/login", &[("email", DEMO_EMAIL), ("password", DEMO_PASSWORD)]).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        browser
    }

    /// A hand on the provider.
    pub async fn control(&self, path: &str, body: Value) -> Value {
        let answer =
            self.client.post(format!("{}/sandbox/xero/_control/{path}", self.base)).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path} {body}");
        answer.json().await.unwrap()
    }

    /// How often the provider's token endpoint was asked for a refresh.
    pub async fn exchanges(&self) -> usize {
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

    /// A page's text.
    pub async fn page(&mut self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.text().await.unwrap()
    }

    /// A plain form, as a browser without wasm posts it.
    pub async fn form(&mut self, path: &str, fields: &[(&str, &str)]) -> Response {
        let request = self.request(Method::POST, path, HTML).header("origin", &self.app.base).form(fields);
        self.send(request).await
    }

    /// A server function, as the page's own script calls it.
    pub async fn call(&mut self, path: &str, fields: &[(&str, &str)]) -> (StatusCode, Value) {
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

    /// The id of the organisation of this name, from the switcher on the page.
    pub async fn org_id(&mut self, name: &str) -> String {
        let page = self.page("/").await;
        organisations(&page).into_iter().find(|(_, known)| known == name).map(|(id, _)| id).unwrap()
    }
}

/// Where an answer leads.
pub fn location(answer: &Response) -> &str {
    answer.headers()[LOCATION].to_str().unwrap()
}

/// The switcher's buttons: id and name.
fn organisations(page: &str) -> Vec<(String, String)> {
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
        // A pass comes only where a test calls for it.
        keep_activity: Duration::from_secs(365 * 24 * 60 * 60),
        api_rate: NonZeroU32::new(60).unwrap(),
        sweep: SweepConfig {
            interval: Duration::from_secs(60 * 60),
            keep_hot: KeepHot::None,
            rate: NonZeroU32::MAX,
            connections_interval: Duration::from_secs(24 * 60 * 60),
        },
        log_format: LogFormat::Text,
        notify: NotifyConfig::default(),
        sign_in: SignIn::Local,
        metrics: MetricsConfig { token: Some(Secret::new(METRICS_TOKEN)), listen: None },
    }
}
