//! A database that answers reads but is locked for writes: no exchange waits for it without a bound.

use std::num::NonZeroU32;
use std::time::Duration;

use evergrant::model::{Outcome, Trigger};
use evergrant::server::domain::{AccessToken, AttemptEnd, RefreshToken, TokenSet};
use evergrant::server::jobs::sweeper::{SweepReport, Sweeper, SweeperOptions};
use evergrant::server::store::{Fenced, NewAttempt, Timeouts};
use evergrant::server::tokens::{FailureCause, RefreshOutcome, RefreshRequest, Spool, SpooledRotation};
use serde_json::json;

use crate::support::databases::TestDatabase;
use crate::support::locks::HeldLock;
use crate::support::test_service::{ServiceOptions, TestService};
use crate::support::wait::{MAX_WAIT, within};

/// A wait for a lock that a test can sit out.
fn impatient_options() -> ServiceOptions {
    let timeouts = Timeouts { lock: Duration::from_millis(200), ..Timeouts::default() };
    ServiceOptions { timeouts, ..ServiceOptions::default() }
}

#[apply(each_database!)]
async fn token_set_is_on_disk_while_its_row_is_locked(database: TestDatabase) {
    let harness = TestService::on(database, impatient_options()).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    harness.provider.control("hold", json!({})).await;
    let (service, grant) = (harness.service.clone(), connected.grant.clone());
    let request = RefreshRequest::automatic(Trigger::Sweep);
    let caller = tokio::spawn(async move { service.refresh_grant_single_flight(&grant, request).await });
    harness.provider.waiting(1).await;
    let lock = HeldLock::on(&harness.database, "integration_grants").await;
    harness.provider.control("release", json!({})).await;
    let outcome = within("the exchange", MAX_WAIT, caller).await.unwrap();
    assert!(
        matches!(&outcome, RefreshOutcome::Failed(failed) if failed.cause == FailureCause::Internal),
        "{db}: {outcome:?}"
    );
    let spooled = Spool::inspect(harness.spool.path()).unwrap().grants;
    assert_eq!(spooled.iter().map(|(grant, _)| grant).collect::<Vec<_>>(), [&connected.grant], "{db}");
    // Shutdown does not wait for the lock.
    harness.lifecycle.begin_stop();
    within("the shutdown", MAX_WAIT, harness.lifecycle.wait_for_tasks()).await;

    lock.release().await;
    assert_eq!(harness.service.replay_spool().await.unwrap(), 1, "{db}");
    assert_eq!(harness.read_grant(&connected.grant).await.generation, 1, "{db}");
    assert_eq!(harness.exchange_count().await, 1, "{db}");
}

#[apply(each_database!)]
async fn commit_that_was_applied_after_all_is_neither_lost_nor_doubled(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    let until = harness.clock.now() + 60;
    let lease = harness.store.acquire_lease(&connected.grant, "test", until).await.unwrap().unwrap();
    let lease = harness.store.start_attempt(&lease, NewAttempt::by(Trigger::Sweep)).await.unwrap();
    let (_, answer) = harness.provider.refresh(&connected.minted.refresh_token).await;
    let text = |name: &str| answer[name].as_str().unwrap();
    let tokens = TokenSet {
        access_token: AccessToken::new(text("access_token")),
        refresh_token: RefreshToken::new(text("refresh_token")),
        expires_at: harness.clock.now() + 1800,
        scopes: String::new(),
    };
    let rotation = harness.store.seal_rotation(&lease, &tokens).unwrap();
    let end = AttemptEnd::refreshed(Some(200), None);
    assert_eq!(harness.store.commit_rotation(&lease, &rotation, &end).await.unwrap(), Fenced::Applied, "{db}");
    let committed = harness.read_grant(&connected.grant).await;
    // The exchange was not told, and has spooled the token set.
    Spool::open(harness.spool.path()).unwrap().insert(&SpooledRotation::of(&lease, rotation, end)).unwrap();
    harness.service.rescan_spool().await;
    assert_eq!(harness.read_grant(&connected.grant).await, committed, "{db}");
    assert!(Spool::open(harness.spool.path()).unwrap().is_empty(), "{db}: the spool file was not removed");
    let attempts = harness.store.attempts_of_binding(&connected.org, &connected.bindings[0], 9).await.unwrap();
    assert_eq!(attempts.iter().map(|attempt| attempt.outcome).collect::<Vec<_>>(), [Outcome::Refreshed], "{db}");
}

#[apply(each_database!)]
async fn hung_exchange_keeps_no_sweep_from_ending_or_claiming(database: TestDatabase) {
    let harness = TestService::on(database, impatient_options()).await;
    let db = harness.database.name;
    let interval = Duration::from_millis(200);
    let options = SweeperOptions { interval, concurrency: 8, per_minute: NonZeroU32::MAX };
    let sweeper = Sweeper::new(harness.service.clone(), options, harness.lifecycle.stopping().clone());
    let sweep = async || within("a sweep", MAX_WAIT, sweeper.sweep_once()).await.unwrap();
    let due = async |org: &str| {
        harness.connect(org, &["harbour"], 60).await;
        sqlx::query("UPDATE integration_grants SET due_at = 0").execute(harness.store.database().pool()).await.unwrap();
    };
    harness.provider.control("hold", json!({})).await;
    due("Hung").await;
    assert_eq!(sweep().await, SweepReport::default(), "{db}");
    harness.provider.waiting(1).await;
    due("New").await;
    assert_eq!(sweep().await, SweepReport::default(), "{db}");
    harness.provider.waiting(2).await;
    harness.provider.control("release", json!({})).await;
    let mut refreshed = 0;
    while refreshed < 2 {
        refreshed += sweep().await.refreshed;
    }
}
