//! Wrong clocks: instances whose machines disagree, a clock that is set back, and one that was ahead and is mended.

use evergrant::model::{GrantStatus, Trigger};
use evergrant::server::domain::refusal::CHECK_INTERVAL;
use evergrant::server::store::DueFilter;
use evergrant::server::tokens::{RefreshOutcome, RefreshRequest, VendedToken};
use serde_json::json;

use crate::support::consents::ConnectedOrg;
use crate::support::databases::TestDatabase;
use crate::support::test_service::{ServiceOptions, TestService};

const HOUR: i64 = 60 * 60;

/// Vends a token that need not last.
async fn vend(harness: &TestService, connected: &ConnectedOrg) -> VendedToken {
    let bound = harness.store.binding(&connected.org, &connected.bindings[0]).await.unwrap().unwrap();
    harness.service.get_token_for(bound, 0).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn refresh(harness: &TestService, connected: &ConnectedOrg) -> RefreshOutcome {
    let request = RefreshRequest::automatic(Trigger::Client);
    harness.service.refresh_grant_single_flight(&connected.grant, request).await
}

#[tokio::test]
async fn instances_minutes_apart_cause_one_exchange() {
    for ahead in [120, -120] {
        let Some(database) = TestDatabase::postgres().await else { return };
        let harness = TestService::on_system_time(database, ServiceOptions::default()).await;
        let connected = harness.connect("Harbour", &["harbour"], 60).await;
        let (other, other_store) = harness.second_service_off_by(ahead).await;

        harness.provider.control("hold", json!({})).await;
        let (service, grant) = (harness.service.clone(), connected.grant.clone());
        let request = RefreshRequest::automatic(Trigger::Client);
        let flight = tokio::spawn(async move { service.refresh_grant_single_flight(&grant, request).await });
        harness.provider.waiting(1).await;
        let until = other_store.clock().now() + 60;
        let taken = other_store.acquire_lease(&connected.grant, "other", until).await.unwrap();
        assert!(taken.is_none(), "{ahead}: the lease is not over");
        assert!(other_store.claim_due(DueFilter::Any, 9, "other", until).await.unwrap().is_empty(), "{ahead}");
        harness.provider.control("release", json!({})).await;
        assert_eq!(flight.await.unwrap(), RefreshOutcome::Refreshed, "{ahead}");

        let bound = other_store.binding(&connected.org, &connected.bindings[0]).await.unwrap().unwrap();
        let token = other.get_token_for(bound, 1700).await.unwrap_or_else(|error| panic!("{ahead}: {error}"));
        let left = token.expires_at - harness.clock.now();
        assert!((1700..=1801).contains(&left), "{ahead}: {left}");
        assert_eq!(harness.exchange_count().await, 1, "{ahead}");
    }
}

#[apply(each_database!)]
async fn clock_that_is_set_back_serves_no_dead_token(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 1800).await;
    harness.set_clock_back(13 * HOUR);
    // The token is dead at Xero, and by this clock it is valid for another thirteen hours.
    harness.advance(2 * HOUR);
    let token = vend(&harness, &connected).await;
    assert_ne!(token.access.expose(), connected.minted.access_token, "{db}: a dead token");
    assert_eq!(token.expires_at - harness.clock.now(), 1800, "{db}");
    assert_eq!(harness.exchange_count().await, 1, "{db}");
    vend(&harness, &connected).await;
    assert_eq!(harness.exchange_count().await, 1, "{db}: once is enough");
}

#[apply(each_database!)]
async fn clock_that_is_set_back_makes_the_next_sweep_refresh(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 1800).await;
    harness.set_clock_back(13 * HOUR);
    assert_eq!(harness.sweep().await.refreshed, 1, "{db}");
    let grant = harness.read_grant(&connected.grant).await;
    assert_eq!((grant.generation, grant.expires_at - harness.clock.now()), (1, 1800), "{db}");
    assert_eq!(harness.sweep().await.refreshed, 0, "{db}");
}

#[apply(each_database!)]
async fn clock_that_is_set_back_does_not_let_the_circuit_rest(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    harness.provider.inject_fault(json!({"endpoint": "token", "kind": "invalid_client", "times": 1})).await;
    assert!(matches!(refresh(&harness, &connected).await, RefreshOutcome::Failed(_)), "{db}");
    assert!(harness.service.circuit_open_until().is_some(), "{db}");
    harness.set_clock_back(13 * HOUR);
    harness.advance(15);
    assert_eq!(harness.service.circuit_open_until(), None, "{db}: ten seconds were over");
    assert_eq!(harness.sweep().await.refreshed, 1, "{db}: its back-off is not in thirteen hours");
}

#[apply(each_database!)]
async fn consent_under_a_clock_hours_ahead_heals_once_it_is_mended(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    harness.set_clock_back(-3 * HOUR);
    // Both lifetimes count from the wrong time.
    let (swept, vended) = (
        harness.connect("Swept", &["harbour"], 3 * HOUR + 1800).await,
        harness.connect("Vended", &["harbour"], 3 * HOUR + 1800).await,
    );
    let exchanged = harness.connect("Exchanged", &["harbour"], 3 * HOUR + 60).await;
    assert_eq!(refresh(&harness, &exchanged).await, RefreshOutcome::Refreshed, "{db}");
    harness.set_clock_back(3 * HOUR);

    let token = vend(&harness, &vended).await;
    assert_eq!((token.expires_at - harness.clock.now(), token.warning), (1800, None), "{db}");
    assert_eq!(harness.sweep().await.refreshed, 2, "{db}");
    for connected in [&swept, &exchanged] {
        let grant = harness.read_grant(&connected.grant).await;
        let now = harness.clock.now();
        assert_eq!((grant.expires_at, grant.refresh_token_issued_at), (now + 1800, now), "{db}");
    }
    assert_eq!(harness.sweep().await.refreshed, 0, "{db}");
}

#[apply(each_database!)]
async fn grant_of_a_wrong_clock_backs_off_if_its_exchange_fails(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 1800).await;
    harness.set_clock_back(13 * HOUR);
    harness.provider.inject_fault(json!({"endpoint": "token", "kind": "status", "status": 503, "times": 1})).await;
    assert_eq!(harness.sweep().await.failed, 1, "{db}");
    assert_eq!(harness.sweep().await.failed, 0, "{db}: not before its back-off");
    harness.advance(1);
    assert_eq!(harness.sweep().await.refreshed, 1, "{db}");
    assert_eq!(harness.read_grant(&connected.grant).await.generation, 1, "{db}");
}

#[apply(each_database!)]
async fn lease_beyond_its_longest_life_is_over(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    harness.steal_lease(harness.clock.now() + 3 * HOUR).await;
    assert_eq!(refresh(&harness, &connected).await, RefreshOutcome::Refreshed, "{db}: by a caller");
    let other = harness.connect("Other", &["harbour"], 60).await;
    harness.advance(HOUR);
    harness.steal_lease(harness.clock.now() + 3 * HOUR).await;
    assert_eq!(harness.sweep().await.refreshed, 2, "{db}: by the sweeper");
    assert_eq!(harness.read_grant(&other.grant).await.lease, None, "{db}");
}

#[apply(each_database!)]
async fn clicks_before_the_clock_was_set_back_limit_nobody(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    let click = async || {
        let request = RefreshRequest::manual("ana@example.com").forced();
        harness.service.refresh_grant_single_flight(&connected.grant, request).await
    };
    while click().await == RefreshOutcome::Refreshed {}
    harness.set_clock_back(13 * HOUR);
    assert_eq!(click().await, RefreshOutcome::Refreshed, "{db}");
}

#[apply(each_database!)]
async fn refusal_before_the_clock_was_set_back_counts_from_now(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let dead = harness.connect("Dead", &["harbour"], 60).await;
    for org in ["One", "Two"] {
        harness.connect(org, &["demo"], 60).await;
    }
    harness.provider.sandbox.revoke_grant(&dead.minted.refresh_token).unwrap();
    assert!(matches!(refresh(&harness, &dead).await, RefreshOutcome::Failed(_)), "{db}");
    assert_eq!(harness.read_grant(&dead.grant).await.refused_at, Some(harness.clock.now()), "{db}");
    harness.set_clock_back(13 * HOUR);
    for _ in 0..12 {
        harness.sweep().await;
        harness.advance(CHECK_INTERVAL);
    }
    assert_eq!(harness.read_grant(&dead.grant).await.status, GrantStatus::RefreshFailed, "{db}");
}
