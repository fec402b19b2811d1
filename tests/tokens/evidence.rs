//! The evidence in the journal: abandoned attempts, and the reason why a grant died.

use crate::support::databases::TestDatabase;
use crate::support::test_service::DAY;
use crate::support::test_service::PAST_REPLAY_WINDOW;
use evergrant::model::{AttemptView, GrantStatus, OrgView, Outcome, Role, Trigger};
use evergrant::server::store::NewAttempt;
use evergrant::server::tokens::{RefreshFailure, RefreshOutcome, RefreshRequest};
use evergrant::server::views;
use serde_json::json;

use crate::support::consents::ConnectedOrg;
use crate::support::test_service::{ServiceOptions, TestService};

async fn refresh(harness: &TestService, connected: &ConnectedOrg) -> RefreshOutcome {
    harness.service.refresh_grant_single_flight(&connected.grant, RefreshRequest::automatic(Trigger::Client)).await
}

async fn inject_fault(harness: &TestService, kind: &str) {
    harness.provider.inject_fault(json!({"endpoint": "token", "kind": kind, "times": 1})).await;
}

/// Returns the binding's attempts, newest first.
async fn attempts(harness: &TestService, connected: &ConnectedOrg) -> Vec<AttemptView> {
    harness.store.attempts_of_binding(&connected.org, &connected.bindings[0], 9).await.unwrap()
}

/// Acts as a holder that journals an attempt, exchanges the token at Xero and crashes before the response.
async fn exchange_then_crash(harness: &TestService, connected: &ConnectedOrg) {
    let (store, id) = (&harness.store, &connected.grant);
    let lease = store.acquire_lease(id, "dies", harness.clock.now() + 60).await.unwrap().unwrap();
    store.start_attempt(&lease, NewAttempt::by(Trigger::Sweep)).await.unwrap();
    assert_eq!(harness.provider.refresh(&connected.minted.refresh_token).await.0.as_u16(), 200);
}

/// Asserts that a refresh finds the grant dead, and that report, journal, page and operator's list give the reason:
/// `code` for programs, `words` for people.
async fn assert_grant_dead(harness: &TestService, connected: &ConnectedOrg, code: &str, words: &str) {
    let case = format!("{} {code}", harness.database.name);
    let outcome = refresh(harness, connected).await;
    let row = harness.read_grant(&connected.grant).await;
    assert_eq!(row.status, GrantStatus::RefreshFailed, "{case}: {outcome:?}");
    let sentence = row.last_error.unwrap();
    assert!(sentence.contains(words) && sentence.contains("Reconnect to continue"), "{case}: {sentence}");
    let has_message = |outcome: &RefreshOutcome| matches!(outcome, RefreshOutcome::Failed(RefreshFailure { message, .. }) if *message == sentence);
    assert!(has_message(&outcome), "{case}: {outcome:?}");
    let again = refresh(harness, connected).await;
    assert!(has_message(&again), "{case}: the next caller must get the same message: {again:?}");

    let last = &attempts(harness, connected).await[0];
    assert_eq!((last.outcome, last.error_code.as_deref()), (Outcome::Reconnect, Some(code)), "{case}");
    assert_eq!(last.http_status, Some(400), "{case}");
    let org = OrgView { id: connected.org.clone(), name: "Harbour Group".into(), role: Role::Owner, attention: 0 };
    let viewer = views::Viewer::new(org.role, "ann@example.com");
    let view = views::settings(&harness.store, &org, &viewer, "", views::SettingsRequest::default()).await.unwrap();
    assert_eq!(view.connections[0].problem.as_deref(), Some(sentence.as_str()), "{case}");
    let listed = harness.store.database().grant_summaries(Some(&connected.org)).await.unwrap();
    assert_eq!(listed[0].last_failure_code.as_deref(), Some(code), "{case}");
}

#[apply(each_database!)]
async fn attempt_of_a_dead_holder_is_closed_when_its_token_is_resent(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    exchange_then_crash(&harness, &connected).await;
    harness.advance(29 * 60);
    assert_eq!(refresh(&harness, &connected).await, RefreshOutcome::Refreshed, "{db}: within the 30 minutes");
    let attempts = attempts(&harness, &connected).await;
    let outcomes: Vec<_> = attempts.iter().map(|one| one.outcome).collect();
    assert_eq!(outcomes, [Outcome::Refreshed, Outcome::Abandoned], "{db}");
    assert_eq!(attempts[1].finished_at, Some(harness.clock.now()), "{db}");
}

#[apply(each_database!)]
async fn reply_lost_in_a_crash_is_distinguished_from_a_revocation(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    exchange_then_crash(&harness, &connected).await;
    harness.advance(PAST_REPLAY_WINDOW);
    assert_grant_dead(&harness, &connected, "invalid_grant_after_lost_reply", "30 minutes").await;
}

#[apply(each_database!)]
async fn lost_unreadable_or_replaced_reply_is_distinguished_from_a_revocation(database: TestDatabase) {
    let harness = TestService::on(database, ServiceOptions::impatient()).await;
    let lost = ["reset_after", "timeout_after", "truncated"].map(|kind| json!({ "endpoint": "token", "kind": kind }));
    let unreadable = ["malformed", "wrong_content_type"].map(|kind| json!({ "endpoint": "token", "kind": kind }));
    let replaced = [403, 502].map(|status| json!({ "endpoint": "token", "kind": "status_after", "status": status }));
    for (number, fault) in lost.into_iter().chain(unreadable).chain(replaced).enumerate() {
        let connected = harness.connect(&format!("Org {number}"), &["harbour"], 60).await;
        harness.provider.inject_fault(fault).await;
        assert!(matches!(refresh(&harness, &connected).await, RefreshOutcome::Failed(_)));
        harness.advance(PAST_REPLAY_WINDOW);
        assert_grant_dead(&harness, &connected, "invalid_grant_after_lost_reply", "30 minutes").await;
    }
}

#[apply(each_database!)]
async fn reply_that_a_proxy_replaced_by_its_page_is_fetched_again_within_the_replay_window(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    harness.advance(47 * DAY);
    let page = json!({ "endpoint": "token", "kind": "status_after", "status": 403, "times": 4 });
    harness.provider.inject_fault(page).await;
    for _ in 0..30 {
        harness.sweep().await;
        harness.advance(60);
    }
    let grant = harness.read_grant(&connected.grant).await;
    // Its successor was used once, because one of the lost replies may have been a later one.
    assert_eq!((grant.status, grant.generation, grant.failure_count), (GrantStatus::Active, 2, 0), "{db}");
}

#[apply(each_database!)]
async fn revocation_is_recognized_after_earlier_failures(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let revoke = |connected: &ConnectedOrg| {
        harness.provider.sandbox.revoke_grant(&connected.minted.refresh_token).unwrap();
    };
    let connected = harness.connect("Nothing failed", &["harbour"], 60).await;
    revoke(&connected);
    assert_grant_dead(&harness, &connected, "invalid_grant", "Access was removed in Xero").await;

    // Within the replay window Xero would have sent the successor again.
    let connected = harness.connect("A reply was lost a moment ago", &["harbour"], 60).await;
    inject_fault(&harness, "reset_after").await;
    assert!(matches!(refresh(&harness, &connected).await, RefreshOutcome::Failed(_)));
    revoke(&connected);
    harness.advance(20 * 60);
    assert_grant_dead(&harness, &connected, "invalid_grant", "Access was removed in Xero").await;

    // Xero has not acted on a request that it rate-limited.
    let connected = harness.connect("Asked to slow down", &["harbour"], 60).await;
    let slow = json!({"endpoint": "token", "kind": "status", "status": 429, "times": 1});
    harness.provider.inject_fault(slow).await;
    assert!(matches!(refresh(&harness, &connected).await, RefreshOutcome::Failed(_)));
    revoke(&connected);
    harness.advance(PAST_REPLAY_WINDOW);
    assert_grant_dead(&harness, &connected, "invalid_grant", "Access was removed in Xero").await;
}

#[apply(each_database!)]
async fn token_expired_after_sixty_days_is_distinguished_from_a_revocation(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    harness.advance(61 * DAY);
    assert_grant_dead(&harness, &connected, "invalid_grant_after_sixty_days", "sixty days").await;
}
