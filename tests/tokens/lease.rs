//! Lease renewal, and exchanges whose lease passed to another holder.

use std::time::Duration;

use evergrant::model::{BindingStatus, GrantStatus, Outcome, Trigger};
use evergrant::server::store::{DatabaseKind, Timeouts};
use evergrant::server::tokens::{FailureCause, RefreshOutcome, RefreshRequest, TokenService};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::sandbox::START;
use crate::support::consents::ConnectedOrg;
use crate::support::databases::TestDatabase;
use crate::support::locks::HeldLock;
use crate::support::test_service::{PAST_REPLAY_WINDOW, ServiceOptions, TestService};
use crate::support::wait::{MAX_WAIT, eventually, within};

fn slow_provider_options(lease: u64) -> ServiceOptions {
    ServiceOptions { lease_ttl: Duration::from_secs(lease), ..ServiceOptions::default() }
}

fn spawn_refresh(service: &TokenService, connected: &ConnectedOrg) -> JoinHandle<RefreshOutcome> {
    let (service, grant) = (service.clone(), connected.grant.clone());
    tokio::spawn(async move {
        service.refresh_grant_single_flight(&grant, RefreshRequest::automatic(Trigger::Client)).await
    })
}

/// Returns the outcomes of the binding's attempts, newest first.
async fn outcomes(harness: &TestService, connected: &ConnectedOrg) -> Vec<Outcome> {
    let attempts = harness.store.attempts_of_binding(&connected.org, &connected.bindings[0], 9).await.unwrap();
    attempts.into_iter().map(|attempt| attempt.outcome).collect()
}

/// Starts an exchange whose response the provider holds.
async fn start_held_exchange(harness: &TestService, connected: &ConnectedOrg) -> JoinHandle<RefreshOutcome> {
    harness.provider.control("hold", json!({})).await;
    let flight = spawn_refresh(&harness.service, connected);
    harness.provider.waiting(1).await;
    flight
}

async fn wait_until_superseded(harness: &TestService, connected: &ConnectedOrg) {
    let superseded = [Outcome::Superseded];
    eventually("the fenced commit", MAX_WAIT, async || outcomes(harness, connected).await == superseded).await;
}

/// Starts a service with a due grant, and an exchange of it whose response the provider holds.
async fn hold_exchange(database: TestDatabase) -> (TestService, ConnectedOrg, JoinHandle<RefreshOutcome>) {
    let harness = TestService::on(database, slow_provider_options(60)).await;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    let flight = start_held_exchange(&harness, &connected).await;
    (harness, connected, flight)
}

/// Gives the lease to another holder, then lets the response arrive.
async fn lose_lease_and_release(harness: &TestService, connected: &ConnectedOrg) {
    harness.steal_lease(START + 60).await;
    harness.provider.control("release", json!({})).await;
    wait_until_superseded(harness, connected).await;
}

/// Asserts that the committed refresh token is the newest: it is exchanged after the spent one's replay window.
async fn assert_token_works(harness: &TestService, connected: &ConnectedOrg) {
    harness.advance(PAST_REPLAY_WINDOW);
    let outcome = spawn_refresh(&harness.service, connected).await.unwrap();
    assert_eq!(outcome, RefreshOutcome::Refreshed, "{}", harness.database.name);
}

async fn binding_status(harness: &TestService, connected: &ConnectedOrg) -> BindingStatus {
    let bound = harness.store.binding(&connected.org, &connected.bindings[0]).await.unwrap();
    bound.unwrap().binding.status
}

#[apply(each_database!)]
async fn lease_is_renewed_while_its_exchange_runs(database: TestDatabase) {
    let harness = TestService::on(database, slow_provider_options(2)).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    let other = harness.second_service().await;
    let winner = start_held_exchange(&harness, &connected).await;
    let loser = spawn_refresh(&other, &connected);
    // For three times the lease's lifetime, the row has an unexpired lease at every second.
    for second in 1..=6 {
        harness.advance(1);
        let renewed = START + second + 2;
        let lease = async || harness.read_grant(&connected.grant).await.lease.map(|lease| lease.until);
        eventually("a renewal", MAX_WAIT, async || lease().await == Some(renewed)).await;
    }
    assert!(!winner.is_finished() && !loser.is_finished(), "{db}: both must wait for the same response");
    assert_eq!(outcomes(&harness, &connected).await, [Outcome::Running], "{db}: a second exchange was started");
    harness.provider.control("release", json!({})).await;
    assert_eq!(winner.await.unwrap(), RefreshOutcome::Refreshed, "{db}");
    assert_eq!(loser.await.unwrap(), RefreshOutcome::RefreshedElsewhere, "{db}");
    assert_eq!(harness.exchange_count().await, 1, "{db}");
    let after = harness.read_grant(&connected.grant).await;
    assert_eq!((after.generation, after.lease), (1, None), "{db}");
}

#[apply(each_database!)]
async fn holder_without_its_lease_commits_nothing(database: TestDatabase) {
    let (harness, connected, flight) = hold_exchange(database).await;
    let db = harness.database.name;
    harness.steal_lease(START + 60).await;
    let before = harness.read_grant(&connected.grant).await;
    harness.provider.control("release", json!({})).await;
    wait_until_superseded(&harness, &connected).await;
    assert_eq!(harness.read_grant(&connected.grant).await, before, "{db}: lease and token must be unchanged");
    // The other holder commits.
    harness.commit_elsewhere().await;
    assert_eq!(flight.await.unwrap(), RefreshOutcome::RefreshedElsewhere, "{db}");
    let after = harness.read_grant(&connected.grant).await;
    assert_eq!((after.generation, &after.sealed), (1, &before.sealed), "{db}: the other holder's tokens must stay");
    assert_eq!(harness.service.spooled_count(), 0, "{db}");
}

#[apply(each_database!)]
async fn token_set_is_committed_after_the_other_holders_lease_expires(database: TestDatabase) {
    let (harness, connected, flight) = hold_exchange(database).await;
    let db = harness.database.name;
    lose_lease_and_release(&harness, &connected).await;
    // The other holder died before it sent a request, and the spent token's replay window ends.
    harness.advance(PAST_REPLAY_WINDOW);
    assert_eq!(flight.await.unwrap(), RefreshOutcome::Refreshed, "{db}");
    let after = harness.read_grant(&connected.grant).await;
    assert_eq!((after.generation, after.lease), (1, None), "{db}");
    assert_token_works(&harness, &connected).await;
}

#[apply(each_database!)]
async fn token_set_is_committed_to_a_row_that_was_restored_during_its_exchange(database: TestDatabase) {
    let harness = TestService::on(database, slow_provider_options(60)).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    let backup = harness.read_grant(&connected.grant).await;
    harness.provider.control("settings", json!({"access_ttl": 300})).await;
    assert_eq!(spawn_refresh(&harness.service, &connected).await.unwrap(), RefreshOutcome::Refreshed, "{db}");
    let flight = start_held_exchange(&harness, &connected).await;
    harness.restore_grant(&backup).await;
    harness.provider.control("release", json!({})).await;
    assert_eq!(flight.await.unwrap(), RefreshOutcome::Refreshed, "{db}");
    assert_eq!(harness.read_grant(&connected.grant).await.generation, 2, "{db}: the generation that it was sealed for");
    assert_token_works(&harness, &connected).await;
}

#[apply(each_database!)]
async fn shutdown_spools_a_superseded_token_set_for_the_next_start(database: TestDatabase) {
    let (harness, connected, flight) = hold_exchange(database).await;
    let db = harness.database.name;
    lose_lease_and_release(&harness, &connected).await;
    harness.lifecycle.begin_stop();
    assert!(
        matches!(flight.await.unwrap(), RefreshOutcome::Failed(failed) if failed.cause == FailureCause::Busy),
        "{db}"
    );
    assert_eq!(
        (harness.read_grant(&connected.grant).await.generation, harness.service.spooled_count()),
        (0, 1),
        "{db}"
    );
    harness.advance(PAST_REPLAY_WINDOW);
    assert_eq!(harness.second_service().await.replay_spool().await.unwrap(), 1, "{db}");
    assert_eq!(harness.read_grant(&connected.grant).await.generation, 1, "{db}");
}

#[apply(each_database!)]
async fn commit_revives_a_grant_that_another_holder_marked_dead(database: TestDatabase) {
    let (harness, connected, flight) = hold_exchange(database).await;
    let db = harness.database.name;
    // While this process was suspended, another one sent the spent token after the replay window.
    harness.advance(PAST_REPLAY_WINDOW);
    harness.mark_dead_elsewhere().await;
    harness.provider.control("release", json!({})).await;
    assert_eq!(flight.await.unwrap(), RefreshOutcome::Refreshed, "{db}");
    let after = harness.read_grant(&connected.grant).await;
    assert_eq!((after.status, after.generation), (GrantStatus::Active, 1), "{db}");
    assert_eq!(binding_status(&harness, &connected).await, BindingStatus::Active, "{db}");
    assert_token_works(&harness, &connected).await;
}

#[apply(each_database!)]
async fn stale_invalid_grant_changes_nothing(database: TestDatabase) {
    let harness = TestService::on(database, slow_provider_options(60)).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    harness.provider.sandbox.revoke_grant(&connected.minted.refresh_token).unwrap();
    let flight = start_held_exchange(&harness, &connected).await;
    // Xero's refusal is in flight, and another holder has committed first.
    harness.commit_elsewhere().await;
    let before = harness.read_grant(&connected.grant).await;
    harness.provider.control("release", json!({})).await;
    assert_eq!(flight.await.unwrap(), RefreshOutcome::RefreshedElsewhere, "{db}");
    assert_eq!(harness.read_grant(&connected.grant).await, before, "{db}");
    assert_eq!(binding_status(&harness, &connected).await, BindingStatus::Active, "{db}");
    assert_eq!(outcomes(&harness, &connected).await, [Outcome::Superseded], "{db}: the journal keeps it");
}

#[apply(each_database!)]
async fn answer_is_taken_although_a_renewal_hangs(database: TestDatabase) {
    let timeouts = Timeouts { lock: Duration::from_secs(8), ..Timeouts::default() };
    let xero_timeout = Duration::from_secs(5);
    let lease_ttl = Duration::from_secs(2);
    let options = ServiceOptions { timeouts, xero_timeout, lease_ttl, ..ServiceOptions::default() };
    let harness = TestService::on(database, options).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    harness.provider.control("settings", json!({"latency_ms": 2000})).await;
    let flight = spawn_refresh(&harness.service, &connected);
    let is_journaled = async || outcomes(&harness, &connected).await == [Outcome::Running];
    eventually("the attempt", MAX_WAIT, is_journaled).await;
    // The renewals hang for longer than the request may take.
    let lock = HeldLock::on(&harness.database, "integration_grants").await;
    let outcome = within("the exchange", MAX_WAIT, flight).await.unwrap();
    assert!(matches!(outcome, RefreshOutcome::Failed(failed) if failed.cause == FailureCause::Internal), "{db}");
    assert_eq!(harness.service.spooled_count(), 1, "{db}: the answer was thrown away");
    lock.release().await;
    assert_eq!(harness.exchange_count().await, 1, "{db}");
}

#[apply(each_database!)]
async fn request_does_not_leave_if_the_lease_is_lost_while_it_is_journaled(database: TestDatabase) {
    let harness = TestService::on(database, slow_provider_options(60)).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    // The journal's insert takes some fifty milliseconds or more, in which another holder takes the lease over. SQLite cannot
    // wait, so it counts.
    let statement = match harness.database.kind() {
        DatabaseKind::Sqlite => vec![
            "CREATE TRIGGER slow_journal AFTER INSERT ON refresh_attempts BEGIN UPDATE integration_grants \
             SET lease_owner = 'another', lease_until = lease_until + 60 WHERE (WITH RECURSIVE counted (n) AS \
             (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < 1000000) SELECT COUNT(*) FROM counted) > 0; END",
        ],
        DatabaseKind::Postgres => vec![
            "CREATE FUNCTION slow_journal() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             PERFORM pg_sleep(0.1); UPDATE integration_grants \
             SET lease_owner = 'another', lease_until = lease_until + 60; RETURN NEW; END $$",
            "CREATE TRIGGER slow_journal AFTER INSERT ON refresh_attempts FOR EACH ROW EXECUTE FUNCTION slow_journal()",
        ],
    };
    for sql in statement {
        sqlx::query(sql).execute(harness.store.database().pool()).await.unwrap();
    }
    // More than a third of the lease has passed when the journal is written, so it has to be renewed before the request leaves.
    let options = ServiceOptions { lease_ttl: Duration::from_millis(60), ..ServiceOptions::default() };
    let service = harness.second_service_with(options).await;
    let outcome = spawn_refresh(&service, &connected).await.unwrap();
    assert!(matches!(outcome, RefreshOutcome::Failed(failed) if failed.cause == FailureCause::Busy), "{db}");
    assert_eq!(harness.exchange_count().await, 0, "{db}: the request left");
    assert_eq!(outcomes(&harness, &connected).await, [Outcome::Superseded], "{db}");
}
