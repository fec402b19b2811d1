//! What people do inside Xero shows in our bindings, and what goes wrong on the way doesn't.

use evergrant::model::{BindingId, BindingStatus, GrantStatus, OrgId};
use evergrant::server::domain::{Binding, KeepHot};
use evergrant::server::store::Drift;
use evergrant::server::tokens::ListsRead;
use serde_json::json;

use crate::support::keeper::{Connected, DAY, Keeper, Pace, consent};

const NOTHING: Drift = Drift { disconnected: 0, recovered: 0, renamed: 0 };

async fn each() -> Vec<Keeper> {
    Keeper::each_at(Pace { keep_hot: KeepHot::All, ..Pace::default() }).await
}

/// Everything is refreshed once its last list is a day and a bit old, and the lists are read.
async fn next_day(keeper: &Keeper) -> ListsRead {
    keeper.advance(DAY + DAY / 5);
    assert_eq!(keeper.sweep().await.failed, 0);
    keeper.service.read_due_connections().await.unwrap()
}

async fn binding(keeper: &Keeper, org: &OrgId, id: &BindingId) -> Binding {
    keeper.store.binding(org, id).await.unwrap().unwrap().binding
}

async fn first(keeper: &Keeper, of: &Connected) -> Binding {
    binding(keeper, &of.org, &of.bindings[0]).await
}

/// What a person does on Xero's own page of connected apps.
async fn disconnect(keeper: &Keeper, of: &Connected, number: usize) {
    let tenant = &of.minted.connections[number].tenant_id;
    keeper.provider.control("disconnect", json!({"tenant_id": tenant})).await;
}

#[tokio::test]
async fn a_tenant_disconnected_in_xero_is_shown_so_and_recovers_when_it_is_connected_again() {
    for keeper in each().await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour", "kauri"], 1800).await;
        assert_eq!(next_day(&keeper).await, ListsRead { read: 1, ..ListsRead::default() }, "{db}");
        disconnect(&keeper, &connected, 0).await;
        assert_eq!(next_day(&keeper).await.drift, Drift { disconnected: 1, ..NOTHING }, "{db}");
        let gone = first(&keeper, &connected).await;
        assert_eq!((gone.status, gone.gone_at), (BindingStatus::Disconnected, Some(keeper.clock.now())), "{db}");
        let other = binding(&keeper, &connected.org, &connected.bindings[1]).await;
        assert_eq!(other.status, BindingStatus::Active, "{db}: the other tenant is still listed");
        assert_eq!(next_day(&keeper).await.drift, NOTHING, "{db}: said once");

        // Connected again, though our callback was never reached.
        let again = keeper.provider.sandbox.mint("mere", &["harbour"], 1800).unwrap();
        assert_eq!(next_day(&keeper).await.drift, Drift { recovered: 1, ..NOTHING }, "{db}");
        let back = first(&keeper, &connected).await;
        assert_eq!((back.status, back.gone_at), (BindingStatus::Active, None), "{db}");
        assert_eq!(back.connection_id, again.connections[0].id, "{db}: what a disconnect has to name");
    }
}

#[tokio::test]
async fn a_tenant_renamed_in_xero_gets_its_new_name() {
    for keeper in each().await {
        let connected = keeper.connect("Harbour", &["harbour"], 1800).await;
        let tenant = &connected.minted.connections[0].tenant_id;
        keeper.provider.control("rename", json!({"tenant_id": tenant, "name": "Harbour Tea"})).await;
        assert_eq!(next_day(&keeper).await.drift, Drift { renamed: 1, ..NOTHING }, "{}", keeper.database.name);
        assert_eq!(first(&keeper, &connected).await.tenant_name, "Harbour Tea");
        assert_eq!(next_day(&keeper).await.drift, NOTHING);
    }
}

#[tokio::test]
async fn what_the_same_person_connects_in_another_organisation_is_none_of_ours() {
    for keeper in each().await {
        let db = keeper.database.name;
        let ours = keeper.connect("Ours", &["harbour"], 1800).await;
        let theirs = keeper.connect("Theirs", &["kauri"], 1800).await;
        assert_eq!(next_day(&keeper).await.drift, NOTHING, "{db}: each list holds both");
        disconnect(&keeper, &ours, 0).await;
        assert_eq!(next_day(&keeper).await.drift, Drift { disconnected: 1, ..NOTHING }, "{db}");
        assert_eq!(first(&keeper, &theirs).await.status, BindingStatus::Active, "{db}");
        // The accountant opens our tenant to them.
        let again = consent(&keeper.store, &keeper.provider, theirs.org.clone(), &["harbour"], 1800).await;
        assert_eq!(next_day(&keeper).await.drift, NOTHING, "{db}");
        assert_eq!(first(&keeper, &ours).await.status, BindingStatus::Disconnected, "{db}: not to us");
        assert_eq!(first(&keeper, &again).await.status, BindingStatus::Active, "{db}");
    }
}

#[tokio::test]
async fn an_answer_that_is_none_disconnects_nobody_and_is_asked_for_again() {
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
            let missed = ListsRead { unread: 1, ..ListsRead::default() };
            assert_eq!(next_day(&keeper).await, missed, "{db}: {fault}");
            assert_eq!(
                keeper.service.read_due_connections().await.unwrap(),
                ListsRead::default(),
                "{db}: at once again"
            );
            keeper.advance(15 * 60);
            let read = ListsRead { read: 1, ..ListsRead::default() };
            assert_eq!(keeper.service.read_due_connections().await.unwrap(), read, "{db}: {fault}");
        }
        // A token that Xero has ended before its time.
        keeper.advance(DAY + DAY / 5);
        keeper.sweep().await;
        keeper.provider.advance(3600);
        let refused = keeper.service.read_due_connections().await.unwrap();
        assert_eq!(refused, ListsRead { unread: 1, ..ListsRead::default() }, "{db}: 401");
        assert_eq!(first(&keeper, &connected).await.status, BindingStatus::Active, "{db}");
    }
}

#[tokio::test]
async fn a_grant_whose_last_tenant_went_is_kept_for_a_week_and_then_given_up() {
    for keeper in each().await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour"], 1800).await;
        let elsewhere = keeper.connect("Elsewhere", &["kauri"], 1800).await;
        disconnect(&keeper, &connected, 0).await;
        assert_eq!(next_day(&keeper).await.drift.disconnected, 1, "{db}");
        assert_eq!(keeper.service.give_up_orphans().await.unwrap(), 0, "{db}: it may be connected again");
        keeper.advance(7 * DAY + 1);
        assert_eq!(keeper.service.give_up_orphans().await.unwrap(), 1, "{db}");
        assert_eq!(keeper.read(&connected.grant).await.status, GrantStatus::Revoked, "{db}");
        let mere = keeper.provider.sandbox.mint("mere", &[], 60).unwrap();
        let listed = keeper.provider.connections(&mere.access_token).await;
        assert_eq!(listed.len(), 1, "{db}: the same person's other grant would have gone with a revocation");

        disconnect(&keeper, &elsewhere, 0).await;
        next_day(&keeper).await;
        let last = keeper.store.open_refresh(&keeper.read(&elsewhere.grant).await).unwrap();
        keeper.advance(7 * DAY + 1);
        assert_eq!(keeper.service.give_up_orphans().await.unwrap(), 1, "{db}");
        let (status, _) = keeper.provider.refresh(last.expose()).await;
        assert_eq!(status, 400, "{db}: the last one is revoked at Xero too");
    }
}

#[tokio::test]
async fn a_person_s_own_disconnect_is_not_undone() {
    for keeper in each().await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour", "kauri"], 1800).await;
        keeper.service.disconnect(&connected.org, &connected.bindings[0]).await.unwrap();
        keeper.provider.sandbox.mint("mere", &["harbour"], 1800).unwrap();
        assert_eq!(next_day(&keeper).await.drift, NOTHING, "{db}");
        assert_eq!(first(&keeper, &connected).await.status, BindingStatus::Disconnected, "{db}");
    }
}
