//! What a sweep refreshes, and what it leaves alone.

use evergrant::model::{GrantStatus, Trigger};
use evergrant::server::domain::KeepHot;
use evergrant::server::sweeper::Swept;
use evergrant::server::tokens::Ask;
use serde_json::json;

use crate::support::keeper::{DAY, Keeper, Pace};

const NOTHING: Swept = Swept { refreshed: 0, failed: 0, left_to_others: 0 };

fn refreshed(refreshed: usize) -> Swept {
    Swept { refreshed, ..NOTHING }
}

fn keeping(keep_hot: KeepHot) -> Pace {
    Pace { keep_hot, ..Pace::default() }
}

#[tokio::test]
async fn a_refresh_token_past_its_roll_age_is_exchanged_though_nobody_asks() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour"], 1800).await;
        keeper.advance(45 * DAY);
        assert_eq!(keeper.sweep().await, NOTHING, "{db}: on the day");
        keeper.advance(DAY + 1);
        assert_eq!(keeper.sweep().await, refreshed(1), "{db}");
        assert_eq!(keeper.sweep().await, NOTHING, "{db}: at once again");
        let after = keeper.read(&connected.grant).await;
        assert_eq!((after.generation, after.lease), (1, None), "{db}");
        let journal = keeper.store.attempts_of_binding(&connected.org, &connected.bindings[0], 9).await.unwrap();
        assert_eq!((journal[0].trigger.as_str(), journal[0].outcome.as_deref()), ("sweep", Some("refreshed")), "{db}");
    }
}

#[tokio::test]
async fn what_was_used_in_the_last_day_is_kept_hot() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let (used, unused) =
            (keeper.connect("Used", &["harbour"], 1800).await, keeper.connect("Unused", &["kauri"], 1800).await);
        keeper.service.get_client_for_tenant_binding(&used.bindings[0], &used.org).await.unwrap();
        let mut exchanges = 0;
        for _ in 0..24 * 60 / 5 {
            keeper.advance(5 * 60);
            exchanges += keeper.sweep().await.refreshed;
            let left = keeper.read(&used.grant).await.expires_at - keeper.clock.now();
            assert!(left >= 300, "{db}: {left} seconds left");
        }
        // A life of half an hour, of which ten to fifteen minutes are left, looked at every five.
        assert!((72..=24 * 6).contains(&exchanges), "{db}: {exchanges}");
        assert_eq!(keeper.read(&unused.grant).await.generation, 0, "{db}");
        keeper.advance(3600);
        assert_eq!(keeper.sweep().await, NOTHING, "{db}: a day after its last use it may cool down");
        keeper.service.get_client_for_tenant_binding(&unused.bindings[0], &unused.org).await.unwrap();
        keeper.advance(20 * 60);
        assert_eq!(keeper.sweep().await, refreshed(1), "{db}: a program's call warms it");
    }
}

#[tokio::test]
async fn everything_or_nothing_is_kept_hot_where_the_operator_says_so() {
    for (keep_hot, wanted) in [(KeepHot::All, refreshed(1)), (KeepHot::None, NOTHING)] {
        for keeper in Keeper::each_at(keeping(keep_hot)).await {
            let connected = keeper.connect("Harbour", &["harbour"], 1800).await;
            if keep_hot == KeepHot::None {
                keeper.service.get_client_for_tenant_binding(&connected.bindings[0], &connected.org).await.unwrap();
            }
            keeper.advance(20 * 60);
            assert_eq!(keeper.sweep().await, wanted, "{}: {keep_hot:?}", keeper.database.name);
        }
    }
}

#[tokio::test]
async fn a_lost_reply_is_asked_for_again_when_its_time_has_come() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour"], 60).await;
        keeper.provider.control("faults", json!({"endpoint": "token", "kind": "reset_after"})).await;
        keeper.service.refresh_grant_single_flight(&connected.grant, Ask::automatic(Trigger::Client)).await;
        let failed = keeper.read(&connected.grant).await;
        assert_eq!((failed.failure_count, failed.generation), (1, 0), "{db}");
        assert_eq!(keeper.sweep().await, NOTHING, "{db}: before its time");
        keeper.advance(failed.next_attempt_at.unwrap() - keeper.clock.now());
        assert_eq!(keeper.sweep().await, refreshed(1), "{db}");
        let after = keeper.read(&connected.grant).await;
        assert_eq!((after.failure_count, after.generation), (0, 1), "{db}");
        let ledger = keeper.provider.ledger().await;
        let outcomes: Vec<_> = ledger.iter().map(|entry| entry["outcome"].as_str().unwrap()).collect();
        assert_eq!(outcomes, ["rotated", "replayed"], "{db}: the grace has saved it");
    }
}

#[tokio::test]
async fn a_dead_holders_grant_is_taken_up_when_its_lease_has_ended() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour"], 1800).await;
        let until = keeper.clock.now() + 60;
        assert!(keeper.store.take_lease(&connected.grant, "a holder that dies", until).await.unwrap().is_some());
        keeper.advance(59);
        assert_eq!(keeper.sweep().await, NOTHING, "{db}: it may live");
        keeper.advance(1);
        assert_eq!(keeper.sweep().await, refreshed(1), "{db}: it may have got a reply");
    }
}

#[tokio::test]
async fn a_dead_grant_is_said_to_be_dead_and_not_asked_for_again() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour"], 1800).await;
        keeper.advance(61 * DAY);
        assert_eq!(keeper.sweep().await, Swept { failed: 1, ..NOTHING }, "{db}");
        assert_eq!(keeper.read(&connected.grant).await.status, GrantStatus::RefreshFailed, "{db}");
        keeper.advance(DAY);
        assert_eq!(keeper.sweep().await, NOTHING, "{db}");
    }
}

#[tokio::test]
async fn other_settings_count_from_the_next_start_on() {
    for keeper in Keeper::each_at(keeping(KeepHot::None)).await {
        let db = keeper.database.name;
        keeper.connect("Harbour", &["harbour"], 1800).await;
        keeper.advance(20 * 60);
        assert_eq!(keeper.sweep().await, NOTHING, "{db}");
        let all = keeper.another_at(keeping(KeepHot::All)).await;
        assert_eq!(all.plan_all().await.unwrap(), 1, "{db}");
        assert_eq!(all.plan_all().await.unwrap(), 0, "{db}");
        assert_eq!(keeper.sweeper(&all, 8).sweep_once().await.unwrap(), refreshed(1), "{db}");
    }
}
