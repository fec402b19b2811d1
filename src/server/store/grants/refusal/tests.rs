//! Tests of refusals: the fence, the evidence, and who is asked.

use super::*;
use crate::model::{GrantId, GrantStatus};
use crate::server::store::grants::commit::AttemptFailure;
use crate::server::store::testing::grants::{REFRESHED, TestGrant, lease_with_attempt, set_row, tokens};
use crate::server::store::testing::{START, each_store};

#[apply(each_store!)]
async fn each_part_of_the_fence_alone_refuses_what_an_exchange_writes(store: Store) {
    let org = store.add_org("Harbour").await.unwrap();
    for overtaken in [
        "UPDATE integration_grants SET generation = generation + 1 WHERE id = $1",
        "UPDATE integration_grants SET lease_owner = 'other' WHERE id = $1",
        "UPDATE integration_grants SET status = 'refresh_failed' WHERE id = $1",
    ] {
        let id = TestGrant::of(&store, &org).insert().await;
        let lease = lease_with_attempt(&store, &id, "slow").await;
        let rotation = store.seal_rotation(&lease, &tokens("late")).unwrap();
        sqlx::query(overtaken).bind(id.as_str()).execute(store.pool()).await.unwrap();
        let before = store.grant(&id).await.unwrap().unwrap();

        let next = store.clock().now() + 60;
        let failure = AttemptFailure {
            cause: FailureCause::NotAnswering,
            error: "late",
            next_attempt_at: next,
            reply_lost_at: None,
        };
        let refusal = PendingRefusal { error: "late", next_attempt_at: next };
        for written in [
            store.commit_rotation(&lease, &rotation, &REFRESHED).await.unwrap(),
            store.record_failure(&lease, &failure, &REFRESHED).await.unwrap(),
            store.record_refusal(&lease, &refusal, &REFRESHED).await.unwrap(),
            store.fail_grant(&lease, "late", &REFRESHED).await.unwrap(),
        ] {
            assert_eq!(written, Fenced::Superseded, "{overtaken}");
        }
        let after = store.grant(&id).await.unwrap().unwrap();
        let of = |row: &Grant| (row.status, row.generation, row.failure_count, row.refused_at, row.last_error.clone());
        assert_eq!(of(&after), of(&before), "{overtaken}");
        if before.status == GrantStatus::Active {
            assert_eq!(store.renew_lease(&lease, next).await.unwrap(), Fenced::Superseded, "{overtaken}");
            assert_eq!(store.commit_rescue(&lease, &rotation, &REFRESHED).await.unwrap(), Fenced::Superseded);
        }
    }
}

#[apply(each_store!)]
async fn rescue_of_a_revoked_grant_changes_nothing_and_of_a_failed_one_that_grant_alone(store: Store) {
    let org = store.add_org("Harbour").await.unwrap();
    for (row, expected) in [
        ("status = 'revoked'", Fenced::Superseded),
        ("status = 'refresh_failed', exported_at = 1", Fenced::Applied),
        ("status = 'active'", Fenced::Applied),
    ] {
        let id = TestGrant::of(&store, &org).insert().await;
        let beside = TestGrant::of(&store, &org).insert().await;
        let lease = lease_with_attempt(&store, &id, "operator").await;
        let rotation = store.seal_rotation(&lease, &tokens("rescued")).unwrap();
        set_row(&store, &id, row).await;
        set_row(&store, &beside, "lease_owner = 'operator', lease_until = 1").await;
        let before = store.grant(&beside).await.unwrap();
        assert_eq!(store.commit_rescue(&lease, &rotation, &REFRESHED).await.unwrap(), expected, "{row}");
        assert_eq!(store.grant(&beside).await.unwrap(), before, "{row}");
        let after = store.grant(&id).await.unwrap().unwrap();
        let is_rescued = after.status == GrantStatus::Active && after.exported_at.is_none() && after.generation == 1;
        assert_eq!(is_rescued, expected == Fenced::Applied, "{row}");
    }
}

#[apply(each_store!)]
async fn evidence_is_of_this_apps_other_grants_since_the_last_success(store: Store) {
    let (ours, theirs) = (store.add_org("Harbour").await.unwrap(), store.add_org("Southerly").await.unwrap());
    let add = async |org, refreshed: i64, refused: Option<i64>, change: &str| {
        let id = TestGrant::of(&store, org).insert().await;
        let refused = refused.map_or("NULL".to_owned(), |at| (START + at).to_string());
        let at = START + refreshed;
        let row = format!("generation = 1, last_refreshed_at = {at}, refused_at = {refused}{change}");
        set_row(&store, &id, &row).await;
        id
    };
    let id = add(&ours, -100, Some(-30), "").await;
    let same_org = add(&ours, -100, Some(-50), "").await;
    add(&theirs, -60, Some(-60), "").await;
    add(&theirs, -200, Some(-61), "").await;
    add(&theirs, -1, Some(0), ", client_id = 'another'").await;
    add(&theirs, -1, Some(0), ", issuer = 'another'").await;
    let ended = add(&theirs, -70, Some(1 - BELIEVED_COUNTS_FOR), ", status = 'refresh_failed'").await;
    add(&theirs, -70, Some(0), ", status = 'refresh_failed', exported_at = 1").await;
    add(&theirs, -70, Some(-BELIEVED_COUNTS_FOR), ", status = 'refresh_failed'").await;
    add(&theirs, -70, None, ", status = 'refresh_failed'").await;
    let of_wrong_clock = add(&theirs, 16, None, "").await;
    let evidence = async || {
        let grant = store.grant(&id).await.unwrap().unwrap();
        store.refusal_evidence(&grant).await.unwrap()
    };

    let read = evidence().await;
    assert_eq!((read.refused_before, read.last_success), (Some(START - 30), Some(START - 60)));
    assert_eq!((read.fleet, read.refused), (GrantTally { grants: 6, orgs: 2 }, GrantTally { grants: 3, orgs: 2 }));
    set_row(&store, &ended, &format!("refused_at = {}", START - 60)).await;
    assert_eq!(evidence().await.refused, GrantTally { grants: 4, orgs: 2 }, "it was believed since the last success");
    let app = store.app().clone();
    let told = store.database().refused_grants(&app, START).await.unwrap();
    assert_eq!(told, GrantTally { grants: 4, orgs: 2 }, "what operators are told");
    set_row(&store, &ended, "status = 'revoked'").await;
    set_row(&store, &same_org, "refused_at = NULL").await;
    assert_eq!(evidence().await.refused, GrantTally { grants: 2, orgs: 2 }, "its own organization counts");
    set_row(&store, &id, &format!("last_refreshed_at = {}", START - 40)).await;
    let read = evidence().await;
    assert_eq!((read.last_success, read.refused), (Some(START - 60), GrantTally { grants: 1, orgs: 1 }), "its own");
    set_row(&store, &of_wrong_clock, &format!("last_refreshed_at = {}", START + 15)).await;
    let read = evidence().await;
    assert_eq!((read.last_success, read.refused), (Some(START + 15), GrantTally { grants: 1, orgs: 1 }));
}

#[apply(each_store!)]
async fn witness_is_a_working_grant_of_another_organization_and_the_same_one_until_it_fails(store: Store) {
    let (ours, theirs) = (store.add_org("Harbour").await.unwrap(), store.add_org("Southerly").await.unwrap());
    let later = START + 999;
    let add = async |org, change: &str| {
        let id = TestGrant::of(&store, org).insert().await;
        set_row(&store, &id, &format!("due_at = {later}{change}")).await;
        id
    };
    let refused = add(&ours, &format!(", refused_at = {START}")).await;
    let refused = store.grant(&refused).await.unwrap().unwrap();
    add(&ours, "").await;
    for unfit in [
        "status = 'refresh_failed'",
        "refused_at = 1",
        "failure_count = 1",
        "reply_lost_at = 1",
        "client_id = 'another'",
        "issuer = 'another'",
    ] {
        add(&theirs, &format!(", {unfit}")).await;
    }
    let due = async || {
        store.call_witness(&refused).await.unwrap();
        let due = sqlx::query("SELECT id FROM integration_grants WHERE due_at <= $1 ORDER BY id").bind(START);
        let rows = due.fetch_all(store.pool()).await.unwrap();
        rows.iter().map(|row| GrantId(row.try_get(0).unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(due().await, [], "none is fit");
    let mut fit = [add(&theirs, "").await, add(&theirs, "").await];
    fit.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(due().await, fit[..1]);
    assert_eq!(due().await, fit[..1], "it has not been asked yet");
    set_row(&store, &fit[0], &format!("due_at = {later}, lease_owner = 'asks', lease_until = {later}")).await;
    assert_eq!(due().await, [], "it is being asked");
    set_row(&store, &fit[0], "lease_owner = NULL, lease_until = NULL, refused_at = 1").await;
    assert_eq!(due().await, fit[1..]);
    set_row(&store, &fit[1], &format!("due_at = {later}, generation = 1, last_refreshed_at = {}", START + 1)).await;
    assert_eq!(due().await, [], "it has answered");
}

#[apply(each_store!)]
async fn first_refusal_stays_unless_a_wrong_clock_dated_it(store: Store) {
    let org = store.add_org("Harbour").await.unwrap();
    let id = TestGrant::of(&store, &org).insert().await;
    let last = latest_plausible(0, START);
    let (dated, wrong) = (last.to_string(), (last + 1).to_string());
    for (before, after) in [("NULL", START), ("7", 7), (dated.as_str(), last), (wrong.as_str(), START)] {
        let lease = lease_with_attempt(&store, &id, "one").await;
        set_row(&store, &id, &format!("refused_at = {before}")).await;
        let refusal = PendingRefusal { error: "refused", next_attempt_at: START + 60 };
        assert_eq!(store.record_refusal(&lease, &refusal, &REFRESHED).await.unwrap(), Fenced::Applied);
        let row = store.grant(&id).await.unwrap().unwrap();
        assert_eq!(row.failure_count, lease.failure_count + 1, "{before}");
        assert_eq!((row.refused_at, row.next_attempt_at), (Some(after), Some(START + 60)), "{before}");
        assert_eq!((row.last_error.as_deref(), row.lease), (Some("refused"), None), "{before}");
    }
}

#[apply(each_store!)]
async fn believed_refusal_ends_the_grant_and_all_that_was_planned_for_it(store: Store) {
    let org = store.add_org("Harbour").await.unwrap();
    let id = TestGrant::of(&store, &org).bound_to(&["Coffee"]).insert().await;
    let beside = TestGrant::of(&store, &org).xero_user("other").bound_to(&["Kauri"]).insert().await;
    set_row(&store, &id, "failure_count = 2, next_attempt_at = 1, connections_due_at = 1, refused_at = 7").await;
    let lease = lease_with_attempt(&store, &id, "one").await;
    assert_eq!(store.fail_grant(&lease, "Reconnect.", &REFRESHED).await.unwrap(), Fenced::Applied);
    let row = store.grant(&id).await.unwrap().unwrap();
    assert_eq!((row.status, row.failure_count, row.next_attempt_at), (GrantStatus::RefreshFailed, 3, None));
    assert_eq!((row.last_error.as_deref(), row.lease, row.refused_at), (Some("Reconnect."), None, Some(7)));
    let due = sqlx::query("SELECT connections_due_at FROM integration_grants WHERE id = $1").bind(id.as_str());
    let due: Option<i64> = due.fetch_one(store.pool()).await.unwrap().try_get(0).unwrap();
    assert_eq!(due, None, "its list is read no more");
    assert_eq!(store.grant(&beside).await.unwrap().unwrap().status, GrantStatus::Active);
    let bound = store.bindings_of_org(&org).await.unwrap();
    let statuses: Vec<_> = bound.iter().map(|one| one.binding.status).collect();
    assert_eq!(statuses, [BindingStatus::NeedsReauth, BindingStatus::Active]);
}
