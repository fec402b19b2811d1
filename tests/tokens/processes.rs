//! Single flight across three processes on one PostgreSQL database.

use evergrant::server::clock::Clock;
use evergrant::server::store::Store;
use reqwest::header::COOKIE;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::sandbox::Provider;
use crate::support::consents::TestConsent;
use crate::support::databases::TestDatabase;
use crate::support::instance::{Instance, seed_ana};
use crate::support::test_service::test_key_ring;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_callers_in_three_processes_cause_one_exchange() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let clock = Clock::system();
    let provider = Provider::on_system_time().await;
    let store = Store::new(database.open().await, test_key_ring(), clock);
    let org = seed_ana(&store).await;
    let connected = TestConsent::new(&store, &provider).connect(org).await;

    let data: Vec<TempDir> = (0..3).map(|_| TempDir::new().unwrap()).collect();
    let instances: Vec<Instance> =
        data.iter().map(|data| Instance::start(&database, &provider, data.path(), &[])).collect();
    let cookie = instances[0].sign_in(&provider).await;

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
    assert_eq!(provider.exchange_count().await, 1);
    assert!(refreshed >= 1, "no caller received the result of the exchange");
    let grant = store.grant(&connected.grant).await.unwrap().unwrap();
    assert_eq!((grant.generation, grant.lease), (1, None));
}
