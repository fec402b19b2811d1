//! `evergrant sandbox`: the stand-in for Xero alone, as a process on its own port.

use std::process::Stdio;

use evergrant_sandbox::{SANDBOX_CLIENT_ID, SANDBOX_CLIENT_SECRET};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::{exit_code_and_text, run_evergrant};
use crate::support::http::test_client;
use crate::support::wait::{MAX_WAIT, within};

/// A running sandbox, killed on drop.
struct SandboxProcess {
    child: Child,
    client: Client,
    base: String,
}

impl SandboxProcess {
    async fn start(flags: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_evergrant"));
        command.args(["sandbox", "--json", "--listen", "127.0.0.1:0"]).args(flags).env_clear();
        let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = within("the sandbox's address", MAX_WAIT, lines.next_line()).await.unwrap();
        let printed: Value = serde_json::from_str(&line.expect("the sandbox ended")).unwrap();
        let address = printed["address"].as_str().unwrap();
        assert_eq!(printed["url"], format!("http://localhost:{}", address.rsplit(':').next().unwrap()));
        Self { child, client: test_client(), base: format!("http://{address}") }
    }

    async fn get(&self, path: &str) -> Value {
        self.client.get(format!("{}{path}", self.base)).send().await.unwrap().json().await.unwrap()
    }

    async fn refresh(&self, client_id: &str, secret: &str, token: &str) -> (StatusCode, Value) {
        let request = self.client.post(format!("{}/connect/token", self.base)).basic_auth(client_id, Some(secret));
        let response = request.form(&[("grant_type", "refresh_token"), ("refresh_token", token)]).send().await.unwrap();
        (response.status(), response.json().await.unwrap_or_default())
    }

    /// Consents without a browser. Returns the refresh token.
    async fn mint(&self) -> String {
        let mint = json!({ "user": "mere", "tenants": ["harbour"] });
        let minted = self.client.post(format!("{}/_control/mint", self.base)).json(&mint).send().await.unwrap();
        minted.json::<Value>().await.unwrap()["refresh_token"].as_str().unwrap().to_owned()
    }

    /// Stops it as a service manager does.
    async fn stop(mut self) {
        let stopping = format!("kill -TERM {}", self.child.id().unwrap());
        assert!(Command::new("sh").args(["-c", &stopping]).status().await.unwrap().success());
        assert!(within("the end of the sandbox", MAX_WAIT, self.child.wait()).await.unwrap().success());
    }
}

#[tokio::test]
async fn sandbox_alone_issues_tokens_to_its_app_and_keeps_them_over_a_restart() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("state.json").display().to_string();
    let app = ["--client-id", "my-app", "--client-secret", "my-secret", "--client", "other-app:other-secret"];
    let flags = [&app[..], &["--state-file", &file]].concat();
    let sandbox = SandboxProcess::start(&flags).await;
    let discovery = sandbox.get("/.well-known/openid-configuration").await;
    let port = sandbox.base.rsplit(':').next().unwrap();
    assert_eq!(discovery["token_endpoint"], format!("http://localhost:{port}/connect/token"));

    let first = sandbox.mint().await;
    let (status, refused) = sandbox.refresh(SANDBOX_CLIENT_ID, SANDBOX_CLIENT_SECRET, &first).await;
    assert_eq!((status, &refused["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_client")));
    let (_, refused) = sandbox.refresh("other-app", "other-secret", &first).await;
    assert_eq!(refused["error"], "invalid_grant", "a token of another app");
    let (status, issued) = sandbox.refresh("my-app", "my-secret", &first).await;
    assert_eq!(status, StatusCode::OK, "{issued}");
    sandbox.stop().await;

    let sandbox = SandboxProcess::start(&flags).await;
    let second = issued["refresh_token"].as_str().unwrap();
    assert_eq!(sandbox.refresh("my-app", "my-secret", second).await.0, StatusCode::OK, "its state outlives it");
    sandbox.stop().await;
    let sandbox = SandboxProcess::start(&app).await;
    assert_eq!(sandbox.refresh("my-app", "my-secret", second).await.1["error"], "invalid_grant", "without the file");
}

#[tokio::test]
async fn flags_of_the_sandbox_set_what_its_control_routes_change() {
    let fault = r#"{"endpoint":"token","kind":"status","status":503,"times":1}"#;
    let sandbox = SandboxProcess::start(
        &[
            ["--access-ttl", "5m"],
            ["--refresh-ttl", "7d"],
            ["--grace", "1m"],
            ["--replay", "sibling"],
            ["--extra-tenants", "3"],
            ["--refused-scopes", "accounting.budgets.read,accounting.journals.read"],
            ["--scope-refusal", "names-scope"],
            ["--latency", "1ms"],
            ["--clock-ahead", "1h"],
            ["--oddity", "status_201"],
            ["--fault", fault],
            ["--keep-auth-event-id", "--bulk-connections"],
        ]
        .concat(),
    )
    .await;
    let settings = sandbox.get("/_control/settings").await;
    for (name, value) in [
        ("access_ttl", json!(300)),
        ("refresh_ttl", json!(7 * 86_400)),
        ("grace", json!(60)),
        ("replay", json!("sibling")),
        ("extra_tenants", json!(3)),
        ("refused_scopes", json!(["accounting.budgets.read", "accounting.journals.read"])),
        ("scope_refusal", json!("names_scope")),
        ("latency_ms", json!(1)),
        ("keep_auth_event_id", json!(true)),
        ("bulk_connections", json!(true)),
    ] {
        assert_eq!(settings[name], value, "{name}");
    }
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let ahead = sandbox.get("/_control/clock").await["now"].as_u64().unwrap() - now;
    assert!((3_595..=3_605).contains(&ahead), "{ahead}");
    let token = sandbox.mint().await;
    let refresh = async || sandbox.refresh(SANDBOX_CLIENT_ID, SANDBOX_CLIENT_SECRET, &token).await;
    assert_eq!(refresh().await.0, StatusCode::SERVICE_UNAVAILABLE, "the fault, once");
    let (status, issued) = refresh().await;
    assert_eq!((status, &issued["expires_in"]), (StatusCode::CREATED, &json!(300)), "the oddity");
}

#[tokio::test]
async fn sandbox_names_the_address_that_is_taken() {
    let sandbox = SandboxProcess::start(&[]).await;
    let address = sandbox.base.trim_start_matches("http://").to_owned();
    let taken = tokio::task::spawn_blocking(move || {
        let folder = TempDir::new().unwrap();
        let (code, text) = exit_code_and_text(&run_evergrant(&folder, &["sandbox", "--listen", &address], ""));
        assert!(code == Some(1) && text.contains(&address), "{text}");
    });
    taken.await.unwrap();
}
