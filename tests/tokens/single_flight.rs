//! Single flight: one exchange for many callers, within a process and across several.

use crate::support::databases::TestDatabase;
use crate::support::wait::{MAX_WAIT, within};
use evergrant::model::Trigger;
use evergrant::server::tokens::{RefreshOutcome, RefreshRequest};
use serde_json::json;

use crate::support::test_service::TestService;

#[apply(each_database!)]
async fn two_hundred_callers_of_a_due_grant_cause_one_exchange(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    harness.provider.control("hold", json!({})).await;
    let callers: Vec<_> = (0..200)
        .map(|_| {
            let (service, grant) = (harness.service.clone(), connected.grant.clone());
            tokio::spawn(async move {
                service.refresh_grant_single_flight(&grant, RefreshRequest::automatic(Trigger::Client)).await
            })
        })
        .collect();
    harness.provider.waiting(1).await;
    harness.provider.control("release", json!({})).await;
    for caller in callers {
        let outcome = caller.await.unwrap();
        assert!(matches!(outcome, RefreshOutcome::Refreshed | RefreshOutcome::NotDue), "{db}: {outcome:?}");
    }
    assert_eq!(harness.exchange_count().await, 1, "{db}");
    assert_eq!(harness.read_grant(&connected.grant).await.generation, 1, "{db}");
}

#[apply(each_database!)]
async fn lease_loser_adopts_the_winners_token(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    let others = [harness.second_service().await, harness.second_service().await];
    harness.provider.control("hold", json!({})).await;
    let spawn_refresh = |service: &evergrant::server::tokens::TokenService| {
        let (service, grant) = (service.clone(), connected.grant.clone());
        tokio::spawn(async move {
            service.refresh_grant_single_flight(&grant, RefreshRequest::automatic(Trigger::Client)).await
        })
    };
    let winner = spawn_refresh(&harness.service);
    harness.provider.waiting(1).await;
    let losers = [spawn_refresh(&others[0]), spawn_refresh(&others[1])];
    harness.provider.control("release", json!({})).await;
    assert_eq!(winner.await.unwrap(), RefreshOutcome::Refreshed, "{db}");
    for loser in losers {
        let outcome = loser.await.unwrap();
        assert!(matches!(outcome, RefreshOutcome::RefreshedElsewhere | RefreshOutcome::NotDue), "{db}: {outcome:?}");
    }
    assert_eq!(harness.exchange_count().await, 1, "{db}");
    let client = others[0].get_client_for_tenant_binding(&connected.bindings[0], &connected.org).await.unwrap();
    assert!(client.expires_at > harness.clock.now() + 60, "{db}: the old token was served");
    assert_eq!(client.warning, None, "{db}");
}

#[apply(each_database!)]
async fn exchange_completes_after_its_caller_disconnects(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    harness.provider.control("hold", json!({})).await;
    let (service, org) = (harness.service.clone(), connected.org.clone());
    let caller = tokio::spawn(async move {
        service.proactive_refresh_for_org(&org, &RefreshRequest::automatic(Trigger::OrgSwitch)).await.unwrap()
    });
    harness.provider.waiting(1).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    harness.provider.control("release", json!({})).await;
    within("the exchange", MAX_WAIT, harness.lifecycle.wait_for_tasks()).await;
    let after = harness.read_grant(&connected.grant).await;
    assert_eq!((after.generation, after.lease), (1, None), "{db}");
}

#[apply(each_database!)]
async fn grant_with_several_bindings_is_refreshed_once(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour", "kauri"], 60).await;
    assert_eq!(connected.bindings.len(), 2);
    let request = RefreshRequest::automatic(Trigger::OrgSwitch);
    let report = harness.service.proactive_refresh_for_org(&connected.org, &request).await.unwrap();
    assert!(report.success && report.has_active_bindings && report.errors.is_empty(), "{db}: {report:?}");
    assert_eq!((report.refreshed_count, harness.exchange_count().await), (1, 1), "{db}");
    let again = harness.service.proactive_refresh_for_org(&connected.org, &request).await.unwrap();
    assert_eq!((again.refreshed_count, harness.exchange_count().await), (0, 1), "{db}: no grant was due");
}

#[apply(each_database!)]
async fn organization_without_connections_has_nothing_to_refresh(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let org = harness.store.add_org("Empty").await.unwrap();
    let report =
        harness.service.proactive_refresh_for_org(&org, &RefreshRequest::automatic(Trigger::OrgSwitch)).await.unwrap();
    assert!(report.success && !report.has_active_bindings && report.refreshed_count == 0);
}

#[apply(each_database!)]
async fn refresh_token_past_its_roll_age_is_exchanged_even_if_the_access_token_is_fresh(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    let request = RefreshRequest::automatic(Trigger::Sweep);
    harness.advance(45 * 24 * 60 * 60);
    let fresh = sqlx::query("UPDATE integration_grants SET expires_at = $1").bind(harness.clock.now() + 1800);
    fresh.execute(harness.store.database().pool()).await.unwrap();
    assert_eq!(
        harness.service.refresh_grant_single_flight(&connected.grant, request.clone()).await,
        RefreshOutcome::NotDue,
        "{db}"
    );
    harness.advance(1);
    assert_eq!(
        harness.service.refresh_grant_single_flight(&connected.grant, request).await,
        RefreshOutcome::Refreshed,
        "{db}"
    );
}

#[apply(each_database!)]
async fn forced_manual_refresh_exchanges_a_fresh_grant_and_is_journaled(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 1800).await;
    let click = RefreshRequest::manual("ana@example.com").forced();
    let report = harness.service.refresh_binding(&connected.org, &connected.bindings[0], &click).await.unwrap();
    assert_eq!((report.refreshed_count, harness.exchange_count().await), (1, 1), "{db}");
    let attempts = harness.store.attempts_of_binding(&connected.org, &connected.bindings[0], 9).await.unwrap();
    assert_eq!(
        (attempts[0].trigger.as_str(), attempts[0].actor.as_deref()),
        ("manual", Some("ana@example.com")),
        "{db}"
    );
    assert!(attempts[0].correlation_id.is_some(), "{db}: Xero's correlation id is missing");
}
