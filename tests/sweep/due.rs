//! Which grants a sweep refreshes and which it skips.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use crate::support::databases::TestDatabase;
use evergrant::model::{GrantId, GrantStatus, Outcome, Trigger};
use evergrant::server::domain::KeepHot;
use evergrant::server::jobs::sweeper::{SweepReport, Sweeper, SweeperOptions};
use evergrant::server::tokens::{RefreshOutcome, RefreshRequest};
use futures::future::join_all;
use serde_json::json;

use crate::support::test_service::{DAY, ServiceOptions, TestService};

const EMPTY_REPORT: SweepReport = SweepReport { refreshed: 0, failed: 0, handled_elsewhere: 0 };

fn refreshed(refreshed: usize) -> SweepReport {
    SweepReport { refreshed, ..EMPTY_REPORT }
}

fn options_with(keep_hot: KeepHot) -> ServiceOptions {
    ServiceOptions { keep_hot, ..ServiceOptions::default() }
}

#[apply(each_database!)]
async fn refresh_token_past_its_roll_age_is_exchanged_by_a_sweep(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 1800).await;
    harness.advance(45 * DAY);
    assert_eq!(harness.sweep().await, EMPTY_REPORT, "{db}: not before the roll age");
    harness.advance(DAY + 1);
    assert_eq!(harness.sweep().await, refreshed(1), "{db}");
    assert_eq!(harness.sweep().await, EMPTY_REPORT, "{db}: not again at once");
    let after = harness.read_grant(&connected.grant).await;
    assert_eq!((after.generation, after.lease), (1, None), "{db}");
    let journal = harness.store.attempts_of_binding(&connected.org, &connected.bindings[0], 9).await.unwrap();
    assert_eq!((journal[0].trigger.as_str(), journal[0].outcome), ("sweep", Outcome::Refreshed), "{db}");
}

#[apply(each_database!)]
async fn grants_used_in_the_last_day_are_kept_hot(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let (used, unused) =
        (harness.connect("Used", &["harbour"], 1800).await, harness.connect("Unused", &["kauri"], 1800).await);
    harness.service.get_client_for_tenant_binding(&used.bindings[0], &used.org).await.unwrap();
    let mut exchanges = 0;
    for _ in 0..24 * 60 / 5 {
        harness.advance(5 * 60);
        exchanges += harness.sweep().await.refreshed;
        let left = harness.read_grant(&used.grant).await.expires_at - harness.clock.now();
        assert!(left >= 300, "{db}: {left} seconds left");
    }
    // Tokens live for half an hour. Sweeps every five minutes refresh them with ten to fifteen minutes left.
    assert!((72..=24 * 6).contains(&exchanges), "{db}: {exchanges}");
    assert_eq!(harness.read_grant(&unused.grant).await.generation, 0, "{db}");
    harness.advance(3600);
    assert_eq!(harness.sweep().await, EMPTY_REPORT, "{db}: a day after its last use a grant must be cold");
    harness.service.get_client_for_tenant_binding(&unused.bindings[0], &unused.org).await.unwrap();
    harness.advance(20 * 60);
    assert_eq!(harness.sweep().await, refreshed(1), "{db}: a use must make the grant hot");
}

#[apply(each_database!)]
async fn keep_hot_all_sweeps_an_unused_grant(database: TestDatabase) {
    let harness = TestService::on(database, options_with(KeepHot::All)).await;
    harness.connect("Harbour", &["harbour"], 1800).await;
    harness.advance(20 * 60);
    assert_eq!(harness.sweep().await, refreshed(1), "{}", harness.database.name);
}

#[apply(each_database!)]
async fn keep_hot_none_skips_a_used_grant(database: TestDatabase) {
    let harness = TestService::on(database, options_with(KeepHot::None)).await;
    let connected = harness.connect("Harbour", &["harbour"], 1800).await;
    harness.service.get_client_for_tenant_binding(&connected.bindings[0], &connected.org).await.unwrap();
    harness.advance(20 * 60);
    assert_eq!(harness.sweep().await, EMPTY_REPORT, "{}", harness.database.name);
}

#[apply(each_database!)]
async fn lost_reply_is_retried_when_due(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    harness.provider.inject_fault(json!({"endpoint": "token", "kind": "reset_after"})).await;
    harness.service.refresh_grant_single_flight(&connected.grant, RefreshRequest::automatic(Trigger::Client)).await;
    let failed = harness.read_grant(&connected.grant).await;
    assert_eq!((failed.failure_count, failed.generation), (1, 0), "{db}");
    assert_eq!(harness.sweep().await, EMPTY_REPORT, "{db}: not before the next attempt is due");
    harness.advance(failed.next_attempt_at.unwrap() - harness.clock.now());
    assert_eq!(harness.sweep().await, refreshed(1), "{db}");
    let after = harness.read_grant(&connected.grant).await;
    assert_eq!((after.failure_count, after.generation), (0, 1), "{db}");
    let ledger = harness.provider.ledger().await;
    let outcomes: Vec<_> = ledger.iter().map(|entry| entry["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["rotated", "replayed"], "{db}: the replay window must return the successor");
}

#[apply(each_database!)]
async fn grant_of_a_dead_holder_is_swept_after_its_lease_expires(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 1800).await;
    let until = harness.clock.now() + 60;
    assert!(harness.store.acquire_lease(&connected.grant, "a holder that dies", until).await.unwrap().is_some());
    harness.advance(59);
    assert_eq!(harness.sweep().await, EMPTY_REPORT, "{db}: the holder may be alive");
    harness.advance(1);
    assert_eq!(harness.sweep().await, refreshed(1), "{db}: the holder may have received a reply");
}

#[apply(each_database!)]
async fn dead_grant_is_marked_and_not_swept_again(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 1800).await;
    harness.advance(61 * DAY);
    assert_eq!(harness.sweep().await, SweepReport { failed: 1, ..EMPTY_REPORT }, "{db}");
    assert_eq!(harness.read_grant(&connected.grant).await.status, GrantStatus::RefreshFailed, "{db}");
    harness.advance(DAY);
    assert_eq!(harness.sweep().await, EMPTY_REPORT, "{db}");
}

#[apply(each_database!)]
async fn changed_settings_apply_from_the_next_start(database: TestDatabase) {
    let harness = TestService::on(database, options_with(KeepHot::None)).await;
    let db = harness.database.name;
    harness.connect("Harbour", &["harbour"], 1800).await;
    harness.advance(20 * 60);
    assert_eq!(harness.sweep().await, EMPTY_REPORT, "{db}");
    let all = harness.second_service_with(options_with(KeepHot::All)).await;
    assert_eq!(all.plan_all().await.unwrap(), 1, "{db}");
    assert_eq!(all.plan_all().await.unwrap(), 0, "{db}");
    assert_eq!(harness.sweeper(&all, 8).sweep_once().await.unwrap(), refreshed(1), "{db}");
}

#[apply(each_database!)]
async fn sweep_starts_no_more_exchanges_than_its_rate(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let org = harness.store.add_org("Harbour").await.unwrap();
    for _ in 0..4 {
        harness.add_grant(&org, 1800).await;
    }
    harness.advance(46 * DAY + 1);
    // One at a time, and one every half second.
    let (interval, per_minute) = (Duration::from_secs(30), NonZeroU32::new(120).unwrap());
    let options = SweeperOptions { interval, concurrency: 1, per_minute };
    let sweeper = Sweeper::new(harness.service.clone(), options, harness.lifecycle.stopping().clone());
    let begun = Instant::now();
    assert_eq!(sweeper.sweep_once().await.unwrap(), refreshed(4), "{}", harness.database.name);
    assert!(begun.elapsed() >= Duration::from_millis(1_400), "{:?}", begun.elapsed());
}

#[apply(each_database!)]
async fn claim_takes_no_more_than_its_limit_of_all_kinds_together(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let org = harness.store.add_org("Harbour").await.unwrap();
    let mut grants = Vec::new();
    for _ in 0..10 {
        grants.push(harness.add_grant(&org, 1800).await);
    }
    let refuse = async |grants: &[GrantId]| {
        let times = grants.len();
        let fault = json!({"endpoint": "token", "kind": "status", "status": 503, "times": times});
        harness.provider.inject_fault(fault).await;
        for grant in grants {
            let request = RefreshRequest::automatic(Trigger::Client).forced();
            let outcome = harness.service.refresh_grant_single_flight(grant, request).await;
            assert!(matches!(outcome, RefreshOutcome::Failed(_)), "{db}: {outcome:?}");
        }
        harness.advance(46 * DAY + 1);
    };
    let claim = async |limit| {
        let (claimed, exchanges) = harness.service.start_due(limit).await.unwrap();
        let outcomes = join_all(exchanges).await;
        assert!(outcomes.iter().all(|outcome| *outcome == RefreshOutcome::Refreshed), "{db}: {outcomes:?}");
        (claimed, outcomes.len())
    };
    refuse(&grants[..1]).await;
    assert_eq!(claim(3).await, (3, 3), "{db}: the failed one and two others");
    assert_eq!(claim(10).await, (7, 7), "{db}: the rest");
    refuse(&grants[..5]).await;
    assert_eq!(claim(2).await, (2, 1), "{db}: a probe, and a failed one that waits for its outcome");
}
