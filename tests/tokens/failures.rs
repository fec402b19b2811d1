//! The effect of each kind of provider failure on a grant.

use crate::support::databases::TestDatabase;
use axum::http::StatusCode;
use evergrant::model::{BindingStatus, GrantStatus, Outcome, Trigger};
use evergrant::server::tokens::{FailureCause, RefreshFailure, RefreshOutcome, RefreshRequest, TokenError};
use serde_json::json;

use crate::support::consents::ConnectedOrg;
use crate::support::test_service::{ServiceOptions, TestService};

async fn refresh(harness: &TestService, connected: &ConnectedOrg) -> RefreshOutcome {
    harness.service.refresh_grant_single_flight(&connected.grant, RefreshRequest::automatic(Trigger::Client)).await
}

async fn binding_statuses(harness: &TestService, connected: &ConnectedOrg) -> Vec<BindingStatus> {
    let bound = harness.store.bindings_of_org(&connected.org).await.unwrap();
    bound.into_iter().map(|bound| bound.binding.status).collect()
}

fn failure_cause(outcome: &RefreshOutcome) -> Option<FailureCause> {
    match outcome {
        RefreshOutcome::Failed(RefreshFailure { cause: why, .. }) => Some(*why),
        _ => None,
    }
}

#[apply(each_database!)]
async fn invalid_grant_marks_the_grant_and_its_bindings_once(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour", "kauri"], 60).await;
    // Of the same organization: with another one's, the refusal would first be checked.
    harness.reconnect(&connected, &["demo"]).await;
    harness.provider.sandbox.revoke_grant(&connected.minted.refresh_token).unwrap();
    assert_eq!(failure_cause(&refresh(&harness, &connected).await), Some(FailureCause::Reconnect), "{db}");
    assert_eq!(harness.read_grant(&connected.grant).await.status, GrantStatus::RefreshFailed, "{db}");
    let statuses = [BindingStatus::Active, BindingStatus::NeedsReauth, BindingStatus::NeedsReauth];
    assert_eq!(binding_statuses(&harness, &connected).await, statuses, "{db}: the other consent's stays");
    assert_eq!(failure_cause(&refresh(&harness, &connected).await), Some(FailureCause::Reconnect), "{db}");
    assert_eq!(harness.exchange_count().await, 1, "{db}: a dead grant must not be sent again");
    let attempts = harness.store.attempts_of_binding(&connected.org, &connected.bindings[0], 9).await.unwrap();
    assert_eq!(attempts.len(), 1, "{db}");
    assert_eq!(attempts[0].outcome, Outcome::Reconnect, "{db}");
    assert_eq!(attempts[0].error_code.as_deref(), Some("invalid_grant"), "{db}");
    assert_eq!(attempts[0].http_status, Some(400), "{db}");
}

#[apply(each_database!)]
async fn transient_failures_never_end_a_grant(database: TestDatabase) {
    let troubles = [
        json!({"endpoint": "token", "kind": "status", "status": 500, "times": 1}),
        json!({"endpoint": "token", "kind": "status", "status": 503, "times": 1}),
        json!({"endpoint": "token", "kind": "status", "status": 429, "retry_after": 120, "times": 1}),
        json!({"endpoint": "token", "kind": "status", "status": 429, "times": 1}),
        json!({"endpoint": "token", "kind": "timeout_before", "times": 1}),
        json!({"endpoint": "token", "kind": "reset_before", "times": 1}),
        json!({"endpoint": "token", "kind": "malformed", "times": 1}),
        json!({"endpoint": "token", "kind": "truncated", "times": 1}),
        json!({"endpoint": "token", "kind": "wrong_content_type", "times": 1}),
    ];
    let harness = TestService::on(database, ServiceOptions::impatient()).await;
    for (number, trouble) in troubles.iter().enumerate() {
        let case = format!("{}: {trouble}", harness.database.name);
        let connected = harness.connect(&format!("Org {number}"), &["harbour"], 60).await;
        harness.provider.inject_fault(trouble.clone()).await;
        let outcome = refresh(&harness, &connected).await;
        let cause = if trouble["status"] == 429 { FailureCause::Limited } else { FailureCause::NotAnswering };
        assert_eq!(failure_cause(&outcome), Some(cause), "{case}: {outcome:?}");
        let after = harness.read_grant(&connected.grant).await;
        assert_eq!((after.status, after.failure_count, after.generation), (GrantStatus::Active, 1, 0), "{case}");
        assert_eq!(binding_statuses(&harness, &connected).await, [BindingStatus::Active], "{case}");
        if trouble["retry_after"] == 120 {
            assert!(after.next_attempt_at.unwrap() >= harness.clock.now() + 120, "{case}: Retry-After was ignored");
        }
        harness.advance(1000);
        let outcome = refresh(&harness, &connected).await;
        assert_eq!(outcome, RefreshOutcome::Refreshed, "{case}: a retry with the same token must succeed");
        assert_eq!(harness.read_grant(&connected.grant).await.failure_count, 0, "{case}");
    }
}

#[apply(each_database!)]
async fn lost_reply_is_recovered_by_resending_the_same_token(database: TestDatabase) {
    let harness = TestService::on(database, ServiceOptions::impatient()).await;
    for (number, (kind, mode)) in
        [("timeout_after", "same"), ("timeout_after", "sibling"), ("reset_after", "same"), ("reset_after", "sibling")]
            .into_iter()
            .enumerate()
    {
        let case = format!("{}: {kind} {mode}", harness.database.name);
        harness.provider.control("settings", json!({"replay": mode})).await;
        let connected = harness.connect(&format!("Org {number}"), &["harbour"], 60).await;
        harness.provider.inject_fault(json!({"endpoint": "token", "kind": kind, "times": 1})).await;
        assert_eq!(failure_cause(&refresh(&harness, &connected).await), Some(FailureCause::NotAnswering), "{case}");
        let wait = harness.read_grant(&connected.grant).await.next_attempt_at.unwrap() - harness.clock.now();
        assert!((1..=900).contains(&wait), "{case}: {wait}");
        assert_eq!(
            failure_cause(&refresh(&harness, &connected).await),
            Some(FailureCause::NotAnswering),
            "{case}: it backs off"
        );
        harness.advance(15 * 60);
        // A second lost reply, still within the 30 minutes.
        harness.provider.inject_fault(json!({"endpoint": "token", "kind": kind, "times": 1})).await;
        assert_eq!(failure_cause(&refresh(&harness, &connected).await), Some(FailureCause::NotAnswering), "{case}");
        harness.advance(14 * 60);
        assert_eq!(refresh(&harness, &connected).await, RefreshOutcome::Refreshed, "{case}");
        let ledger = harness.provider.ledger().await;
        let sent: Vec<_> = ledger.iter().rev().take(3).map(|line| &line["token_fingerprint"]).collect();
        assert!(sent.iter().all(|token| token == &sent[0]), "{case}: one token, sent three times: {sent:?}");
        assert_eq!(ledger.len(), 3 * (number + 1), "{case}: no further request may be sent");
        let client =
            harness.service.get_client_for_tenant_binding(&connected.bindings[0], &connected.org).await.unwrap();
        assert_eq!(client.api.organization().await.unwrap().name, "Harbour Coffee", "{case}");
    }
}

#[apply(each_database!)]
async fn lost_reply_of_a_forced_refresh_is_recovered_by_the_next_caller(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 1800).await;
    harness.provider.inject_fault(json!({"endpoint": "token", "kind": "reset_after", "times": 1})).await;
    let click = RefreshRequest::manual("ana@example.com").forced();
    let outcome = harness.service.refresh_grant_single_flight(&connected.grant, click).await;
    assert_eq!(failure_cause(&outcome), Some(FailureCause::NotAnswering), "{db}");
    // Within the replay window, and long before the access token is due.
    harness.advance(10 * 60);
    assert_eq!(refresh(&harness, &connected).await, RefreshOutcome::Refreshed, "{db}");
    assert_eq!(refresh(&harness, &connected).await, RefreshOutcome::NotDue, "{db}: one exchange is enough");
}

#[apply(each_database!)]
async fn fresh_grant_is_resent_after_its_lease_holder_died(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 1800).await;
    let until = harness.clock.now() + 60;
    assert!(
        harness.store.acquire_lease(&connected.grant, "a holder that dies", until).await.unwrap().is_some(),
        "{db}"
    );
    assert_eq!(refresh(&harness, &connected).await, RefreshOutcome::NotDue, "{db}: the holder may be alive");
    harness.advance(61);
    assert_eq!(refresh(&harness, &connected).await, RefreshOutcome::Refreshed, "{db}");
    assert_eq!(refresh(&harness, &connected).await, RefreshOutcome::NotDue, "{db}");
}

#[apply(each_database!)]
async fn refused_credentials_raise_one_alarm_and_end_no_grant(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    for (number, kind) in ["invalid_client", "unauthorized_client"].into_iter().enumerate() {
        let connected = harness.connect(&format!("Org {number}"), &["harbour"], 60).await;
        harness.provider.inject_fault(json!({"endpoint": "token", "kind": kind, "times": 1})).await;
        assert_eq!(harness.service.alarm(), None, "{db}");
        assert_eq!(failure_cause(&refresh(&harness, &connected).await), Some(FailureCause::AppRefused), "{db} {kind}");
        assert_eq!(harness.service.alarm().as_deref(), Some(kind), "{db}");
        assert_eq!(harness.read_grant(&connected.grant).await.status, GrantStatus::Active, "{db} {kind}");
        let again = failure_cause(&refresh(&harness, &connected).await);
        assert_eq!(again, Some(FailureCause::AppRefused), "{db} {kind}: the cause stays while it backs off");
        // The open circuit refuses a second grant without a request, and the alarm stays the same.
        let second = harness.connect(&format!("Second org {number}"), &["kauri"], 60).await;
        assert_eq!(failure_cause(&refresh(&harness, &second).await), Some(FailureCause::AppRefused), "{db} {kind}");
        assert_eq!(harness.service.alarm().as_deref(), Some(kind), "{db}");
        assert_eq!(harness.read_grant(&second.grant).await.status, GrantStatus::Active, "{db} {kind}");
        harness.advance(1000);
        assert_eq!(refresh(&harness, &connected).await, RefreshOutcome::Refreshed, "{db} {kind}");
        assert_eq!(harness.service.alarm(), None, "{db}: a successful exchange must clear the alarm");
    }
}

#[apply(each_database!)]
async fn valid_token_is_served_with_a_warning_if_the_refresh_fails(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 300).await;
    harness.provider.inject_fault(json!({"endpoint": "token", "kind": "status", "status": 503, "times": null})).await;
    let expires_at = harness.clock.now() + 300;
    let get = || harness.service.get_client_for_tenant_binding(&connected.bindings[0], &connected.org);
    let client = get().await.unwrap();
    assert!(client.warning.is_some_and(|warning| warning.contains("safe")), "{db}");
    assert_eq!(client.expires_at, expires_at, "{db}: the stored token must be served");
    harness.advance(290);
    match get().await.err() {
        Some(TokenError::RefreshFailed(failed)) => {
            assert_eq!(failed.cause, FailureCause::NotAnswering, "{db}");
            assert!(failed.next_attempt_at.is_some(), "{db}: the failure must have a time for the next attempt");
        }
        other => panic!("{db}: {other:?}"),
    }
}

#[apply(each_database!)]
async fn backoff_applies_to_automatic_refreshes_only(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    harness
        .provider
        .inject_fault(json!({"endpoint": "token", "kind": "status", "status": 429, "retry_after": 600, "times": 1}))
        .await;
    refresh(&harness, &connected).await;
    assert_eq!(failure_cause(&refresh(&harness, &connected).await), Some(FailureCause::Limited), "{db}");
    assert_eq!(harness.exchange_count().await, 1, "{db}: Retry-After must be honored");
    let click = RefreshRequest::manual("ana@example.com");
    assert_eq!(
        harness.service.refresh_grant_single_flight(&connected.grant, click).await,
        RefreshOutcome::Refreshed,
        "{db}"
    );
}

#[apply(each_database!)]
async fn manual_refreshes_are_rate_limited(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    harness.provider.inject_fault(json!({"endpoint": "token", "kind": "status", "status": 503, "times": null})).await;
    for _ in 0..20 {
        harness
            .service
            .refresh_grant_single_flight(&connected.grant, RefreshRequest::manual("ana@example.com").forced())
            .await;
    }
    assert_eq!(harness.exchange_count().await, 6, "{db}");
}

#[apply(each_database!)]
async fn failed_grant_is_reported_once_per_binding(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour", "kauri"], 60).await;
    harness.provider.inject_fault(json!({"endpoint": "token", "kind": "status", "status": 503, "times": 1})).await;
    let request = RefreshRequest::automatic(Trigger::OrgSwitch);
    let report = harness.service.proactive_refresh_for_org(&connected.org, &request).await.unwrap();
    assert!(!report.success && report.has_active_bindings, "{db}");
    let mut bindings = connected.bindings.clone();
    bindings.sort();
    let named: Vec<_> = report.errors.iter().map(|error| error.binding_id.clone()).collect();
    assert_eq!(named, bindings, "{db}");
    let wire = serde_json::to_value(&report).unwrap();
    assert!(wire["errors"][0]["bindingId"].is_string() && wire["refreshedCount"] == 0, "{db}: {wire}");
}

#[apply(each_database!)]
async fn disconnected_tenant_still_refreshes_and_its_calls_fail_as_tenant_gone(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    let tenant = &connected.minted.connections[0].tenant_id;
    harness.provider.control("disconnect", json!({"tenant_id": tenant})).await;
    assert_eq!(refresh(&harness, &connected).await, RefreshOutcome::Refreshed, "{db}");
    let client = harness.service.get_client_for_tenant_binding(&connected.bindings[0], &connected.org).await.unwrap();
    let error = client.api.organization().await.unwrap_err();
    assert_eq!(error.status, Some(StatusCode::FORBIDDEN.as_u16()), "{db}");
    assert_eq!(error.kind, evergrant::server::xero::ErrorKind::TenantNotConnected, "{db}");
}
