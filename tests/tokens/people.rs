//! What people do to one connection: test it, disconnect it.

use evergrant::model::{BindingStatus, GrantStatus};
use evergrant::server::tokens::{ConnectionError, Disconnected, TokenError};
use serde_json::json;

use crate::support::keeper::Keeper;

#[tokio::test]
async fn testing_a_connection_brings_the_organisations_details() {
    for keeper in Keeper::each().await {
        let connected = keeper.connect("Harbour", &["harbour"], 1800).await;
        let details = keeper.service.test(&connected.org, &connected.bindings[0]).await.unwrap();
        assert_eq!(details.name, "Harbour Coffee");
        assert!(details.base_currency.is_some() && details.warning.is_none());
    }
}

#[tokio::test]
async fn a_disconnect_removes_the_connection_at_xero_and_revokes_the_last_grant() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour", "kauri"], 1800).await;
        let (org, bindings) = (&connected.org, &connected.bindings);
        let listed = || keeper.provider.connections(&connected.minted.access_token);
        assert_eq!(keeper.service.disconnect(org, &bindings[0]).await.unwrap(), Disconnected::AtXeroToo, "{db}");
        assert_eq!(listed().await.len(), 1, "{db}");
        assert_eq!(keeper.read(&connected.grant).await.status, GrantStatus::Active, "{db}: Kauri still stands on it");
        assert_eq!(keeper.service.disconnect(org, &bindings[1]).await.unwrap(), Disconnected::AtXeroToo, "{db}");
        assert_eq!(keeper.read(&connected.grant).await.status, GrantStatus::Revoked, "{db}");
        let (status, body) = keeper.provider.refresh(&connected.minted.refresh_token).await;
        assert_eq!((status.as_u16(), body["error"].as_str()), (400, Some("invalid_grant")), "{db}: revoked at Xero");
    }
}

#[tokio::test]
async fn a_disconnect_leaves_the_same_persons_connection_elsewhere_alone() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let ours = keeper.connect("Ours", &["harbour"], 1800).await;
        let theirs = keeper.connect("Theirs", &["kauri"], 1800).await;
        keeper.service.disconnect(&ours.org, &ours.bindings[0]).await.unwrap();
        let client = keeper.service.get_client_for_tenant_binding(&theirs.bindings[0], &theirs.org).await.unwrap();
        assert_eq!(client.api.organisation().await.unwrap().name, "Kauri Joinery", "{db}");
        let (status, _) = keeper.provider.refresh(&theirs.minted.refresh_token).await;
        assert_eq!(status.as_u16(), 200, "{db}: a revocation would have taken it down");
    }
}

#[tokio::test]
async fn a_disconnect_that_xero_does_not_answer_changes_nothing() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour"], 1800).await;
        keeper
            .provider
            .control("faults", json!({"endpoint": "connections", "kind": "status", "status": 503, "times": 1}))
            .await;
        let refused = keeper.service.disconnect(&connected.org, &connected.bindings[0]).await;
        assert!(matches!(refused, Err(ConnectionError::Xero(_))), "{db}: {refused:?}");
        let bound = keeper.store.binding(&connected.org, &connected.bindings[0]).await.unwrap().unwrap();
        assert_eq!(bound.binding.status, BindingStatus::Active, "{db}");
    }
}

#[tokio::test]
async fn a_dead_grants_binding_is_disconnected_here() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour"], 0).await;
        keeper.provider.sandbox.forget_grant(&connected.minted.refresh_token).unwrap();
        let done = keeper.service.disconnect(&connected.org, &connected.bindings[0]).await.unwrap();
        assert_eq!(done, Disconnected::HereOnly, "{db}");
        let bound = keeper.store.binding(&connected.org, &connected.bindings[0]).await.unwrap().unwrap();
        assert_eq!(bound.binding.status, BindingStatus::Disconnected, "{db}");
    }
}

#[tokio::test]
async fn another_organisations_binding_is_not_found() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let theirs = keeper.connect("Theirs", &["harbour"], 1800).await;
        let ours = keeper.store.add_org("Ours").await.unwrap().unwrap();
        let client = keeper.service.get_client_for_tenant_binding(&theirs.bindings[0], &ours).await;
        assert!(matches!(client.err(), Some(TokenError::NotFound)), "{db}");
        let gone = keeper.service.disconnect(&ours, &theirs.bindings[0]).await;
        assert!(matches!(gone, Err(ConnectionError::Token(TokenError::NotFound))), "{db}");
        let test = keeper.service.test(&ours, &theirs.bindings[0]).await;
        assert!(matches!(test, Err(ConnectionError::Token(TokenError::NotFound))), "{db}");
    }
}
