//! Which state changes become events, that each event is delivered once, and that a crash loses none.

use crate::support::databases::TestDatabase;
use crate::support::wait::{MAX_WAIT, eventually};
use std::sync::Arc;

use evergrant::model::{Channel, DeliveryStatus, EventKind, Outcome, Trigger};
use evergrant::server::domain::{AttemptEnd, FailureClass, GrantEnd};
use evergrant::server::store::{DeliveryAttempt, DeliveryOutcome, Fenced, NewAttempt, RecordedAttempt, Store};
use evergrant::server::tokens::RefreshRequest;
use serde_json::json;

use super::{
    DAY, MINUTE, add_endpoint, connect_with_receiver, end_at_xero, event_kinds, notifier,
    notifier_with_credentials_error, tick,
};
use crate::support::locks::HeldLock;
use crate::support::test_service::TestService;

#[apply(each_database!)]
async fn end_and_recovery_are_delivered_once_each_signed_and_without_tokens(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let (connected, receiver, _) = connect_with_receiver(&harness).await;
    let notifier = notifier(&harness.store);
    assert_eq!(tick(&notifier).await, Default::default(), "{db}: there is no event yet");

    end_at_xero(&harness, &connected).await;
    // A second exchange discovers the same end, which is not a change.
    harness
        .service
        .refresh_grant_single_flight(&connected.grant, RefreshRequest::manual("ann@example.com").forced())
        .await;
    let report = tick(&notifier).await;
    assert_eq!((report.fanned_out, report.delivered), (1, 1), "{db}");
    let got = receiver.deliveries().remove(0);
    assert!(got.verified, "{db}: {got:?}");
    assert_eq!((got.timestamp, got.signatures), (harness.clock.now(), 1), "{db}");
    assert_eq!(got.body["type"], "connection.needs_reconnecting", "{db}");
    assert_eq!(got.body["data"]["organization"]["name"], "Harbour", "{db}");
    assert_eq!(got.body["data"]["connection"]["id"], connected.bindings[0].as_str(), "{db}");
    assert_eq!(got.body["data"]["connection"]["tenantName"], "Harbour Coffee", "{db}");
    let binding = &connected.bindings[0];
    let page = format!("/settings/integrations?org={}&connection={binding}#connection-{binding}", connected.org);
    assert_eq!(got.body["data"]["url"], format!("https://evergrant.example{page}"), "{db}");
    for secret in [&connected.minted.access_token, &connected.minted.refresh_token] {
        assert!(!got.text.contains(secret.as_str()), "{db}: the delivery contains a token");
    }

    harness.reconnect(&connected, &["harbour"]).await;
    harness.reconnect(&connected, &["harbour"]).await;
    tick(&notifier).await;
    let mut types: Vec<String> =
        receiver.deliveries().iter().map(|got| got.body["type"].as_str().unwrap().to_owned()).collect();
    types.sort();
    let reconnected = ["connection.reconnected", "connection.reconnected", "connection.recovered"];
    assert_eq!(types, [&["connection.needs_reconnecting"][..], &reconnected].concat(), "{db}");
    assert_ne!(receiver.deliveries()[0].id, receiver.deliveries()[1].id, "{db}");
    assert_eq!(tick(&notifier).await, Default::default(), "{db}: no event is left");
}

#[apply(each_database!)]
async fn fenced_change_creates_no_event(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let (connected, _, _) = connect_with_receiver(&harness).await;
    let store = &harness.store;
    let until = || harness.clock.now() + 60;
    let lease = store.acquire_lease(&connected.grant, "one", until()).await.unwrap().unwrap();
    let lease = store.start_attempt(&lease, NewAttempt::by(Trigger::Manual)).await.unwrap();
    harness.advance(60);
    assert!(store.acquire_lease(&connected.grant, "another", until()).await.unwrap().is_some());
    let end = AttemptEnd::failed(Outcome::Reconnect, "invalid_grant", FailureClass::ANSWERED);
    let message = GrantEnd::RevokedAtXero.message();
    let fenced = store.fail_grant(&lease, message, &end).await.unwrap();
    assert_eq!(fenced, Fenced::Superseded, "the fence rejects another owner");
    assert_eq!(event_kinds(store, &connected.org).await, [], "{}", harness.database.name);
}

#[apply(each_database!)]
async fn crash_between_change_and_delivery_loses_no_event(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let (connected, receiver, _) = connect_with_receiver(&harness).await;
    end_at_xero(&harness, &connected).await;
    // The process that stored the event dies, and so does the next one, between claim and delivery. Then another
    // one delivers it with the same id.
    let store = &harness.store;
    assert_eq!(store.fan_out(10).await.unwrap(), 1, "{db}");
    let claimed = store.claim_deliveries(Channel::Webhook, "dead", harness.clock.now() + 120, 10).await.unwrap();
    assert_eq!(claimed.len(), 1, "{db}");
    let notifier = notifier(&harness.store);
    assert_eq!(tick(&notifier).await.delivered, 0, "{db}: the claim is still valid");
    harness.advance(120);
    assert_eq!(tick(&notifier).await.delivered, 1, "{db}");
    assert_eq!(receiver.deliveries().len(), 1, "{db}");
    assert_eq!(receiver.deliveries()[0].id, claimed[0].event.as_str(), "{db}");
    let late_result =
        DeliveryAttempt { outcome: DeliveryOutcome::GivenUp, http_status: None, error: None, duration_ms: None };
    assert!(
        store.record_delivery_attempt(&claimed[0].id, "dead", &late_result).await.unwrap()
            == RecordedAttempt::ClaimLost,
        "{db}: a late result is ignored"
    );
}

#[apply(each_database!)]
async fn three_instances_deliver_each_event_once(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let (connected, receiver, _) = connect_with_receiver(&harness).await;
    let others = [harness.store.clone(), harness.second_store().await, harness.second_store().await];
    for _ in 0..20 {
        end_at_xero(&harness, &harness.reconnect(&connected, &["harbour"]).await).await;
    }
    let notifiers = others.map(|store| notifier(&store));
    eventually("every delivery", MAX_WAIT, async || {
        let (a, b, c) = tokio::join!(tick(&notifiers[0]), tick(&notifiers[1]), tick(&notifiers[2]));
        [a, b, c].into_iter().all(|report| report.delivered == 0)
    })
    .await;
    let events = event_kinds(&harness.store, &connected.org).await.len();
    let mut ids: Vec<String> = receiver.deliveries().into_iter().map(|got| got.id).collect();
    assert_eq!(ids.len(), events + 20, "{db}: those for people, and twenty reconnects");
    assert!(events >= 39, "{db}: twenty ends and nineteen recoveries: {events}");
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), events + 20, "{db}: an event was delivered twice");
}

#[tokio::test]
async fn claim_waits_for_no_delivery_that_another_instance_is_about_to_claim() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let harness = TestService::start(database).await;
    let (connected, _receiver, _) = connect_with_receiver(&harness).await;
    for _ in 0..3 {
        end_at_xero(&harness, &harness.reconnect(&connected, &["harbour"]).await).await;
    }
    notifier(&harness.store).prepare().await.unwrap();
    let first = "id = (SELECT MIN(id) FROM deliveries)";
    let lock = HeldLock::on_rows(&harness.database, "deliveries", first).await;
    let claim = async || {
        let until = harness.clock.now() + 60;
        harness.store.claim_deliveries(Channel::Webhook, "an instance", until, 100).await.unwrap().len()
    };
    let others = claim().await;
    assert!(others >= 4, "three ends and two recoveries, without the locked one: {others}");
    lock.release().await;
    assert_eq!(claim().await, 1);
}

#[tokio::test]
async fn renewal_of_a_claim_waits_for_no_other_delivery_of_its_batch() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let harness = TestService::start(database).await;
    let (connected, _receiver, _) = connect_with_receiver(&harness).await;
    end_at_xero(&harness, &harness.reconnect(&connected, &["harbour"]).await).await;
    notifier(&harness.store).prepare().await.unwrap();
    let (store, until) = (&harness.store, harness.clock.now() + 60);
    let claimed = store.claim_deliveries(Channel::Webhook, "an instance", until, 100).await.unwrap();
    let (first, others) = claimed.split_first().unwrap();
    assert!(!others.is_empty());
    let lock = HeldLock::on_rows(&harness.database, "deliveries", &format!("id = '{}'", first.id)).await;
    let others: Vec<_> = others.iter().map(|one| one.id.clone()).collect();
    assert_eq!(store.renew_claims("an instance", &others, until + 60).await.unwrap(), others);
    lock.release().await;
    assert_eq!(store.renew_claims("another", &others, until + 60).await.unwrap(), [], "their claims are not its own");
}

#[apply(each_database!)]
async fn expiry_warnings_are_sent_at_three_ages_and_followed_by_the_recovery(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let (connected, receiver, _) = connect_with_receiver(&harness).await;
    let notifier = notifier(&harness.store);
    harness.provider.inject_fault(json!({"endpoint": "token", "kind": "status", "status": 503, "times": null})).await;
    let refresh_and_count = async |count: usize| {
        for _ in 0..count {
            harness
                .service
                .refresh_grant_single_flight(&connected.grant, RefreshRequest::automatic(Trigger::Sweep))
                .await;
            // Longer than the longest backoff.
            harness.advance(120 * MINUTE);
        }
        event_kinds(&harness.store, &connected.org).await.len()
    };
    harness.advance(44 * DAY);
    assert_eq!(refresh_and_count(3).await, 0, "{db}: no warning before day 45");
    for (days, warned) in [(1, 1), (3, 1), (2, 2), (5, 3)] {
        harness.advance(days * DAY);
        assert_eq!(refresh_and_count(3).await, warned, "{db}: after {days} more days");
    }
    harness.provider.clear_faults().await;
    tick(&notifier).await;
    let last = receiver.deliveries().remove(2);
    assert_eq!(last.body["data"]["expiresAt"], "2027-03-16T08:00:00Z", "{db}: sixty days from the start");
    refresh_and_count(1).await;
    assert_eq!(
        event_kinds(&harness.store, &connected.org).await[2..],
        [EventKind::WillExpireSoon, EventKind::Recovered],
        "{db}"
    );
    assert_eq!(refresh_and_count(2).await, 4, "{db}: no further event");
}

#[apply(each_database!)]
async fn expiry_warning_is_sent_once_without_any_refresh_attempt(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let (connected, _, _) = connect_with_receiver(&harness).await;
    let (one, another) = (notifier(&harness.store), notifier(&harness.second_store().await));
    harness.advance(45 * DAY + 60);
    assert_eq!(tick(&one).await.warned, 0, "the renewal is not overdue yet");
    harness.advance(DAY);
    let (a, b) = tokio::join!(tick(&one), tick(&another));
    assert_eq!(a.warned + b.warned, 1, "{}", harness.database.name);
    assert_eq!(event_kinds(&harness.store, &connected.org).await, [EventKind::WillExpireSoon]);
}

#[apply(each_database!)]
async fn credentials_alarm_is_delivered_once_by_all_instances_together(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let (connected, receiver, _) = connect_with_receiver(&harness).await;
    let idle = harness.store.add_org("Nobody's").await.unwrap();
    add_endpoint(&harness.store, &idle, &receiver.url()).await;
    let others = [harness.store.clone(), harness.second_store().await, harness.second_store().await];
    // Two of the three instances know the credentials error.
    let informed = |store: &Store| {
        let service = harness.service.clone();
        notifier_with_credentials_error(store, Arc::new(move || service.alarm()))
    };
    let notifiers = [informed(&others[0]), informed(&others[1]), notifier(&others[2])];
    let round = async || {
        tokio::join!(tick(&notifiers[0]), tick(&notifiers[1]), tick(&notifiers[2]));
        harness.advance(1);
    };
    let refresh = || {
        harness
            .service
            .refresh_grant_single_flight(&connected.grant, RefreshRequest::manual("ann@example.com").forced())
    };
    let refuse = json!({"endpoint": "token", "kind": "invalid_client"});
    harness.provider.inject_fault(refuse).await;
    refresh().await;
    assert!(harness.service.alarm().is_some(), "{db}");
    round().await;
    round().await;
    harness.advance(20 * MINUTE);
    refresh().await;
    assert_eq!(harness.service.alarm(), None, "{db}");
    round().await;
    round().await;
    let types: Vec<String> = receiver.deliveries().iter().map(|got| got.body["type"].to_string()).collect();
    assert_eq!(
        types,
        ["\"app.credentials_refused\"", "\"app.credentials_accepted\""],
        "{db}: only organizations with connections are notified"
    );
    let events = event_kinds(&harness.store, &connected.org).await;
    assert_eq!(events, [EventKind::CredentialsRefused, EventKind::CredentialsAccepted], "{db}");
    let deliveries = harness.store.deliveries_of_events(&connected.org, 0, i64::MAX).await.unwrap();
    assert!(deliveries.iter().all(|(_, one)| one.status == DeliveryStatus::Delivered), "{db}");
}

#[apply(each_database!)]
async fn credentials_alarm_of_a_clock_that_was_set_back_clears_with_the_next_refresh(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let (db, store) = (harness.database.name, &harness.store);
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    harness.advance(60);
    store.raise_credentials_alarm("invalid_client").await.unwrap();
    harness.set_clock_back(13 * 60 * MINUTE);
    let notifier = notifier(store);
    tick(&notifier).await;
    let alarm = store.credentials_alarm().await.unwrap();
    assert_eq!(alarm.map(|alarm| alarm.raised_at), Some(harness.clock.now()), "{db}: no refresh since");
    harness.advance(1);
    let request = RefreshRequest::manual("ann@example.com").forced();
    harness.service.refresh_grant_single_flight(&connected.grant, request).await;
    tick(&notifier).await;
    assert_eq!(store.credentials_alarm().await.unwrap(), None, "{db}");
}
