//! A whole server as an operator sets it up, with credentials for a Xero elsewhere (a sandbox on another port), its
//! own people, and browsers that keep cookies and follow nothing. `app` is the same in sandbox mode.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use axum::http::StatusCode;
use clap::Parser;
use evergrant::model::OrgId;
use evergrant::sandbox::{SANDBOX_CLIENT_ID, SANDBOX_CLIENT_SECRET};
use evergrant::server::app;
use evergrant::server::auth::LocalAuth;
use evergrant::server::clock::Clock;
use evergrant::server::config::Settings;
use evergrant::server::domain::Secret;
use evergrant::server::store::{Added, Bound, Store};
use reqwest::header::{COOKIE, HeaderMap, LOCATION, SET_COOKIE};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::databases::TestDatabase;
use super::keeper::ring;
use crate::sandbox::{Provider, START};

pub const PASSWORD: &str = "correct horse battery";

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    settings: Settings,
}

/// Evergrant as `serve` runs it, with Xero's place taken by a sandbox on another port.
pub struct Web {
    pub base: String,
    pub provider: Provider,
    pub clock: Clock,
    /// A second hand on the same database.
    pub store: Store,
    stop: CancellationToken,
    running: JoinHandle<()>,
    _folder: TempDir,
    _database: TestDatabase,
}

/// An answer, read whole.
pub struct Page {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Web {
    pub async fn start() -> Self {
        Self::on(TestDatabase::sqlite()).await
    }

    pub async fn on(database: TestDatabase) -> Self {
        Self::with(database, &[]).await
    }

    /// The same with further flags.
    pub async fn with(database: TestDatabase, more: &[(&str, &str)]) -> Self {
        let (provider, clock, folder) = (Provider::start().await, Clock::manual(START), TempDir::new().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let data = folder.path().display().to_string();
        let keys = format!("test:{}=", "A".repeat(43));
        let flags = [
            ("--database-url", database.url.as_str()),
            ("--public-url", &base),
            ("--data-dir", &data),
            ("--keys", &keys),
            ("--xero-client-id", SANDBOX_CLIENT_ID),
            ("--xero-client-secret", SANDBOX_CLIENT_SECRET),
            ("--xero-login-url", &provider.base),
            ("--xero-identity-url", &provider.base),
            ("--xero-api-url", &provider.base),
            ("--sweep-interval", "1h"),
        ];
        let flags = flags.iter().chain(more).flat_map(|(name, value)| [*name, *value]);
        let config = Flags::parse_from(std::iter::once("evergrant").chain(flags)).settings.check().unwrap();
        let store = Store::new(database.open().await, ring(), clock.clone());
        let (stop, hand) = (CancellationToken::new(), clock.clone());
        let told = stop.clone().cancelled_owned();
        let running = tokio::spawn(async move { app::run(config, hand, listener, told).await.unwrap() });
        Self { base, provider, clock, store, stop, running, _folder: folder, _database: database }
    }

    /// Adds a person, in this organisation.
    pub async fn add(&self, email: &str, org: &str) -> Added {
        let auth = LocalAuth::new(self.store.clone()).unwrap();
        auth.add_user(email, Secret::new(PASSWORD), Some(org)).await.unwrap()
    }

    /// A person with an organisation, signed in.
    pub async fn person(&self, email: &str, org: &str) -> (Browser, OrgId) {
        let org = self.add(email, org).await.org.unwrap().0;
        let browser = self.browser();
        browser.sign_in(email).await;
        (browser, org)
    }

    pub fn browser(&self) -> Browser {
        Browser::at_home(&self.base)
    }

    /// Lets time pass for both sides.
    pub fn advance(&self, seconds: i64) {
        self.clock.advance(seconds);
        self.provider.clock.fetch_add(seconds, Ordering::SeqCst);
    }

    pub async fn bindings(&self, org: &OrgId) -> Vec<Bound> {
        self.store.bindings_of_org(org).await.unwrap()
    }

    /// Tells the server to stop, and waits until it has finished what was under way.
    pub async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap();
    }
}

/// A browser without wasm: it sends forms and keeps cookies.
pub struct Browser {
    base: String,
    pub client: reqwest::Client,
    cookies: Mutex<BTreeMap<String, String>>,
}

impl Browser {
    /// A browser that knows nothing yet, with the server that it goes to.
    pub fn at_home(base: &str) -> Self {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
        Self { base: base.to_owned(), client, cookies: Mutex::default() }
    }

    pub async fn get(&self, path: &str) -> Page {
        self.send(self.client.get(self.at(path)).header("accept", "text/html")).await
    }

    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Page {
        let request = self.client.post(self.at(path)).header("origin", &self.base).header("accept", "text/html");
        self.send(request.header("referer", format!("{}/settings/integrations", self.base)).form(form)).await
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Page {
        let cookies: Vec<String> =
            self.cookies.lock().unwrap().iter().map(|(name, value)| format!("{name}={value}")).collect();
        let response = request.header(COOKIE, cookies.join("; ")).send().await.unwrap();
        for cookie in response.headers().get_all(SET_COOKIE) {
            let (pair, rest) = cookie.to_str().unwrap().split_once("; ").unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            let mut jar = self.cookies.lock().unwrap();
            if rest.contains("Max-Age=0") {
                jar.remove(name)
            } else {
                jar.insert(name.into(), value.into())
            };
        }
        let (status, headers) = (response.status(), response.headers().clone());
        Page { status, headers, text: response.text().await.unwrap() }
    }

    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.lock().unwrap().get(name).cloned()
    }

    pub fn set_cookie(&self, name: &str, value: &str) {
        self.cookies.lock().unwrap().insert(name.into(), value.into());
    }

    pub async fn sign_in(&self, email: &str) -> Page {
        let page = self.post("/api/session/login", &[("email", email), ("password", PASSWORD)]).await;
        assert_eq!(page.location(), "/", "{email} signs in");
        page
    }

    /// Presses Connect, and says what Xero's page then asks.
    pub async fn connect(&self) -> Vec<(String, String)> {
        let page = self.post("/api/integrations/xero/connect", &[]).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER);
        let address = url::Url::parse(page.location()).expect("connect leads to Xero");
        address.query_pairs().into_owned().collect()
    }

    /// Goes where Xero sends the browser back to, and says which message the next page will show.
    pub async fn come_back(&self, address: &str) -> String {
        let path = address.strip_prefix(&self.base).expect("Xero leads back to us");
        let page = self.get(path).await;
        assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, "/settings/integrations"));
        self.notice()
    }

    pub fn notice(&self) -> String {
        self.cookie("evergrant_notice").unwrap_or_default()
    }
}

impl Page {
    pub fn location(&self) -> &str {
        self.headers.get(LOCATION).map_or("", |value| value.to_str().unwrap())
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}
