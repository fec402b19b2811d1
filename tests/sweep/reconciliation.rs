//! Reconciliation: changes that people make in Xero appear in our bindings, and failed reads change nothing.

use evergrant::model::{BindingId, BindingStatus, GrantStatus, OrgId};
use evergrant::server::domain::{Binding, KeepHot};
use evergrant::server::store::Reconciliation;
use evergrant::server::tokens::ReconcileReport;
use serde_json::json;

use crate::support::consents::{ConnectedOrg, TestConsent};
use crate::support::databases::TestDatabase;
use crate::support::test_service::{DAY, ServiceOptions, TestService};

const UNCHANGED: Reconciliation = Reconciliation { missing: 0, disconnected: 0, recovered: 0, renamed: 0 };
const MISSING: Reconciliation = Reconciliation { missing: 1, ..UNCHANGED };
const DISCONNECTED: Reconciliation = Reconciliation { disconnected: 1, ..UNCHANGED };

async fn start(database: TestDatabase) -> TestService {
    TestService::on(database, ServiceOptions { keep_hot: KeepHot::All, ..ServiceOptions::default() }).await
}

/// Advances the clock until every connection list is due, refreshes the grants and reads the lists.
async fn next_day(harness: &TestService) -> ReconcileReport {
    harness.advance(DAY + DAY / 5);
    assert_eq!(harness.sweep().await.failed, 0);
    harness.service.reconcile_due().await.unwrap()
}

/// Reads the list again that lacked a connection.
async fn next_minute(harness: &TestService) -> ReconcileReport {
    harness.advance(60);
    harness.service.reconcile_due().await.unwrap()
}

/// Disconnects a tenant in Xero, and reads the two lists that lack it.
async fn disconnect_and_confirm(harness: &TestService, of: &ConnectedOrg, number: usize) {
    disconnect_at_xero(harness, of, number).await;
    assert_eq!(next_day(harness).await.changes, MISSING, "{}", harness.database.name);
    assert_eq!(next_minute(harness).await.changes, DISCONNECTED, "{}", harness.database.name);
}

/// Queues an unusual list of connections, a number of times.
async fn inject_oddity(harness: &TestService, kind: &str, times: u32) {
    harness.provider.control("oddities", json!({ "kind": kind, "times": times })).await;
}

async fn binding(harness: &TestService, org: &OrgId, id: &BindingId) -> Binding {
    harness.store.binding(org, id).await.unwrap().unwrap().binding
}

async fn first_binding(harness: &TestService, of: &ConnectedOrg) -> Binding {
    binding(harness, &of.org, &of.bindings[0]).await
}

/// Disconnects a tenant as a person does on Xero's page of connected apps.
async fn disconnect_at_xero(harness: &TestService, of: &ConnectedOrg, number: usize) {
    let tenant = &of.minted.connections[number].tenant_id;
    harness.provider.control("disconnect", json!({"tenant_id": tenant})).await;
}

#[apply(each_database!)]
async fn tenant_disconnected_in_xero_is_marked_and_recovers_when_reconnected(database: TestDatabase) {
    let harness = start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour", "kauri"], 1800).await;
    assert_eq!(next_day(&harness).await, ReconcileReport { read: 1, ..ReconcileReport::default() }, "{db}");
    disconnect_and_confirm(&harness, &connected, 0).await;
    let gone = first_binding(&harness, &connected).await;
    assert_eq!((gone.status, gone.unlisted_at), (BindingStatus::Disconnected, Some(harness.clock.now() - 60)), "{db}");
    let other = binding(&harness, &connected.org, &connected.bindings[1]).await;
    assert_eq!(other.status, BindingStatus::Active, "{db}: the other tenant is still listed");
    assert_eq!(next_day(&harness).await.changes, UNCHANGED, "{db}: a disconnect must be reported once");

    // Connected again, without a call of our callback.
    let again = harness.provider.sandbox.mint("mere", &["harbour"], 1800).unwrap();
    assert_eq!(next_day(&harness).await.changes, Reconciliation { recovered: 1, ..UNCHANGED }, "{db}");
    let back = first_binding(&harness, &connected).await;
    assert_eq!((back.status, back.unlisted_at), (BindingStatus::Active, None), "{db}");
    assert_eq!(back.tenant.connection_id, again.connections[0].id, "{db}: a disconnect needs the new connection id");
}

#[apply(each_database!)]
async fn list_that_lacks_a_connection_once_is_no_proof(database: TestDatabase) {
    let harness = start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour", "kauri"], 1800).await;
    for (oddity, missing) in [("empty", 2), ("first_missing", 1)] {
        inject_oddity(&harness, oddity, 1).await;
        assert_eq!(next_day(&harness).await.changes, Reconciliation { missing, ..UNCHANGED }, "{db} {oddity}");
        let suspected = first_binding(&harness, &connected).await;
        assert_eq!(suspected.status, BindingStatus::Active, "{db} {oddity}");
        assert_eq!(suspected.unlisted_at, Some(harness.clock.now()), "{db} {oddity}: it survives a restart");
        let early = harness.service.reconcile_due().await.unwrap();
        assert_eq!(early, ReconcileReport::default(), "{db} {oddity}: a list read at once would be no proof");
        let again = next_minute(&harness).await;
        assert_eq!(again, ReconcileReport { read: 1, ..ReconcileReport::default() }, "{db} {oddity}");
        for id in &connected.bindings {
            let binding = binding(&harness, &connected.org, id).await;
            assert_eq!((binding.status, binding.unlisted_at), (BindingStatus::Active, None), "{db} {oddity}");
        }
        assert_eq!(next_minute(&harness).await, ReconcileReport::default(), "{db} {oddity}: daily again");
    }
}

#[apply(each_database!)]
async fn missing_connection_is_confirmed_by_another_instance_after_its_token_expired(database: TestDatabase) {
    // Not kept hot, so that nothing else would refresh the grant.
    let harness =
        TestService::on(database, ServiceOptions { keep_hot: KeepHot::None, ..ServiceOptions::default() }).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 1800).await;
    harness.advance(47 * DAY);
    harness.sweep().await;
    disconnect_at_xero(&harness, &connected, 0).await;
    assert_eq!(harness.service.reconcile_due().await.unwrap().changes, MISSING, "{db}");
    harness.advance(3 * 3600);
    let other = harness.second_service().await;
    assert_eq!(other.reconcile_due().await.unwrap().changes, DISCONNECTED, "{db}");
    assert_eq!(first_binding(&harness, &connected).await.status, BindingStatus::Disconnected, "{db}");
}

#[apply(each_database!)]
async fn confirmation_that_fails_is_retried_and_changes_nothing(database: TestDatabase) {
    let harness = start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 1800).await;
    disconnect_at_xero(&harness, &connected, 0).await;
    assert_eq!(next_day(&harness).await.changes, MISSING, "{db}");
    for status in [403, 503] {
        let fault = json!({ "endpoint": "connections", "kind": "status", "status": status });
        harness.provider.inject_fault(fault).await;
        let skipped = ReconcileReport { skipped: 1, ..ReconcileReport::default() };
        assert_eq!(next_minute(&harness).await, skipped, "{db} {status}");
        assert_eq!(first_binding(&harness, &connected).await.status, BindingStatus::Active, "{db} {status}");
        harness.advance(14 * 60);
    }
    let forbidden = json!({ "endpoint": "connections", "kind": "forbidden" });
    harness.provider.inject_fault(forbidden).await;
    assert_eq!(next_minute(&harness).await.skipped, 1, "{db}: Xero's own 403");
    harness.advance(15 * 60);
    assert_eq!(harness.service.reconcile_due().await.unwrap().changes, DISCONNECTED, "{db}");
}

#[apply(each_database!)]
async fn entry_with_nulls_or_missing_fields_counts_as_present(database: TestDatabase) {
    let harness = start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour", "kauri"], 1800).await;
    let before = first_binding(&harness, &connected).await;
    for oddity in ["nulls", "missing_fields", "unreadable_entry"] {
        inject_oddity(&harness, oddity, 1).await;
        let read = ReconcileReport { read: 1, ..ReconcileReport::default() };
        assert_eq!(next_day(&harness).await, read, "{db} {oddity}");
        assert_eq!(first_binding(&harness, &connected).await, before, "{db} {oddity}: the name stays");
    }
    // Another connection is noticed beside them.
    disconnect_at_xero(&harness, &connected, 1).await;
    inject_oddity(&harness, "nulls", 2).await;
    assert_eq!(next_day(&harness).await.changes, MISSING, "{db}");
    assert_eq!(next_minute(&harness).await.changes, DISCONNECTED, "{db}");
    assert_eq!(first_binding(&harness, &connected).await.status, BindingStatus::Active, "{db}");
}

#[apply(each_database!)]
async fn connection_is_found_in_a_list_of_twelve_hundred(database: TestDatabase) {
    let harness = start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 1800).await;
    harness.provider.control("settings", json!({ "extra_tenants": 1200 })).await;
    assert_eq!(next_day(&harness).await, ReconcileReport { read: 1, ..ReconcileReport::default() }, "{db}");
    disconnect_and_confirm(&harness, &connected, 0).await;
}

#[apply(each_database!)]
async fn clock_that_is_set_back_does_not_delay_the_next_list(database: TestDatabase) {
    let harness = start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 1800).await;
    assert_eq!(next_day(&harness).await.read, 1, "{db}");
    disconnect_at_xero(&harness, &connected, 0).await;
    harness.set_clock_back(26 * 60 * 60);
    assert_eq!(harness.sweep().await.refreshed, 1, "{db}");
    assert_eq!(harness.service.reconcile_due().await.unwrap().changes, MISSING, "{db}");
    harness.set_clock_back(13 * 60 * 60);
    assert_eq!(harness.sweep().await.refreshed, 1, "{db}");
    assert_eq!(harness.service.reconcile_due().await.unwrap().changes, MISSING, "{db}: it counts from now");
    assert_eq!(next_minute(&harness).await.changes, DISCONNECTED, "{db}");
}

#[apply(each_database!)]
async fn tenant_renamed_in_xero_gets_its_new_name(database: TestDatabase) {
    let harness = start(database).await;
    let connected = harness.connect("Harbour", &["harbour"], 1800).await;
    let tenant = &connected.minted.connections[0].tenant_id;
    harness.provider.control("rename", json!({"tenant_id": tenant, "name": "Harbour Tea"})).await;
    assert_eq!(
        next_day(&harness).await.changes,
        Reconciliation { renamed: 1, ..UNCHANGED },
        "{}",
        harness.database.name
    );
    assert_eq!(first_binding(&harness, &connected).await.tenant.name, "Harbour Tea");
    assert_eq!(next_day(&harness).await.changes, UNCHANGED);
}

#[apply(each_database!)]
async fn connections_of_the_same_user_in_another_organization_are_ignored(database: TestDatabase) {
    let harness = start(database).await;
    let db = harness.database.name;
    let ours = harness.connect("Ours", &["harbour"], 1800).await;
    let theirs = harness.connect("Theirs", &["kauri"], 1800).await;
    assert_eq!(next_day(&harness).await.changes, UNCHANGED, "{db}: each list has both tenants");
    disconnect_and_confirm(&harness, &ours, 0).await;
    assert_eq!(first_binding(&harness, &theirs).await.status, BindingStatus::Active, "{db}");
    // The accountant gives the other organization access to our tenant.
    let again =
        TestConsent::new(&harness.store, &harness.provider).access_seconds_left(1800).connect(theirs.org.clone()).await;
    assert_eq!(next_day(&harness).await.changes, UNCHANGED, "{db}");
    assert_eq!(
        first_binding(&harness, &ours).await.status,
        BindingStatus::Disconnected,
        "{db}: ours stays disconnected"
    );
    assert_eq!(first_binding(&harness, &again).await.status, BindingStatus::Active, "{db}");
}

#[apply(each_database!)]
async fn failed_connection_read_disconnects_nothing_and_is_retried(database: TestDatabase) {
    let harness =
        TestService::on(database, ServiceOptions { keep_hot: KeepHot::All, ..ServiceOptions::impatient() }).await;
    let faults = [
        json!({"endpoint": "connections", "kind": "status", "status": 503}),
        json!({"endpoint": "connections", "kind": "status", "status": 403}),
        json!({"endpoint": "connections", "kind": "status", "status": 429, "retry_after": 600}),
        json!({"endpoint": "connections", "kind": "malformed"}),
        json!({"endpoint": "connections", "kind": "truncated"}),
        json!({"endpoint": "connections", "kind": "wrong_content_type"}),
        json!({"endpoint": "connections", "kind": "reset_before"}),
        json!({"endpoint": "connections", "kind": "timeout_after"}),
    ];
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 1800).await;
    for fault in &faults {
        harness.provider.inject_fault(fault.clone()).await;
        let missed = ReconcileReport { skipped: 1, ..ReconcileReport::default() };
        assert_eq!(next_day(&harness).await, missed, "{db}: {fault}");
        assert_eq!(
            harness.service.reconcile_due().await.unwrap(),
            ReconcileReport::default(),
            "{db}: the list must not be due again at once"
        );
        harness.advance(15 * 60);
        let read = ReconcileReport { read: 1, ..ReconcileReport::default() };
        assert_eq!(harness.service.reconcile_due().await.unwrap(), read, "{db}: {fault}");
    }
    // An access token that Xero ends before its expiry.
    harness.advance(DAY + DAY / 5);
    harness.sweep().await;
    harness.provider.advance(3600);
    let refused = harness.service.reconcile_due().await.unwrap();
    assert_eq!(refused, ReconcileReport { skipped: 1, ..ReconcileReport::default() }, "{db}: 401");
    assert_eq!(first_binding(&harness, &connected).await.status, BindingStatus::Active, "{db}");
}

#[apply(each_database!)]
async fn grant_without_tenants_is_revoked_after_a_week(database: TestDatabase) {
    let harness = start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 1800).await;
    let elsewhere = harness.connect("Elsewhere", &["kauri"], 1800).await;
    disconnect_and_confirm(&harness, &connected, 0).await;
    assert_eq!(harness.service.revoke_orphans().await.unwrap(), 0, "{db}: it may be reconnected");
    harness.advance(7 * DAY + 1);
    assert_eq!(harness.service.revoke_orphans().await.unwrap(), 1, "{db}");
    assert_eq!(harness.read_grant(&connected.grant).await.status, GrantStatus::Revoked, "{db}");
    let mere = harness.provider.sandbox.mint("mere", &[], 60).unwrap();
    let listed = harness.provider.connections(&mere.access_token).await;
    assert_eq!(listed.len(), 1, "{db}: a revocation would have ended the same user's other grant");

    disconnect_and_confirm(&harness, &elsewhere, 0).await;
    let last = harness.store.open_refresh(&harness.read_grant(&elsewhere.grant).await).unwrap();
    harness.advance(7 * DAY + 1);
    assert_eq!(harness.service.revoke_orphans().await.unwrap(), 1, "{db}");
    let (status, _) = harness.provider.refresh(last.expose()).await;
    assert_eq!(status, 400, "{db}: the last grant must be revoked at Xero too");
}

#[apply(each_database!)]
async fn manual_disconnect_is_not_undone(database: TestDatabase) {
    let harness = start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour", "kauri"], 1800).await;
    harness.service.disconnect(&connected.org, &connected.bindings[0]).await.unwrap();
    harness.provider.sandbox.mint("mere", &["harbour"], 1800).unwrap();
    assert_eq!(next_day(&harness).await.changes, UNCHANGED, "{db}");
    assert_eq!(first_binding(&harness, &connected).await.status, BindingStatus::Disconnected, "{db}");
}
