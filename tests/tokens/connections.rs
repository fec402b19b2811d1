//! Manual actions on one connection: test and disconnect.

use crate::support::databases::TestDatabase;
use evergrant::model::{BindingStatus, GrantStatus};
use evergrant::server::domain::Actor;
use evergrant::server::tokens::{ConnectionError, DisconnectOutcome, TokenError};
use serde_json::json;

use crate::support::test_service::TestService;

#[apply(each_database!)]
async fn connection_test_returns_the_organizations_details(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let connected = harness.connect("Harbour", &["harbour"], 1800).await;
    let client = harness.service.get_client_for_tenant_binding(&connected.bindings[0], &connected.org).await.unwrap();
    let details = client.organization_details().await.unwrap();
    assert_eq!(details.name, "Harbour Coffee");
    assert!(details.base_currency.is_some() && details.warning.is_none());
}

#[apply(each_database!)]
async fn disconnect_deletes_the_connection_at_xero_and_revokes_the_last_grant(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour", "kauri"], 1800).await;
    let (org, bindings) = (&connected.org, &connected.bindings);
    let listed = || harness.provider.connections(&connected.minted.access_token);
    assert_eq!(harness.service.disconnect(org, &bindings[0]).await.unwrap(), DisconnectOutcome::RemovedAtXero, "{db}");
    assert_eq!(listed().await.len(), 1, "{db}");
    assert_eq!(harness.read_grant(&connected.grant).await.status, GrantStatus::Active, "{db}: Kauri still uses it");
    assert_eq!(harness.service.disconnect(org, &bindings[1]).await.unwrap(), DisconnectOutcome::RemovedAtXero, "{db}");
    assert_eq!(harness.read_grant(&connected.grant).await.status, GrantStatus::Revoked, "{db}");
    let (status, body) = harness.provider.refresh(&connected.minted.refresh_token).await;
    assert_eq!((status.as_u16(), body["error"].as_str()), (400, Some("invalid_grant")), "{db}: revoked at Xero");
}

#[apply(each_database!)]
async fn disconnect_keeps_the_same_users_connection_of_another_organization(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let ours = harness.connect("Ours", &["harbour"], 1800).await;
    let theirs = harness.connect("Theirs", &["kauri"], 1800).await;
    harness.service.disconnect(&ours.org, &ours.bindings[0]).await.unwrap();
    let client = harness.service.get_client_for_tenant_binding(&theirs.bindings[0], &theirs.org).await.unwrap();
    assert_eq!(client.api.organization().await.unwrap().name, "Kauri Joinery", "{db}");
    let (status, _) = harness.provider.refresh(&theirs.minted.refresh_token).await;
    assert_eq!(status.as_u16(), 200, "{db}: a revocation would have ended this token too");
}

#[apply(each_database!)]
async fn connection_that_another_organization_stands_on_is_left_at_xero(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let ours = harness.connect("Ours", &["harbour"], 1800).await;
    let theirs = harness.connect("Theirs", &["harbour"], 1800).await;
    let done = harness.service.disconnect(&ours.org, &ours.bindings[0]).await.unwrap();
    assert_eq!(done, DisconnectOutcome::KeptForAnotherOrg, "{db}");
    let again = harness.service.disconnect(&ours.org, &ours.bindings[0]).await.unwrap();
    assert_eq!(again, DisconnectOutcome::LocalOnly, "{db}: Xero still has it");
    let bound = harness.store.binding(&ours.org, &ours.bindings[0]).await.unwrap().unwrap();
    assert_eq!(bound.binding.status, BindingStatus::Disconnected, "{db}");
    let client = harness.service.get_client_for_tenant_binding(&theirs.bindings[0], &theirs.org).await.unwrap();
    assert_eq!(client.api.organization().await.unwrap().name, "Harbour Coffee", "{db}: theirs must go on working");

    // The last one to leave takes the connection along.
    let done = harness.service.disconnect(&theirs.org, &theirs.bindings[0]).await.unwrap();
    assert_eq!(done, DisconnectOutcome::RemovedAtXero, "{db}");
    let again = harness.service.disconnect(&theirs.org, &theirs.bindings[0]).await.unwrap();
    assert_eq!(again, DisconnectOutcome::RemovedAtXero, "{db}");
}

#[apply(each_database!)]
async fn connection_that_xero_refuses_to_delete_is_disconnected_here(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    for fault in [
        json!({"endpoint": "disconnect", "kind": "forbidden", "times": 1}),
        json!({"endpoint": "disconnect", "kind": "status", "status": 403, "times": 1}),
    ] {
        let connected = harness.connect(&fault.to_string(), &["harbour"], 1800).await;
        harness.provider.inject_fault(fault).await;
        let done = harness.service.disconnect(&connected.org, &connected.bindings[0]).await.unwrap();
        assert_eq!(done, DisconnectOutcome::LocalOnly, "{db}");
        let bound = harness.store.binding(&connected.org, &connected.bindings[0]).await.unwrap().unwrap();
        assert_eq!(bound.binding.status, BindingStatus::Disconnected, "{db}");
        let left = harness.provider.connections(&connected.minted.access_token).await;
        assert_eq!(left.len(), 1, "{db}: Xero still lists it");
    }
}

#[apply(each_database!)]
async fn failed_disconnect_changes_nothing(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 1800).await;
    harness
        .provider
        .inject_fault(json!({"endpoint": "connections", "kind": "status", "status": 503, "times": 1}))
        .await;
    let refused = harness.service.disconnect(&connected.org, &connected.bindings[0]).await;
    assert!(matches!(refused, Err(ConnectionError::Xero(_))), "{db}: {refused:?}");
    let bound = harness.store.binding(&connected.org, &connected.bindings[0]).await.unwrap().unwrap();
    assert_eq!(bound.binding.status, BindingStatus::Active, "{db}");
}

#[apply(each_database!)]
async fn binding_of_a_dead_grant_is_disconnected_locally(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 0).await;
    harness.provider.sandbox.revoke_grant(&connected.minted.refresh_token).unwrap();
    let done = harness.service.disconnect(&connected.org, &connected.bindings[0]).await.unwrap();
    assert_eq!(done, DisconnectOutcome::LocalOnly, "{db}");
    let bound = harness.store.binding(&connected.org, &connected.bindings[0]).await.unwrap().unwrap();
    assert_eq!(bound.binding.status, BindingStatus::Disconnected, "{db}");
}

#[apply(each_database!)]
async fn binding_of_another_organization_is_not_found(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let theirs = harness.connect("Theirs", &["harbour"], 1800).await;
    let ours = harness.store.add_org("Ours").await.unwrap();
    let client = harness.service.get_client_for_tenant_binding(&theirs.bindings[0], &ours).await;
    assert!(matches!(client.err(), Some(TokenError::NotFound)), "{db}");
    let gone = harness.service.disconnect(&ours, &theirs.bindings[0]).await;
    assert!(matches!(gone, Err(ConnectionError::Token(TokenError::NotFound))), "{db}");
    let test = harness.service.begin_test(Actor::system(), &ours, &theirs.bindings[0]).await;
    assert!(matches!(test, Err(ConnectionError::Token(TokenError::NotFound))), "{db}");
}
