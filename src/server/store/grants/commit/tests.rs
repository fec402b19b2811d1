//! Tests what a commit makes of a grant's row, on both databases.

use super::*;
use crate::server::domain::{Consent, Grant, KeepHot, Plan};
use crate::server::store::testing::grants::{REFRESHED, TestGrant, lease_with_attempt, set_row, tokens};
use crate::server::store::testing::{START, each_store};

#[apply(each_store!)]
async fn spooled_rotation_is_committed_unless_the_row_is_later_ended_or_leased(store: Store) {
    let org = store.add_org("A").await.unwrap();
    let last = latest_plausible(MAX_LEASE, START);
    let leased = |until: i64| format!("lease_owner = 'another', lease_until = {until}");
    for (row, expected) in [
        ("generation = 2".to_owned(), SpoolCommit::Applied),
        ("generation = 3".to_owned(), SpoolCommit::Superseded),
        // A backup was restored.
        ("generation = 1".to_owned(), SpoolCommit::Applied),
        ("status = 'refresh_failed'".to_owned(), SpoolCommit::Applied),
        ("status = 'revoked'".to_owned(), SpoolCommit::Superseded),
        (leased(START - 1), SpoolCommit::Applied),
        (leased(START), SpoolCommit::Applied),
        (leased(START + 1), SpoolCommit::LeaseHeld),
        (leased(last), SpoolCommit::LeaseHeld),
        (leased(last + 1), SpoolCommit::Applied),
        (leased(START + 1).replace("another", "ours"), SpoolCommit::Applied),
    ] {
        let id = TestGrant::of(&store, &org).insert().await;
        let grant = Grant { generation: 2, ..store.grant(&id).await.unwrap().unwrap() };
        let rotation = store.seal_rotation(&grant, &tokens("kept")).unwrap();
        set_row(&store, &id, "generation = 2").await;
        set_row(&store, &id, &row).await;
        let before = store.grant(&id).await.unwrap().unwrap();
        assert_eq!(store.commit_spooled_rotation(&rotation, Some("ours")).await.unwrap(), expected, "{row}");
        let after = store.grant(&id).await.unwrap().unwrap();
        match expected {
            SpoolCommit::Applied => {
                assert_eq!((after.generation, after.status, after.lease), (3, GrantStatus::Active, None), "{row}");
            }
            _ => assert_eq!(after, before, "{row}"),
        }
    }
}

#[apply(each_store!)]
async fn rotation_is_due_early_if_its_refresh_token_may_have_ended(store: Store) {
    let org = store.add_org("A").await.unwrap();
    let id = TestGrant::of(&store, &org).insert().await;
    // No grant is hot, so that only the refresh token can make it due early.
    let plan = Plan { keep_hot: KeepHot::None, ..*store.plan() };
    let store = store.with_plan(plan);
    let row = |issued: i64, refreshed: i64, lost: Option<i64>| {
        let (issued, refreshed) = (START + issued, START + refreshed);
        let lost = lost.map_or("NULL".to_owned(), |lost| (START + lost).to_string());
        format!("refresh_token_issued_at = {issued}, last_refreshed_at = {refreshed}, reply_lost_at = {lost}")
    };
    let expires_at = START + 1800;
    let of = |issued: i64| TokenTimes { expires_at, refresh_token_issued_at: START + issued, received_at: START };
    let due = |issued| store.plan().due(&id, of(issued));
    for (name, issued, before, prove_by, due) in [
        ("new", 0, row(-9, -9, None), None, due(0).cold),
        ("kept for the first time", -9, row(-9, -9, None), None, due(-9).hot),
        ("kept again", -9, row(-9, -5, None), None, due(-9).cold),
        ("lost within the window", 0, row(-9, -9, Some(1 - XERO_REPLAY_WINDOW)), Some(START - 599), START - 599),
        ("lost before the window", 0, row(-9, -9, Some(-XERO_REPLAY_WINDOW)), None, due(0).cold),
        // To be proved later than a hot grant is due.
        ("lost just now", 0, row(-9, -9, Some(14)), Some(START + 1214), due(0).hot),
    ] {
        let lease = lease_with_attempt(&store, &id, name).await;
        set_row(&store, &id, &before).await;
        let rotation = store.seal_rotation(&lease, &tokens("next")).unwrap();
        let rotation = SealedRotation { refresh_token_issued_at: START + issued, ..rotation };
        assert_eq!(store.commit_rotation(&lease, &rotation, &REFRESHED).await.unwrap(), Fenced::Applied, "{name}");
        let query = sqlx::query("SELECT prove_by, due_at FROM integration_grants WHERE id = $1");
        let after = query.bind(id.as_str()).fetch_one(store.pool()).await.unwrap();
        let read: (Option<i64>, i64) = (after.try_get(0).unwrap(), after.try_get(1).unwrap());
        assert_eq!(read, (prove_by, due), "{name}");
    }
}

#[apply(each_store!)]
async fn rotation_replaces_all_that_its_exchange_made_untrue(store: Store) {
    let org = store.add_org("A").await.unwrap();
    let id = TestGrant::of(&store, &org).insert().await;
    let lease = lease_with_attempt(&store, &id, "one").await;
    let untrue = "failure_count = 3, next_attempt_at = 1, last_error = 'down', reply_lost_at = 1, refused_at = 1";
    set_row(&store, &id, untrue).await;
    store.clock().advance(30);
    let consent = Consent { xero_user_id: "v".into(), auth_event_id: "later".into() };
    let mut received = tokens("second");
    (received.scopes, received.expires_at) = ("openid".into(), START + 1830);
    let rotation = SealedRotation { consent: Some(consent), ..store.seal_rotation(&lease, &received).unwrap() };
    assert_eq!(store.commit_rotation(&lease, &rotation, &REFRESHED).await.unwrap(), Fenced::Applied);
    let after = store.grant(&id).await.unwrap().unwrap();
    let expected = Grant {
        scopes: "openid".into(),
        sealed: rotation.sealed.clone(),
        expires_at: START + 1830,
        refresh_token_issued_at: START + 30,
        last_refreshed_at: Some(START + 30),
        generation: 1,
        lease: None,
        xero_user_id: "v".into(),
        auth_event_id: "later".into(),
        predecessor: Some(lease.as_predecessor()),
        ..lease.lease.grant.clone()
    };
    assert_eq!(after, expected);
    let lease = lease_with_attempt(&store, &id, "two").await;
    let unnamed = store.seal_rotation(&lease, &received).unwrap();
    assert_eq!(store.commit_rotation(&lease, &unnamed, &REFRESHED).await.unwrap(), Fenced::Applied);
    let again = store.grant(&id).await.unwrap().unwrap();
    assert_eq!((again.xero_user_id, again.auth_event_id), (after.xero_user_id, after.auth_event_id), "they stay");
}

#[apply(each_store!)]
async fn connections_are_due_with_a_rotation_if_they_were_read_a_while_ago_or_in_the_future(store: Store) {
    let org = store.add_org("A").await.unwrap();
    let id = TestGrant::of(&store, &org).insert().await;
    let cutoff = store.plan().reconcile_cutoff(&id, START);
    for (read_at, due) in [
        ("NULL".to_owned(), Some(START)),
        (cutoff.to_string(), Some(START)),
        ((cutoff - 1).to_string(), Some(START)),
        ((cutoff + 1).to_string(), None),
        (START.to_string(), None),
        ((START + 1).to_string(), Some(START)),
    ] {
        set_row(&store, &id, &format!("connections_due_at = NULL, connections_read_at = {read_at}")).await;
        let lease = lease_with_attempt(&store, &id, "one").await;
        let rotation = store.seal_rotation(&lease, &tokens("next")).unwrap();
        assert_eq!(store.commit_rotation(&lease, &rotation, &REFRESHED).await.unwrap(), Fenced::Applied);
        let query = sqlx::query("SELECT connections_due_at FROM integration_grants");
        let after: Option<i64> = query.fetch_one(store.pool()).await.unwrap().try_get(0).unwrap();
        assert_eq!(after, due, "{read_at}");
    }
}
