//! Reconciliation: changes that people make in Xero appear in our bindings, and failed reads change nothing.

use evergrant::model::{BindingId, BindingStatus, GrantStatus, OrgId};
use evergrant::server::domain::{Binding, KeepHot};
use evergrant::server::store::Reconciliation;
use evergrant::server::tokens::ReconcileReport;
use serde_json::json;

use crate::support::keeper::{ConnectedOrg, DAY, ServiceOptions, TestService, seed_consent};

const UNCHANGED: Reconciliation = Reconciliation { disconnected: 0, recovered: 0, renamed: 0 };

async fn each() -> Vec<TestService> {
    TestService::each_with(ServiceOptions { keep_hot: KeepHot::All, ..ServiceOptions::default() }).await
}

/// Advances the clock until every connection list is due, refreshes the grants and reads the lists.
async fn next_day(keeper: &TestService) -> ReconcileReport {
    keeper.advance(DAY + DAY / 5);
    assert_eq!(keeper.sweep().await.failed, 0);
    keeper.service.reconcile_due().await.unwrap()
}

async fn binding(keeper: &TestService, org: &OrgId, id: &BindingId) -> Binding {
    keeper.store.binding(org, id).await.unwrap().unwrap().binding
}

async fn first_binding(keeper: &TestService, of: &ConnectedOrg) -> Binding {
    binding(keeper, &of.org, &of.bindings[0]).await
}

/// Disconnects a tenant as a person does on Xero's page of connected apps.
async fn disconnect_at_xero(keeper: &TestService, of: &ConnectedOrg, number: usize) {
    let tenant = &of.minted.connections[number].tenant_id;
    keeper.provider.control("disconnect", json!({"tenant_id": tenant})).await;
}

#[tokio::test]
async fn tenant_disconnected_in_xero_is_marked_and_recovers_when_reconnected() {
    for keeper in each().await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour", "kauri"], 1800).await;
        assert_eq!(next_day(&keeper).await, ReconcileReport { read: 1, ..ReconcileReport::default() }, "{db}");
        disconnect_at_xero(&keeper, &connected, 0).await;
        assert_eq!(next_day(&keeper).await.changes, Reconciliation { disconnected: 1, ..UNCHANGED }, "{db}");
        let gone = first_binding(&keeper, &connected).await;
        assert_eq!((gone.status, gone.unlisted_at), (BindingStatus::Disconnected, Some(keeper.clock.now())), "{db}");
        let other = binding(&keeper, &connected.org, &connected.bindings[1]).await;
        assert_eq!(other.status, BindingStatus::Active, "{db}: the other tenant is still listed");
        assert_eq!(next_day(&keeper).await.changes, UNCHANGED, "{db}: a disconnect must be reported once");

        // Connected again, without a call of our callback.
        let again = keeper.provider.sandbox.mint("mere", &["harbour"], 1800).unwrap();
        assert_eq!(next_day(&keeper).await.changes, Reconciliation { recovered: 1, ..UNCHANGED }, "{db}");
        let back = first_binding(&keeper, &connected).await;
        assert_eq!((back.status, back.unlisted_at), (BindingStatus::Active, None), "{db}");
        assert_eq!(back.connection_id, again.connections[0].id, "{db}: a disconnect needs the new connection id");
    }
}

#[tokio::test]
async fn tenant_renamed_in_xero_gets_its_new_name() {
    for keeper in each().await {
        let connected = keeper.connect("Harbour", &["harbour"], 1800).await;
        let tenant = &connected.minted.connections[0].tenant_id;
        keeper.provider.control("rename", json!({"tenant_id": tenant, "name": "Harbour Tea"})).await;
        assert_eq!(
            next_day(&keeper).await.changes,
            Reconciliation { renamed: 1, ..UNCHANGED },
            "{}",
            keeper.database.name
        );
        assert_eq!(first_binding(&keeper, &connected).await.tenant_name, "Harbour Tea");
        assert_eq!(next_day(&keeper).await.changes, UNCHANGED);
    }
}

#[tokio::test]
async fn connections_of_the_same_user_in_another_organization_are_ignored() {
    for keeper in each().await {
        let db = keeper.database.name;
        let ours = keeper.connect("Ours", &["harbour"], 1800).await;
        let theirs = keeper.connect("Theirs", &["kauri"], 1800).await;
        assert_eq!(next_day(&keeper).await.changes, UNCHANGED, "{db}: each list has both tenants");
        disconnect_at_xero(&keeper, &ours, 0).await;
        assert_eq!(next_day(&keeper).await.changes, Reconciliation { disconnected: 1, ..UNCHANGED }, "{db}");
        assert_eq!(first_binding(&keeper, &theirs).await.status, BindingStatus::Active, "{db}");
        // The accountant gives the other organization access to our tenant.
        let again = seed_consent(&keeper.store, &keeper.provider, theirs.org.clone(), &["harbour"], 1800).await;
        assert_eq!(next_day(&keeper).await.changes, UNCHANGED, "{db}");
        assert_eq!(
            first_binding(&keeper, &ours).await.status,
            BindingStatus::Disconnected,
            "{db}: ours stays disconnected"
        );
        assert_eq!(first_binding(&keeper, &again).await.status, BindingStatus::Active, "{db}");
    }
}

#[tokio::test]
async fn failed_connection_read_disconnects_nothing_and_is_retried() {
    let faults = [
        json!({"endpoint": "connections", "kind": "status", "status": 503}),
        json!({"endpoint": "connections", "kind": "status", "status": 429, "retry_after": 600}),
        json!({"endpoint": "connections", "kind": "malformed"}),
        json!({"endpoint": "connections", "kind": "truncated"}),
        json!({"endpoint": "connections", "kind": "wrong_content_type"}),
        json!({"endpoint": "connections", "kind": "reset_before"}),
        json!({"endpoint": "connections", "kind": "timeout_after"}),
    ];
    for keeper in each().await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour"], 1800).await;
        for fault in &faults {
            keeper.provider.control("faults", fault.clone()).await;
            let missed = ReconcileReport { skipped: 1, ..ReconcileReport::default() };
            assert_eq!(next_day(&keeper).await, missed, "{db}: {fault}");
            assert_eq!(
                keeper.service.reconcile_due().await.unwrap(),
                ReconcileReport::default(),
                "{db}: the list must not be due again at once"
            );
            keeper.advance(15 * 60);
            let read = ReconcileReport { read: 1, ..ReconcileReport::default() };
            assert_eq!(keeper.service.reconcile_due().await.unwrap(), read, "{db}: {fault}");
        }
        // An access token that Xero ends before its expiry.
        keeper.advance(DAY + DAY / 5);
        keeper.sweep().await;
        keeper.provider.advance(3600);
        let refused = keeper.service.reconcile_due().await.unwrap();
        assert_eq!(refused, ReconcileReport { skipped: 1, ..ReconcileReport::default() }, "{db}: 401");
        assert_eq!(first_binding(&keeper, &connected).await.status, BindingStatus::Active, "{db}");
    }
}

#[tokio::test]
async fn grant_without_tenants_is_revoked_after_a_week() {
    for keeper in each().await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour"], 1800).await;
        let elsewhere = keeper.connect("Elsewhere", &["kauri"], 1800).await;
        disconnect_at_xero(&keeper, &connected, 0).await;
        assert_eq!(next_day(&keeper).await.changes.disconnected, 1, "{db}");
        assert_eq!(keeper.service.revoke_orphans().await.unwrap(), 0, "{db}: it may be reconnected");
        keeper.advance(7 * DAY + 1);
        assert_eq!(keeper.service.revoke_orphans().await.unwrap(), 1, "{db}");
        assert_eq!(keeper.read_grant(&connected.grant).await.status, GrantStatus::Revoked, "{db}");
        let mere = keeper.provider.sandbox.mint("mere", &[], 60).unwrap();
        let listed = keeper.provider.connections(&mere.access_token).await;
        assert_eq!(listed.len(), 1, "{db}: a revocation would have ended the same user's other grant");

        disconnect_at_xero(&keeper, &elsewhere, 0).await;
        next_day(&keeper).await;
        let last = keeper.store.open_refresh(&keeper.read_grant(&elsewhere.grant).await).unwrap();
        keeper.advance(7 * DAY + 1);
        assert_eq!(keeper.service.revoke_orphans().await.unwrap(), 1, "{db}");
        let (status, _) = keeper.provider.refresh(last.expose()).await;
        assert_eq!(status, 400, "{db}: the last grant must be revoked at Xero too");
    }
}

#[tokio::test]
async fn manual_disconnect_is_not_undone() {
    for keeper in each().await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour", "kauri"], 1800).await;
        keeper.service.disconnect(&connected.org, &connected.bindings[0]).await.unwrap();
        keeper.provider.sandbox.mint("mere", &["harbour"], 1800).unwrap();
        assert_eq!(next_day(&keeper).await.changes, UNCHANGED, "{db}");
        assert_eq!(first_binding(&keeper, &connected).await.status, BindingStatus::Disconnected, "{db}");
    }
}
