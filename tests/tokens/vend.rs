//! Vending: a valid token is served even if Xero is down, and lasts for at least the requested time.

use crate::support::databases::TestDatabase;
use evergrant::model::Trigger;
use evergrant::server::tokens::{FailureCause, RefreshRequest, TokenError, VendedToken};
use serde_json::json;

use crate::support::consents::ConnectedOrg;
use crate::support::test_service::TestService;

/// Connects an organization whose access token was issued 100 seconds ago and expires in `seconds_left`.
async fn connect(harness: &TestService, org: &str, seconds_left: i64) -> ConnectedOrg {
    let connected = harness.connect(org, &["harbour"], seconds_left + 100).await;
    harness.advance(100);
    connected
}

async fn vend(harness: &TestService, connected: &ConnectedOrg, min_ttl: i64) -> Result<VendedToken, TokenError> {
    let bound = harness.store.binding(&connected.org, &connected.bindings[0]).await?.unwrap();
    harness.service.get_token_for(bound, min_ttl).await
}

async fn take_provider_down(harness: &TestService) {
    harness.provider.inject_fault(json!({"endpoint": "token", "kind": "status", "status": 503, "times": null})).await;
}

fn unwrap_error(result: Result<VendedToken, TokenError>) -> TokenError {
    match result {
        Ok(token) => panic!("a token until {}", token.expires_at),
        Err(error) => error,
    }
}

#[apply(each_database!)]
async fn token_with_enough_lifetime_is_served_without_an_exchange(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    // Less than the buffer: a refresh for a page would exchange it.
    let connected = connect(&harness, "Harbour", 500).await;
    let token = vend(&harness, &connected, 500).await.ok().unwrap();
    assert_eq!(token.access.expose(), connected.minted.access_token, "{db}");
    assert_eq!(token.tenant_id, connected.minted.connections[0].tenant_id, "{db}");
    assert_eq!((token.expires_at - harness.clock.now(), token.warning), (500, None), "{db}");
    assert_eq!(harness.exchange_count().await, 0, "{db}");
}

#[apply(each_database!)]
async fn token_with_too_little_lifetime_is_exchanged_first(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = connect(&harness, "Harbour", 1000).await;
    let token = vend(&harness, &connected, 1001).await.ok().unwrap();
    assert_eq!((token.expires_at - harness.clock.now(), token.warning), (1800, None), "{db}");
    assert_ne!(token.access.expose(), connected.minted.access_token, "{db}");
    let journal = harness.store.attempts_of_binding(&connected.org, &connected.bindings[0], 9).await.unwrap();
    assert_eq!((journal.len(), journal[0].trigger.as_str()), (1, "vend"), "{db}");
}

#[apply(each_database!)]
async fn min_ttl_near_the_whole_lifetime_does_not_exchange_at_every_call(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = connect(&harness, "Harbour", 60).await;
    for second in 0..60 {
        let token = vend(&harness, &connected, 1800).await.ok().unwrap();
        assert_eq!(token.expires_at - harness.clock.now(), 1800 - second, "{db}");
        harness.advance(1);
    }
    assert_eq!(harness.exchange_count().await, 1, "{db}");
    vend(&harness, &connected, 1800).await.ok().unwrap();
    assert_eq!(harness.exchange_count().await, 2, "{db}");
}

#[apply(each_database!)]
async fn min_ttl_beyond_xeros_token_lifetime_is_rejected(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = connect(&harness, "Harbour", 1800).await;
    for min_ttl in [1801, 86_400, i64::MAX, -1, i64::MIN] {
        let error = unwrap_error(vend(&harness, &connected, min_ttl).await);
        assert!(matches!(error, TokenError::InvalidTtl(asked) if asked == min_ttl), "{db}: {error}");
        assert!(error.to_string().contains("1800"), "{db}: {error}");
    }
    // From here on the provider issues tokens that live for five minutes.
    harness.provider.control("settings", json!({"access_ttl": 300})).await;
    harness.advance(1500);
    for _ in 0..10 {
        match unwrap_error(vend(&harness, &connected, 600).await) {
            TokenError::TtlTooShort { left: 300, min_ttl: 600, failed: None } => {}
            error => panic!("{db}: {error:?}"),
        }
    }
    assert_eq!(harness.exchange_count().await, 1, "{db}: a further exchange would bring no longer-lived token");
}

#[apply(each_database!)]
async fn valid_token_is_served_with_a_warning_while_xero_is_down(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = connect(&harness, "Harbour", 400).await;
    take_provider_down(&harness).await;
    let client = harness.service.get_client_for_tenant_binding(&connected.bindings[0], &connected.org).await;
    let client = client.ok().unwrap();
    assert_eq!(client.warning.as_deref(), Some("Xero isn't answering. Your connection is safe."), "{db}");
    let token = vend(&harness, &connected, 300).await.ok().unwrap();
    assert_eq!(token.warning, client.warning, "{db}: both carry the same warning");
    assert_eq!(token.access.expose(), connected.minted.access_token, "{db}");
    assert_eq!(harness.exchange_count().await, 1, "{db}");
    let report =
        harness.service.proactive_refresh_for_org(&connected.org, &RefreshRequest::automatic(Trigger::OrgSwitch)).await;
    let report = report.unwrap();
    let error = &report.errors[0];
    assert!(!report.success && report.has_active_bindings, "{db}: no grant is fresh");
    assert_eq!(error.valid_until, Some(client.expires_at), "{db}: the token is still valid");
    assert!(error.next_attempt_at.is_some_and(|next| next > harness.clock.now()), "{db}");
    let wire = serde_json::to_value(&report).unwrap();
    assert!(wire["errors"][0]["validUntil"].is_i64() && wire["errors"][0]["nextAttemptAt"].is_i64(), "{db}: {wire}");
}

#[apply(each_database!)]
async fn too_short_error_has_seconds_left_and_next_attempt(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = connect(&harness, "Harbour", 400).await;
    take_provider_down(&harness).await;
    let short = unwrap_error(vend(&harness, &connected, 500).await);
    assert_eq!(
        short.to_string(),
        "Xero isn't answering. Your connection is safe. The access token has 400 seconds left; 500 were requested.",
        "{db}"
    );
    assert!(short.next_attempt_at().is_some_and(|next| next > harness.clock.now()), "{db}: {short:?}");
    assert!(vend(&harness, &connected, 400).await.is_ok(), "{db}: a shorter min_ttl is served");
    harness.advance(390);
    match unwrap_error(vend(&harness, &connected, 0).await) {
        TokenError::RefreshFailed(failed) => {
            assert_eq!(failed.cause, FailureCause::NotAnswering, "{db}");
            assert!(failed.next_attempt_at.is_some_and(|next| next > harness.clock.now()), "{db}: {failed:?}");
        }
        error => panic!("{db}: {error:?}"),
    }
}

#[apply(each_database!)]
async fn valid_tokens_are_served_while_the_circuit_is_open(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    harness.provider.inject_fault(json!({"endpoint": "token", "kind": "invalid_client", "times": null})).await;
    let first = connect(&harness, "First", 500).await;
    let other = connect(&harness, "Other", 400).await;
    assert_eq!(vend(&harness, &first, 300).await.ok().unwrap().warning, None, "{db}: the failure is not yet known");
    unwrap_error(vend(&harness, &first, 500).await);
    let token = vend(&harness, &other, 300).await.ok().unwrap();
    assert!(token.warning.is_some_and(|warning| warning.contains("credentials")), "{db}");
    let short = unwrap_error(vend(&harness, &other, 500).await);
    assert_eq!(short.next_attempt_at(), harness.service.circuit_open_until(), "{db}");
    let client = harness.service.get_client_for_tenant_binding(&other.bindings[0], &other.org).await.ok().unwrap();
    assert!(client.warning.is_some(), "{db}");
    assert_eq!(harness.exchange_count().await, 1, "{db}");
}

#[apply(each_database!)]
async fn dead_or_foreign_connection_has_no_token(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = connect(&harness, "Harbour", 400).await;
    let other = harness.store.add_org("Other").await.unwrap();
    let foreign = harness.service.get_client_for_tenant_binding(&connected.bindings[0], &other).await;
    assert!(matches!(foreign.err(), Some(TokenError::NotFound)), "{db}");
    harness.provider.sandbox.revoke_grant(&connected.minted.refresh_token).unwrap();
    let dead = unwrap_error(vend(&harness, &connected, 500).await);
    assert!(
        matches!(&dead, TokenError::RefreshFailed(failed) if failed.cause == FailureCause::Reconnect),
        "{db}: {dead:?}"
    );
    assert!(matches!(unwrap_error(vend(&harness, &connected, 0).await), TokenError::NotConnected(_)), "{db}");
}
