//! What a failing grant costs in a day of constant calls: a bounded number of exchanges.

use evergrant::model::{GrantStatus, Trigger};
use evergrant::server::tokens::{RefreshOutcome, RefreshRequest};
use futures::future::join_all;
use serde_json::{Value, json};

use super::storms::{refresh, unwrap_failed};
use crate::support::consents::ConnectedOrg;
use crate::support::databases::TestDatabase;
use crate::support::test_service::TestService;

const HOUR: i64 = 60 * 60;

/// Who calls for a refresh all day.
#[derive(Clone, Copy)]
enum Calls {
    /// Open pages.
    FromPages,
    /// Open pages, and people who press Refresh now.
    FromPagesAndClicks,
}

/// Simulates a day of constant calls: at each time at which the outcome could change, and in between. Returns the
/// number of automatic and of manual attempts.
async fn simulate_day_of_calls(harness: &TestService, connected: &ConnectedOrg, calls: Calls) -> (usize, usize) {
    let pages = RefreshRequest::automatic(Trigger::Client);
    let clicks = RefreshRequest::manual("ana@example.com").forced();
    // A click may come at any time.
    let (requests, longest_step) = match calls {
        Calls::FromPages => (vec![pages], i64::MAX),
        Calls::FromPagesAndClicks => (vec![pages, clicks], 300),
    };
    let end = harness.clock.now() + 24 * HOUR;
    while harness.clock.now() < end {
        let mut next = end;
        for request in &requests {
            let calls =
                (0..100).map(|_| harness.service.refresh_grant_single_flight(&connected.grant, request.clone()));
            for outcome in join_all(calls).await {
                let asked_again = unwrap_failed(outcome).next_attempt_at.unwrap_or(end);
                next = next.min(asked_again.max(harness.clock.now() + 1));
            }
        }
        harness.advance((next - harness.clock.now()).min(longest_step));
    }
    let attempts = harness.store.attempts_of_binding(&connected.org, &connected.bindings[0], 10_000).await.unwrap();
    let by_hand = attempts.iter().filter(|attempt| attempt.trigger.as_str() == "manual").count();
    (attempts.len() - by_hand, by_hand)
}

/// Asserts that a grant with this fault costs at most fifty exchanges a day, however often it is refreshed.
async fn assert_costs_at_most_fifty_exchanges_a_day(database: TestDatabase, fault: Value) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    harness.provider.inject_fault(fault).await;
    let (automatic, clicks) = simulate_day_of_calls(&harness, &connected, Calls::FromPages).await;
    assert!((20..=50).contains(&automatic) && clicks == 0, "{db}: {automatic}");
    assert_eq!(harness.exchange_count().await, automatic, "{db}: the journal must have every exchange");
    let (automatic, clicks) = simulate_day_of_calls(&harness, &connected, Calls::FromPagesAndClicks).await;
    assert!(automatic <= 2 * 50 && clicks <= 60 && clicks > 6, "{db}: {automatic} and {clicks}");
    assert_eq!(harness.read_grant(&connected.grant).await.status, GrantStatus::Active, "{db}");
    harness.provider.clear_faults().await;
    harness.advance(2 * HOUR);
    assert_eq!(refresh(&harness, &connected).await, RefreshOutcome::Refreshed, "{db}");
}

#[apply(each_database!)]
async fn server_errors_cost_at_most_fifty_exchanges_a_day(database: TestDatabase) {
    let fault = json!({"endpoint": "token", "kind": "status", "status": 500, "times": null});
    assert_costs_at_most_fifty_exchanges_a_day(database, fault).await;
}

#[apply(each_database!)]
async fn rate_limits_cost_at_most_fifty_exchanges_a_day(database: TestDatabase) {
    let fault = json!({"endpoint": "token", "kind": "status", "status": 429, "times": null});
    assert_costs_at_most_fifty_exchanges_a_day(database, fault).await;
}

#[apply(each_database!)]
async fn short_retry_after_costs_at_most_fifty_exchanges_a_day(database: TestDatabase) {
    let fault = json!({"endpoint": "token", "kind": "status", "status": 429, "retry_after": 1, "times": null});
    assert_costs_at_most_fifty_exchanges_a_day(database, fault).await;
}

#[apply(each_database!)]
async fn unexpected_status_costs_at_most_fifty_exchanges_a_day(database: TestDatabase) {
    let fault = json!({"endpoint": "token", "kind": "status", "status": 404, "times": null});
    assert_costs_at_most_fifty_exchanges_a_day(database, fault).await;
}

#[apply(each_database!)]
async fn refused_credentials_cost_at_most_fifty_exchanges_a_day(database: TestDatabase) {
    let fault = json!({"endpoint": "token", "kind": "invalid_client", "times": null});
    assert_costs_at_most_fifty_exchanges_a_day(database, fault).await;
}

#[apply(each_database!)]
async fn dead_grant_under_constant_calls_costs_one_exchange(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    harness.provider.sandbox.revoke_grant(&connected.minted.refresh_token).unwrap();
    assert_eq!(simulate_day_of_calls(&harness, &connected, Calls::FromPagesAndClicks).await, (1, 0), "{db}");
}
