//! Two exchanges of one refresh token of which the later one ends the earlier one's successor: whichever is committed, the
//! grant lives on.

use evergrant::model::{GrantStatus, Trigger};
use evergrant::server::tokens::{RefreshOutcome, RefreshRequest};
use serde_json::json;

use crate::support::consents::ConnectedOrg;
use crate::support::databases::TestDatabase;
use crate::support::test_service::{DAY, PAST_REPLAY_WINDOW, TestService};

/// Returns a service whose provider ends a token's earlier successors, and a connection whose token is due.
async fn start(database: TestDatabase) -> (TestService, ConnectedOrg) {
    let harness = TestService::start(database).await;
    harness.provider.control("settings", json!({ "replay": "newest" })).await;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    (harness, connected)
}

async fn refresh(harness: &TestService, connected: &ConnectedOrg) -> RefreshOutcome {
    harness.service.refresh_grant_single_flight(&connected.grant, RefreshRequest::automatic(Trigger::Client)).await
}

async fn ledger_outcomes(harness: &TestService) -> Vec<String> {
    harness.provider.ledger().await.iter().map(|entry| entry["outcome"].as_str().unwrap().to_owned()).collect()
}

#[apply(each_database!)]
async fn late_exchange_that_ended_the_committed_token_is_made_good(database: TestDatabase) {
    let (harness, connected) = start(database).await;
    let db = harness.database.name;
    assert_eq!(refresh(&harness, &connected).await, RefreshOutcome::Refreshed, "{db}");
    // A request that was under way all the time arrives after the commit, and its reply is lost.
    harness.provider.refresh(&connected.minted.refresh_token).await;
    harness.advance(25 * 60);
    assert_eq!(refresh(&harness, &connected).await, RefreshOutcome::Refreshed, "{db}");
    assert_eq!(ledger_outcomes(&harness).await, ["rotated", "replayed", "invalid_grant", "replayed"], "{db}");
    let grant = harness.read_grant(&connected.grant).await;
    assert_eq!((grant.status, grant.generation, grant.refused_at), (GrantStatus::Active, 2, None), "{db}");
    // Its successor is the newest one: it is exchanged when no predecessor can be any more.
    harness.advance(PAST_REPLAY_WINDOW);
    assert_eq!(refresh(&harness, &connected).await, RefreshOutcome::Refreshed, "{db}");
}

#[apply(each_database!)]
async fn late_exchange_after_another_made_good_is_made_good_too(database: TestDatabase) {
    let (harness, connected) = start(database).await;
    let db = harness.database.name;
    refresh(&harness, &connected).await;
    for generation in 2..=3 {
        harness.provider.refresh(&connected.minted.refresh_token).await;
        let forced = RefreshRequest::cli().forced();
        let outcome = harness.service.refresh_grant_single_flight(&connected.grant, forced).await;
        assert_eq!(outcome, RefreshOutcome::Refreshed, "{db}");
        assert_eq!(harness.read_grant(&connected.grant).await.generation, generation, "{db}");
    }
}

#[apply(each_database!)]
async fn grant_ends_if_its_predecessor_is_refused_after_the_replay_window(database: TestDatabase) {
    let (harness, connected) = start(database).await;
    let db = harness.database.name;
    refresh(&harness, &connected).await;
    harness.provider.refresh(&connected.minted.refresh_token).await;
    harness.advance(PAST_REPLAY_WINDOW);
    assert!(matches!(refresh(&harness, &connected).await, RefreshOutcome::Failed(_)), "{db}");
    assert_eq!(ledger_outcomes(&harness).await, ["rotated", "replayed", "invalid_grant", "invalid_grant"], "{db}");
    assert_eq!(harness.read_grant(&connected.grant).await.status, GrantStatus::RefreshFailed, "{db}");
}

#[apply(each_database!)]
async fn ended_token_of_an_exchange_under_a_clock_hours_behind_is_made_good(database: TestDatabase) {
    let (harness, connected) = start(database).await;
    let db = harness.database.name;
    harness.set_clock_back(DAY / 2);
    let forced = RefreshRequest::cli().forced();
    let outcome = harness.service.refresh_grant_single_flight(&connected.grant, forced).await;
    assert_eq!(outcome, RefreshOutcome::Refreshed, "{db}");
    harness.set_clock_back(-DAY / 2);
    harness.provider.refresh(&connected.minted.refresh_token).await;
    harness.advance(60);
    assert_eq!(refresh(&harness, &connected).await, RefreshOutcome::Refreshed, "{db}");
    assert_eq!(ledger_outcomes(&harness).await, ["rotated", "replayed", "invalid_grant", "replayed"], "{db}");
}

#[apply(each_database!)]
async fn grant_whose_consent_was_revoked_ends_although_its_predecessor_is_tried(database: TestDatabase) {
    let (harness, connected) = start(database).await;
    let db = harness.database.name;
    refresh(&harness, &connected).await;
    harness.provider.control("revoke-grant", json!({ "refresh_token": connected.minted.refresh_token })).await;
    for _ in 0..3 {
        harness.advance(25 * 60);
        refresh(&harness, &connected).await;
    }
    assert_eq!(harness.read_grant(&connected.grant).await.status, GrantStatus::RefreshFailed, "{db}");
}

#[apply(each_database!)]
async fn token_that_a_lost_reply_may_have_ended_is_used_while_its_predecessor_helps(database: TestDatabase) {
    let (harness, connected) = start(database).await;
    let db = harness.database.name;
    // Nobody uses it, so that nothing but the doubt makes it due.
    harness.advance(46 * DAY);
    harness.provider.inject_fault(json!({ "endpoint": "token", "kind": "reset_after" })).await;
    let mut is_ended = false;
    for _ in 0..40 {
        harness.sweep().await;
        harness.advance(60);
        if harness.read_grant(&connected.grant).await.generation == 1 && !is_ended {
            harness.provider.refresh(&connected.minted.refresh_token).await;
            is_ended = true;
        }
    }
    let outcomes = ledger_outcomes(&harness).await;
    assert_eq!(outcomes, ["rotated", "replayed", "replayed", "invalid_grant", "replayed"], "{db}");
    harness.advance(46 * DAY);
    assert_eq!(refresh(&harness, &connected).await, RefreshOutcome::Refreshed, "{db}");
}
