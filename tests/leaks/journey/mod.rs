//! The journey: uses every interface of people, programs and operators, and captures all output.

mod api_v1;
mod connect_links;
mod faults;
mod invitations;
mod operator;
mod process;

use std::process::{Child, Stdio};
use std::thread::JoinHandle;

use evergrant::model::BindingId;
use evergrant_sandbox::SANDBOX_CLIENT_SECRET;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use tempfile::TempDir;

use self::process::{capture_log, command};
use super::scan::SecretScanner;
use crate::connect::submit_consent;
use crate::sandbox::Provider;
use crate::support::browser::{Browser, Page};
use crate::support::collector::Collector;
use crate::support::databases::TestDatabase;

const EMAIL: &str = "ann@example.com";
const PASSWORD: &str = "correct horse battery";
const METRICS_TOKEN: &str = "what-a-scraper-sends";
/// The authorization header that the trace collector expects.
const COLLECTOR_KEY: &str = "what-a-collector-asks-for";
const WRONG_PASSWORD: &str = "a-wrong-but-personal-password";

/// A server process, a provider, a trace collector, and all captured output.
pub struct Journey {
    database: TestDatabase,
    provider: Provider,
    collector: Collector,
    folder: TempDir,
    server: Child,
    log: Option<JoinHandle<Vec<u8>>>,
    browser: Browser,
    /// The captured output, each with the name of its place.
    pub captured: Vec<(String, Vec<u8>)>,
    secrets: Vec<(String, String)>,
}

impl Journey {
    pub async fn on(database: TestDatabase) -> Self {
        let provider = Provider::on_system_time().await;
        // Less than the buffer, so that the grant is due at every call.
        provider.control("settings", json!({ "access_ttl": 300 })).await;
        let folder = TempDir::new().unwrap();
        let collector = Collector::start().await;
        let mut server = command(&database, &provider, &folder, &["serve"]);
        server.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.base);
        server.env("OTEL_EXPORTER_OTLP_HEADERS", format!("authorization={COLLECTOR_KEY}"));
        let mut server = server.stderr(Stdio::piped()).spawn().unwrap();
        let (log, base) = capture_log(&mut server);
        let browser = Browser::new(&base);
        Self {
            database,
            provider,
            collector,
            folder,
            server,
            log: Some(log),
            browser,
            captured: Vec::new(),
            secrets: Vec::new(),
        }
    }

    /// Runs the whole journey, from the first user to the disconnect.
    pub async fn run_all(&mut self) {
        self.sign_in().await;
        let binding = self.connect().await;
        self.visit_pages().await;
        self.use_invitations().await;
        self.use_connect_links().await;
        self.unsubscribe().await;
        self.create_api_keys().await;
        self.refresh_and_test(&binding).await;
        self.use_api_key(&binding).await;
        self.inject_every_fault(&binding).await;
        self.run_operator_commands().await;
        self.disconnect_and_sign_out(&binding).await;
    }

    /// Plants a token in an error message for people and operators, in a URL and in a request id. Returns the token.
    pub async fn plant_secret(&mut self) -> String {
        self.sign_in().await;
        self.connect().await;
        // A token that is accepted as a request id.
        let secret =
            self.issued_secrets().await.into_iter().rfind(|one| one.len() < 64).expect("a short token was issued");
        self.browser.send(self.browser.client.get(self.browser.url("/login")).header("x-request-id", &secret)).await;
        self.execute(&format!("UPDATE integration_grants SET failure_count = 1, last_error = '{secret}'")).await;
        self.get("/settings/integrations").await;
        self.get(&format!("/{secret}")).await;
        self.run_command(&["grants", "list", "--json"], "").await;
        secret
    }

    async fn sign_in(&mut self) {
        let add = ["user", "add", "--email", EMAIL, "--org", "Harbour Group", "--json"];
        self.run_command(&add, &format!("{PASSWORD}\n")).await;
        self.add_secret("the password", PASSWORD);
        self.add_secret("the wrong password", WRONG_PASSWORD);
        for (email, password) in [(EMAIL, WRONG_PASSWORD), ("nobody@example.com", WRONG_PASSWORD), (EMAIL, PASSWORD)] {
            self.post("/api/session/login", &[("email", email), ("password", password)]).await;
        }
        let session = self.browser.cookie("evergrant_session").expect("signed in");
        self.add_secret("the session's id", &session);
        let browser = self.browser.cookie("evergrant_browser").expect("known");
        self.add_secret("what the browser is known by", &browser);
    }

    async fn connect(&mut self) -> BindingId {
        for (person, decision) in [("mere", "cancel"), ("mere", "allow")] {
            // The authorize URL has the state. Only the browser may see it, so this response is not captured.
            let page = self.browser.post("/api/integrations/xero/connect", &[]).await;
            let address = url::Url::parse(page.location()).expect("connect must redirect to Xero");
            let asked: Vec<(String, String)> = address.query_pairs().into_owned().collect();
            let state = asked.iter().find(|(name, _)| name == "state").map(|(_, value)| value.clone()).unwrap();
            self.add_secret("a state", &state);
            let answer = [("person", person), ("tenant", "harbour"), ("decision", decision)];
            let back = submit_consent(&self.provider, &asked, &answer).await;
            let back = url::Url::parse(&back).unwrap();
            let path = format!("{}?{}", back.path(), back.query().unwrap_or_default());
            // The second time the state is already consumed.
            for _ in 0..2 {
                self.get(&path).await;
            }
        }
        let forged = "/api/integrations/xero/callback?code=a-code-that-was-made-up&state=a-state-that-was-made-up";
        self.add_secret("a made-up code", "a-code-that-was-made-up");
        self.add_secret("a made-up state", "a-state-that-was-made-up");
        self.get(forged).await;
        let mut database = self.open().await;
        let row = sqlx::query("SELECT id FROM integration_tenant_bindings").fetch_one(&mut database).await.unwrap();
        BindingId(row.get(0))
    }

    async fn visit_pages(&mut self) {
        for path in [
            "/",
            "/settings/integrations",
            "/settings/api-keys",
            "/settings/members",
            "/settings/notifications",
            "/activity",
            "/activity.csv",
            "/login",
            "/healthz",
            "/readyz",
            "/metrics",
            "/api/openapi.json",
            "/nowhere",
        ] {
            self.get(path).await;
        }
        self.post("/api/integrations/view", &[]).await;
        self.post("/api/overview", &[]).await;
        let metrics = self.get_with_bearer("/metrics", METRICS_TOKEN).await;
        assert!(metrics.text.contains("evergrant_grants"), "{}", metrics.status);
        self.capture("GET /metrics with its token", &metrics);
    }

    async fn refresh_and_test(&mut self, binding: &BindingId) {
        let id = [("binding_id", binding.as_str())];
        for _ in 0..8 {
            self.post("/api/integrations/xero/refresh", &[("clicked", "false")]).await;
        }
        for what in ["xero/refresh-connection", "xero/test", "connection/view"] {
            self.post(&format!("/api/integrations/{what}"), &id).await;
        }
    }

    async fn disconnect_and_sign_out(&mut self, binding: &BindingId) {
        self.post("/api/integrations/xero/disconnect", &[("binding_id", binding.as_str())]).await;
        for page in ["/settings/integrations".to_owned(), format!("/settings/integrations/{binding}")] {
            self.get(&page).await;
        }
        self.post("/api/session/logout", &[]).await;
        self.get("/").await;
    }

    async fn get(&mut self, path: &str) {
        let page = self.browser.get(path).await;
        let place = path.split('?').next().unwrap_or(path);
        self.capture(&format!("GET {place}"), &page);
    }

    async fn post(&mut self, path: &str, form: &[(&str, &str)]) {
        // As the page's script does, so that a response with a body is JSON.
        let request = self.browser.client.post(self.browser.url(path)).header("accept", "application/json").form(form);
        let page = self.browser.send(request).await;
        self.capture(&format!("POST {path}"), &page);
    }

    fn capture(&mut self, place: &str, page: &Page) {
        let mut headers = page.headers.clone();
        // The one header in which a session id belongs.
        if page.header("set-cookie").starts_with("evergrant_session") {
            headers.remove("set-cookie");
        }
        let text = format!("{}\n{headers:?}\n{}", page.status, page.text);
        self.captured.push((place.to_owned(), text.into_bytes()));
    }

    async fn execute(&self, statement: &str) {
        sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut self.open().await).await.unwrap();
    }

    async fn open(&self) -> sqlx::AnyConnection {
        sqlx::any::install_default_drivers();
        sqlx::AnyConnection::connect(&self.database.url).await.unwrap()
    }

    /// Returns a scanner for every secret of the journey.
    pub async fn scanner(&mut self) -> SecretScanner {
        self.add_secret("the app's secret", SANDBOX_CLIENT_SECRET);
        self.add_secret("the metrics' token", METRICS_TOKEN);
        self.add_secret("the collector's key", COLLECTOR_KEY);
        let issued: Vec<Value> = self.issued_secrets().await.into_iter().map(Value::from).collect();
        let issued = issued.into_iter().filter_map(|one| one.as_str().map(str::to_owned));
        let named = issued.map(|secret| ("a token, code or verifier".to_owned(), secret));
        SecretScanner::new(self.secrets.clone().into_iter().chain(named))
    }

    async fn issued_secrets(&self) -> Vec<String> {
        self.provider.get("/_control/issued").await.json().await.unwrap()
    }

    fn add_secret(&mut self, name: &str, secret: &str) {
        self.secrets.push((name.to_owned(), secret.to_owned()));
    }
}

impl Drop for Journey {
    fn drop(&mut self) {
        _ = self.server.kill();
        _ = self.server.wait();
    }
}
