//! Tokens are served while they are valid, whatever becomes of Xero; and last as long as was asked.

use evergrant::model::Trigger;
use evergrant::server::tokens::{Ask, Token, TokenError, Why};
use serde_json::{Value, json};

use crate::support::keeper::{Connected, Keeper};

/// An organisation whose token came a while ago and has so much left.
async fn connect(keeper: &Keeper, org: &str, seconds_left: i64) -> Connected {
    let connected = keeper.connect(org, &["harbour"], seconds_left + 100).await;
    keeper.advance(100);
    connected
}

async fn vend(keeper: &Keeper, connected: &Connected, min_ttl: i64) -> Result<Token, TokenError> {
    keeper.service.get_token_for_tenant_binding(&connected.bindings[0], &connected.org, min_ttl).await
}

async fn down(keeper: &Keeper) {
    fault(keeper, json!({"endpoint": "token", "kind": "status", "status": 503, "times": null})).await;
}

async fn fault(keeper: &Keeper, fault: Value) {
    keeper.provider.control("faults", fault).await;
}

fn error(result: Result<Token, TokenError>) -> TokenError {
    match result {
        Ok(token) => panic!("a token until {}", token.expires_at),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_token_that_lasts_is_served_without_an_exchange() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        // Less than the buffer: a page's call would refresh it.
        let connected = connect(&keeper, "Harbour", 500).await;
        let token = vend(&keeper, &connected, 500).await.ok().unwrap();
        assert_eq!(token.access.expose(), connected.minted.access_token, "{db}");
        assert_eq!(token.tenant_id, connected.minted.connections[0].tenant_id, "{db}");
        assert_eq!((token.expires_at - keeper.clock.now(), token.warning), (500, None), "{db}");
        assert_eq!(keeper.exchanges().await, 0, "{db}");
    }
}

#[tokio::test]
async fn a_token_that_lasts_too_short_is_exchanged_first() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let connected = connect(&keeper, "Harbour", 1000).await;
        let token = vend(&keeper, &connected, 1001).await.ok().unwrap();
        assert_eq!((token.expires_at - keeper.clock.now(), token.warning), (1800, None), "{db}");
        assert_ne!(token.access.expose(), connected.minted.access_token, "{db}");
        let journal = keeper.store.attempts_of_binding(&connected.org, &connected.bindings[0], 9).await.unwrap();
        assert_eq!((journal.len(), journal[0].trigger.as_str()), (1, "vend"), "{db}");
    }
}

#[tokio::test]
async fn nearly_the_whole_life_of_a_token_costs_no_exchange_with_every_call() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let connected = connect(&keeper, "Harbour", 60).await;
        for second in 0..60 {
            let token = vend(&keeper, &connected, 1800).await.ok().unwrap();
            assert_eq!(token.expires_at - keeper.clock.now(), 1800 - second, "{db}");
            keeper.advance(1);
        }
        assert_eq!(keeper.exchanges().await, 1, "{db}");
        vend(&keeper, &connected, 1800).await.ok().unwrap();
        assert_eq!(keeper.exchanges().await, 2, "{db}");
    }
}

#[tokio::test]
async fn nobody_can_have_a_token_for_longer_than_xero_gives_them() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let connected = connect(&keeper, "Harbour", 1800).await;
        for min_ttl in [1801, 86_400, i64::MAX, -1, i64::MIN] {
            let error = error(vend(&keeper, &connected, min_ttl).await);
            assert!(matches!(error, TokenError::NoSuchTtl(asked) if asked == min_ttl), "{db}: {error}");
            assert!(error.to_string().contains("1800"), "{db}: {error}");
        }
        // A provider whose tokens live five minutes.
        keeper.provider.control("settings", json!({"access_ttl": 300})).await;
        keeper.advance(1500);
        for _ in 0..10 {
            match error(vend(&keeper, &connected, 600).await) {
                TokenError::TooShort { left: 300, min_ttl: 600, failed: None } => {}
                error => panic!("{db}: {error:?}"),
            }
        }
        assert_eq!(keeper.exchanges().await, 1, "{db}: another one would be no better");
    }
}

#[tokio::test]
async fn what_is_valid_is_served_with_a_warning_while_xero_is_down() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let connected = connect(&keeper, "Harbour", 400).await;
        down(&keeper).await;
        let client = keeper.service.get_client_for_tenant_binding(&connected.bindings[0], &connected.org).await;
        let client = client.ok().unwrap();
        assert_eq!(client.warning.as_deref(), Some("Xero isn't answering. Your connection is safe."), "{db}");
        let token = vend(&keeper, &connected, 300).await.ok().unwrap();
        assert_eq!(token.warning, client.warning, "{db}: what is known is said");
        assert_eq!(token.access.expose(), connected.minted.access_token, "{db}");
        assert_eq!(keeper.exchanges().await, 1, "{db}");
        let report =
            keeper.service.proactive_refresh_for_org(&connected.org, &Ask::automatic(Trigger::OrgSwitch)).await;
        let report = report.unwrap();
        let error = &report.errors[0];
        assert!(!report.success && report.has_active_bindings, "{db}: nothing is fresh");
        assert_eq!(error.valid_until, Some(client.expires_at), "{db}: nobody has to do anything yet");
        assert!(error.next_attempt_at.is_some_and(|next| next > keeper.clock.now()), "{db}");
        let wire = serde_json::to_value(&report).unwrap();
        assert!(
            wire["errors"][0]["validUntil"].is_i64() && wire["errors"][0]["nextAttemptAt"].is_i64(),
            "{db}: {wire}"
        );
    }
}

#[tokio::test]
async fn too_little_left_is_said_with_how_much_and_when_the_next_try_is() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let connected = connect(&keeper, "Harbour", 400).await;
        down(&keeper).await;
        let short = error(vend(&keeper, &connected, 500).await);
        assert_eq!(
            short.to_string(),
            "Xero isn't answering. Your connection is safe. The access token has 400 seconds left; 500 were asked for.",
            "{db}"
        );
        assert!(short.next_attempt_at().is_some_and(|next| next > keeper.clock.now()), "{db}: {short:?}");
        assert!(vend(&keeper, &connected, 400).await.is_ok(), "{db}: whoever asks for less is served");
        keeper.advance(390);
        match error(vend(&keeper, &connected, 0).await) {
            TokenError::NotFresh(failed) => {
                assert_eq!(failed.why, Why::Transient, "{db}");
                assert!(failed.next_attempt_at.is_some_and(|next| next > keeper.clock.now()), "{db}: {failed:?}");
            }
            error => panic!("{db}: {error:?}"),
        }
    }
}

#[tokio::test]
async fn everything_is_served_while_the_provider_rests() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        fault(&keeper, json!({"endpoint": "token", "kind": "invalid_client", "times": null})).await;
        let first = connect(&keeper, "First", 500).await;
        let other = connect(&keeper, "Other", 400).await;
        assert_eq!(vend(&keeper, &first, 300).await.ok().unwrap().warning, None, "{db}: nobody knows yet");
        error(vend(&keeper, &first, 500).await);
        let token = vend(&keeper, &other, 300).await.ok().unwrap();
        assert!(token.warning.is_some_and(|warning| warning.contains("credentials")), "{db}");
        let short = error(vend(&keeper, &other, 500).await);
        assert_eq!(short.next_attempt_at(), keeper.service.provider_rests_until(), "{db}");
        let client = keeper.service.get_client_for_tenant_binding(&other.bindings[0], &other.org).await.ok().unwrap();
        assert!(client.warning.is_some(), "{db}");
        assert_eq!(keeper.exchanges().await, 1, "{db}");
    }
}

#[tokio::test]
async fn a_dead_or_foreign_connection_has_no_token() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let connected = connect(&keeper, "Harbour", 400).await;
        let other = keeper.store.add_org("Other").await.unwrap().unwrap();
        let foreign = keeper.service.get_token_for_tenant_binding(&connected.bindings[0], &other, 0).await;
        assert!(matches!(error(foreign), TokenError::NotFound), "{db}");
        keeper.provider.sandbox.forget_grant(&connected.minted.refresh_token).unwrap();
        let dead = error(vend(&keeper, &connected, 500).await);
        assert!(matches!(&dead, TokenError::NotFresh(failed) if failed.why == Why::Reconnect), "{db}: {dead:?}");
        assert!(matches!(error(vend(&keeper, &connected, 0).await), TokenError::NotConnected(_)), "{db}");
    }
}
