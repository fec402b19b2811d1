//! Request storms: the circuit breaker protects a failing provider, a failing grant affects no other, and the calls of
//! one organization delay no other.

use crate::support::databases::TestDatabase;
use evergrant::model::{GrantId, GrantStatus, Trigger};
use evergrant::server::tokens::{FailureCause, RefreshFailure, RefreshOutcome, RefreshRequest, TokenService};
use futures::future::join_all;
use serde_json::json;

use crate::support::consents::ConnectedOrg;
use crate::support::test_service::TestService;

const HOUR: i64 = 60 * 60;
const REPLAY_WINDOW: i64 = 30 * 60;
const QUARTER_HOUR: i64 = 15 * 60;

pub async fn refresh(harness: &TestService, connected: &ConnectedOrg) -> RefreshOutcome {
    harness.service.refresh_grant_single_flight(&connected.grant, RefreshRequest::automatic(Trigger::Client)).await
}

async fn manual_refresh(harness: &TestService, connected: &ConnectedOrg) -> RefreshOutcome {
    harness
        .service
        .refresh_grant_single_flight(&connected.grant, RefreshRequest::manual("ana@example.com").forced())
        .await
}

/// Connects `count` organizations with one due grant each.
async fn connect_many(harness: &TestService, count: usize) -> Vec<ConnectedOrg> {
    let mut many = Vec::new();
    for number in 0..count {
        many.push(harness.connect(&format!("Org {number}"), &["harbour"], 60).await);
    }
    many
}

pub fn unwrap_failed(outcome: RefreshOutcome) -> RefreshFailure {
    match outcome {
        RefreshOutcome::Failed(failed) => failed,
        outcome => panic!("{outcome:?}"),
    }
}

/// Opens the circuit breaker: five grants fail at a provider that is down.
async fn open_circuit(harness: &TestService, grants: &[ConnectedOrg]) {
    harness.provider.inject_fault(json!({"endpoint": "token", "kind": "status", "status": 503, "times": null})).await;
    for connected in &grants[..5] {
        assert_eq!(harness.service.circuit_open_until(), None);
        unwrap_failed(refresh(harness, connected).await);
    }
    assert!(harness.service.circuit_open_until().is_some());
}

/// Advances the clock until the breaker allows a probe.
fn advance_past_open_circuit(harness: &TestService) {
    if let Some(until) = harness.service.circuit_open_until() {
        harness.advance(until - harness.clock.now());
    }
}

#[apply(each_database!)]
async fn open_circuit_sends_no_requests_and_leaves_grants_unchanged(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let grants = connect_many(&harness, 6).await;
    open_circuit(&harness, &grants).await;
    let before = harness.read_grant(&grants[5].grant).await;
    for _ in 0..100 {
        let failed = unwrap_failed(refresh(&harness, &grants[5]).await);
        assert_eq!(
            (failed.cause, failed.next_attempt_at),
            (FailureCause::NotAnswering, harness.service.circuit_open_until())
        );
        assert_eq!(failed.message, "Xero isn't answering. Your connection is safe.", "{db}");
    }
    assert_eq!(harness.exchange_count().await, 5, "{db}");
    assert_eq!(harness.read_grant(&grants[5].grant).await, before, "{db}");
    let attempts = harness.store.attempts_of_binding(&grants[5].org, &grants[5].bindings[0], 9).await.unwrap();
    assert!(attempts.is_empty(), "{db}: {attempts:?}");
}

#[apply(each_database!)]
async fn one_probe_closes_the_circuit_for_all_grants(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let grants = connect_many(&harness, 25).await;
    open_circuit(&harness, &grants).await;
    harness.provider.clear_faults().await;
    advance_past_open_circuit(&harness);
    assert_eq!(harness.service.circuit_open_until(), None, "{db}");
    harness.provider.control("hold", json!({})).await;
    let spawn_refresh = |connected: &ConnectedOrg| {
        let (service, grant) = (harness.service.clone(), connected.grant.clone());
        tokio::spawn(async move {
            service.refresh_grant_single_flight(&grant, RefreshRequest::automatic(Trigger::Sweep)).await
        })
    };
    let probe = spawn_refresh(&grants[5]);
    harness.provider.waiting(1).await;
    for outcome in join_all(grants[6..].iter().map(spawn_refresh)).await {
        let failed = unwrap_failed(outcome.unwrap());
        assert!(failed.next_attempt_at.is_some_and(|next| next > harness.clock.now()), "{db}: {failed:?}");
    }
    assert_eq!(harness.exchange_count().await, 6, "{db}: only the probe may be sent");
    harness.provider.control("release", json!({})).await;
    assert_eq!(probe.await.unwrap(), RefreshOutcome::Refreshed, "{db}");
    for connected in &grants[6..] {
        assert_eq!(refresh(&harness, connected).await, RefreshOutcome::Refreshed, "{db}");
    }
}

#[apply(each_database!)]
async fn manual_refresh_may_probe_an_open_circuit_at_a_limited_rate(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let grants = connect_many(&harness, 8).await;
    open_circuit(&harness, &grants).await;
    unwrap_failed(manual_refresh(&harness, &grants[5]).await);
    assert_eq!(harness.exchange_count().await, 6, "{db}");
    unwrap_failed(manual_refresh(&harness, &grants[6]).await);
    assert_eq!(harness.exchange_count().await, 6, "{db}: a second manual refresh must not be sent");
    harness.provider.clear_faults().await;
    advance_past_open_circuit(&harness);
    assert_eq!(manual_refresh(&harness, &grants[6]).await, RefreshOutcome::Refreshed, "{db}");
    assert_eq!(refresh(&harness, &grants[7]).await, RefreshOutcome::Refreshed, "{db}: the probe closes the breaker");
}

#[apply(each_database!)]
async fn dead_grants_of_one_organization_do_not_open_the_circuit(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    for _ in 0..7 {
        let dead = harness.add_grant(&connected.org, 60).await;
        let token = harness.store.open_refresh(&harness.read_grant(&dead).await).unwrap();
        harness.provider.sandbox.revoke_grant(token.expose()).unwrap();
        let outcome =
            harness.service.refresh_grant_single_flight(&dead, RefreshRequest::automatic(Trigger::Sweep)).await;
        assert_eq!(unwrap_failed(outcome).cause, FailureCause::Reconnect, "{db}");
    }
    assert_eq!(harness.service.circuit_open_until(), None, "{db}");
    assert_eq!(refresh(&harness, &connected).await, RefreshOutcome::Refreshed, "{db}");
}

#[apply(each_database!)]
async fn long_retry_after_does_not_delay_a_lost_reply_past_its_window(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    harness.provider.inject_fault(json!({"endpoint": "token", "kind": "reset_after", "times": 1})).await;
    let begun = harness.clock.now();
    let mut next = unwrap_failed(refresh(&harness, &connected).await).next_attempt_at.unwrap();
    assert_eq!(harness.read_grant(&connected.grant).await.reply_lost_at, Some(begun), "{db}");
    for status in [429, 503, 429, 503, 429] {
        harness
            .provider
            .inject_fault(json!({"endpoint": "token", "kind": "status", "status": status, "retry_after": 86_400}))
            .await;
    }
    // Each of these also opens the breaker.
    for _ in 0..5 {
        harness.advance(next - harness.clock.now());
        next = unwrap_failed(refresh(&harness, &connected).await).next_attempt_at.unwrap();
    }
    harness.advance(next - harness.clock.now());
    assert_eq!(refresh(&harness, &connected).await, RefreshOutcome::Refreshed, "{db}");
    assert_eq!(harness.exchange_count().await, 7, "{db}");
    assert!(harness.clock.now() < begun + REPLAY_WINDOW, "{db}");
    // Without a lost reply the wait may be up to an hour.
    let other = harness.connect("Other", &["kauri"], 60).await;
    harness.advance(HOUR);
    harness
        .provider
        .inject_fault(json!({"endpoint": "token", "kind": "status", "status": 429, "retry_after": 86_400}))
        .await;
    let waits = unwrap_failed(refresh(&harness, &other).await).next_attempt_at.unwrap() - harness.clock.now();
    assert_eq!(waits, HOUR, "{db}");
}

#[apply(each_database!)]
async fn lost_reply_is_retried_while_the_circuit_is_open(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let grants = connect_many(&harness, 7).await;
    let lost = &grants[6];
    harness.provider.inject_fault(json!({"endpoint": "token", "kind": "reset_after", "times": 1})).await;
    let lost_at = harness.clock.now();
    unwrap_failed(refresh(&harness, lost).await);
    open_circuit_after_lost_reply(&harness, &grants).await;
    // Xero's Retry-After is longer than the replay window.
    while harness.clock.now() < lost_at + QUARTER_HOUR {
        assert!(harness.service.circuit_open_until().is_some(), "{db}: the clock would stand still");
        advance_past_open_circuit(&harness);
        harness
            .provider
            .inject_fault(json!({"endpoint": "token", "kind": "status", "status": 429, "retry_after": 86_400}))
            .await;
        unwrap_failed(manual_refresh(&harness, &grants[5]).await);
    }
    harness.provider.clear_faults().await;
    assert!(harness.service.circuit_open_until().is_some(), "{db}");
    assert!(harness.clock.now() < lost_at + REPLAY_WINDOW, "{db}");
    assert_eq!(refresh(&harness, lost).await, RefreshOutcome::Refreshed, "{db}");
    let after = harness.read_grant(&lost.grant).await;
    assert_eq!((after.status, after.generation, after.reply_lost_at), (GrantStatus::Active, 1, None), "{db}");
    assert_eq!(harness.service.circuit_open_until(), None, "{db}: the breaker must be closed again");
}

async fn open_circuit_after_lost_reply(harness: &TestService, grants: &[ConnectedOrg]) {
    harness.provider.inject_fault(json!({"endpoint": "token", "kind": "status", "status": 503, "times": 4})).await;
    for connected in &grants[..4] {
        unwrap_failed(refresh(harness, connected).await);
    }
    assert!(harness.service.circuit_open_until().is_some(), "the lost reply counts as the first of five failures");
}

#[apply(each_database!)]
async fn failed_result_is_shared_with_all_waiting_callers(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    let services = [harness.service.clone(), harness.second_service().await, harness.second_service().await];
    harness.provider.control("hold", json!({})).await;
    harness.provider.inject_fault(json!({"endpoint": "token", "kind": "status", "status": 503, "times": null})).await;
    let spawn_refresh = |service: &TokenService| {
        let (service, grant) = (service.clone(), connected.grant.clone());
        tokio::spawn(async move {
            service.refresh_grant_single_flight(&grant, RefreshRequest::automatic(Trigger::Client)).await
        })
    };
    let first = spawn_refresh(&services[0]);
    harness.provider.waiting(1).await;
    // Callers in the same process join the exchange; those in other processes wait for the lease.
    let others: Vec<_> = (0..60).map(|number| spawn_refresh(&services[number % 3])).collect();
    harness.provider.control("release", json!({})).await;
    let first = unwrap_failed(first.await.unwrap());
    for other in others {
        let other = unwrap_failed(other.await.unwrap());
        assert_eq!((other.message, other.next_attempt_at), (first.message.clone(), first.next_attempt_at), "{db}");
    }
    assert_eq!(harness.exchange_count().await, 1, "{db}");
    assert_eq!(harness.read_grant(&connected.grant).await.failure_count, 1, "{db}");
}

#[apply(each_database!)]
async fn exchanges_of_one_organization_do_not_delay_another(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let stormy = harness.connect("Stormy", &["harbour"], 60).await;
    let mut theirs = vec![stormy.grant];
    for _ in 0..11 {
        theirs.push(harness.add_grant(&stormy.org, 60).await);
    }
    let calm = harness.connect("Calm", &["kauri"], 60).await;
    harness.provider.control("hold", json!({})).await;
    let spawn_refresh = |grant: &GrantId| {
        let (service, grant) = (harness.service.clone(), grant.clone());
        tokio::spawn(async move {
            service.refresh_grant_single_flight(&grant, RefreshRequest::automatic(Trigger::Client)).await
        })
    };
    let storm: Vec<_> = theirs.iter().map(spawn_refresh).collect();
    harness.provider.waiting(4).await;
    // Xero answers none of these, and the request of another organization is still sent.
    let other = spawn_refresh(&calm.grant);
    harness.provider.waiting(5).await;
    harness.provider.control("release", json!({})).await;
    assert_eq!(other.await.unwrap(), RefreshOutcome::Refreshed, "{db}");
    for outcome in storm {
        assert_eq!(outcome.await.unwrap(), RefreshOutcome::Refreshed, "{db}: the queued exchanges must complete");
    }
}

#[apply(each_database!)]
async fn reply_lost_by_a_dead_holder_is_retried_after_an_open_circuit(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let grants = connect_many(&harness, 6).await;
    let fresh = harness.connect("Fresh", &["kauri"], 1800).await;
    let sent = harness.clock.now();
    let died = harness.store.acquire_lease(&fresh.grant, "a holder that dies", sent + 60).await.unwrap();
    assert!(died.is_some(), "{db}");
    harness.advance(60);
    open_circuit(&harness, &grants).await;
    assert_eq!(harness.sweep().await.refreshed, 0, "{db}");
    let after = harness.read_grant(&fresh.grant).await;
    assert_eq!((after.lease, after.reply_lost_at, after.failure_count), (None, Some(sent), 0), "{db}");
    while harness.clock.now() < sent + QUARTER_HOUR {
        harness.advance(60);
        unwrap_failed(manual_refresh(&harness, &grants[0]).await);
    }
    harness.provider.clear_faults().await;
    assert_eq!(refresh(&harness, &fresh).await, RefreshOutcome::Refreshed, "{db}: exchanged though fresh");
}
