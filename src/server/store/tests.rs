//! Grants, leases, fences and bindings, each on SQLite and on PostgreSQL.

use super::testing::{START, stores};
use super::{AttemptEnd, EarlierTry, Failure, NewAttempt, NewGrant, Store};
use crate::model::{AttemptId, BindingId, BindingStatus, GrantId, GrantStatus, OrgId, Trigger};
use crate::server::domain::{AccessToken, Grant, RefreshToken, Tenant, TokenSet};

pub(super) const DONE: AttemptEnd =
    AttemptEnd { outcome: "refreshed", error_code: None, http_status: Some(200), correlation_id: None };

pub(super) fn tokens(name: &str) -> TokenSet {
    TokenSet {
        access_token: AccessToken::new(format!("access-{name}")),
        refresh_token: RefreshToken::new(format!("refresh-{name}")),
        expires_at: START + 1800,
        scopes: "offline_access".into(),
    }
}

pub(super) fn tenant(name: &str) -> Tenant {
    Tenant {
        connection_id: format!("connection-{name}"),
        tenant_id: format!("tenant-{name}"),
        tenant_name: name.into(),
        tenant_type: "ORGANISATION".into(),
    }
}

pub(super) async fn org(store: &Store, name: &str) -> OrgId {
    store.add_org(name).await.unwrap().unwrap()
}

pub(super) async fn consent(store: &Store, org: &OrgId, xero_user: &str) -> GrantId {
    let new = NewGrant {
        org_id: org.clone(),
        xero_user_id: xero_user.into(),
        auth_event_id: "event".into(),
        tokens: tokens("first"),
    };
    store.insert_grant(new).await.unwrap()
}

async fn read(store: &Store, id: &GrantId) -> Grant {
    store.grant(id).await.unwrap().unwrap()
}

pub(super) async fn leased(store: &Store, id: &GrantId, owner: &str) -> (Grant, AttemptId) {
    let held = store.take_lease(id, owner, store.clock().now() + 60).await.unwrap().expect("the lease is free");
    let attempt = store
        .begin_attempt(&NewAttempt {
            grant_id: id,
            generation: held.generation,
            trigger: Trigger::Manual,
            actor: Some("a@b.c"),
            trace_id: None,
        })
        .await
        .unwrap();
    (held, attempt)
}

/// Tries that worked, and that failed.
async fn counted(store: &Store, org: &OrgId) -> (u32, u32) {
    let hours = store.hours_since(org, START).await.unwrap();
    hours.iter().fold((0, 0), |(worked, failed), hour| (worked + hour.refreshed, failed + hour.failed))
}

async fn status_of(store: &Store, org: &OrgId, binding: &BindingId) -> BindingStatus {
    store.binding(org, binding).await.unwrap().unwrap().binding.status
}

#[tokio::test]
async fn tokens_come_back_as_they_were_and_the_row_shows_none_of_them() {
    for (db, store) in stores().await {
        let org = org(&store, "A").await;
        let grant = read(&store, &consent(&store, &org, "u").await).await;
        assert_eq!(store.open_access(&grant).unwrap().expose(), "access-first", "{db}");
        assert_eq!(store.open_refresh(&grant).unwrap().expose(), "refresh-first", "{db}");
        assert!(!grant.sealed.access.contains("first") && grant.sealed.refresh.starts_with("v1."), "{db}");
        let swapped = Grant {
            sealed: crate::server::domain::SealedTokens {
                refresh: grant.sealed.access.clone(),
                ..grant.sealed.clone()
            },
            ..grant
        };
        assert!(store.open_refresh(&swapped).is_err(), "{db}: an access token passed for a refresh token");
    }
}

#[tokio::test]
async fn a_lease_has_one_holder_until_it_ends() {
    for (db, store) in stores().await {
        let org = org(&store, "A").await;
        let id = consent(&store, &org, "u").await;
        let held = store.take_lease(&id, "one", START + 60).await.unwrap();
        assert!(held.is_some(), "{db}");
        assert_eq!(store.take_lease(&id, "two", START + 60).await.unwrap(), None, "{db}");
        assert_eq!(store.take_lease(&id, "one", START + 60).await.unwrap(), None, "{db}: not even by the same owner");
        let held = held.unwrap();
        store.release_lease(&held, "two").await.unwrap();
        assert_eq!(store.take_lease(&id, "two", START + 60).await.unwrap(), None, "{db}: released by a stranger");
        store.clock().advance(60);
        let taken = store.take_lease(&id, "two", START + 120).await.unwrap().unwrap();
        assert_eq!(taken.lease.unwrap().owner, "two", "{db}");
        assert!(!store.renew_lease(&held, "one", START + 999).await.unwrap(), "{db}: renewed after its end");
    }
}

#[tokio::test]
async fn a_lease_is_renewed_by_its_owner_alone() {
    for (db, store) in stores().await {
        let org = org(&store, "A").await;
        let id = consent(&store, &org, "u").await;
        let (held, _) = leased(&store, &id, "one").await;
        assert!(store.renew_lease(&held, "one", START + 500).await.unwrap(), "{db}");
        assert!(!store.renew_lease(&held, "two", START + 900).await.unwrap(), "{db}");
        assert_eq!(read(&store, &id).await.lease.unwrap().until, START + 500, "{db}");
    }
}

#[tokio::test]
async fn a_commit_moves_the_generation_and_frees_the_lease() {
    for (db, store) in stores().await {
        let org = org(&store, "A").await;
        let id = consent(&store, &org, "u").await;
        let (held, attempt) = leased(&store, &id, "one").await;
        let rotation = store.seal_rotation(&held, &tokens("second")).unwrap();
        assert!(store.commit_rotation(&rotation, "one", &attempt, &DONE).await.unwrap(), "{db}");
        let after = read(&store, &id).await;
        assert_eq!((after.generation, after.lease.clone(), after.failure_count), (1, None, 0), "{db}");
        assert_eq!(store.open_refresh(&after).unwrap().expose(), "refresh-second", "{db}");
        assert_eq!(counted(&store, &org).await, (1, 0), "{db}");
    }
}

#[tokio::test]
async fn a_stale_winner_changes_nothing() {
    for (db, store) in stores().await {
        let org = org(&store, "A").await;
        let id = consent(&store, &org, "u").await;
        let (stale, stale_attempt) = leased(&store, &id, "one").await;
        store.clock().advance(61);
        let (held, attempt) = leased(&store, &id, "two").await;
        let theirs = store.seal_rotation(&stale, &tokens("stale")).unwrap();
        assert!(
            !store.commit_rotation(&theirs, "one", &stale_attempt, &DONE).await.unwrap(),
            "{db}: without the lease"
        );
        let rotation = store.seal_rotation(&held, &tokens("newest")).unwrap();
        assert!(store.commit_rotation(&rotation, "two", &attempt, &DONE).await.unwrap(), "{db}");
        assert!(
            !store.commit_rotation(&theirs, "two", &stale_attempt, &DONE).await.unwrap(),
            "{db}: onto a later generation"
        );
        let after = read(&store, &id).await;
        assert_eq!(store.open_refresh(&after).unwrap().expose(), "refresh-newest", "{db}");
        assert_eq!(counted(&store, &org).await, (1, 0), "{db}: the stale one is superseded");
    }
}

#[tokio::test]
async fn a_stale_loser_changes_nothing() {
    for (db, store) in stores().await {
        let org = org(&store, "A").await;
        let id = consent(&store, &org, "u").await;
        let bound = store.bind(&org, &id, &[tenant("Shop")], None).await.unwrap();
        let (stale, stale_attempt) = leased(&store, &id, "one").await;
        store.clock().advance(61);
        let (held, attempt) = leased(&store, &id, "two").await;
        let rotation = store.seal_rotation(&held, &tokens("newest")).unwrap();
        assert!(store.commit_rotation(&rotation, "two", &attempt, &DONE).await.unwrap(), "{db}");
        let end = AttemptEnd { outcome: "reconnect", ..DONE };
        assert!(!store.fail_grant(&stale, "one", "dead", &stale_attempt, &end).await.unwrap(), "{db}");
        let failure = Failure { error: "down", next_attempt_at: START + 9999, reply_lost_at: None };
        assert!(!store.record_failure(&stale, "one", &failure, &stale_attempt, &end).await.unwrap(), "{db}");
        let after = read(&store, &id).await;
        assert_eq!((after.status, after.failure_count, after.next_attempt_at), (GrantStatus::Active, 0, None), "{db}");
        assert_eq!(status_of(&store, &org, &bound[0].binding_id).await, BindingStatus::Active, "{db}");
    }
}

#[tokio::test]
async fn an_ended_grant_takes_its_own_bindings_along_and_no_others() {
    for (db, store) in stores().await {
        let org = org(&store, "A").await;
        let (dead, well) = (consent(&store, &org, "u").await, consent(&store, &org, "v").await);
        let of_dead = store.bind(&org, &dead, &[tenant("One"), tenant("Two")], None).await.unwrap();
        let of_well = store.bind(&org, &well, &[tenant("Three")], None).await.unwrap();
        let (held, attempt) = leased(&store, &dead, "one").await;
        let end = AttemptEnd { outcome: "reconnect", error_code: Some("invalid_grant".into()), ..DONE };
        assert!(store.fail_grant(&held, "one", "dead", &attempt, &end).await.unwrap(), "{db}");
        for bound in &of_dead {
            assert_eq!(status_of(&store, &org, &bound.binding_id).await, BindingStatus::NeedsReauth, "{db}");
        }
        assert_eq!(status_of(&store, &org, &of_well[0].binding_id).await, BindingStatus::Active, "{db}");
        assert_eq!(store.bindings_needing_reauth(&org).await.unwrap(), 2, "{db}");
        assert_eq!(store.take_lease(&dead, "two", START + 60).await.unwrap(), None, "{db}: a dead grant was leased");
        let history = store.attempts_of_binding(&org, &of_dead[0].binding_id, 50).await.unwrap();
        assert_eq!(history[0].error_code.as_deref(), Some("invalid_grant"), "{db}");
    }
}

#[tokio::test]
async fn a_failure_is_counted_and_keeps_the_token() {
    for (db, store) in stores().await {
        let org = org(&store, "A").await;
        let id = consent(&store, &org, "u").await;
        let (held, attempt) = leased(&store, &id, "one").await;
        let failure =
            Failure { error: "Xero isn't answering.", next_attempt_at: START + 30, reply_lost_at: Some(START) };
        let end = AttemptEnd {
            outcome: "transient",
            error_code: Some("timeout".into()),
            http_status: None,
            correlation_id: None,
        };
        assert!(store.record_failure(&held, "one", &failure, &attempt, &end).await.unwrap(), "{db}");
        let after = read(&store, &id).await;
        assert_eq!(
            (after.status, after.failure_count, after.next_attempt_at),
            (GrantStatus::Active, 1, Some(START + 30)),
            "{db}"
        );
        assert_eq!(store.open_refresh(&after).unwrap().expose(), "refresh-first", "{db}");
        assert_eq!((after.lease, after.reply_lost_at), (None, Some(START)), "{db}");
        assert_eq!(counted(&store, &org).await, (0, 1), "{db}");
        assert_eq!(store.tries_since(&id, Trigger::Manual, START - 1).await.unwrap(), 1, "{db}");
        assert_eq!(store.tries_since(&id, Trigger::Manual, START).await.unwrap(), 0, "{db}");
        assert_eq!(store.tries_since(&id, Trigger::Sweep, START - 1).await.unwrap(), 0, "{db}");
        let (held, attempt) = leased(&store, &id, "two").await;
        let rotation = store.seal_rotation(&held, &tokens("next")).unwrap();
        assert!(store.commit_rotation(&rotation, "two", &attempt, &DONE).await.unwrap(), "{db}");
        assert_eq!(read(&store, &id).await.reply_lost_at, None, "{db}: its successor is here");
    }
}

#[tokio::test]
async fn a_dead_holders_attempt_is_closed_by_whoever_comes_next() {
    for (db, store) in stores().await {
        let org = org(&store, "A").await;
        let id = consent(&store, &org, "u").await;
        let bound = store.bind(&org, &id, &[tenant("Shop")], None).await.unwrap();
        let outcomes = async || {
            let attempts = store.attempts_of_binding(&org, &bound[0].binding_id, 9).await.unwrap();
            attempts.into_iter().map(|one| one.outcome.unwrap_or_default()).collect::<Vec<_>>()
        };
        let (slow, slows_attempt) = leased(&store, &id, "slow").await;
        store.clock().advance(61);
        let (held, attempt) = leased(&store, &id, "next").await;
        assert_eq!(outcomes().await, ["", "abandoned"], "{db}");
        let earlier = store.earlier_tries(&held, &attempt).await.unwrap();
        let abandoned = EarlierTry { outcome: Some("abandoned".into()), error_code: None, started_at: START };
        assert_eq!(earlier, [abandoned], "{db}");

        // It was only slow: its own end is the better evidence.
        let rotation = store.seal_rotation(&slow, &tokens("slow")).unwrap();
        assert!(!store.commit_rotation(&rotation, "slow", &slows_attempt, &DONE).await.unwrap(), "{db}");
        assert_eq!(outcomes().await, ["", "superseded"], "{db}");

        // Its token set was kept, and the next one died without an answer.
        store.clock().advance(61);
        assert!(store.commit_kept(&rotation).await.unwrap(), "{db}");
        store.end_kept(true, &slows_attempt, &DONE).await.unwrap();
        assert_eq!(outcomes().await, ["", "refreshed"], "{db}");
        store.end_kept(false, &slows_attempt, &DONE).await.unwrap();
        assert_eq!(outcomes().await, ["", "refreshed"], "{db}: a second task that came too late");
        store.end_kept(false, &attempt, &DONE).await.unwrap();
        assert_eq!(outcomes().await, ["superseded", "refreshed"], "{db}");

        leased(&store, &id, "dies").await;
        assert_eq!(outcomes().await[0], "", "{db}");
        store.give_up_grant(&id).await.unwrap();
        assert_eq!(outcomes().await[0], "abandoned", "{db}: nobody comes after it");
    }
}

#[tokio::test]
async fn a_kept_successor_goes_onto_its_own_generation_only() {
    for (db, store) in stores().await {
        let org = org(&store, "A").await;
        let id = consent(&store, &org, "u").await;
        let bound = store.bind(&org, &id, &[tenant("Shop")], None).await.unwrap();
        let (held, attempt) = leased(&store, &id, "one").await;
        let kept = store.seal_rotation(&held, &tokens("kept")).unwrap();
        // Another holder sends the spent token past its grace and calls the grant dead.
        let end = AttemptEnd { outcome: "reconnect", ..DONE };
        assert!(store.fail_grant(&held, "one", "dead", &attempt, &end).await.unwrap(), "{db}");
        assert!(store.commit_kept(&kept).await.unwrap(), "{db}: the kept token outranks that verdict");
        let after = read(&store, &id).await;
        assert_eq!((after.status, after.generation), (GrantStatus::Active, 1), "{db}");
        assert_eq!(store.open_refresh(&after).unwrap().expose(), "refresh-kept", "{db}");
        assert_eq!(status_of(&store, &org, &bound[0].binding_id).await, BindingStatus::Active, "{db}");
        assert!(!store.commit_kept(&kept).await.unwrap(), "{db}: twice");
    }
}

#[tokio::test]
async fn a_reconnect_keeps_the_binding_and_gives_up_the_grant_nobody_needs() {
    for (db, store) in stores().await {
        let org = org(&store, "A").await;
        let old = consent(&store, &org, "u").await;
        let first = store.bind(&org, &old, &[tenant("One"), tenant("Two")], None).await.unwrap();
        assert!(first.iter().all(|bound| !bound.was_there), "{db}");
        let new = consent(&store, &org, "u").await;
        let again = store.bind(&org, &new, &[tenant("One")], None).await.unwrap();
        assert!(again[0].was_there && again[0].binding_id == first[0].binding_id, "{db}");
        assert_eq!(read(&store, &old).await.status, GrantStatus::Active, "{db}: Two still stands on it");
        store.bind(&org, &new, &[tenant("Two")], None).await.unwrap();
        let given_up = read(&store, &old).await;
        assert_eq!(given_up.status, GrantStatus::Revoked, "{db}");
        assert!(given_up.sealed.refresh.is_empty(), "{db}: its tokens are forgotten");
    }
}

#[tokio::test]
async fn another_organisations_rows_are_not_found() {
    for (db, store) in stores().await {
        let (ours, theirs) = (org(&store, "Ours").await, org(&store, "Theirs").await);
        let grant = consent(&store, &theirs, "u").await;
        let bound = store.bind(&theirs, &grant, &[tenant("Shop")], None).await.unwrap();
        let id = &bound[0].binding_id;
        assert!(store.binding(&ours, id).await.unwrap().is_none(), "{db}");
        assert!(store.bindings_of_org(&ours).await.unwrap().is_empty(), "{db}");
        assert!(store.attempts_of_binding(&ours, id, 50).await.unwrap().is_empty(), "{db}");
        assert!(!store.disconnect_binding(&ours, id).await.unwrap(), "{db}");
        assert_eq!(status_of(&store, &theirs, id).await, BindingStatus::Active, "{db}");
    }
}

#[tokio::test]
async fn the_grant_goes_with_its_last_binding() {
    for (db, store) in stores().await {
        let org = org(&store, "A").await;
        let grant = consent(&store, &org, "u").await;
        let bound = store.bind(&org, &grant, &[tenant("One"), tenant("Two")], None).await.unwrap();
        assert!(store.grant_serves_others(&grant, &bound[0].binding_id).await.unwrap(), "{db}");
        assert!(!store.disconnect_binding(&org, &bound[0].binding_id).await.unwrap(), "{db}");
        assert!(!store.grant_serves_others(&grant, &bound[1].binding_id).await.unwrap(), "{db}");
        assert!(store.disconnect_binding(&org, &bound[1].binding_id).await.unwrap(), "{db}");
        assert_eq!(read(&store, &grant).await.status, GrantStatus::Revoked, "{db}");
    }
}

#[tokio::test]
async fn a_xero_user_with_another_live_grant_is_seen_whichever_organisation_has_it() {
    for (db, store) in stores().await {
        let (ours, theirs) = (org(&store, "Ours").await, org(&store, "Theirs").await);
        let alone = read(&store, &consent(&store, &ours, "accountant").await).await;
        assert!(!store.xero_user_has_another_grant(&alone).await.unwrap(), "{db}");
        let there = consent(&store, &theirs, "accountant").await;
        assert!(store.xero_user_has_another_grant(&alone).await.unwrap(), "{db}: it may wait for an answer");
        store.give_up_grant(&there).await.unwrap();
        assert!(!store.xero_user_has_another_grant(&alone).await.unwrap(), "{db}");
        let unread = Grant { xero_user_id: String::new(), ..alone };
        assert!(store.xero_user_has_another_grant(&unread).await.unwrap(), "{db}: an unknown user might be anybody");
    }
}

#[tokio::test]
async fn use_is_noted_at_most_once_a_minute() {
    for (db, store) in stores().await {
        let org = org(&store, "A").await;
        let id = consent(&store, &org, "u").await;
        let used = async || {
            let row = sqlx::query("SELECT last_used_at FROM integration_grants").fetch_one(store.pool()).await.unwrap();
            sqlx::Row::try_get::<Option<i64>, _>(&row, 0).unwrap()
        };
        assert_eq!(used().await, None, "{db}");
        store.mark_used(&id).await.unwrap();
        store.clock().advance(30);
        store.mark_used(&id).await.unwrap();
        assert_eq!(used().await, Some(START), "{db}");
        store.clock().advance(31);
        store.mark_used(&id).await.unwrap();
        assert_eq!(used().await, Some(START + 61), "{db}");
    }
}
