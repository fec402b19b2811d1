//! SIGTERM under load: whoever came in is answered, and what was exchanged is kept.

use std::sync::Arc;

use evergrant::server::clock::Clock;
use evergrant::server::store::Store;
use reqwest::StatusCode;
use reqwest::header::{CONNECTION, COOKIE};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::sandbox::Provider;
use crate::support::app::METRICS_TOKEN;
use crate::support::databases::TestDatabase;
use crate::support::instance::{Instance, add_ana};
use crate::support::keeper::{consent, ring};

const CALLERS: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_leaves_says_so_and_serves_until_everybody_can_have_seen_it() {
    let database = TestDatabase::sqlite();
    let provider = Provider::start().await;
    let data = TempDir::new().unwrap();
    // Longer than the test.
    let instance = Instance::start(&database, &provider, data.path(), &[("EVERGRANT_DRAIN", "5m")]);
    let get = async |path: &str| provider.client.get(format!("{}{path}", instance.base)).send().await.unwrap();
    let ready = get("/readyz").await;
    assert_eq!((ready.status(), ready.headers().get(CONNECTION)), (StatusCode::OK, None));
    instance.ask_to_stop();
    let leaving = loop {
        let ready = get("/readyz").await;
        if ready.status() != StatusCode::OK {
            break ready;
        }
    };
    assert_eq!(leaving.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(leaving.headers()[CONNECTION], "close");
    assert_eq!(leaving.text().await.unwrap(), "not ready: this server is stopping\n");
    for path in ["/healthz", "/login"] {
        assert_eq!(get(path).await.status(), StatusCode::OK, "{path}");
    }
    drop(instance);

    let mut quick = Instance::start(&database, &provider, data.path(), &[("EVERGRANT_DRAIN", "10ms")]);
    quick.ask_to_stop();
    assert!(quick.ended().success());
}

async fn open_connections(instance: &Instance, provider: &Provider) -> usize {
    let page = provider.client.get(format!("{}/metrics", instance.base)).bearer_auth(METRICS_TOKEN);
    let page = page.send().await.unwrap().text().await.unwrap();
    let open = page.lines().find_map(|line| line.strip_prefix("evergrant_http_connections "));
    open.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_load_answers_everybody_who_came_in() {
    for database in TestDatabase::each().await {
        let clock = Clock::system();
        let now = clock.clone();
        let provider = Provider::start_with(|options| options.now = Arc::new(move || now.now())).await;
        let store = Store::new(database.open().await, ring(), clock);
        let org = add_ana(&store).await;
        let connected = consent(&store, &provider, org, &["harbour"], 60).await;
        let data = TempDir::new().unwrap();
        // Longer than the test: the provider is held until everybody else has left.
        let settings = [("EVERGRANT_METRICS_TOKEN", METRICS_TOKEN), ("EVERGRANT_XERO_TIMEOUT", "60s")];
        let mut instance = Instance::start(&database, &provider, data.path(), &settings);
        let cookie = instance.sign_in(&provider).await;
        let events = provider.client.get(format!("{}/api/events", instance.base)).header(COOKIE, &cookie);
        let mut events = events.send().await.unwrap();
        assert!(events.chunk().await.unwrap().is_some());

        provider.control("hold", json!({})).await;
        let address = format!("{}/api/integrations/xero/refresh", instance.base);
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let call = provider.client.post(&address).header(COOKIE, &cookie).form(&[("clicked", "false")]);
                tokio::spawn(async move {
                    let answer = call.send().await.unwrap();
                    (answer.status(), answer.json::<Value>().await.unwrap())
                })
            })
            .collect();
        provider.waiting(1).await;
        // The callers, the stream, and who asks.
        while open_connections(&instance, &provider).await < CALLERS + 2 {}
        instance.ask_to_stop();
        let socket = instance.base.trim_start_matches("http://");
        while TcpStream::connect(socket).await.is_ok() {}
        // A stream ends as an answer does, and not as a break does.
        while events.chunk().await.unwrap().is_some() {}

        provider.control("release", json!({})).await;
        for caller in callers {
            let (status, report) = caller.await.unwrap();
            assert_eq!((status, &report["success"]), (StatusCode::OK, &json!(true)), "{}: {report}", database.name);
        }
        assert!(instance.ended().success(), "{}", database.name);
        let grant = store.grant(&connected.grant).await.unwrap().unwrap();
        assert_eq!((grant.generation, grant.lease), (1, None), "{}", database.name);
        let ledger = provider.ledger().await;
        assert_eq!(ledger.iter().filter(|entry| entry["grant_type"] == "refresh_token").count(), 1);
    }
}
