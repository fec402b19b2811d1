//! Which grants a sweep refreshes and which it skips.

use crate::support::databases::TestDatabase;
use evergrant::model::{GrantStatus, Trigger};
use evergrant::server::domain::KeepHot;
use evergrant::server::jobs::sweeper::SweepReport;
use evergrant::server::tokens::RefreshRequest;
use serde_json::json;

use crate::support::keeper::{DAY, ServiceOptions, TestService};

const EMPTY_REPORT: SweepReport = SweepReport { refreshed: 0, failed: 0, handled_elsewhere: 0 };

fn refreshed(refreshed: usize) -> SweepReport {
    SweepReport { refreshed, ..EMPTY_REPORT }
}

fn options_with(keep_hot: KeepHot) -> ServiceOptions {
    ServiceOptions { keep_hot, ..ServiceOptions::default() }
}

#[apply(each_database!)]
async fn refresh_token_past_its_roll_age_is_exchanged_by_a_sweep(database: TestDatabase) {
    let keeper = TestService::start(database).await;
    let db = keeper.database.name;
    let connected = keeper.connect("Harbour", &["harbour"], 1800).await;
    keeper.advance(45 * DAY);
    assert_eq!(keeper.sweep().await, EMPTY_REPORT, "{db}: not before the roll age");
    keeper.advance(DAY + 1);
    assert_eq!(keeper.sweep().await, refreshed(1), "{db}");
    assert_eq!(keeper.sweep().await, EMPTY_REPORT, "{db}: not again at once");
    let after = keeper.read_grant(&connected.grant).await;
    assert_eq!((after.generation, after.lease), (1, None), "{db}");
    let journal = keeper.store.attempts_of_binding(&connected.org, &connected.bindings[0], 9).await.unwrap();
    assert_eq!((journal[0].trigger.as_str(), journal[0].outcome.as_deref()), ("sweep", Some("refreshed")), "{db}");
}

#[apply(each_database!)]
async fn grants_used_in_the_last_day_are_kept_hot(database: TestDatabase) {
    let keeper = TestService::start(database).await;
    let db = keeper.database.name;
    let (used, unused) =
        (keeper.connect("Used", &["harbour"], 1800).await, keeper.connect("Unused", &["kauri"], 1800).await);
    keeper.service.get_client_for_tenant_binding(&used.bindings[0], &used.org).await.unwrap();
    let mut exchanges = 0;
    for _ in 0..24 * 60 / 5 {
        keeper.advance(5 * 60);
        exchanges += keeper.sweep().await.refreshed;
        let left = keeper.read_grant(&used.grant).await.expires_at - keeper.clock.now();
        assert!(left >= 300, "{db}: {left} seconds left");
    }
    // Tokens live for half an hour. Sweeps every five minutes refresh them with ten to fifteen minutes left.
    assert!((72..=24 * 6).contains(&exchanges), "{db}: {exchanges}");
    assert_eq!(keeper.read_grant(&unused.grant).await.generation, 0, "{db}");
    keeper.advance(3600);
    assert_eq!(keeper.sweep().await, EMPTY_REPORT, "{db}: a day after its last use a grant must be cold");
    keeper.service.get_client_for_tenant_binding(&unused.bindings[0], &unused.org).await.unwrap();
    keeper.advance(20 * 60);
    assert_eq!(keeper.sweep().await, refreshed(1), "{db}: a use must make the grant hot");
}

#[tokio::test]
async fn keep_hot_all_and_none_are_honored() {
    for (keep_hot, wanted) in [(KeepHot::All, refreshed(1)), (KeepHot::None, EMPTY_REPORT)] {
        for keeper in TestService::each_with(options_with(keep_hot)).await {
            let connected = keeper.connect("Harbour", &["harbour"], 1800).await;
            if keep_hot == KeepHot::None {
                keeper.service.get_client_for_tenant_binding(&connected.bindings[0], &connected.org).await.unwrap();
            }
            keeper.advance(20 * 60);
            assert_eq!(keeper.sweep().await, wanted, "{}: {keep_hot:?}", keeper.database.name);
        }
    }
}

#[apply(each_database!)]
async fn lost_reply_is_retried_when_due(database: TestDatabase) {
    let keeper = TestService::start(database).await;
    let db = keeper.database.name;
    let connected = keeper.connect("Harbour", &["harbour"], 60).await;
    keeper.provider.control("faults", json!({"endpoint": "token", "kind": "reset_after"})).await;
    keeper.service.refresh_grant_single_flight(&connected.grant, RefreshRequest::automatic(Trigger::Client)).await;
    let failed = keeper.read_grant(&connected.grant).await;
    assert_eq!((failed.failure_count, failed.generation), (1, 0), "{db}");
    assert_eq!(keeper.sweep().await, EMPTY_REPORT, "{db}: not before the next attempt is due");
    keeper.advance(failed.next_attempt_at.unwrap() - keeper.clock.now());
    assert_eq!(keeper.sweep().await, refreshed(1), "{db}");
    let after = keeper.read_grant(&connected.grant).await;
    assert_eq!((after.failure_count, after.generation), (0, 1), "{db}");
    let ledger = keeper.provider.ledger().await;
    let outcomes: Vec<_> = ledger.iter().map(|entry| entry["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["rotated", "replayed"], "{db}: the replay window must return the successor");
}

#[apply(each_database!)]
async fn grant_of_a_dead_holder_is_swept_after_its_lease_expires(database: TestDatabase) {
    let keeper = TestService::start(database).await;
    let db = keeper.database.name;
    let connected = keeper.connect("Harbour", &["harbour"], 1800).await;
    let until = keeper.clock.now() + 60;
    assert!(keeper.store.acquire_lease(&connected.grant, "a holder that dies", until).await.unwrap().is_some());
    keeper.advance(59);
    assert_eq!(keeper.sweep().await, EMPTY_REPORT, "{db}: the holder may be alive");
    keeper.advance(1);
    assert_eq!(keeper.sweep().await, refreshed(1), "{db}: the holder may have received a reply");
}

#[apply(each_database!)]
async fn dead_grant_is_marked_and_not_swept_again(database: TestDatabase) {
    let keeper = TestService::start(database).await;
    let db = keeper.database.name;
    let connected = keeper.connect("Harbour", &["harbour"], 1800).await;
    keeper.advance(61 * DAY);
    assert_eq!(keeper.sweep().await, SweepReport { failed: 1, ..EMPTY_REPORT }, "{db}");
    assert_eq!(keeper.read_grant(&connected.grant).await.status, GrantStatus::RefreshFailed, "{db}");
    keeper.advance(DAY);
    assert_eq!(keeper.sweep().await, EMPTY_REPORT, "{db}");
}

#[apply(each_database!)]
async fn changed_settings_apply_from_the_next_start(database: TestDatabase) {
    let keeper = TestService::on(database, options_with(KeepHot::None)).await;
    let db = keeper.database.name;
    keeper.connect("Harbour", &["harbour"], 1800).await;
    keeper.advance(20 * 60);
    assert_eq!(keeper.sweep().await, EMPTY_REPORT, "{db}");
    let all = keeper.second_service_with(options_with(KeepHot::All)).await;
    assert_eq!(all.plan_all().await.unwrap(), 1, "{db}");
    assert_eq!(all.plan_all().await.unwrap(), 0, "{db}");
    assert_eq!(keeper.sweeper(&all, 8).sweep_once().await.unwrap(), refreshed(1), "{db}");
}
