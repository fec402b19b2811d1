//! Refusals in deployments of two organizations, and of two organizations among several: what is held, and what ends it.

use evergrant::model::{BindingStatus, GrantStatus};
use evergrant::server::domain::KeepHot;
use evergrant::server::domain::refusal::CHECK_INTERVAL;
use evergrant::server::tokens::{FailureCause, RefreshOutcome, RefreshRequest};

use super::refusals::{ALL, connect_orgs, hot, refresh, refuse, statuses};
use crate::support::consents::ConnectedOrg;
use crate::support::databases::TestDatabase;
use crate::support::test_service::{DAY, ServiceOptions, TestService};

/// No grant is refreshed by the sweeper unless something makes it due.
fn cold() -> ServiceOptions {
    ServiceOptions { keep_hot: KeepHot::None, ..ServiceOptions::default() }
}

/// Connects one grant for each of `orgs` organizations, with a token that is not due.
async fn connect_idle_orgs(harness: &TestService, orgs: usize) -> Vec<ConnectedOrg> {
    let mut all = Vec::new();
    for number in 0..orgs {
        all.push(harness.connect(&format!("Organization {number}"), &["harbour"], 1_800).await);
    }
    all
}

/// Removes Evergrant's access at Xero.
fn revoke(harness: &TestService, connected: &ConnectedOrg) {
    harness.provider.sandbox.revoke_grant(&connected.minted.refresh_token).unwrap();
}

/// Sweeps once a minute.
async fn sweep_for(harness: &TestService, minutes: usize) {
    for _ in 0..minutes {
        harness.advance(CHECK_INTERVAL);
        harness.sweep().await;
    }
}

async fn are_refusals_held(harness: &TestService) -> bool {
    let app = harness.store.app().clone();
    harness.store.database().refused_grants(&app, harness.clock.now()).await.unwrap().is_suspicious()
}

fn cause(outcome: &RefreshOutcome) -> Option<FailureCause> {
    match outcome {
        RefreshOutcome::Failed(failed) => Some(failed.cause),
        _ => None,
    }
}

#[apply(each_database!)]
async fn neither_of_two_organizations_ends_while_xero_refuses_both_and_both_come_back(database: TestDatabase) {
    let harness = TestService::on(database, hot()).await;
    let db = harness.database.name;
    let both = connect_orgs(&harness, 2).await;
    refuse(&harness, ALL).await;
    sweep_for(&harness, 60).await;
    assert_eq!(statuses(&harness.store, &both).await, [GrantStatus::Active; 2], "{db}");
    for connected in &both {
        let bound = harness.store.binding(&connected.org, &connected.bindings[0]).await.unwrap().unwrap();
        assert_eq!(bound.binding.status, BindingStatus::Active, "{db}");
    }
    assert!(harness.service.circuit_open_until().is_some(), "{db}");
    assert!(are_refusals_held(&harness).await, "{db}");

    harness.provider.clear_faults().await;
    sweep_for(&harness, 10).await;
    for connected in &both {
        let grant = harness.read_grant(&connected.grant).await;
        assert!(grant.generation > 0 && grant.refused_at.is_none(), "{db}: {grant:?}");
    }
    assert!(!are_refusals_held(&harness).await, "{db}");
}

#[apply(each_database!)]
async fn other_grant_is_asked_before_the_first_of_two_ends(database: TestDatabase) {
    let harness = TestService::on(database, cold()).await;
    let db = harness.database.name;
    let both = connect_idle_orgs(&harness, 2).await;
    refuse(&harness, ALL).await;
    // Somebody opens the first organization. The other one is not due for six weeks.
    refresh(&harness, &both[0]).await;
    sweep_for(&harness, 30).await;
    assert_eq!(statuses(&harness.store, &both).await, [GrantStatus::Active; 2], "{db}");
    assert!(are_refusals_held(&harness).await, "{db}");
}

#[apply(each_database!)]
async fn dead_grant_of_two_ends_within_minutes_although_the_other_is_not_due(database: TestDatabase) {
    let harness = TestService::on(database, cold()).await;
    let db = harness.database.name;
    let [dead, healthy] = connect_idle_orgs(&harness, 2).await.try_into().ok().unwrap();
    revoke(&harness, &dead);
    assert_eq!(cause(&refresh(&harness, &dead).await), Some(FailureCause::Unconfirmed), "{db}");
    sweep_for(&harness, 3).await;
    assert_eq!(harness.read_grant(&dead.grant).await.status, GrantStatus::RefreshFailed, "{db}");
    let other = harness.read_grant(&healthy.grant).await;
    assert_eq!((other.status, other.generation), (GrantStatus::Active, 1), "{db}: it was asked once");
}

#[apply(each_database!)]
async fn dead_grants_of_two_organizations_among_several_end_after_another_was_asked(database: TestDatabase) {
    let harness = TestService::on(database, cold()).await;
    let db = harness.database.name;
    let all = connect_idle_orgs(&harness, 4).await;
    for dead in &all[..2] {
        revoke(&harness, dead);
        assert_eq!(cause(&refresh(&harness, dead).await), Some(FailureCause::Unconfirmed), "{db}");
    }
    assert!(are_refusals_held(&harness).await, "{db}");
    sweep_for(&harness, 5).await;
    let ended = [GrantStatus::RefreshFailed; 2];
    assert_eq!(statuses(&harness.store, &all[..2]).await, ended, "{db}");
    assert_eq!(statuses(&harness.store, &all[2..]).await, [GrantStatus::Active; 2], "{db}");
    assert_eq!(harness.service.circuit_open_until(), None, "{db}");
}

#[apply(each_database!)]
async fn both_dead_grants_of_two_organizations_wait_for_the_operators_word(database: TestDatabase) {
    let harness = TestService::on(database, hot()).await;
    let db = harness.database.name;
    let both = connect_orgs(&harness, 2).await;
    both.iter().for_each(|dead| revoke(&harness, dead));
    sweep_for(&harness, 60).await;
    assert_eq!(statuses(&harness.store, &both).await, [GrantStatus::Active; 2], "{db}");
    let believing = || RefreshRequest::cli().forced().believing_refusals();
    for (word, remaining) in [(0, GrantStatus::Active), (1, GrantStatus::RefreshFailed)] {
        let outcome = harness.service.refresh_grant_single_flight(&both[word].grant, believing()).await;
        assert_eq!(cause(&outcome), Some(FailureCause::Reconnect), "{db}");
        sweep_for(&harness, 10).await;
        assert_eq!(statuses(&harness.store, &both).await, [GrantStatus::RefreshFailed, remaining], "{db}");
    }
}

#[apply(each_database!)]
async fn refusal_that_was_believed_for_want_of_a_witness_counts_for_a_day(database: TestDatabase) {
    let harness = TestService::on(database, cold()).await;
    let db = harness.database.name;
    let both = connect_idle_orgs(&harness, 2).await;
    both.iter().for_each(|dead| revoke(&harness, dead));
    let busy = "UPDATE integration_grants SET failure_count = 1, next_attempt_at = $1, due_at = $1 WHERE id = $2";
    let busy = sqlx::query(busy).bind(harness.clock.now() + 3_600).bind(both[1].grant.as_str());
    busy.execute(harness.store.database().pool()).await.unwrap();
    refresh(&harness, &both[0]).await;
    sweep_for(&harness, 11).await;
    let first_ended = [GrantStatus::RefreshFailed, GrantStatus::Active];
    assert_eq!(statuses(&harness.store, &both).await, first_ended, "{db}: confirmed for ten minutes");

    refresh(&harness, &both[1]).await;
    sweep_for(&harness, 60).await;
    assert_eq!(statuses(&harness.store, &both).await, first_ended, "{db}");
    assert!(are_refusals_held(&harness).await, "{db}");
    harness.advance(DAY);
    harness.sweep().await;
    assert_eq!(statuses(&harness.store, &both).await, [GrantStatus::RefreshFailed; 2], "{db}: a day later");
}
