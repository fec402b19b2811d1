//! SIGTERM under load: every accepted request is answered, and an exchange is committed.

use evergrant::server::clock::Clock;
use evergrant::server::store::Store;
use reqwest::StatusCode;
use reqwest::header::{CONNECTION, COOKIE};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::sandbox::Provider;
use crate::support::consents::TestConsent;
use crate::support::databases::TestDatabase;
use crate::support::demo_server::METRICS_TOKEN;
use crate::support::instance::{Instance, seed_ana};
use crate::support::test_service::test_key_ring;
use crate::support::wait::{MAX_WAIT, eventually, eventually_some};

const CALLERS: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draining_server_reports_not_ready_and_still_serves() {
    let database = TestDatabase::sqlite();
    let provider = Provider::start().await;
    let data = TempDir::new().unwrap();
    // Longer than the test runs.
    let instance = Instance::start(&database, &provider, data.path(), &[("EVERGRANT_DRAIN", "5m")]);
    let get = async |path: &str| provider.client.get(format!("{}{path}", instance.base)).send().await.unwrap();
    let ready = get("/readyz").await;
    assert_eq!((ready.status(), ready.headers().get(CONNECTION)), (StatusCode::OK, None));
    instance.send_sigterm();
    let leaving = eventually_some("the drain", MAX_WAIT, async || {
        Some(get("/readyz").await).filter(|ready| ready.status() != StatusCode::OK)
    })
    .await;
    assert_eq!(leaving.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(leaving.headers()[CONNECTION], "close");
    assert_eq!(leaving.text().await.unwrap(), "not ready: this server is shutting down\n");
    for path in ["/healthz", "/login"] {
        assert_eq!(get(path).await.status(), StatusCode::OK, "{path}");
    }
    drop(instance);

    let mut quick = Instance::start(&database, &provider, data.path(), &[("EVERGRANT_DRAIN", "10ms")]);
    let healthy = provider.client.get(format!("{}/healthz", quick.base)).send().await.unwrap();
    assert_eq!(healthy.status(), StatusCode::OK);
    quick.send_sigterm();
    assert!(quick.wait_for_exit().success());
}

async fn open_connections(instance: &Instance, provider: &Provider) -> usize {
    let page = provider.client.get(format!("{}/metrics", instance.base)).bearer_auth(METRICS_TOKEN);
    let page = page.send().await.unwrap().text().await.unwrap();
    let open = page.lines().find_map(|line| line.strip_prefix("evergrant_http_connections "));
    open.unwrap().parse().unwrap()
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_under_load_answers_every_accepted_request(database: TestDatabase) {
    let clock = Clock::system();
    let provider = Provider::on_system_time().await;
    let store = Store::new(database.open().await, test_key_ring(), clock);
    let org = seed_ana(&store).await;
    let connected = TestConsent::new(&store, &provider).connect(org).await;
    let data = TempDir::new().unwrap();
    // Longer than the test runs: the provider holds its response until the listener has closed.
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
    // The callers, the event stream, and this request.
    let are_connected = async || open_connections(&instance, &provider).await >= CALLERS + 2;
    eventually("the callers' connections", MAX_WAIT, are_connected).await;
    instance.send_sigterm();
    let socket = instance.base.trim_start_matches("http://");
    eventually("the end of the listener", MAX_WAIT, async || TcpStream::connect(socket).await.is_err()).await;
    // The event stream must end regularly, not with a connection error.
    eventually("the end of the events", MAX_WAIT, async || events.chunk().await.unwrap().is_none()).await;

    provider.control("release", json!({})).await;
    for caller in callers {
        let (status, report) = caller.await.unwrap();
        assert_eq!((status, &report["success"]), (StatusCode::OK, &json!(true)), "{}: {report}", database.name);
    }
    assert!(instance.wait_for_exit().success(), "{}", database.name);
    let grant = store.grant(&connected.grant).await.unwrap().unwrap();
    assert_eq!((grant.generation, grant.lease), (1, None), "{}", database.name);
    assert_eq!(provider.exchange_count().await, 1);
}
