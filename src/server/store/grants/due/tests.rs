//! Tests claims on both databases: which grants, in which order, and by which index.

use sqlx::{AssertSqlSafe, Row};

use super::claim_statement;
use crate::model::{FailureCause, GrantId, Trigger};
use crate::server::domain::lost_reply::{LOST_REPLY_STANDS_FOR, effective_reply_lost_at};
use crate::server::domain::{KeepHot, LONGEST_BACKOFF, MAX_LEASE, Plan, REFRESH_TOKEN_LIFETIME, latest_plausible};
use crate::server::store::DatabaseKind;
use crate::server::store::testing::grants::{REFRESHED, TestGrant, set_row, tokens};
use crate::server::store::testing::{START, each_store};
use crate::server::store::{
    AttemptFailure, DueFilter, Fenced, LeaseGuard, NewAttempt, PendingRefusal, SpoolCommit, Store,
};

async fn due_at(store: &Store, id: &GrantId) -> i64 {
    let query = sqlx::query("SELECT due_at FROM integration_grants WHERE id = $1").bind(id.as_str());
    query.fetch_one(store.pool()).await.unwrap().try_get(0).unwrap()
}

async fn claim(store: &Store, wanted: DueFilter, limit: usize) -> Vec<GrantId> {
    let until = store.clock().now() + 60;
    let claimed = store.claim_due(wanted, limit, "sweeper", until).await.unwrap();
    claimed.iter().map(|lease| lease.id.clone()).collect()
}

#[apply(each_store!)]
async fn longest_due_grants_are_claimed_if_not_leased(store: Store) {
    let org = store.add_org("A").await.unwrap();
    let mut grants = Vec::new();
    for number in 0..5_i64 {
        grants.push(TestGrant::of(&store, &org).insert().await);
        set_row(&store, &grants[grants.len() - 1], &format!("due_at = {}", START - 5 + number)).await;
    }
    set_row(&store, &grants[0], "status = 'revoked'").await;
    let held = store.acquire_lease(&grants[1], "somebody", START + 60).await.unwrap().unwrap();
    assert_eq!(due_at(&store, &grants[1]).await, START + 60, "due when the lease ends");
    assert_eq!(claim(&store, DueFilter::Any, 2).await.len(), 2);
    assert_eq!(claim(&store, DueFilter::Any, 9).await, [grants[4].clone()], "the remaining one");
    assert!(claim(&store, DueFilter::Any, 9).await.is_empty(), "all are leased");
    store.clock().advance(60);
    assert_eq!(store.renew_lease(&held, START + 120).await.unwrap(), Fenced::Applied);
    assert_eq!(claim(&store, DueFilter::Any, 9).await.len(), 3, "those whose lease has expired");
}

#[apply(each_store!)]
async fn failed_and_abandoned_grants_can_be_claimed_alone(store: Store) {
    let org = store.add_org("A").await.unwrap();
    let (waits, failed, early, died) = (
        TestGrant::of(&store, &org).insert().await,
        TestGrant::of(&store, &org).insert().await,
        TestGrant::of(&store, &org).insert().await,
        TestGrant::of(&store, &org).insert().await,
    );
    set_row(&store, &waits, "due_at = 0").await;
    set_row(&store, &failed, &format!("failure_count = 1, due_at = {START}")).await;
    set_row(&store, &early, &format!("failure_count = 1, due_at = {}", START + 61)).await;
    store.acquire_lease(&died, "dies", START + 60).await.unwrap();
    assert_eq!(claim(&store, DueFilter::FailedOrAbandoned, 9).await, [failed]);
    store.clock().advance(60);
    let (grant, asked_at) = (store.grant(&early).await.unwrap().unwrap(), tokio::time::Instant::now());
    let forged = LeaseGuard { grant, owner: "nobody's".into(), asked_at };
    store.release_lease_due_at(&forged, 0).await.unwrap();
    let lost = claim(&store, DueFilter::FailedOrAbandoned, 9).await;
    assert!(lost.contains(&died) && !lost.contains(&early) && !lost.contains(&waits), "{lost:?}");
}

#[apply(each_store!)]
async fn use_makes_a_cold_grant_hot_if_used_grants_are_kept_hot(store: Store) {
    let org = store.add_org("A").await.unwrap();
    let id = TestGrant::of(&store, &org).insert().await;
    let cold = due_at(&store, &id).await;
    assert!(cold > START + 45 * 86_400);
    let none = store.clone().with_plan(Plan { keep_hot: KeepHot::None, ..Plan::default() });
    none.mark_used(&id).await.unwrap();
    assert_eq!(due_at(&store, &id).await, cold);
    store.clock().advance(61);
    store.mark_used(&id).await.unwrap();
    assert_eq!(due_at(&store, &id).await, START + 1200);
    set_row(&store, &id, &format!("failure_count = 3, due_at = {cold}")).await;
    store.clock().advance(61);
    store.mark_org_used(&org).await.unwrap();
    assert_eq!(due_at(&store, &id).await, cold, "a failing grant keeps its backoff");
}

#[apply(each_store!)]
async fn use_of_a_grant_or_an_organization_is_of_its_own_active_grants(store: Store) {
    let (org, other) = (store.add_org("A").await.unwrap(), store.add_org("B").await.unwrap());
    let (id, beside) = (TestGrant::of(&store, &org).insert().await, TestGrant::of(&store, &org).insert().await);
    let (ended, foreign) = (TestGrant::of(&store, &org).insert().await, TestGrant::of(&store, &other).insert().await);
    set_row(&store, &ended, "status = 'refresh_failed'").await;
    let leased_until = START + 90 * 86_400;
    store.acquire_lease(&beside, "one", leased_until).await.unwrap().unwrap();
    let used = async || {
        let mut used = Vec::new();
        for id in [&id, &beside, &ended, &foreign] {
            used.push(store.grant(id).await.unwrap().unwrap().last_used_at);
        }
        used
    };
    store.mark_used(&id).await.unwrap();
    assert_eq!(used().await, [Some(START), None, None, None]);
    store.clock().advance(30);
    let later = Some(START + 30);
    store.mark_org_used(&org).await.unwrap();
    assert_eq!(used().await, [later, later, None, None]);
    assert_eq!(due_at(&store, &beside).await, leased_until, "due when its lease ends");
}

#[apply(each_store!)]
async fn new_grant_of_a_used_organization_is_hot(store: Store) {
    let org = store.add_org("A").await.unwrap();
    sqlx::query("UPDATE organizations SET last_used_at = $1").bind(START).execute(store.pool()).await.unwrap();
    let id = TestGrant::of(&store, &org).insert().await;
    assert!(due_at(&store, &id).await < START + 1800);
}

#[apply(each_store!)]
async fn concurrent_claims_never_overlap(store: Store) {
    let org = store.add_org("A").await.unwrap();
    for _ in 0..40 {
        let id = TestGrant::of(&store, &org).insert().await;
        set_row(&store, &id, "due_at = 1").await;
    }
    let claims = (0..8).map(|_| claim(&store, DueFilter::Any, 10));
    let mut claimed: Vec<GrantId> = futures::future::join_all(claims).await.concat();
    // A claim that found locked rows took fewer than its limit.
    claimed.extend(claim(&store, DueFilter::Any, 40).await);
    assert_eq!(claimed.len(), 40);
    claimed.sort();
    claimed.dedup();
    assert_eq!(claimed.len(), 40, "a grant was claimed twice");
}

#[apply(each_store!)]
async fn claims_use_the_index(store: Store) {
    let org = store.add_org("A").await.unwrap();
    TestGrant::of(&store, &org).insert().await;
    for round in 0..12 {
        let copy = format!(
            "INSERT INTO integration_grants (id, org_id, client_id, issuer, xero_user_id, auth_event_id, scopes, access_token_enc, \
             refresh_token_enc, expires_at, refresh_token_issued_at, status, created_at, due_at) \
             SELECT id || '{round}', org_id, client_id, issuer, xero_user_id, auth_event_id, scopes, access_token_enc, \
             refresh_token_enc, expires_at, refresh_token_issued_at, status, created_at, due_at + {round} \
             FROM integration_grants"
        );
        sqlx::query(AssertSqlSafe(copy)).execute(store.pool()).await.unwrap();
    }
    sqlx::query("ANALYZE").execute(store.pool()).await.unwrap();
    let kind = store.database().kind();
    let explain = if kind == DatabaseKind::Sqlite { "EXPLAIN QUERY PLAN" } else { "EXPLAIN" };
    for (wanted, index) in [
        (DueFilter::Any, "integration_grants_due"),
        (DueFilter::FailedOrAbandoned, "integration_grants_failed_or_abandoned"),
    ] {
        let sql = format!("{explain} {}", claim_statement(wanted, kind));
        let query = sqlx::query(AssertSqlSafe(sql)).bind(START).bind(64_i64).bind("owner").bind(START + 60);
        let query = query.bind(LOST_REPLY_STANDS_FOR).bind(&store.app().issuer).bind(&store.app().client_id);
        let rows = query.fetch_all(store.pool()).await.unwrap();
        let column = if kind == DatabaseKind::Sqlite { "detail" } else { "QUERY PLAN" };
        let lines: Vec<String> = rows.iter().map(|row| row.try_get(column).unwrap()).collect();
        let plan = lines.join("\n");
        assert!(plan.contains(index), "{wanted:?}:\n{plan}");
        assert!(!plan.contains("Seq Scan on integration_grants") && !plan.contains("B-TREE FOR ORDER"), "\n{plan}");
    }
}

/// How a lease is taken over.
#[derive(Clone, Copy, Debug)]
enum Takeover {
    Claim,
    Exchange,
    Rescue,
}

async fn take_over(store: &Store, id: &GrantId, takeover: Takeover) -> LeaseGuard {
    let until = store.clock().now() + 60;
    match takeover {
        Takeover::Claim => {
            set_row(store, id, "due_at = 0").await;
            store.claim_due(DueFilter::Any, 1, "next", until).await.unwrap().remove(0)
        }
        Takeover::Exchange => store.acquire_lease(id, "next", until).await.unwrap().unwrap(),
        Takeover::Rescue => store.acquire_rescue_lease(id, "next", until).await.unwrap().unwrap(),
    }
}

#[apply(each_store!)]
async fn statements_and_code_agree_on_when_a_reply_was_lost(store: Store) {
    let org = store.add_org("A").await.unwrap();
    let (half, now) = (LOST_REPLY_STANDS_FOR, START + 2 * LOST_REPLY_STANDS_FOR);
    store.clock().advance(now - START);
    // The row's `reply_lost_at`, when the dead holder journaled its request and when it last renewed its lease.
    let cases = [
        (None, None, START),
        (None, Some(START), START + 40),
        (Some(START), None, START + half - 1),
        (Some(START), None, START + half),
        (Some(START), Some(START + half - 1), START + half),
        (Some(START), Some(START + half), START + half + 40),
    ];
    for (before, sent_at, renewed_at) in cases {
        for takeover in [Takeover::Claim, Takeover::Exchange, Takeover::Rescue] {
            let id = TestGrant::of(&store, &org).insert().await;
            let held = store.acquire_lease(&id, "dies", now).await.unwrap().unwrap();
            // Neither an attempt that has ended nor one of another generation is the dead holder's.
            let ended = "finished_at = 1, generation = 0";
            let earlier = "finished_at = NULL, outcome = NULL, generation = -1";
            let open = "finished_at = NULL, outcome = NULL, generation = 0";
            let others = [(Some(now - 1), ended), (Some(now - 1), earlier), (sent_at, open)];
            let mut started = Vec::new();
            for (sent_at, columns) in others.into_iter().filter_map(|(sent_at, columns)| Some((sent_at?, columns))) {
                let attempt = store.start_attempt(&held, NewAttempt::by(Trigger::Sweep)).await.unwrap();
                started.push((attempt.attempt().clone(), sent_at, columns));
            }
            for (attempt, sent_at, columns) in started {
                let sql = format!("UPDATE refresh_attempts SET {columns}, sent_at = $1 WHERE id = $2");
                let query = sqlx::query(AssertSqlSafe(sql)).bind(sent_at).bind(attempt.as_str());
                query.execute(store.pool()).await.unwrap();
            }
            let before_sql = before.map_or("NULL".to_owned(), |before: i64| before.to_string());
            set_row(&store, &id, &format!("lease_until = {}, reply_lost_at = {before_sql}", renewed_at + 60)).await;
            let row = store.grant(&id).await.unwrap().unwrap();
            assert_eq!(store.open_attempt_sent_at(&row).await.unwrap(), sent_at);
            let expected = effective_reply_lost_at(&row, sent_at, 60, now);
            let taken = take_over(&store, &id, takeover).await;
            let case = format!("{takeover:?}: {before:?}, {sent_at:?}, {renewed_at}");
            assert_eq!((&taken.id, taken.reply_lost_at), (&id, expected), "{case}");
            set_row(&store, &id, "status = 'revoked'").await;
        }
    }
}

#[apply(each_store!)]
async fn dead_holder_keeps_the_first_lost_reply_for_half_the_window(store: Store) {
    let org = store.add_org("A").await.unwrap();
    for takeover in [Takeover::Claim, Takeover::Exchange, Takeover::Rescue] {
        let id = TestGrant::of(&store, &org).insert().await;
        let lost = store.clock().now();
        // Every holder dies. The last one started after half of the first lost reply's window had passed.
        for (at, stands) in
            [(0, None), (60, Some(lost)), (120, Some(lost)), (960, Some(lost)), (1020, Some(lost + 960))]
        {
            store.clock().advance(lost + at - store.clock().now());
            let held = take_over(&store, &id, takeover).await;
            assert_eq!((&held.id, held.reply_lost_at), (&id, stands), "{takeover:?}, after {at} s");
        }
        set_row(&store, &id, "status = 'revoked'").await;
    }
}

#[apply(each_store!)]
async fn healthy_filter_skips_failing_and_abandoned_grants(store: Store) {
    let org = store.add_org("A").await.unwrap();
    let (failing, abandoned, well) = (
        TestGrant::of(&store, &org).insert().await,
        TestGrant::of(&store, &org).insert().await,
        TestGrant::of(&store, &org).insert().await,
    );
    set_row(&store, &failing, "due_at = 1, failure_count = 3").await;
    set_row(&store, &abandoned, "due_at = 2, lease_owner = 'dead', lease_until = 2").await;
    set_row(&store, &well, "due_at = 3").await;
    // A claim took over a dead holder's lease and was postponed.
    let postponed = TestGrant::of(&store, &org).insert().await;
    store.acquire_lease(&postponed, "dead", START - 1).await.unwrap();
    let lease = store.acquire_lease(&postponed, "claim", START + 60).await.unwrap().unwrap();
    store.release_lease_due_at(&lease, START).await.unwrap();
    assert_eq!(claim(&store, DueFilter::Healthy, 9).await, [well]);
    let lost = claim(&store, DueFilter::FailedOrAbandoned, 9).await;
    assert!(lost.len() == 3 && lost.contains(&postponed), "{lost:?}");
}

#[apply(each_store!)]
async fn grants_with_times_that_no_rule_could_have_written_are_made_due(store: Store) {
    let org = store.add_org("A").await.unwrap();
    let last = |span| latest_plausible(span, START);
    let due = |at: i64| format!("due_at = {at}");
    let (received, back_off) = (last(0), last(LONGEST_BACKOFF));
    let (leased, planned) = (last(MAX_LEASE), last(REFRESH_TOKEN_LIFETIME));
    let failed = ", failure_count = 1";
    for (row, is_healed) in [
        (due(planned), false),
        (due(planned + 1), true),
        (due(planned + 1) + ", status = 'refresh_failed'", false),
        (due(planned + 1) + ", client_id = 'another'", false),
        (due(planned + 1) + ", issuer = 'another'", false),
        (format!("last_refreshed_at = {received}"), false),
        (format!("last_refreshed_at = {}", received + 1), true),
        (format!("last_refreshed_at = {}, client_id = 'another'", received + 1), false),
        (format!("last_refreshed_at = {}, issuer = 'another'", received + 1), false),
        // Its exchange failed since, so it keeps its back-off.
        (format!("last_refreshed_at = {}{failed}", received + 1), false),
        (due(back_off) + failed, false),
        (due(back_off + 1) + failed, true),
        (due(back_off + 1) + failed + ", client_id = 'another'", false),
        (due(back_off + 1) + failed + ", issuer = 'another'", false),
        (due(back_off + 1) + ", reply_lost_at = 1", true),
        (format!("lease_owner = 'x', lease_until = {leased}"), false),
        (format!("lease_owner = 'x', lease_until = {leased}, last_refreshed_at = {}", received + 1), false),
        (format!("lease_owner = 'x', lease_until = {}", leased + 1), true),
    ] {
        let id = TestGrant::of(&store, &org).insert().await;
        set_row(&store, &id, &due(START + 1)).await;
        set_row(&store, &id, &row).await;
        assert_eq!(store.make_implausible_grants_due().await.unwrap(), u64::from(is_healed), "{row}");
        assert_eq!(due_at(&store, &id).await == START, is_healed, "{row}");
        assert_eq!(store.make_implausible_grants_due().await.unwrap(), 0, "{row}: only once");
        set_row(&store, &id, "status = 'revoked'").await;
    }

    for (row, healed) in [
        (format!("next_attempt_at = {}, lease_until = {}", START + 30, START + 40), (START + 30, START + 40)),
        (format!("next_attempt_at = {}, lease_until = {}", back_off + 1, leased + 1), (START, START)),
    ] {
        let id = TestGrant::of(&store, &org).insert().await;
        set_row(&store, &id, &(due(planned + 1) + ", lease_owner = 'x', " + &row)).await;
        assert_eq!(store.make_implausible_grants_due().await.unwrap(), 1, "{row}");
        let query = sqlx::query("SELECT next_attempt_at, lease_until FROM integration_grants WHERE id = $1");
        let after = query.bind(id.as_str()).fetch_one(store.pool()).await.unwrap();
        assert_eq!((after.try_get(0).unwrap(), after.try_get(1).unwrap()), healed, "{row}");
    }
}

#[apply(each_store!)]
async fn what_is_written_for_one_grant_of_a_batch_changes_no_other(store: Store) {
    let org = store.add_org("A").await.unwrap();
    let read = async |id: &GrantId| (store.grant(id).await.unwrap(), due_at(&store, id).await);
    let failure = AttemptFailure {
        cause: FailureCause::NotAnswering,
        error: "down",
        next_attempt_at: START + 30,
        reply_lost_at: None,
    };
    let refusal = PendingRefusal { error: "refused", next_attempt_at: START + 30 };
    for written in 0..9 {
        for _ in 0..2 {
            set_row(&store, &TestGrant::of(&store, &org).insert().await, "due_at = 0").await;
        }
        // One owner for all, of the same generation.
        let leases = store.claim_due(DueFilter::Any, 9, "sweeper", START + 60).await.unwrap();
        let new: Vec<_> = leases.iter().map(|lease| (lease, NewAttempt::by(Trigger::Sweep))).collect();
        let [own, other] = store.start_attempts(&new).await.unwrap().try_into().unwrap();
        let rotation = store.seal_rotation(&own, &tokens("next")).unwrap();
        let before = (read(&own.id).await, read(&other.id).await);
        match written {
            0 => assert_eq!(store.commit_rotation(&own, &rotation, &REFRESHED).await.unwrap(), Fenced::Applied),
            1 => assert_eq!(store.commit_rescue(&own, &rotation, &REFRESHED).await.unwrap(), Fenced::Applied),
            2 => {
                let committed = store.commit_spooled_rotation(&rotation, Some("sweeper")).await.unwrap();
                assert_eq!(committed, SpoolCommit::Applied);
            }
            3 => assert_eq!(store.record_failure(&own, &failure, &REFRESHED).await.unwrap(), Fenced::Applied),
            4 => assert_eq!(store.record_refusal(&own, &refusal, &REFRESHED).await.unwrap(), Fenced::Applied),
            5 => assert_eq!(store.fail_grant(&own, "dead", &REFRESHED).await.unwrap(), Fenced::Applied),
            6 => assert_eq!(store.renew_lease(&own, START + 90).await.unwrap(), Fenced::Applied),
            7 => store.release_lease(&own).await.unwrap(),
            _ => store.release_lease_due_at(&own, START + 90).await.unwrap(),
        }
        assert_eq!(read(&other.id).await, before.1, "{written}");
        let after = read(&own.id).await;
        assert_ne!(after, before.0, "{written}");
        let expected = [(3, START + 30), (4, START + 30), (6, START + 90), (8, START + 90)];
        let expected = expected.into_iter().find(|(of, _)| *of == written);
        assert_eq!(after.1, expected.map_or(after.1, |(_, due)| due), "{written}");
        for lease in [&own, &other] {
            store.mark_grant_revoked(&lease.id).await.unwrap();
        }
    }
}
