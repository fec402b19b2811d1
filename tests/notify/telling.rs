//! Which changes are told, that each is told once, and that a crash loses none.

use std::sync::Arc;

use evergrant::model::{DeliveryStatus, EventKind, Trigger};
use evergrant::server::store::{AttemptEnd, End, NewAttempt, Store, Tried};
use evergrant::server::tokens::{Ask, Failed};
use serde_json::json;

use super::{DAY, MINUTE, end, endpoint, kinds, notifier, notifier_that_knows, watched};
use crate::support::keeper::Keeper;

#[tokio::test]
async fn an_end_and_a_recovery_are_told_once_each_signed_and_without_secrets() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let (connected, receiver, _) = watched(&keeper).await;
        let notifier = notifier(&keeper.store);
        assert_eq!(notifier.step().await.unwrap(), Default::default(), "{db}: nothing has happened");

        end(&keeper, &connected).await;
        // Found out a second time, which is no change.
        keeper.service.refresh_grant_single_flight(&connected.grant, Ask::by("ann@example.com", true)).await;
        let stepped = notifier.step().await.unwrap();
        assert_eq!((stepped.fanned_out, stepped.delivered), (1, 1), "{db}");
        let got = receiver.got().remove(0);
        assert!(got.verified, "{db}: {got:?}");
        assert_eq!((got.timestamp, got.signatures), (keeper.clock.now(), 1), "{db}");
        assert_eq!(got.body["type"], "connection.needs_reconnecting", "{db}");
        assert_eq!(got.body["data"]["organization"]["name"], "Harbour", "{db}");
        assert_eq!(got.body["data"]["connection"]["id"], connected.bindings[0].as_str(), "{db}");
        assert_eq!(got.body["data"]["connection"]["tenantName"], "Harbour Coffee", "{db}");
        assert_eq!(got.body["data"]["url"], "https://evergrant.example/settings/integrations", "{db}");
        for secret in [&connected.minted.access_token, &connected.minted.refresh_token] {
            assert!(!got.text.contains(secret.as_str()), "{db}: a token left the house");
        }

        keeper.connect_again(&connected, &["harbour"]).await;
        keeper.connect_again(&connected, &["harbour"]).await;
        notifier.step().await.unwrap();
        let types: Vec<_> = receiver.got().iter().map(|got| got.body["type"].clone()).collect();
        assert_eq!(types, ["connection.needs_reconnecting", "connection.recovered"], "{db}");
        assert_ne!(receiver.got()[0].id, receiver.got()[1].id, "{db}");
        assert_eq!(notifier.step().await.unwrap(), Default::default(), "{db}: everything is told");
    }
}

#[tokio::test]
async fn a_change_that_was_not_committed_is_not_told() {
    for keeper in Keeper::each().await {
        let (connected, _, _) = watched(&keeper).await;
        let store = &keeper.store;
        let held = store.take_lease(&connected.grant, "one", keeper.clock.now() + 60).await.unwrap().unwrap();
        let new = NewAttempt {
            grant_id: &held.id,
            generation: held.generation,
            trigger: Trigger::Manual,
            actor: None,
            trace_id: None,
        };
        let attempt = store.begin_attempt(&new).await.unwrap();
        let end = AttemptEnd { outcome: "reconnect", error_code: None, http_status: Some(400), correlation_id: None };
        let refused =
            store.fail_grant(&held, "another", &Failed::reconnect(None).message, &attempt, &end).await.unwrap();
        assert!(!refused, "the fence refuses another's lease");
        assert_eq!(kinds(store, &connected.org).await, [], "{}", keeper.database.name);
    }
}

#[tokio::test]
async fn a_crash_between_the_change_and_its_delivery_loses_nothing() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let (connected, receiver, _) = watched(&keeper).await;
        end(&keeper, &connected).await;
        // The process that wrote it dies; so does the next one, between claiming and sending, and another right after
        // sending. Whoever comes then sends it with the same id.
        let store = &keeper.store;
        assert_eq!(store.fan_out(false, 10).await.unwrap(), 1, "{db}");
        let claimed = store.claim_deliveries("dead", keeper.clock.now() + 120, 10).await.unwrap();
        assert_eq!(claimed.len(), 1, "{db}");
        let notifier = notifier(&keeper.store);
        assert_eq!(notifier.step().await.unwrap().delivered, 0, "{db}: its claim still holds");
        keeper.advance(120);
        assert_eq!(notifier.step().await.unwrap().delivered, 1, "{db}");
        assert_eq!(receiver.got().len(), 1, "{db}");
        assert_eq!(receiver.got()[0].id, claimed[0].event.as_str(), "{db}");
        let late = Tried { end: End::GivenUp, http_status: None, error: None };
        assert!(
            !store.settle_delivery(&claimed[0].id, "dead", &late).await.unwrap(),
            "{db}: a late word counts for nothing"
        );
    }
}

#[tokio::test]
async fn three_instances_share_the_work_and_send_nothing_twice() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let (connected, receiver, _) = watched(&keeper).await;
        let others = [keeper.store.clone(), keeper.another_store().await, keeper.another_store().await];
        for _ in 0..20 {
            end(&keeper, &keeper.connect_again(&connected, &["harbour"]).await).await;
        }
        let notifiers = others.map(|store| notifier(&store));
        loop {
            let (a, b, c) = tokio::join!(notifiers[0].step(), notifiers[1].step(), notifiers[2].step());
            if [a, b, c].into_iter().all(|stepped| stepped.unwrap().delivered == 0) {
                break;
            }
        }
        let told = kinds(&keeper.store, &connected.org).await.len();
        let mut ids: Vec<String> = receiver.got().into_iter().map(|got| got.id).collect();
        assert_eq!(ids.len(), told, "{db}");
        assert!(told >= 39, "{db}: twenty ends and nineteen recoveries: {told}");
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), told, "{db}: an event came twice");
    }
}

#[tokio::test]
async fn people_are_warned_at_three_ages_while_renewal_fails_and_told_when_it_works() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let (connected, receiver, _) = watched(&keeper).await;
        let notifier = notifier(&keeper.store);
        keeper
            .provider
            .control("faults", json!({"endpoint": "token", "kind": "status", "status": 503, "times": null}))
            .await;
        let tries = async |count: usize| {
            for _ in 0..count {
                keeper.service.refresh_grant_single_flight(&connected.grant, Ask::automatic(Trigger::Sweep)).await;
                // The longest that back-off waits, and a little more.
                keeper.advance(120 * MINUTE);
            }
            kinds(&keeper.store, &connected.org).await.len()
        };
        keeper.advance(44 * DAY);
        assert_eq!(tries(3).await, 0, "{db}: day 44 is early enough");
        for (days, warned) in [(1, 1), (3, 1), (2, 2), (5, 3)] {
            keeper.advance(days * DAY);
            assert_eq!(tries(3).await, warned, "{db}: after {days} more days");
        }
        let faults = format!("{}/_control/faults", keeper.provider.base);
        keeper.provider.client.delete(faults).send().await.unwrap();
        notifier.step().await.unwrap();
        let last = receiver.got().remove(2);
        assert_eq!(last.body["data"]["expiresAt"], "2027-03-16T08:00:00Z", "{db}: sixty days from the start");
        tries(1).await;
        assert_eq!(
            kinds(&keeper.store, &connected.org).await[2..],
            [EventKind::WillExpireSoon, EventKind::Recovered],
            "{db}"
        );
        assert_eq!(tries(2).await, 4, "{db}: told once");
    }
}

#[tokio::test]
async fn people_are_warned_also_where_nobody_even_tries() {
    for keeper in Keeper::each().await {
        let (connected, _, _) = watched(&keeper).await;
        let (one, another) = (notifier(&keeper.store), notifier(&keeper.another_store().await));
        keeper.advance(45 * DAY + 60);
        assert_eq!(one.step().await.unwrap().warned, 0, "a renewal may still be on its way");
        keeper.advance(DAY);
        let (a, b) = tokio::join!(one.step(), another.step());
        assert_eq!(a.unwrap().warned + b.unwrap().warned, 1, "{}", keeper.database.name);
        assert_eq!(kinds(&keeper.store, &connected.org).await, [EventKind::WillExpireSoon]);
    }
}

#[tokio::test]
async fn the_apps_own_trouble_is_told_once_by_all_instances_together() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let (connected, receiver, _) = watched(&keeper).await;
        let idle = keeper.store.add_org("Nobody's").await.unwrap().unwrap();
        endpoint(&keeper.store, &idle, &receiver.url()).await;
        let others = [keeper.store.clone(), keeper.another_store().await, keeper.another_store().await];
        // Two of the three meet it; nobody tells either's knowledge from the other's.
        let knows = |store: &Store| {
            let service = keeper.service.clone();
            notifier_that_knows(store, Arc::new(move || service.alarm()))
        };
        let notifiers = [knows(&others[0]), knows(&others[1]), notifier(&others[2])];
        let round = async || {
            let (a, b, c) = tokio::join!(notifiers[0].step(), notifiers[1].step(), notifiers[2].step());
            for stepped in [a, b, c] {
                stepped.unwrap();
            }
            keeper.advance(1);
        };
        let refresh = || keeper.service.refresh_grant_single_flight(&connected.grant, Ask::by("ann@example.com", true));
        let refuse = json!({"endpoint": "token", "kind": "invalid_client"});
        keeper.provider.control("faults", refuse).await;
        refresh().await;
        assert!(keeper.service.alarm().is_some(), "{db}");
        round().await;
        round().await;
        keeper.advance(20 * MINUTE);
        refresh().await;
        assert_eq!(keeper.service.alarm(), None, "{db}");
        round().await;
        round().await;
        let types: Vec<String> = receiver.got().iter().map(|got| got.body["type"].to_string()).collect();
        assert_eq!(types, ["\"app.credentials_refused\"", "\"app.credentials_accepted\""], "{db}: whom it concerns");
        let told = kinds(&keeper.store, &connected.org).await;
        assert_eq!(told, [EventKind::CredentialsRefused, EventKind::CredentialsAccepted], "{db}");
        let deliveries = keeper.store.deliveries_of(&connected.org, 0).await.unwrap();
        assert!(deliveries.iter().all(|(_, one)| one.status == DeliveryStatus::Delivered), "{db}");
    }
}
