//! Real processes: events that one stored before `kill -9` are delivered by the next.

use evergrant::model::EventListFilter;
use evergrant::server::clock::Clock;
use evergrant::server::store::Store;
use reqwest::header::COOKIE;
use sqlx::Row as _;
use tempfile::TempDir;

use super::add_endpoint;
use super::receiver::Receiver;
use crate::sandbox::Provider;
use crate::support::consents::TestConsent;
use crate::support::databases::TestDatabase;
use crate::support::instance::{Instance, seed_ana};
use crate::support::test_service::test_key_ring;

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_of_a_killed_instance_is_delivered_once_by_the_next(database: TestDatabase) {
    let (db, clock) = (database.name, Clock::system());
    let provider = Provider::on_system_time().await;
    let store = Store::new(database.open().await, test_key_ring(), clock);
    let org = seed_ana(&store).await;
    let connected = TestConsent::new(&store, &provider).connect(org.clone()).await;
    let receiver = Receiver::start().await;
    // What the connect itself caused is not of interest here.
    store.fan_out(10).await.unwrap();
    let (_, secret) = add_endpoint(&store, &org, &receiver.url()).await;
    receiver.set_secret(secret);
    provider.sandbox.revoke_grant(&connected.minted.refresh_token).unwrap();

    let data = TempDir::new().unwrap();
    // The first instance may not reach the receiver, so an attempt before its end fails.
    let mut first = Instance::start(&database, &provider, data.path(), &[]);
    let cookie = first.sign_in(&provider).await;
    let address = format!("{}/api/integrations/xero/refresh", first.base);
    provider.client.post(address).header(COOKIE, &cookie).send().await.unwrap();
    first.kill();
    assert_eq!(store.org_events(&org, &EventListFilter::default(), None, 9).await.unwrap().len(), 1, "{db}");
    assert!(receiver.deliveries().is_empty(), "{db}");

    // End the dead instance's claim and the retry delay, instead of waiting for them.
    sqlx::query("UPDATE deliveries SET claimed_until = 0, next_attempt_at = 0")
        .execute(store.database().pool())
        .await
        .unwrap();
    let settings = [("EVERGRANT_PRIVATE_WEBHOOKS", "127.0.0.1")];
    let mut next: Vec<(TempDir, Instance)> = (0..2)
        .map(|_| {
            let data = TempDir::new().unwrap();
            let instance = Instance::start(&database, &provider, data.path(), &settings);
            (data, instance)
        })
        .collect();
    receiver.wait_for_delivery().await;
    let got = receiver.deliveries().remove(0);
    assert!(got.verified && got.body["type"] == "connection.needs_reconnecting", "{db}: {got:?}");
    // A stop lets each instance finish the deliveries that it has begun.
    for (_, instance) in &mut next {
        instance.send_sigterm();
        assert!(instance.wait_for_exit().success(), "{db}");
    }
    let status = sqlx::query("SELECT status FROM deliveries").fetch_all(store.database().pool()).await.unwrap();
    let status: Vec<String> = status.iter().map(|row| row.get(0)).collect();
    assert_eq!(status, ["delivered"], "{db}");
    assert_eq!(receiver.deliveries().len(), 1, "{db}: the event was delivered twice");
}
