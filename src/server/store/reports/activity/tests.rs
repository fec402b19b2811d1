//! Tests the journal's pages, hourly counts and deletion on SQLite and PostgreSQL.

use super::*;
use crate::model::{FailureCause, Outcome, Span};
use crate::server::domain::{AttemptEnd, FailureClass};
use crate::server::store::testing::grants::{REFRESHED, TestGrant, lease_with_attempt, tenant, tokens};
use crate::server::store::testing::{START, each_store};
use crate::server::store::{AttemptFailure, Fenced};

/// Runs an attempt that succeeds.
async fn refresh(store: &Store, grant: &GrantId) {
    let lease = lease_with_attempt(store, grant, "one").await;
    let rotation = store.seal_rotation(&lease, &tokens("next")).unwrap();
    assert_eq!(store.commit_rotation(&lease, &rotation, &REFRESHED).await.unwrap(), Fenced::Applied);
}

/// Runs an attempt that fails.
async fn fail(store: &Store, grant: &GrantId) {
    let lease = lease_with_attempt(store, grant, "one").await;
    let failure = AttemptFailure {
        cause: FailureCause::NotAnswering,
        error: "Xero isn't answering.",
        next_attempt_at: store.clock().now() + 30,
        reply_lost_at: None,
    };
    let end = AttemptEnd::failed(Outcome::Transient, "timeout", FailureClass::DISCARDED_TOKEN_SET);
    assert_eq!(store.record_failure(&lease, &failure, &end).await.unwrap(), Fenced::Applied);
}

#[apply(each_store!)]
async fn journal_pages_have_no_gaps_or_duplicates(store: Store) {
    let (ours, theirs) = (store.add_org("Ours").await.unwrap(), store.add_org("Theirs").await.unwrap());
    let (one, other) =
        (TestGrant::of(&store, &ours).insert().await, TestGrant::of(&store, &ours).xero_user("v").insert().await);
    let foreign = TestGrant::of(&store, &theirs).xero_user("w").insert().await;
    // Several in one second, so that the order depends on the id.
    for grant in [&one, &other, &foreign, &one, &other] {
        refresh(&store, grant).await;
    }
    store.clock().advance(1);
    refresh(&store, &one).await;

    let all = ActivityFilter::default();
    let whole = store.activity(&ours, &all, None, None, 99).await.unwrap();
    let ids: Vec<_> = whole.iter().map(|one| one.attempt.id.clone()).collect();
    assert_eq!(ids.len(), 5);
    let mut paged = Vec::new();
    let mut after: Option<Cursor> = None;
    loop {
        let page = store.activity(&ours, &all, None, after.as_ref(), 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(Cursor { at: last.attempt.started_at, id: last.attempt.id.0.clone() });
        paged.extend(page.into_iter().map(|one| one.attempt.id));
    }
    assert_eq!(paged, ids);
    assert!(whole.windows(2).all(|pair| pair[0].attempt.started_at >= pair[1].attempt.started_at));
    assert_eq!(whole[0].grant_id, one);
}

#[apply(each_store!)]
async fn filter_applies_and_never_crosses_organizations(store: Store) {
    let (ours, theirs) = (store.add_org("Ours").await.unwrap(), store.add_org("Theirs").await.unwrap());
    let (shop, cafe) =
        (TestGrant::of(&store, &ours).insert().await, TestGrant::of(&store, &ours).xero_user("v").insert().await);
    let shop_binding = store.bind(&ours, &shop, &[tenant("Shop")], None).await.unwrap().remove(0).binding_id;
    store.bind(&ours, &cafe, &[tenant("Café")], None).await.unwrap();
    refresh(&store, &shop).await;
    fail(&store, &shop).await;
    refresh(&store, &cafe).await;
    lease_with_attempt(&store, &cafe, "flies").await;

    let count = async |org: &OrgId, connection: Option<&BindingId>, outcome| {
        let filter = ActivityFilter { connection: connection.cloned(), outcome, ..ActivityFilter::default() };
        store.activity(org, &filter, None, None, 99).await.unwrap().len()
    };
    assert_eq!(count(&ours, None, None).await, 4);
    assert_eq!(count(&ours, None, Some(Outcome::Refreshed)).await, 2);
    assert_eq!(count(&ours, None, Some(Outcome::Running)).await, 1);
    assert_eq!(count(&ours, Some(&shop_binding), None).await, 2);
    assert_eq!(count(&ours, Some(&shop_binding), Some(Outcome::Transient)).await, 1);
    assert_eq!(count(&theirs, Some(&shop_binding), None).await, 0);
    let narrowed = async |from, until, person: &str| {
        let filter = ActivityFilter { span: Span { from, until }, person: person.into(), ..ActivityFilter::default() };
        store.activity(&ours, &filter, None, None, 99).await.unwrap().len()
    };
    let now = store.clock().now();
    assert_eq!(narrowed(0, now + 1, "").await, 4);
    assert_eq!((narrowed(now + 1, i64::MAX, "").await, narrowed(0, START, "").await), (0, 0), "the end is not in it");
    for (person, found) in [("A@b.c", 4), ("B.C", 4), ("a@b.cz", 0), ("%", 0), ("_", 0), ("\\", 0)] {
        assert_eq!(narrowed(0, now + 1, person).await, found, "{person}");
    }
    let filter = ActivityFilter { person: "b".into(), ..ActivityFilter::default() };
    for (only, found) in [("A@b.c", 4), ("b@b.c", 0)] {
        assert_eq!(store.activity(&ours, &filter, Some(only), None, 99).await.unwrap().len(), found, "seen by {only}");
    }
    assert_eq!(count(&theirs, None, None).await, 0);
}

#[apply(each_store!)]
async fn history_survives_a_reconnect(store: Store) {
    let org = store.add_org("A").await.unwrap();
    let (old, new) = (TestGrant::of(&store, &org).insert().await, TestGrant::of(&store, &org).insert().await);
    let binding = store.bind(&org, &old, &[tenant("Shop")], None).await.unwrap().remove(0).binding_id;
    fail(&store, &old).await;
    store.bind(&org, &new, &[tenant("Shop")], None).await.unwrap();
    store.clock().advance(1);
    refresh(&store, &new).await;
    let history = store.attempts_of_binding(&org, &binding, 9).await.unwrap();
    let outcomes: Vec<_> = history.iter().map(|one| one.outcome).collect();
    assert_eq!(outcomes, [Outcome::Refreshed, Outcome::Transient]);
    let connected = store.connections_with_grants(&org).await.unwrap();
    assert_eq!((connected.len(), connected[0].grants.len()), (1, 2));
}

#[apply(each_store!)]
async fn attempt_has_a_duration(store: Store) {
    let org = store.add_org("A").await.unwrap();
    let grant = TestGrant::of(&store, &org).insert().await;
    let lease = lease_with_attempt(&store, &grant, "one").await;
    store.clock().advance(2);
    let rotation = store.seal_rotation(&lease, &tokens("next")).unwrap();
    assert_eq!(store.commit_rotation(&lease, &rotation, &REFRESHED).await.unwrap(), Fenced::Applied);
    let journal = store.activity(&org, &ActivityFilter::default(), None, None, 9).await.unwrap();
    assert_eq!(journal[0].attempt.duration_ms, Some(2_000));
}

#[apply(each_store!)]
async fn hours_count_successes_and_failures(store: Store) {
    let org = store.add_org("A").await.unwrap();
    let grant = TestGrant::of(&store, &org).insert().await;
    refresh(&store, &grant).await;
    fail(&store, &grant).await;
    store.clock().advance(3_600);
    refresh(&store, &grant).await;
    let first = START / 3_600 * 3_600;
    let wanted = [
        HourView { begins_at: first, refreshed: 1, failed: 1 },
        HourView { begins_at: first + 3_600, refreshed: 1, failed: 0 },
    ];
    assert_eq!(store.hourly_counts_since(&org, START).await.unwrap(), wanted);
    assert_eq!(store.hourly_counts_since(&org, START + 3_600).await.unwrap(), wanted[1..]);
}

#[apply(each_store!)]
async fn oldest_attempts_are_deleted_first_up_to_the_limit(store: Store) {
    let org = store.add_org("A").await.unwrap();
    let grant = TestGrant::of(&store, &org).insert().await;
    for _ in 0..4 {
        refresh(&store, &grant).await;
        store.clock().advance(10);
    }
    assert_eq!(store.delete_attempts_before(START + 30, 2).await.unwrap(), 2);
    let left = async || {
        let journal = store.activity(&org, &ActivityFilter::default(), None, None, 9).await.unwrap();
        journal.iter().map(|one| one.attempt.started_at - START).collect::<Vec<_>>()
    };
    assert_eq!(left().await, [30, 20]);
    assert_eq!(store.delete_attempts_before(START + 30, 2).await.unwrap(), 1);
    assert_eq!(left().await, [30]);
}

#[apply(each_store!)]
async fn listed_connections_say_when_they_are_due(store: Store) {
    let org = store.add_org("A").await.unwrap();
    let (well, failing) =
        (TestGrant::of(&store, &org).insert().await, TestGrant::of(&store, &org).xero_user("v").insert().await);
    store.bind(&org, &well, &[tenant("Shop")], None).await.unwrap();
    let gone = store.bind(&org, &failing, &[tenant("Café"), tenant("Old")], None).await.unwrap();
    store.disconnect_binding(&org, &gone[1].binding_id).await.unwrap();
    fail(&store, &failing).await;
    let mut listed = store.listed_connections(&org).await.unwrap();
    listed.sort_by_key(|one| one.shown.tenant_name.clone());
    let failures = |one: &crate::server::store::ListedConnection| one.shown.grant.as_ref().unwrap().failure_count;
    let seen: Vec<_> = listed.iter().map(|one| (one.shown.tenant_name.as_str(), failures(one))).collect();
    assert_eq!(seen, [("Café", 1), ("Old", 1), ("Shop", 0)]);
    assert_eq!(listed[0].due_at, Some(START + 30));
}
