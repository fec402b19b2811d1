//! Real processes: what one wrote down before `kill -9`, the next one sends.

use std::sync::Arc;

use evergrant::server::clock::Clock;
use evergrant::server::store::Store;
use reqwest::header::COOKIE;
use tempfile::TempDir;

use super::endpoint;
use super::receiver::Receiver;
use crate::sandbox::Provider;
use crate::support::databases::TestDatabase;
use crate::support::instance::{Instance, add_ana};
use crate::support::keeper::{consent, ring};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_instance_wrote_down_the_next_one_sends_once() {
    for database in TestDatabase::each().await {
        let (db, clock) = (database.name, Clock::system());
        let now = clock.clone();
        let provider = Provider::start_with(|options| options.now = Arc::new(move || now.now())).await;
        let store = Store::new(database.open().await, ring(), clock);
        let org = add_ana(&store).await;
        let connected = consent(&store, &provider, org.clone(), &["harbour"], 60).await;
        let receiver = Receiver::start().await;
        let (_, secret) = endpoint(&store, &org, &receiver.url()).await;
        receiver.trust(secret);
        assert!(provider.sandbox.forget_grant(&connected.minted.refresh_token).unwrap());

        let data = TempDir::new().unwrap();
        // The first may not reach the receiver, so that whatever it manages to try before its end fails.
        let mut first = Instance::start(&database, &provider, data.path(), &[]);
        let cookie = first.sign_in(&provider).await;
        let address = format!("{}/api/integrations/xero/refresh", first.base);
        provider.client.post(address).header(COOKIE, &cookie).send().await.unwrap();
        first.kill();
        assert_eq!(store.events_of_org(&org, 9).await.unwrap().len(), 1, "{db}");
        assert!(receiver.got().is_empty(), "{db}");

        // The dead one's claim runs out, and its failed try's wait; we don't wait for either.
        sqlx::query("UPDATE deliveries SET claimed_until = 0, next_attempt_at = 0")
            .execute(store.database().pool())
            .await
            .unwrap();
        let settings = [("EVERGRANT_PRIVATE_WEBHOOKS", "127.0.0.1")];
        let seconds: Vec<(TempDir, Instance)> = (0..2)
            .map(|_| {
                let data = TempDir::new().unwrap();
                let instance = Instance::start(&database, &provider, data.path(), &settings);
                (data, instance)
            })
            .collect();
        receiver.first().await;
        let got = receiver.got().remove(0);
        assert!(got.verified && got.body["type"] == "connection.needs_reconnecting", "{db}: {got:?}");
        drop(seconds);
        assert_eq!(receiver.got().len(), 1, "{db}: two instances sent it");
    }
}
