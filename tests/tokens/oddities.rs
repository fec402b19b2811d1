//! Unusual token responses of the provider: a grant survives each, and keeps every token that it was given.

use crate::support::databases::TestDatabase;
use evergrant::model::{GrantStatus, Outcome, Trigger};
use evergrant::server::tokens::{RefreshOutcome, RefreshRequest};
use serde_json::json;

use crate::support::consents::ConnectedOrg;
use crate::support::test_service::{DAY, PAST_REPLAY_WINDOW, TestService};

/// Every unusual form of a token response that carries a refresh token.
const ODDITIES: [&str; 17] = [
    "content_type_text",
    "content_type_html",
    "content_type_missing",
    "bom",
    "status_201",
    "expires_in_text",
    "expires_in_float",
    "expires_in_null",
    "expires_in_zero",
    "expires_in_missing",
    "expires_in_negative",
    "expires_in_absurd",
    "scope_list",
    "scope_missing",
    "token_type_other",
    "token_type_missing",
    "id_token",
];

async fn refresh(harness: &TestService, connected: &ConnectedOrg) -> RefreshOutcome {
    harness.service.refresh_grant_single_flight(&connected.grant, RefreshRequest::automatic(Trigger::Client)).await
}

async fn ledger_outcomes(harness: &TestService) -> Vec<String> {
    harness.provider.ledger().await.iter().map(|entry| entry["outcome"].as_str().unwrap().to_owned()).collect()
}

#[apply(each_database!)]
async fn grant_survives_each_unusual_token_response(database: TestDatabase) {
    let harness = TestService::start(database).await;
    for oddity in ODDITIES {
        let case = format!("{} {oddity}", harness.database.name);
        let connected = harness.connect(oddity, &["harbour"], 60).await;
        let scopes = harness.read_grant(&connected.grant).await.scopes;
        harness.provider.control("oddities", json!({ "kind": oddity, "times": 3 })).await;
        let before = harness.provider.ledger().await.len();
        // Longer than the replay window in all, so that a lost token would end the grant.
        for generation in 1..=4 {
            let asked_at = harness.clock.now();
            assert_eq!(refresh(&harness, &connected).await, RefreshOutcome::Refreshed, "{case}");
            let grant = harness.read_grant(&connected.grant).await;
            assert_eq!((grant.generation, grant.failure_count), (generation, 0), "{case}");
            assert_eq!((grant.expires_at, grant.refresh_token_issued_at), (asked_at + 1800, asked_at), "{case}");
            assert_eq!(grant.scopes, scopes, "{case}");
            harness.advance(1500);
        }
        assert_eq!(ledger_outcomes(&harness).await[before..], ["rotated"; 4], "{case}: each token was kept");
        let client = harness.service.get_client_for_tenant_binding(&connected.bindings[0], &connected.org).await;
        let details = client.unwrap().organization_details().await.unwrap();
        assert_eq!(details.name, "Harbour Coffee", "{case}: the access token is the new one");
    }
}

#[apply(each_database!)]
async fn lifetime_does_not_depend_on_the_providers_clock(database: TestDatabase) {
    let harness = TestService::start(database).await;
    for (advance, oddity) in [(3600, "expires_in_text"), (-7200, "expires_in_missing")] {
        harness.provider.control("clock", json!({ "advance": advance })).await;
        harness.provider.control("oddities", json!({ "kind": oddity })).await;
        let connected = harness.connect(oddity, &["harbour"], -10).await;
        for _ in 0..2 {
            harness.service.refresh_grant_single_flight(&connected.grant, RefreshRequest::cli().forced()).await;
            let grant = harness.read_grant(&connected.grant).await;
            assert_eq!(grant.expires_at, harness.clock.now() + 1800, "{} {oddity}", harness.database.name);
        }
    }
}

#[apply(each_database!)]
async fn refresh_token_that_is_kept_stays_and_grows_older(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    let issued_at = harness.clock.now();
    harness.provider.control("oddities", json!({ "kind": "refresh_token_kept", "times": null })).await;
    for generation in 1..=3 {
        harness.advance(1800);
        assert_eq!(refresh(&harness, &connected).await, RefreshOutcome::Refreshed, "{db}");
        let grant = harness.read_grant(&connected.grant).await;
        assert_eq!((grant.generation, grant.refresh_token_issued_at), (generation, issued_at), "{db}");
        assert_eq!(grant.last_refreshed_at, Some(harness.clock.now()), "{db}");
        assert_eq!(grant.expires_at, harness.clock.now() + 1800, "{db}");
        let stored = harness.store.open_refresh(&grant).unwrap();
        assert_eq!(stored.expose(), connected.minted.refresh_token, "{db}");
    }
    // Once it is older than 45 days it is tried daily, not at every sweep.
    harness.advance(46 * DAY);
    harness.sweep().await;
    let before = harness.exchange_count().await;
    for _ in 0..10 {
        harness.advance(60);
        harness.sweep().await;
    }
    assert!(harness.exchange_count().await - before <= 1, "{db}: an exchange at each sweep");
    harness.advance(2 * DAY);
    harness.sweep().await;
    assert_eq!(harness.read_grant(&connected.grant).await.last_refreshed_at, Some(harness.clock.now()), "{db}");
    harness.provider.client.delete(format!("{}/_control/oddities", harness.provider.base)).send().await.unwrap();
    harness.advance(2 * DAY);
    harness.sweep().await;
    let grant = harness.read_grant(&connected.grant).await;
    assert_eq!(grant.refresh_token_issued_at, harness.clock.now(), "{db}: rotated as soon as Xero does so again");
    assert_eq!(grant.status, GrantStatus::Active, "{db}");
}

#[apply(each_database!)]
async fn refresh_token_that_a_proxy_removed_is_fetched_again_within_the_replay_window(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    // Not used for a day, so that its access token is not kept fresh.
    let connected = harness.connect("Harbour", &["harbour"], 1800).await;
    harness.advance(47 * DAY);
    harness.provider.control("oddities", json!({ "kind": "refresh_token_removed" })).await;
    harness.sweep().await;
    for _ in 0..30 {
        harness.advance(60);
        harness.sweep().await;
    }
    let grant = harness.read_grant(&connected.grant).await;
    assert!(harness.clock.now() - grant.refresh_token_issued_at < 1800, "{db}: the successor was not fetched");
    assert_eq!(ledger_outcomes(&harness).await, ["rotated", "replayed"], "{db}: one exchange more, not one a sweep");
    harness.advance(PAST_REPLAY_WINDOW);
    let forced = RefreshRequest::cli().forced();
    let outcome = harness.service.refresh_grant_single_flight(&connected.grant, forced).await;
    assert_eq!(outcome, RefreshOutcome::Refreshed, "{db}");
}

#[apply(each_database!)]
async fn lost_reply_is_recovered_if_the_newest_replay_ends_its_siblings(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    harness.provider.control("settings", json!({ "replay": "newest" })).await;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    let fault = json!({ "endpoint": "token", "kind": "reset_after", "times": 2 });
    harness.provider.inject_fault(fault).await;
    for _ in 0..3 {
        refresh(&harness, &connected).await;
        harness.advance(300);
    }
    assert_eq!(ledger_outcomes(&harness).await, ["rotated", "replayed", "replayed"], "{db}");
    harness.advance(PAST_REPLAY_WINDOW);
    assert_eq!(refresh(&harness, &connected).await, RefreshOutcome::Refreshed, "{db}");
    let last = &harness.store.attempts_of_binding(&connected.org, &connected.bindings[0], 1).await.unwrap()[0];
    assert_eq!(last.outcome, Outcome::Refreshed, "{db}");
}
