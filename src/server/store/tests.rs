//! Tests grants, leases, fences and bindings on SQLite and PostgreSQL.

use super::testing::grants::{REFRESHED, TestGrant, lease_with_attempt, tenant, tokens};
use super::testing::{START, each_store, needing_reauth};
use super::{AttemptFailure, Fenced, JournaledLease, LeaseGuard, SpoolCommit, Store};
use crate::model::{BindingId, BindingStatus, FailureCause, GrantId, GrantStatus, OrgId, Outcome, Trigger};
use crate::server::domain::{AttemptEnd, FailureClass, Grant, PriorAttempt, RotationRisk};

async fn read_grant(store: &Store, id: &GrantId) -> Grant {
    store.grant(id).await.unwrap().unwrap()
}

/// Counts attempts that succeeded and that failed.
async fn count_outcomes(store: &Store, org: &OrgId) -> (u32, u32) {
    let hours = store.hourly_counts_since(org, START).await.unwrap();
    hours.iter().fold((0, 0), |(worked, failed), hour| (worked + hour.refreshed, failed + hour.failed))
}

async fn status_of(store: &Store, org: &OrgId, binding: &BindingId) -> BindingStatus {
    store.binding(org, binding).await.unwrap().unwrap().binding.status
}

#[apply(each_store!)]
async fn tokens_open_unchanged_and_are_stored_sealed(store: Store) {
    let org = store.add_org("A").await.unwrap();
    let grant = read_grant(&store, &TestGrant::of(&store, &org).insert().await).await;
    assert_eq!(store.open_access(&grant).unwrap().expose(), "access-first");
    assert_eq!(store.open_refresh(&grant).unwrap().expose(), "refresh-first");
    assert!(!grant.sealed.access.contains("first") && grant.sealed.refresh.starts_with("v1."));
    let swapped = Grant {
        sealed: crate::server::domain::SealedTokens { refresh: grant.sealed.access.clone(), ..grant.sealed.clone() },
        ..grant
    };
    assert!(store.open_refresh(&swapped).is_err(), "an access token opened as a refresh token");
}

#[apply(each_store!)]
async fn lease_has_one_holder_until_it_expires(store: Store) {
    let org = store.add_org("A").await.unwrap();
    let id = TestGrant::of(&store, &org).insert().await;
    let held = store.acquire_lease(&id, "one", START + 60).await.unwrap();
    assert!(held.is_some());
    assert_eq!(store.acquire_lease(&id, "two", START + 60).await.unwrap(), None);
    assert_eq!(store.acquire_lease(&id, "one", START + 60).await.unwrap(), None, "the same owner took it twice");
    let held = held.unwrap();
    let forged = LeaseGuard { owner: "two".into(), ..held.clone() };
    store.release_lease(&forged).await.unwrap();
    assert_eq!(store.acquire_lease(&id, "two", START + 60).await.unwrap(), None, "another owner released it");
    store.clock().advance(60);
    let taken = store.acquire_lease(&id, "two", START + 120).await.unwrap().unwrap();
    assert_eq!(taken.lease.as_ref().unwrap().owner, "two");
    assert_eq!(store.renew_lease(&held, START + 999).await.unwrap(), Fenced::Superseded, "renewed after losing it");
}

#[apply(each_store!)]
async fn only_the_owner_can_renew_a_lease(store: Store) {
    let org = store.add_org("A").await.unwrap();
    let id = TestGrant::of(&store, &org).insert().await;
    let lease = lease_with_attempt(&store, &id, "one").await;
    assert_eq!(store.renew_lease(&lease, START + 500).await.unwrap(), Fenced::Applied);
    let forged = LeaseGuard { owner: "two".into(), ..lease.lease };
    assert_eq!(store.renew_lease(&forged, START + 900).await.unwrap(), Fenced::Superseded);
    assert_eq!(read_grant(&store, &id).await.lease.unwrap().until, START + 500);
}

#[apply(each_store!)]
async fn commit_increments_generation_and_releases_lease(store: Store) {
    let org = store.add_org("A").await.unwrap();
    let id = TestGrant::of(&store, &org).insert().await;
    let lease = lease_with_attempt(&store, &id, "one").await;
    let rotation = store.seal_rotation(&lease, &tokens("second")).unwrap();
    assert_eq!(store.commit_rotation(&lease, &rotation, &REFRESHED).await.unwrap(), Fenced::Applied);
    let after = read_grant(&store, &id).await;
    assert_eq!((after.generation, after.lease.clone(), after.failure_count), (1, None, 0));
    assert_eq!(store.open_refresh(&after).unwrap().expose(), "refresh-second");
    assert_eq!(count_outcomes(&store, &org).await, (1, 0));
}

#[apply(each_store!)]
async fn stale_success_changes_nothing(store: Store) {
    let org = store.add_org("A").await.unwrap();
    let id = TestGrant::of(&store, &org).insert().await;
    let stale = lease_with_attempt(&store, &id, "one").await;
    store.clock().advance(61);
    let lease = lease_with_attempt(&store, &id, "two").await;
    let theirs = store.seal_rotation(&stale, &tokens("stale")).unwrap();
    assert_eq!(
        store.commit_rotation(&stale, &theirs, &REFRESHED).await.unwrap(),
        Fenced::Superseded,
        "committed without the lease"
    );
    let rotation = store.seal_rotation(&lease, &tokens("newest")).unwrap();
    assert_eq!(store.commit_rotation(&lease, &rotation, &REFRESHED).await.unwrap(), Fenced::Applied);
    let forged = JournaledLease { lease: LeaseGuard { owner: "two".into(), ..stale.lease.clone() }, ..stale.clone() };
    assert_eq!(
        store.commit_rotation(&forged, &theirs, &REFRESHED).await.unwrap(),
        Fenced::Superseded,
        "committed onto a later generation"
    );
    let after = read_grant(&store, &id).await;
    assert_eq!(store.open_refresh(&after).unwrap().expose(), "refresh-newest");
    assert_eq!(count_outcomes(&store, &org).await, (1, 0), "the stale attempt must be superseded");
}

#[apply(each_store!)]
async fn stale_failure_changes_nothing(store: Store) {
    let org = store.add_org("A").await.unwrap();
    let id = TestGrant::of(&store, &org).insert().await;
    let bound = store.bind(&org, &id, &[tenant("Shop")], None).await.unwrap();
    let stale = lease_with_attempt(&store, &id, "one").await;
    store.clock().advance(61);
    let lease = lease_with_attempt(&store, &id, "two").await;
    let rotation = store.seal_rotation(&lease, &tokens("newest")).unwrap();
    assert_eq!(store.commit_rotation(&lease, &rotation, &REFRESHED).await.unwrap(), Fenced::Applied);
    let end = AttemptEnd::failed(Outcome::Reconnect, "invalid_grant", FailureClass::ANSWERED);
    assert_eq!(store.fail_grant(&stale, "dead", &end).await.unwrap(), Fenced::Superseded);
    let failure = AttemptFailure {
        cause: FailureCause::NotAnswering,
        error: "down",
        next_attempt_at: START + 9999,
        reply_lost_at: None,
    };
    assert_eq!(store.record_failure(&stale, &failure, &end).await.unwrap(), Fenced::Superseded);
    let after = read_grant(&store, &id).await;
    assert_eq!((after.status, after.failure_count, after.next_attempt_at), (GrantStatus::Active, 0, None));
    assert_eq!(status_of(&store, &org, &bound[0].binding_id).await, BindingStatus::Active);
}

#[apply(each_store!)]
async fn failed_grant_marks_only_its_own_bindings(store: Store) {
    let org = store.add_org("A").await.unwrap();
    let (dead, well) =
        (TestGrant::of(&store, &org).insert().await, TestGrant::of(&store, &org).xero_user("v").insert().await);
    let of_dead = store.bind(&org, &dead, &[tenant("One"), tenant("Two")], None).await.unwrap();
    let of_well = store.bind(&org, &well, &[tenant("Three")], None).await.unwrap();
    let lease = lease_with_attempt(&store, &dead, "one").await;
    let end = AttemptEnd::failed(Outcome::Reconnect, "invalid_grant", FailureClass::ANSWERED);
    assert_eq!(store.fail_grant(&lease, "dead", &end).await.unwrap(), Fenced::Applied);
    for bound in &of_dead {
        assert_eq!(status_of(&store, &org, &bound.binding_id).await, BindingStatus::NeedsReauth);
    }
    assert_eq!(status_of(&store, &org, &of_well[0].binding_id).await, BindingStatus::Active);
    assert_eq!(needing_reauth(&store, &org).await, 2);
    assert_eq!(store.acquire_lease(&dead, "two", START + 60).await.unwrap(), None, "a failed grant was leased");
    let history = store.attempts_of_binding(&org, &of_dead[0].binding_id, 50).await.unwrap();
    assert_eq!(history[0].error_code.as_deref(), Some("invalid_grant"));
}

#[apply(each_store!)]
async fn failure_is_counted_and_token_stays(store: Store) {
    let org = store.add_org("A").await.unwrap();
    let id = TestGrant::of(&store, &org).insert().await;
    let lease = lease_with_attempt(&store, &id, "one").await;
    let failure = AttemptFailure {
        cause: FailureCause::NotAnswering,
        error: "Xero isn't answering.",
        next_attempt_at: START + 30,
        reply_lost_at: Some(START),
    };
    let end = AttemptEnd::failed(Outcome::Transient, "timeout", FailureClass::DISCARDED_TOKEN_SET);
    assert_eq!(store.record_failure(&lease, &failure, &end).await.unwrap(), Fenced::Applied);
    let after = read_grant(&store, &id).await;
    assert_eq!((after.status, after.failure_count, after.next_attempt_at), (GrantStatus::Active, 1, Some(START + 30)));
    assert_eq!(store.open_refresh(&after).unwrap().expose(), "refresh-first");
    assert_eq!((after.lease, after.reply_lost_at), (None, Some(START)));
    assert_eq!(after.last_error.as_deref(), Some("Xero isn't answering."));
    assert_eq!(count_outcomes(&store, &org).await, (0, 1));
    assert_eq!(store.count_attempts_since(&id, Trigger::Manual, START - 1).await.unwrap(), 1);
    assert_eq!(store.count_attempts_since(&id, Trigger::Manual, START).await.unwrap(), 0);
    assert_eq!(store.count_attempts_since(&id, Trigger::Sweep, START - 1).await.unwrap(), 0);
    let lease = lease_with_attempt(&store, &id, "two").await;
    let rotation = store.seal_rotation(&lease, &tokens("next")).unwrap();
    assert_eq!(store.commit_rotation(&lease, &rotation, &REFRESHED).await.unwrap(), Fenced::Applied);
    assert_eq!(read_grant(&store, &id).await.reply_lost_at, None, "the new token has arrived");
}

#[apply(each_store!)]
async fn next_holder_closes_a_dead_holders_attempt(store: Store) {
    let org = store.add_org("A").await.unwrap();
    let id = TestGrant::of(&store, &org).insert().await;
    let bound = store.bind(&org, &id, &[tenant("Shop")], None).await.unwrap();
    let outcomes = async || {
        let attempts = store.attempts_of_binding(&org, &bound[0].binding_id, 9).await.unwrap();
        attempts.into_iter().map(|one| one.outcome).collect::<Vec<_>>()
    };
    let slow = lease_with_attempt(&store, &id, "slow").await;
    store.clock().advance(61);
    let lease = lease_with_attempt(&store, &id, "next").await;
    assert_eq!(outcomes().await, [Outcome::Running, Outcome::Abandoned]);
    let abandoned = PriorAttempt { outcome: Outcome::Abandoned, rotation_risk: None, sent_at: START };
    assert_eq!(store.prior_attempts(&lease).await.unwrap(), [abandoned]);

    // The holder was only slow: its own outcome replaces `abandoned`.
    let rotation = store.seal_rotation(&slow, &tokens("slow")).unwrap();
    assert_eq!(store.commit_rotation(&slow, &rotation, &REFRESHED).await.unwrap(), Fenced::Superseded);
    assert_eq!(outcomes().await, [Outcome::Running, Outcome::Superseded]);
    let lost =
        PriorAttempt { outcome: Outcome::Superseded, rotation_risk: Some(RotationRisk::Possible), sent_at: START };
    assert_eq!(store.prior_attempts(&lease).await.unwrap(), [lost], "its token set is lost");

    // Its rotation is committed late, and the next holder died without a reply.
    store.clock().advance(61);
    assert_eq!(store.commit_spooled_rotation(&rotation, None).await.unwrap(), SpoolCommit::Applied);
    store.finish_spooled_attempt(Fenced::Applied, slow.attempt(), &REFRESHED).await.unwrap();
    assert_eq!(outcomes().await, [Outcome::Running, Outcome::Refreshed]);
    store.finish_spooled_attempt(Fenced::Superseded, slow.attempt(), &REFRESHED).await.unwrap();
    assert_eq!(outcomes().await, [Outcome::Running, Outcome::Refreshed], "a second task commits too late");
    store.finish_spooled_attempt(Fenced::Superseded, lease.attempt(), &REFRESHED).await.unwrap();
    assert_eq!(outcomes().await, [Outcome::Superseded, Outcome::Refreshed]);

    lease_with_attempt(&store, &id, "dies").await;
    assert_eq!(outcomes().await[0], Outcome::Running);
    store.mark_grant_revoked(&id).await.unwrap();
    assert_eq!(outcomes().await[0], Outcome::Abandoned, "closed when the grant is revoked");
}

#[apply(each_store!)]
async fn spooled_rotation_commits_only_onto_its_own_generation(store: Store) {
    let org = store.add_org("A").await.unwrap();
    let id = TestGrant::of(&store, &org).insert().await;
    let bound = store.bind(&org, &id, &[tenant("Shop")], None).await.unwrap();
    let lease = lease_with_attempt(&store, &id, "one").await;
    let kept = store.seal_rotation(&lease, &tokens("kept")).unwrap();
    // Another holder sends the spent token after its replay window and fails the grant.
    let end = AttemptEnd::failed(Outcome::Reconnect, "invalid_grant", FailureClass::ANSWERED);
    assert_eq!(store.fail_grant(&lease, "dead", &end).await.unwrap(), Fenced::Applied);
    assert_eq!(
        store.commit_spooled_rotation(&kept, None).await.unwrap(),
        SpoolCommit::Applied,
        "the late commit reactivates the grant"
    );
    let after = read_grant(&store, &id).await;
    assert_eq!((after.status, after.generation), (GrantStatus::Active, 1));
    assert_eq!(store.open_refresh(&after).unwrap().expose(), "refresh-kept");
    assert_eq!(status_of(&store, &org, &bound[0].binding_id).await, BindingStatus::Active);
    assert_eq!(store.commit_spooled_rotation(&kept, None).await.unwrap(), SpoolCommit::Applied, "it is in place");
    let later = lease_with_attempt(&store, &id, "later").await;
    let next = store.seal_rotation(&later, &tokens("next")).unwrap();
    let commit = async |owner| store.commit_spooled_rotation(&next, owner).await.unwrap();
    assert_eq!(commit(Some("one")).await, SpoolCommit::LeaseHeld, "another holder's request is under way");
    assert_eq!(commit(Some("later")).await, SpoolCommit::Applied, "the lease is its own");
    assert_eq!(store.commit_spooled_rotation(&kept, None).await.unwrap(), SpoolCommit::Superseded);
}

#[apply(each_store!)]
async fn spooled_rotation_does_not_wait_for_a_lease_of_a_wrong_clock(store: Store) {
    let org = store.add_org("A").await.unwrap();
    let id = TestGrant::of(&store, &org).insert().await;
    let lease = lease_with_attempt(&store, &id, "one").await;
    let kept = store.seal_rotation(&lease, &tokens("kept")).unwrap();
    let until = START + 3 * 60 * 60;
    let taken = "UPDATE integration_grants SET lease_owner = 'another', lease_until = $1";
    sqlx::query(taken).bind(until).execute(store.pool()).await.unwrap();
    assert_eq!(store.commit_spooled_rotation(&kept, Some("one")).await.unwrap(), SpoolCommit::Applied);
}

#[apply(each_store!)]
async fn reconnect_keeps_the_binding_and_revokes_the_unused_grant(store: Store) {
    let org = store.add_org("A").await.unwrap();
    let old = TestGrant::of(&store, &org).insert().await;
    let first = store.bind(&org, &old, &[tenant("One"), tenant("Two")], None).await.unwrap();
    assert!(first.iter().all(|bound| !bound.reconnected));
    let new = TestGrant::of(&store, &org).insert().await;
    let again = store.bind(&org, &new, &[tenant("One")], None).await.unwrap();
    assert!(again[0].reconnected && again[0].binding_id == first[0].binding_id);
    assert_eq!(read_grant(&store, &old).await.status, GrantStatus::Active, "the tenant Two still uses it");
    store.bind(&org, &new, &[tenant("Two")], None).await.unwrap();
    let given_up = read_grant(&store, &old).await;
    assert_eq!(given_up.status, GrantStatus::Revoked);
    assert!(given_up.sealed.refresh.is_empty(), "its tokens must be erased");
}

#[apply(each_store!)]
async fn rows_of_another_organization_are_not_found(store: Store) {
    let (ours, theirs) = (store.add_org("Ours").await.unwrap(), store.add_org("Theirs").await.unwrap());
    let grant = TestGrant::of(&store, &theirs).insert().await;
    let bound = store.bind(&theirs, &grant, &[tenant("Shop")], None).await.unwrap();
    let id = &bound[0].binding_id;
    assert!(store.binding(&ours, id).await.unwrap().is_none());
    assert!(store.bindings_of_org(&ours).await.unwrap().is_empty());
    assert!(store.attempts_of_binding(&ours, id, 50).await.unwrap().is_empty());
    store.disconnect_binding(&ours, id).await.unwrap();
    assert_eq!(status_of(&store, &theirs, id).await, BindingStatus::Active);
}

#[apply(each_store!)]
async fn grant_is_revoked_with_its_last_binding(store: Store) {
    let org = store.add_org("A").await.unwrap();
    let grant = TestGrant::of(&store, &org).insert().await;
    let bound = store.bind(&org, &grant, &[tenant("One"), tenant("Two")], None).await.unwrap();
    assert!(store.grant_has_other_bindings(&grant, &bound[0].binding_id).await.unwrap());
    store.disconnect_binding(&org, &bound[0].binding_id).await.unwrap();
    assert_eq!(read_grant(&store, &grant).await.status, GrantStatus::Active);
    assert!(!store.grant_has_other_bindings(&grant, &bound[1].binding_id).await.unwrap());
    store.disconnect_binding(&org, &bound[1].binding_id).await.unwrap();
    assert_eq!(read_grant(&store, &grant).await.status, GrantStatus::Revoked);
}

#[apply(each_store!)]
async fn other_grants_of_a_xero_user_are_found_across_organizations(store: Store) {
    let (ours, theirs) = (store.add_org("Ours").await.unwrap(), store.add_org("Theirs").await.unwrap());
    let alone = read_grant(&store, &TestGrant::of(&store, &ours).xero_user("accountant").insert().await).await;
    assert!(!store.xero_user_has_another_grant(&alone).await.unwrap());
    let there = TestGrant::of(&store, &theirs).xero_user("accountant").insert().await;
    assert!(store.xero_user_has_another_grant(&alone).await.unwrap(), "it may be pending confirmation");
    store.mark_grant_revoked(&there).await.unwrap();
    assert!(!store.xero_user_has_another_grant(&alone).await.unwrap());
    let unread = Grant { xero_user_id: String::new(), ..alone };
    assert!(store.xero_user_has_another_grant(&unread).await.unwrap(), "an unknown user may be any user");
}

#[apply(each_store!)]
async fn use_is_recorded_at_most_once_a_minute(store: Store) {
    let org = store.add_org("A").await.unwrap();
    let id = TestGrant::of(&store, &org).insert().await;
    let used = async || {
        let row = sqlx::query("SELECT last_used_at FROM integration_grants").fetch_one(store.pool()).await.unwrap();
        sqlx::Row::try_get::<Option<i64>, _>(&row, 0).unwrap()
    };
    assert_eq!(used().await, None);
    for (wait, is_due, noted) in [(0, true, START), (60, false, START), (1, true, START + 61)] {
        store.clock().advance(wait);
        assert_eq!(store.is_use_due(&read_grant(&store, &id).await), is_due, "{wait}");
        store.mark_used(&id).await.unwrap();
        assert_eq!(used().await, Some(noted));
    }
}
