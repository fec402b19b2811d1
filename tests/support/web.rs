//! A whole server with Xero credentials, against a sandbox on another port, and browsers that keep cookies and follow
//! no redirects. `app` starts a server in sandbox mode instead.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use axum::http::StatusCode;
use clap::Parser;
use evergrant::model::OrgId;
use evergrant::server::auth::LocalAuth;
use evergrant::server::clock::Clock;
use evergrant::server::config::Settings;
use evergrant::server::domain::Secret;
use evergrant::server::startup::App;
use evergrant::server::store::{BindingWithGrant, CreatedUser, Store};
use evergrant_sandbox::{SANDBOX_CLIENT_ID, SANDBOX_CLIENT_SECRET};
use reqwest::header::{COOKIE, HeaderMap, LOCATION, SET_COOKIE};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::databases::TestDatabase;
use super::http::test_client;
use super::test_service::test_key_ring;
use crate::sandbox::{Provider, START};

pub const PASSWORD: &str = "correct horse battery";

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    settings: Settings,
}

/// Evergrant as `serve` runs it, with a sandbox on another port as its provider.
pub struct TestServer {
    pub base: String,
    pub provider: Provider,
    pub clock: Clock,
    /// A second store on the server's database.
    pub store: Store,
    stop: CancellationToken,
    running: JoinHandle<()>,
    _folder: TempDir,
    _database: TestDatabase,
}

/// A response with its whole body.
pub struct Page {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl TestServer {
    /// Starts a server on SQLite.
    pub async fn start() -> Self {
        Self::on(TestDatabase::sqlite()).await
    }

    pub async fn on(database: TestDatabase) -> Self {
        Self::with_flags(database, &[]).await
    }

    /// Starts a server on `database` with further flags.
    pub async fn with_flags(database: TestDatabase, extra_flags: &[(&str, &str)]) -> Self {
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
        let flags = flags.iter().chain(extra_flags).flat_map(|(name, value)| [*name, *value]);
        let config = Flags::parse_from(std::iter::once("evergrant").chain(flags)).settings.check().unwrap();
        let store = Store::new(database.open().await, test_key_ring(), clock.clone());
        let (stop, server_clock) = (CancellationToken::new(), clock.clone());
        let shutdown = stop.clone().cancelled_owned();
        let running = tokio::spawn(async move {
            App::build(config, server_clock, listener).await.unwrap().run_until_stopped(shutdown).await.unwrap();
        });
        Self { base, provider, clock, store, stop, running, _folder: folder, _database: database }
    }

    /// Adds a user who owns a new organization of this name.
    pub async fn add_user(&self, email: &str, org: &str) -> CreatedUser {
        let auth = LocalAuth::new(self.store.clone()).unwrap();
        auth.add_user(email, Secret::new(PASSWORD), Some(org)).await.unwrap()
    }

    /// Adds a user with an organization and returns a browser in which the user is signed in.
    pub async fn signed_in_user(&self, email: &str, org: &str) -> (Browser, OrgId) {
        let org = self.add_user(email, org).await.org.unwrap().0;
        let browser = self.browser();
        browser.sign_in(email).await;
        (browser, org)
    }

    pub fn browser(&self) -> Browser {
        Browser::new(&self.base)
    }

    /// Advances the server's clock and the provider's, in seconds.
    pub fn advance(&self, seconds: i64) {
        self.clock.advance(seconds);
        self.provider.clock.fetch_add(seconds, Ordering::SeqCst);
    }

    pub async fn bindings(&self, org: &OrgId) -> Vec<BindingWithGrant> {
        self.store.bindings_of_org(org).await.unwrap()
    }

    /// Stops the server and waits until it has drained.
    pub async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap();
    }
}

/// A browser without wasm: it posts forms and keeps cookies.
pub struct Browser {
    base: String,
    pub client: reqwest::Client,
    cookies: Mutex<BTreeMap<String, String>>,
}

impl Browser {
    /// Returns a browser without cookies for the server at `base`.
    pub fn new(base: &str) -> Self {
        let client = test_client();
        Self { base: base.to_owned(), client, cookies: Mutex::default() }
    }

    pub async fn get(&self, path: &str) -> Page {
        self.send(self.client.get(self.url(path)).header("accept", "text/html")).await
    }

    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Page {
        let request = self.client.post(self.url(path)).header("origin", &self.base).header("accept", "text/html");
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

    pub fn url(&self, path: &str) -> String {
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
        assert_eq!(page.location(), "/", "{email} could not sign in");
        page
    }

    /// Starts a connect and returns the query parameters of the authorize URL.
    pub async fn connect(&self) -> Vec<(String, String)> {
        let page = self.post("/api/integrations/xero/connect", &[]).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER);
        let address = url::Url::parse(page.location()).expect("connect must redirect to Xero");
        address.query_pairs().into_owned().collect()
    }

    /// Opens the callback URL and returns the flash message that the next page will show.
    pub async fn follow_callback(&self, address: &str) -> String {
        let path = address.strip_prefix(&self.base).expect("Xero must redirect to our public URL");
        let page = self.get(path).await;
        assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, "/settings/integrations"));
        self.flash()
    }

    pub fn flash(&self) -> String {
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
