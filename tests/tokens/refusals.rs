//! Refusals that may say nothing about the grants: they are checked again, or held, before anything ends.

use evergrant::model::{BindingStatus, GrantStatus, ImportOutcome, Trigger};
use evergrant::server::domain::refusal::CHECK_INTERVAL;
use evergrant::server::domain::{Actor, ImportReport, ImportRow, KeepHot, RefreshToken};
use evergrant::server::store::Store;
use evergrant::server::tokens::{FailureCause, ImportTarget, RefreshOutcome, RefreshRequest, SharedUsers};
use serde_json::json;

use crate::support::consents::ConnectedOrg;
use crate::support::databases::TestDatabase;
use crate::support::test_service::{ServiceOptions, TestService};

/// The sweeper keeps every grant's access token valid.
pub fn hot() -> ServiceOptions {
    ServiceOptions { keep_hot: KeepHot::All, ..ServiceOptions::default() }
}
/// Enough refusals for a whole test.
pub const ALL: u32 = 10_000;

/// Makes Xero refuse the next `times` tokens, although they are good.
pub async fn refuse(harness: &TestService, times: u32) {
    harness.provider.inject_fault(json!({"endpoint": "token", "kind": "invalid_grant", "times": times})).await;
}

/// Connects one grant for each of `orgs` organizations, with a token that is due.
pub async fn connect_orgs(harness: &TestService, orgs: usize) -> Vec<ConnectedOrg> {
    let mut all = Vec::new();
    for number in 0..orgs {
        all.push(harness.connect(&format!("Organization {number}"), &["harbour"], 60).await);
    }
    all
}

/// Connects two organizations and has Xero refuse each of them, so that the refusals are held.
async fn connect_and_refuse_orgs(harness: &TestService) -> Vec<ConnectedOrg> {
    let all = connect_orgs(harness, 2).await;
    harness.advance(60);
    refuse(harness, ALL).await;
    for connected in &all {
        refresh(harness, connected).await;
    }
    all
}

pub async fn refresh(harness: &TestService, connected: &ConnectedOrg) -> RefreshOutcome {
    harness.service.refresh_grant_single_flight(&connected.grant, RefreshRequest::cli().forced()).await
}

pub async fn statuses(store: &Store, all: &[ConnectedOrg]) -> Vec<GrantStatus> {
    let mut statuses = Vec::new();
    for connected in all {
        statuses.push(store.grant(&connected.grant).await.unwrap().unwrap().status);
    }
    statuses
}

#[apply(each_database!)]
async fn refusals_of_many_organizations_end_nothing_until_one_succeeds(database: TestDatabase) {
    let harness = TestService::on(database, hot()).await;
    let db = harness.database.name;
    let all = connect_orgs(&harness, 5).await;
    harness.advance(60);
    refuse(&harness, ALL).await;
    for _ in 0..30 {
        harness.sweep().await;
        harness.advance(CHECK_INTERVAL);
    }
    assert_eq!(statuses(&harness.store, &all).await, [GrantStatus::Active; 5], "{db}");
    for connected in &all {
        let bound = harness.store.binding(&connected.org, &connected.bindings[0]).await.unwrap().unwrap();
        assert_eq!(bound.binding.status, BindingStatus::Active, "{db}");
    }
    let until = harness.service.circuit_open_until();
    assert!(until.is_some_and(|until| until > harness.clock.now()), "{db}: the circuit is {until:?}");
    let app = harness.store.app().clone();
    let refused = harness.store.database().refused_grants(&app, harness.clock.now()).await.unwrap();
    assert!(refused.is_suspicious(), "{db}: {refused:?}");

    // Two of them are really dead. The others come back by themselves, and then those two end.
    for dead in &all[..2] {
        harness.provider.sandbox.revoke_grant(&dead.minted.refresh_token).unwrap();
    }
    harness.provider.clear_faults().await;
    for _ in 0..20 {
        harness.advance(CHECK_INTERVAL);
        harness.sweep().await;
    }
    let expected = [
        GrantStatus::RefreshFailed,
        GrantStatus::RefreshFailed,
        GrantStatus::Active,
        GrantStatus::Active,
        GrantStatus::Active,
    ];
    assert_eq!(statuses(&harness.store, &all).await, expected, "{db}");
    for healthy in &all[2..] {
        let grant = harness.read_grant(&healthy.grant).await;
        assert!(grant.generation > 0 && grant.refused_at.is_none(), "{db}: {grant:?}");
    }
}

#[apply(each_database!)]
async fn neither_a_consent_nor_an_unsent_import_is_a_success_that_lets_refusals_through(database: TestDatabase) {
    let harness = TestService::on(database, hot()).await;
    let db = harness.database.name;
    let all = connect_and_refuse_orgs(&harness).await;
    harness.advance(CHECK_INTERVAL);
    harness.connect("Newcomer", &["demo"], 1_800).await;
    let actor = Actor::operator();
    let target = ImportTarget { org: all[0].org.clone(), actor, user: None, shared_users: SharedUsers::Allow };
    let row = ImportRow {
        refresh_token: RefreshToken::new("garbage"),
        client_id: None,
        tenant_id: None,
        external_id: None,
        tags: vec![],
    };
    let report = harness.service.import(&target, row).await.unwrap();
    assert_eq!(report, ImportReport::of(ImportOutcome::Refused), "{db}");
    let app = harness.store.app().clone();
    let refused = harness.store.database().refused_grants(&app, harness.clock.now()).await.unwrap();
    assert!(refused.is_suspicious(), "{db}: {refused:?}");
    for _ in 0..3 {
        for connected in &all {
            refresh(&harness, connected).await;
        }
        harness.advance(CHECK_INTERVAL);
    }
    assert_eq!(statuses(&harness.store, &all).await, [GrantStatus::Active; 2], "{db}");
}

#[apply(each_database!)]
async fn grant_that_was_not_refused_probes_at_once_while_refusals_are_held(database: TestDatabase) {
    let harness = TestService::on(database, hot()).await;
    let db = harness.database.name;
    let refused = connect_orgs(&harness, 2).await;
    let healthy = harness.connect("Healthy", &["demo"], 60).await;
    harness.advance(30);
    refuse(&harness, 2).await;
    for connected in &refused {
        assert!(matches!(refresh(&harness, connected).await, RefreshOutcome::Failed(_)), "{db}");
    }
    assert_eq!(statuses(&harness.store, &refused).await, [GrantStatus::Active; 2], "{db}");
    // The healthy one is due for the sweeper, before the refused ones are.
    harness.advance(30);
    let swept = harness.sweep().await;
    assert_eq!((swept.refreshed, swept.failed), (1, 0), "{db}");
    assert_eq!(harness.read_grant(&healthy.grant).await.generation, 1, "{db}");
    assert_eq!(harness.service.circuit_open_until(), None, "{db}: the success closes the circuit");
}

#[apply(each_database!)]
async fn one_organizations_refusals_are_believed(database: TestDatabase) {
    let harness = TestService::on(database, hot()).await;
    let db = harness.database.name;
    let others = connect_orgs(&harness, 3).await;
    let org = harness.store.add_org("Left").await.unwrap();
    let mut left = Vec::new();
    for _ in 0..4 {
        left.push(harness.add_grant(&org, 60).await);
    }
    for grant in &left {
        let token = harness.store.open_refresh(&harness.read_grant(grant).await).unwrap();
        harness.provider.sandbox.revoke_grant(token.expose()).unwrap();
    }
    for connected in &others {
        assert_eq!(refresh(&harness, connected).await, RefreshOutcome::Refreshed, "{db}");
    }
    // So that no other grant can be asked.
    let fail = "UPDATE integration_grants SET failure_count = 1, next_attempt_at = $1, due_at = $1 WHERE org_id <> $2";
    let fail = sqlx::query(fail).bind(harness.clock.now() + 3_600).bind(org.as_str());
    fail.execute(harness.store.database().pool()).await.unwrap();
    harness.advance(60);
    harness.sweep().await;
    for grant in &left {
        let row = harness.read_grant(grant).await;
        assert_eq!((row.status, row.refused_at), (GrantStatus::Active, Some(harness.clock.now())), "{db}: at once");
    }
    // Ten minutes later, without any other success.
    for _ in 0..11 {
        harness.advance(CHECK_INTERVAL);
        harness.sweep().await;
    }
    for grant in &left {
        assert_eq!(harness.read_grant(grant).await.status, GrantStatus::RefreshFailed, "{db}");
    }
}

#[apply(each_database!)]
async fn success_elsewhere_makes_the_next_refusal_decisive(database: TestDatabase) {
    let harness = TestService::on(database, hot()).await;
    let db = harness.database.name;
    let all = connect_orgs(&harness, 3).await;
    harness.provider.sandbox.revoke_grant(&all[0].minted.refresh_token).unwrap();
    harness.advance(1);
    let RefreshOutcome::Failed(failed) = refresh(&harness, &all[0]).await else { panic!("{db}: refreshed") };
    assert_eq!(failed.cause, FailureCause::Unconfirmed, "{db}: {failed:?}");
    harness.advance(1);
    assert_eq!(refresh(&harness, &all[1]).await, RefreshOutcome::Refreshed, "{db}");
    harness.advance(CHECK_INTERVAL);
    harness.sweep().await;
    assert_eq!(harness.read_grant(&all[0].grant).await.status, GrantStatus::RefreshFailed, "{db}");
}

#[apply(each_database!)]
async fn operators_word_ends_a_held_grant(database: TestDatabase) {
    let harness = TestService::on(database, hot()).await;
    let db = harness.database.name;
    let all = connect_and_refuse_orgs(&harness).await;
    let request = RefreshRequest::cli().forced().believing_refusals();
    harness.advance(CHECK_INTERVAL);
    let outcome = harness.service.refresh_grant_single_flight(&all[0].grant, request).await;
    assert!(
        matches!(&outcome, RefreshOutcome::Failed(failed) if failed.cause == FailureCause::Reconnect),
        "{db}: {outcome:?}"
    );
    assert_eq!(harness.read_grant(&all[0].grant).await.status, GrantStatus::RefreshFailed, "{db}");
    assert_eq!(harness.read_grant(&all[1].grant).await.status, GrantStatus::Active, "{db}");
}

#[apply(each_database!)]
async fn retry_brings_back_a_grant_that_was_wrongly_called_dead(database: TestDatabase) {
    let harness = TestService::on(database, hot()).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour", "kauri"], 60).await;
    refuse(&harness, 2).await;
    refresh(&harness, &connected).await;
    assert_eq!(harness.read_grant(&connected.grant).await.status, GrantStatus::RefreshFailed, "{db}");
    let refused = harness.service.retry(&connected.grant).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("refused the stored token again")), "{db}");
    assert_eq!(harness.read_grant(&connected.grant).await.lease, None, "{db}: the lease was not released");

    harness.service.retry(&connected.grant).await.unwrap_or_else(|error| panic!("{db}: {error}"));
    let row = harness.read_grant(&connected.grant).await;
    assert_eq!((row.status, row.generation, row.failure_count), (GrantStatus::Active, 1, 0), "{db}");
    for binding in &connected.bindings {
        let bound = harness.store.binding(&connected.org, binding).await.unwrap().unwrap();
        assert_eq!(bound.binding.status, BindingStatus::Active, "{db}");
    }
    harness.advance(1201);
    let request = RefreshRequest::automatic(Trigger::Sweep);
    let outcome = harness.service.refresh_grant_single_flight(&connected.grant, request).await;
    assert_eq!(outcome, RefreshOutcome::Refreshed, "{db}: the new token must work");
}
