//! A database that fails between Xero's response and our commit: the token set is spooled and committed later.

use std::path::Path;

use crate::support::databases::TestDatabase;
use crate::support::test_service::PAST_REPLAY_WINDOW;
use crate::support::wait::{MAX_WAIT, eventually};

use evergrant::model::{Action, AuditView, GrantId, GrantStatus, Outcome, Trigger};
use evergrant::server::domain::{AccessToken, AttemptEnd, RefreshToken, TokenSet};
use evergrant::server::jobs::spool;
use evergrant::server::store::{AuditFilter, DatabaseKind, NewAttempt, Store};
use evergrant::server::tokens::{FailureCause, RefreshOutcome, RefreshRequest, Spool, SpooledRotation};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _};

use crate::support::consents::ConnectedOrg;
use crate::support::test_service::TestService;

async fn execute(store: &Store, statement: &'static str) {
    sqlx::query(statement).execute(store.database().pool()).await.unwrap();
}

/// Runs an exchange whose commit fails: the journal's table is renamed while Xero's response is held.
async fn exchange_that_cannot_commit(harness: &TestService, connected: &ConnectedOrg) -> RefreshOutcome {
    let outage = execute(&harness.store, "ALTER TABLE refresh_attempts RENAME TO refresh_attempts_gone");
    let outcome = exchange_during(harness, connected, outage).await;
    execute(&harness.store, "ALTER TABLE refresh_attempts_gone RENAME TO refresh_attempts").await;
    outcome
}

/// Runs an exchange and breaks the database with `spoil` while Xero's response is held.
async fn exchange_during(
    harness: &TestService,
    connected: &ConnectedOrg,
    outage: impl Future<Output = ()>,
) -> RefreshOutcome {
    // With shutdown requested, only the next start or exchange replays the spool, as after a crash at this point.
    harness.lifecycle.begin_stop();
    harness.provider.control("hold", json!({})).await;
    let (service, grant) = (harness.service.clone(), connected.grant.clone());
    let request = RefreshRequest::automatic(Trigger::Sweep);
    let caller = tokio::spawn(async move { service.refresh_grant_single_flight(&grant, request).await });
    harness.provider.waiting(1).await;
    outage.await;
    harness.provider.control("release", json!({})).await;
    caller.await.unwrap()
}

#[apply(each_database!)]
async fn uncommitted_token_set_is_spooled_sealed_and_replayed_at_the_next_start(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    let outcome = exchange_that_cannot_commit(&harness, &connected).await;
    assert!(
        matches!(&outcome, RefreshOutcome::Failed(failed) if failed.cause == FailureCause::Internal),
        "{db}: {outcome:?}"
    );
    assert_eq!(harness.read_grant(&connected.grant).await.generation, 0, "{db}");
    assert_eq!(harness.service.spooled_count(), 1, "{db}");

    let files: Vec<_> = std::fs::read_dir(harness.spool.path()).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{db}");
    let text = std::fs::read_to_string(&files[0]).unwrap();
    assert!(text.contains("v1.test.") && !text.contains(&connected.minted.refresh_token), "{db}: not sealed");

    // After the replay window the stored token is invalid and only the spooled one works.
    harness.advance(PAST_REPLAY_WINDOW);
    let next_start = harness.second_service().await;
    assert_eq!(next_start.replay_spool().await.unwrap(), 1, "{db}");
    let after = harness.read_grant(&connected.grant).await;
    assert_eq!((after.generation, after.status), (1, GrantStatus::Active), "{db}");
    let attempts = harness.store.attempts_of_binding(&connected.org, &connected.bindings[0], 9).await.unwrap();
    assert_eq!(attempts.len(), 1, "{db}");
    assert_eq!(attempts[0].outcome, Outcome::Refreshed, "{db}: the replay must finish the attempt");
    assert!(attempts[0].correlation_id.is_some(), "{db}: Xero's correlation id is missing");
    assert!(Spool::open(harness.spool.path()).unwrap().is_empty(), "{db}: the spool file was not removed");
    let outcome =
        next_start.refresh_grant_single_flight(&connected.grant, RefreshRequest::automatic(Trigger::Sweep)).await;
    assert_eq!(outcome, RefreshOutcome::Refreshed, "{db}: the spooled token must work");
}

/// Returns the actors and connections of the events of commits from the spool.
async fn recoveries(harness: &TestService, connected: &ConnectedOrg) -> Vec<(String, String)> {
    let filter = AuditFilter { action: Action::GrantRecovered.as_str(), ..AuditFilter::default() };
    let events = harness.store.audit_events(Some(&connected.org), filter, None, 9).await.unwrap();
    let connections =
        |event: &AuditView| event.detail.iter().find(|(name, _)| name == "connections").unwrap().1.clone();
    events.iter().map(|event| (event.actor.clone(), connections(event))).collect()
}

#[apply(each_database!)]
async fn commit_from_the_spool_is_recorded_once_and_never_waits_for_the_audit_log(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour", "kauri"], 60).await;
    exchange_that_cannot_commit(&harness, &connected).await;
    let file = std::fs::read_dir(harness.spool.path()).unwrap().next().unwrap().unwrap().path();
    let kept = std::fs::read(&file).unwrap();

    execute(&harness.store, "ALTER TABLE audit_events RENAME TO audit_events_gone").await;
    assert_eq!(harness.service.replay_spool().await.unwrap(), 1, "{db}");
    assert_eq!(harness.read_grant(&connected.grant).await.generation, 1, "{db}: the token set waited for its event");
    assert_eq!(harness.service.spooled_count(), 0, "{db}");
    execute(&harness.store, "ALTER TABLE audit_events_gone RENAME TO audit_events").await;
    harness.service.rescan_spool().await;
    let recovered = [("Evergrant".to_owned(), "Harbour Coffee, Kauri Joinery".to_owned())];
    assert_eq!(recoveries(&harness, &connected).await, recovered, "{db}");

    // As after a crash between the commit and the removal of the file, and at an instance that shares the folder.
    std::fs::write(&file, kept).unwrap();
    let next_start = harness.second_service().await;
    next_start.replay_spool().await.unwrap();
    harness.service.rescan_spool().await;
    assert!(!file.exists(), "{db}");
    assert_eq!(recoveries(&harness, &connected).await, recovered, "{db}: recorded twice");
}

/// Exchanges a grant and spools its new tokens, as a command that ended before the database recovered.
pub async fn spool_as_a_command(store: &Store, grant: &GrantId, tokens: &TokenSet, folder: &Path) {
    let until = store.clock().now() + 60;
    let lease = store.acquire_lease(grant, "command", until).await.unwrap().unwrap();
    let lease = store.start_attempt(&lease, NewAttempt::by(Trigger::Cli)).await.unwrap();
    let rotation = store.seal_rotation(&lease, tokens).unwrap();
    let end = AttemptEnd::refreshed(Some(200), None);
    Spool::open(folder).unwrap().insert(&SpooledRotation::of(&lease, rotation, end)).unwrap();
}

/// Exchanges the grant in another process, which spools its new tokens.
async fn exchange_and_spool_as_a_command(harness: &TestService, connected: &ConnectedOrg) {
    let (_, answer) = harness.provider.refresh(&connected.minted.refresh_token).await;
    let text = |name: &str| answer[name].as_str().unwrap();
    let tokens = TokenSet {
        access_token: AccessToken::new(text("access_token")),
        refresh_token: RefreshToken::new(text("refresh_token")),
        expires_at: harness.clock.now() + 1800,
        scopes: String::new(),
    };
    spool_as_a_command(&harness.store, &connected.grant, &tokens, harness.spool.path()).await;
}

#[apply(each_database!)]
async fn running_server_replays_token_sets_spooled_by_another_process(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    let server = tokio::spawn(spool::run(harness.service.clone(), harness.lifecycle.stopping().clone()));
    assert_eq!(harness.service.spooled_count(), 0, "{db}");

    exchange_and_spool_as_a_command(&harness, &connected).await;

    let is_committed = async || harness.read_grant(&connected.grant).await.generation == 1;
    eventually("the commit", MAX_WAIT, is_committed).await;
    harness.lifecycle.begin_stop();
    server.await.unwrap();
    assert!(Spool::open(harness.spool.path()).unwrap().is_empty(), "{db}: the spool file was not removed");
    harness.advance(PAST_REPLAY_WINDOW);
    let outcome =
        harness.service.refresh_grant_single_flight(&connected.grant, RefreshRequest::automatic(Trigger::Sweep)).await;
    assert_eq!(outcome, RefreshOutcome::Refreshed, "{db}: the spooled token must work");
}

#[apply(each_database!)]
async fn no_request_is_sent_without_a_journal_line(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    execute(&harness.store, "ALTER TABLE refresh_attempts RENAME TO refresh_attempts_gone").await;
    let refresh =
        || harness.service.refresh_grant_single_flight(&connected.grant, RefreshRequest::automatic(Trigger::Sweep));
    let outcome = refresh().await;
    assert!(
        matches!(&outcome, RefreshOutcome::Failed(failed) if failed.cause == FailureCause::Internal),
        "{db}: {outcome:?}"
    );
    assert_eq!(harness.exchange_count().await, 0, "{db}");
    assert_eq!(harness.read_grant(&connected.grant).await.lease, None, "{db}: the lease was not released");
    execute(&harness.store, "ALTER TABLE refresh_attempts_gone RENAME TO refresh_attempts").await;
    assert_eq!(refresh().await, RefreshOutcome::Refreshed, "{db}");
}

/// Makes all connections read-only or writable, as after a read-only remount or a failover to a standby. On PostgreSQL
/// also those that replace a pooled one.
async fn set_read_only(harness: &TestService, read_only: bool) {
    let database = harness.store.database();
    let statement = match (database.kind(), read_only) {
        (DatabaseKind::Sqlite, true) => "PRAGMA query_only = ON",
        (DatabaseKind::Sqlite, false) => "PRAGMA query_only = OFF",
        (DatabaseKind::Postgres, true) => "SET default_transaction_read_only = on",
        (DatabaseKind::Postgres, false) => "SET default_transaction_read_only = off",
    };
    let mut all = Vec::new();
    for _ in 0..database.pool().max_connections() {
        let mut connection = database.pool().acquire().await.unwrap();
        sqlx::query(statement).execute(&mut *connection).await.unwrap();
        all.push(connection);
    }
    if database.kind() == DatabaseKind::Postgres {
        let (server, name) = harness.database.url.rsplit_once('/').unwrap();
        let mut admin = sqlx::AnyConnection::connect(&format!("{server}/postgres")).await.unwrap();
        let alter = format!("ALTER DATABASE {name} {statement}");
        sqlx::query(AssertSqlSafe(alter)).execute(&mut admin).await.unwrap();
    }
}

#[apply(each_database!)]
async fn token_set_is_committed_when_a_read_only_database_is_writable_again(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    let outcome = exchange_during(&harness, &connected, set_read_only(&harness, true)).await;
    assert!(
        matches!(&outcome, RefreshOutcome::Failed(failed) if failed.cause == FailureCause::Internal),
        "{db}: {outcome:?}"
    );
    assert_eq!(harness.read_grant(&connected.grant).await.generation, 0, "{db}: the row must be unchanged");
    assert_eq!(harness.service.spooled_count(), 1, "{db}");
    assert!(harness.service.replay_spool().await.is_err(), "{db}: still read-only");
    let bound = harness.store.binding(&connected.org, &connected.bindings[0]).await.unwrap().unwrap();
    let served = harness.service.get_token_for(bound, 0).await;
    let served = served.unwrap_or_else(|error| panic!("{db}: {error}"));
    assert!(served.expires_at > harness.clock.now(), "{db}: the valid token must be served");
    let waiting = Spool::inspect(harness.spool.path()).unwrap().grants;
    let database_id = harness.store.database().id().map(str::to_owned);
    assert_eq!(waiting, [(connected.grant.clone(), database_id)], "{db}: the file names its database");

    set_read_only(&harness, false).await;
    assert_eq!(harness.service.replay_spool().await.unwrap(), 1, "{db}");
    assert_eq!((harness.service.spooled_count(), harness.exchange_count().await), (0, 1), "{db}");
    assert_eq!(harness.read_grant(&connected.grant).await.generation, 1, "{db}");
}

#[apply(each_database!)]
async fn next_refresh_replays_the_spool_before_an_exchange(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    exchange_that_cannot_commit(&harness, &connected).await;
    let outcome =
        harness.service.refresh_grant_single_flight(&connected.grant, RefreshRequest::automatic(Trigger::Sweep)).await;
    assert_eq!(outcome, RefreshOutcome::NotDue, "{db}: the spooled token is fresh");
    assert_eq!(harness.exchange_count().await, 1, "{db}");
    assert_eq!(harness.read_grant(&connected.grant).await.generation, 1, "{db}");
}

#[apply(each_database!)]
async fn next_refresh_finds_what_another_process_has_just_spooled(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    exchange_and_spool_as_a_command(&harness, &connected).await;
    let outcome =
        harness.service.refresh_grant_single_flight(&connected.grant, RefreshRequest::automatic(Trigger::Sweep)).await;
    assert_eq!(outcome, RefreshOutcome::NotDue, "{db}: the spooled token is fresh");
    assert_eq!((harness.exchange_count().await, harness.service.spooled_count()), (1, 0), "{db}");
    assert_eq!(harness.read_grant(&connected.grant).await.generation, 1, "{db}");
}

#[apply(each_database!)]
async fn spooled_token_set_newer_than_a_restored_row_is_committed(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    let backup = harness.read_grant(&connected.grant).await;
    harness.provider.control("settings", json!({"access_ttl": 300})).await;
    let outcome =
        harness.service.refresh_grant_single_flight(&connected.grant, RefreshRequest::automatic(Trigger::Sweep)).await;
    assert_eq!(outcome, RefreshOutcome::Refreshed, "{db}");
    exchange_that_cannot_commit(&harness, &connected).await;
    assert_eq!(
        (harness.read_grant(&connected.grant).await.generation, harness.service.spooled_count()),
        (1, 1),
        "{db}"
    );

    harness.restore_grant(&backup).await;
    harness.advance(PAST_REPLAY_WINDOW);
    let next_start = harness.second_service().await;
    assert_eq!(next_start.replay_spool().await.unwrap(), 1, "{db}");
    assert_eq!(harness.read_grant(&connected.grant).await.generation, 2, "{db}: the generation that it was sealed for");
    let outcome =
        next_start.refresh_grant_single_flight(&connected.grant, RefreshRequest::automatic(Trigger::Sweep)).await;
    assert_eq!(outcome, RefreshOutcome::Refreshed, "{db}: the spooled token must work");
}

#[apply(each_database!)]
async fn spooled_rotation_of_an_unknown_grant_or_database_is_kept(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    set_read_only(&harness, false).await;
    let outcome = exchange_during(&harness, &connected, set_read_only(&harness, true)).await;
    assert!(matches!(outcome, RefreshOutcome::Failed(_)), "{db}: {outcome:?}");
    set_read_only(&harness, false).await;
    let file = std::fs::read_dir(harness.spool.path()).unwrap().next().unwrap().unwrap().path();
    let ours = std::fs::read_to_string(&file).unwrap();
    let grant = connected.grant.as_str();
    let database_id = harness.store.database().id().unwrap();

    // Of a grant that a restore has not brought back yet, and of a database that this server doesn't use.
    for (name, text) in [
        ("unknown grant", ours.replace(grant, "2c5c3f6e-0000-4000-8000-000000000000")),
        ("another database", ours.replace(database_id, "another-database")),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("kept.json"), text).unwrap();
        let spool = Spool::open(folder.path()).unwrap();
        assert_eq!(spool.replay_all(&harness.store).await.unwrap(), 0, "{db}: {name}");
        assert_eq!((spool.len(), spool.misplaced_len()), (1, 1), "{db}: {name}");
        assert!(folder.path().join("kept.json").exists(), "{db}: {name}: the file was deleted");
    }
    assert_eq!(harness.read_grant(&connected.grant).await.generation, 0, "{db}: another database's set was committed");

    // The row exists: its rotation is committed.
    assert_eq!(harness.service.replay_spool().await.unwrap(), 1, "{db}");

    // Another database's set of the same grant holds up nothing here.
    std::fs::write(&file, ours.replace(database_id, "another-database")).unwrap();
    let asked = harness.service.refresh_grant_single_flight(&connected.grant, RefreshRequest::cli().forced()).await;
    assert!(matches!(asked, RefreshOutcome::Refreshed), "{db}: {asked:?}");
    assert!(file.exists(), "{db}: the other database's file was deleted");

    // The row has moved on: its old rotation is let go.
    std::fs::write(&file, ours).unwrap();
    let spool = Spool::open(harness.spool.path()).unwrap();
    assert_eq!((spool.replay_all(&harness.store).await.unwrap(), spool.len()), (0, 0), "{db}");
    assert!(!file.exists(), "{db}: a superseded file stays");
}

#[apply(each_database!)]
async fn spooled_token_set_waits_for_a_held_lease(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    exchange_that_cannot_commit(&harness, &connected).await;
    // Another holder sends the spent token.
    harness.steal_lease(harness.clock.now() + 60).await;
    let held = harness.read_grant(&connected.grant).await;
    assert_eq!(harness.service.replay_spool().await.unwrap(), 0, "{db}");
    assert_eq!(harness.service.spooled_count(), 1, "{db}");
    assert_eq!(harness.read_grant(&connected.grant).await, held, "{db}: the row must be unchanged");
    harness.advance(60);
    assert_eq!(harness.service.replay_spool().await.unwrap(), 1, "{db}");
    assert_eq!(harness.read_grant(&connected.grant).await.generation, 1, "{db}");
    assert_eq!(harness.service.spooled_count(), 0, "{db}");
}
