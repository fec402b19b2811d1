//! Three processes on one PostgreSQL: still one exchange.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use evergrant::sandbox::{SANDBOX_CLIENT_ID, SANDBOX_CLIENT_SECRET};
use evergrant::server::auth::LocalAuth;
use evergrant::server::clock::Clock;
use evergrant::server::domain::Secret;
use evergrant::server::store::Store;
use reqwest::header::{COOKIE, SET_COOKIE};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::sandbox::Provider;
use crate::support::databases::TestDatabase;
use crate::support::keeper::{consent, ring};

const EMAIL: &str = "ana@example.com";
const PASSWORD: &str = "correct horse battery";

/// An instance of its own, killed when the test is done with it.
struct Instance {
    child: Child,
    base: String,
    _data: TempDir,
}

impl Instance {
    fn start(database: &TestDatabase, provider: &Provider) -> Self {
        let data = TempDir::new().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_evergrant"))
            .arg("serve")
            .current_dir(data.path())
            .env_clear()
            .env("DATABASE_URL", &database.url)
            .env("EVERGRANT_LISTEN", "127.0.0.1:0")
            .env("EVERGRANT_KEYS", format!("test:{}=", "A".repeat(43)))
            .env("EVERGRANT_LOG_FORMAT", "json")
            .env("XERO_CLIENT_ID", SANDBOX_CLIENT_ID)
            .env("XERO_CLIENT_SECRET", SANDBOX_CLIENT_SECRET)
            .envs(["XERO_LOGIN_URL", "XERO_IDENTITY_URL", "XERO_API_URL"].map(|name| (name, &provider.base)))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let mut said = Vec::new();
        let mut lines = lines.inspect(|line| said.push(line.clone()));
        let address = lines.find_map(|line| {
            let line: Value = serde_json::from_str(&line).ok()?;
            line["fields"]["address"].as_str().map(str::to_owned)
        });
        drop(lines);
        let address = address.unwrap_or_else(|| panic!("the instance didn't start: {said:?}"));
        Self { child, base: format!("http://{address}"), _data: data }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_callers_in_three_processes_make_one_exchange() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let clock = Clock::system();
    let now = clock.clone();
    let provider = Provider::start_with(|options| options.now = Arc::new(move || now.now())).await;
    let store = Store::new(database.open().await, ring(), clock);
    let auth = LocalAuth::new(store.clone()).unwrap();
    let added = auth.add_user(EMAIL, Secret::new(PASSWORD), Some("Harbour")).await.unwrap();
    let (org, _) = added.org.unwrap();
    let connected = consent(&store, &provider, org, &["harbour"], 60).await;

    let instances: Vec<Instance> = (0..3).map(|_| Instance::start(&database, &provider)).collect();
    let login = provider
        .client
        .post(format!("{}/api/session/login", instances[0].base))
        .form(&[("email", EMAIL), ("password", PASSWORD)])
        .send()
        .await
        .unwrap();
    // A session is a row: what one instance made, the others know.
    let cookie = login.headers()[SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();

    provider.control("hold", json!({})).await;
    let callers: Vec<_> = (0..200)
        .map(|number| {
            let address = format!("{}/api/integrations/xero/refresh", instances[number % 3].base);
            let call = provider.client.post(address).header(COOKIE, &cookie).form(&[("clicked", "false")]);
            tokio::spawn(async move { call.send().await.unwrap().json::<Value>().await.unwrap() })
        })
        .collect();
    provider.waiting(1).await;
    provider.control("release", json!({})).await;
    let mut refreshed = 0;
    for caller in callers {
        let report = caller.await.unwrap();
        assert_eq!((&report["success"], &report["errors"]), (&json!(true), &json!([])), "{report}");
        refreshed += report["refreshedCount"].as_u64().unwrap();
    }
    let ledger = provider.ledger().await;
    let exchanges = ledger.iter().filter(|entry| entry["grant_type"] == "refresh_token").count();
    assert_eq!(exchanges, 1);
    assert!(refreshed >= 1, "nobody got the one exchange's result");
    let grant = store.grant(&connected.grant).await.unwrap().unwrap();
    assert_eq!((grant.generation, grant.lease), (1, None));
}
