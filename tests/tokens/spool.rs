//! A database that breaks between Xero's answer and our commit: the token set is kept, and comes back.

use std::time::Duration;

use evergrant::model::{GrantStatus, Trigger};
use evergrant::server::domain::{AccessToken, RefreshToken, TokenSet};
use evergrant::server::store::{AttemptEnd, Kind, NewAttempt, Store};
use evergrant::server::tokens::{Ask, Kept, Landed, Spool, Why};
use serde_json::json;

use crate::support::keeper::{Connected, Keeper};

async fn run(store: &Store, statement: &'static str) {
    sqlx::query(statement).execute(store.database().pool()).await.unwrap();
}

/// Takes the journal's table away between Xero's answer and our commit, and puts it back afterwards.
async fn exchange_that_cannot_commit(keeper: &Keeper, connected: &Connected) -> Landed {
    let spoil = run(&keeper.store, "ALTER TABLE refresh_attempts RENAME TO refresh_attempts_gone");
    let landed = exchange_while(keeper, connected, spoil).await;
    run(&keeper.store, "ALTER TABLE refresh_attempts_gone RENAME TO refresh_attempts").await;
    landed
}

/// Spoils the database between Xero's answer and our commit.
async fn exchange_while(keeper: &Keeper, connected: &Connected, spoil: impl Future<Output = ()>) -> Landed {
    // Shutting down already, so that only the next start or flight replays: what a crash right here looks like.
    keeper.stopping.cancel();
    keeper.provider.control("hold", json!({})).await;
    let (service, grant) = (keeper.service.clone(), connected.grant.clone());
    let ask = Ask::automatic(Trigger::Sweep);
    let caller = tokio::spawn(async move { service.refresh_grant_single_flight(&grant, ask).await });
    keeper.provider.waiting(1).await;
    spoil.await;
    keeper.provider.control("release", json!({})).await;
    caller.await.unwrap()
}

#[tokio::test]
async fn a_token_set_that_could_not_be_written_is_kept_sealed_and_put_in_place_at_the_next_start() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour"], 60).await;
        let landed = exchange_that_cannot_commit(&keeper, &connected).await;
        assert!(matches!(&landed, Landed::Failed(failed) if failed.why == Why::Internal), "{db}: {landed:?}");
        assert_eq!(keeper.read(&connected.grant).await.generation, 0, "{db}");
        assert_eq!(keeper.service.spooled(), 1, "{db}");

        let files: Vec<_> = std::fs::read_dir(keeper.spool.path()).unwrap().map(|file| file.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "{db}");
        let text = std::fs::read_to_string(&files[0]).unwrap();
        assert!(text.contains("v1.test.") && !text.contains(&connected.minted.refresh_token), "{db}: unsealed");

        // Past the grace, so that the stored token is worthless and only the kept one counts.
        keeper.advance(31 * 60);
        let next_start = keeper.another().await;
        assert_eq!(next_start.replay_spool().await.unwrap(), 1, "{db}");
        let after = keeper.read(&connected.grant).await;
        assert_eq!((after.generation, after.status), (1, GrantStatus::Active), "{db}");
        let attempts = keeper.store.attempts_of_binding(&connected.org, &connected.bindings[0], 9).await.unwrap();
        assert_eq!(attempts.len(), 1, "{db}");
        assert_eq!(attempts[0].outcome.as_deref(), Some("refreshed"), "{db}: its attempt ends with it");
        assert!(attempts[0].correlation_id.is_some(), "{db}: with Xero's correlation id");
        assert!(Spool::open(keeper.spool.path()).unwrap().is_empty(), "{db}: its file stays behind");
        let landed = next_start.refresh_grant_single_flight(&connected.grant, Ask::automatic(Trigger::Sweep)).await;
        assert_eq!(landed, Landed::Exchanged, "{db}: the kept token works");
    }
}

#[tokio::test]
async fn a_running_server_takes_in_what_another_process_left_in_its_folder() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour"], 60).await;
        let server = tokio::spawn(keeper.service.clone().tend_spool());
        assert_eq!(keeper.service.spooled(), 0, "{db}");

        // A command's process, say, which ended before the database came back.
        let held =
            keeper.store.take_lease(&connected.grant, "command", keeper.clock.now() + 60).await.unwrap().unwrap();
        let new = NewAttempt { grant_id: &held.id, generation: 0, trigger: Trigger::Cli, actor: None, trace_id: None };
        let attempt = keeper.store.begin_attempt(&new).await.unwrap();
        let (_, answer) = keeper.provider.refresh(&connected.minted.refresh_token).await;
        let text = |name: &str| answer[name].as_str().unwrap();
        let tokens = TokenSet {
            access_token: AccessToken::new(text("access_token")),
            refresh_token: RefreshToken::new(text("refresh_token")),
            expires_at: keeper.clock.now() + 1800,
            scopes: String::new(),
        };
        let rotation = keeper.store.seal_rotation(&held, &tokens).unwrap();
        let end = AttemptEnd { outcome: "refreshed", error_code: None, http_status: Some(200), correlation_id: None };
        Spool::open(keeper.spool.path()).unwrap().keep(&Kept { rotation, attempt, end }).unwrap();

        while keeper.read(&connected.grant).await.generation == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        keeper.stopping.cancel();
        server.await.unwrap();
        assert!(Spool::open(keeper.spool.path()).unwrap().is_empty(), "{db}: its file stays behind");
        keeper.advance(31 * 60);
        let landed = keeper.service.refresh_grant_single_flight(&connected.grant, Ask::automatic(Trigger::Sweep)).await;
        assert_eq!(landed, Landed::Exchanged, "{db}: the kept token works");
    }
}

#[tokio::test]
async fn what_cannot_be_journalled_is_not_sent() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour"], 60).await;
        run(&keeper.store, "ALTER TABLE refresh_attempts RENAME TO refresh_attempts_gone").await;
        let refresh = || keeper.service.refresh_grant_single_flight(&connected.grant, Ask::automatic(Trigger::Sweep));
        let landed = refresh().await;
        assert!(matches!(&landed, Landed::Failed(failed) if failed.why == Why::Internal), "{db}: {landed:?}");
        assert_eq!(keeper.exchanges().await, 0, "{db}");
        assert_eq!(keeper.read(&connected.grant).await.lease, None, "{db}: nobody has to wait for it");
        run(&keeper.store, "ALTER TABLE refresh_attempts_gone RENAME TO refresh_attempts").await;
        assert_eq!(refresh().await, Landed::Exchanged, "{db}");
    }
}

/// Whether the pool's connections may only read, as where the disk was mounted read-only after a fault or a fail-over
/// left us with a standby.
async fn read_only(store: &Store, read_only: bool) {
    let database = store.database();
    let statement = match (database.kind(), read_only) {
        (Kind::Sqlite, true) => "PRAGMA query_only = ON",
        (Kind::Sqlite, false) => "PRAGMA query_only = OFF",
        (Kind::Postgres, true) => "SET default_transaction_read_only = on",
        (Kind::Postgres, false) => "SET default_transaction_read_only = off",
    };
    let mut all = Vec::new();
    for _ in 0..database.pool().options().get_max_connections() {
        let mut connection = database.pool().acquire().await.unwrap();
        sqlx::query(statement).execute(&mut *connection).await.unwrap();
        all.push(connection);
    }
}

#[tokio::test]
async fn a_database_that_turns_read_only_during_an_exchange_takes_its_token_set_once_it_can() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour"], 60).await;
        let landed = exchange_while(&keeper, &connected, read_only(&keeper.store, true)).await;
        assert!(matches!(&landed, Landed::Failed(failed) if failed.why == Why::Internal), "{db}: {landed:?}");
        assert_eq!(keeper.read(&connected.grant).await.generation, 0, "{db}: it is read as before");
        assert_eq!(keeper.service.spooled(), 1, "{db}");
        assert!(keeper.service.replay_spool().await.is_err(), "{db}: still read-only");
        let served = keeper.service.get_token_for_tenant_binding(&connected.bindings[0], &connected.org, 0).await;
        let served = served.unwrap_or_else(|error| panic!("{db}: {error}"));
        assert!(served.expires_at > keeper.clock.now(), "{db}: the valid one is served");
        assert_eq!(Spool::look(keeper.spool.path()).unwrap().grants, std::slice::from_ref(&connected.grant), "{db}");

        read_only(&keeper.store, false).await;
        assert_eq!(keeper.service.replay_spool().await.unwrap(), 1, "{db}");
        assert_eq!((keeper.service.spooled(), keeper.exchanges().await), (0, 1), "{db}");
        assert_eq!(keeper.read(&connected.grant).await.generation, 1, "{db}");
    }
}

#[tokio::test]
async fn the_next_flight_puts_a_kept_token_set_in_place_before_it_asks_xero() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour"], 60).await;
        exchange_that_cannot_commit(&keeper, &connected).await;
        let landed = keeper.service.refresh_grant_single_flight(&connected.grant, Ask::automatic(Trigger::Sweep)).await;
        assert_eq!(landed, Landed::Fresh, "{db}: the kept one is fresh");
        assert_eq!(keeper.exchanges().await, 1, "{db}");
        assert_eq!(keeper.read(&connected.grant).await.generation, 1, "{db}");
    }
}

#[tokio::test]
async fn a_kept_token_set_that_is_newer_than_a_restored_row_is_put_in_place() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour"], 60).await;
        let backup = keeper.read(&connected.grant).await;
        keeper.provider.control("settings", json!({"access_ttl": 300})).await;
        let landed = keeper.service.refresh_grant_single_flight(&connected.grant, Ask::automatic(Trigger::Sweep)).await;
        assert_eq!(landed, Landed::Exchanged, "{db}");
        exchange_that_cannot_commit(&keeper, &connected).await;
        assert_eq!((keeper.read(&connected.grant).await.generation, keeper.service.spooled()), (1, 1), "{db}");

        let restore = "UPDATE integration_grants SET generation = 0, access_token_enc = $1, refresh_token_enc = $2, \
                       lease_owner = NULL, lease_until = NULL WHERE id = $3";
        let restore = sqlx::query(restore).bind(&backup.sealed.access).bind(&backup.sealed.refresh);
        restore.bind(connected.grant.as_str()).execute(keeper.store.database().pool()).await.unwrap();
        run(&keeper.store, "DELETE FROM refresh_attempts").await;
        keeper.advance(31 * 60);
        let next_start = keeper.another().await;
        assert_eq!(next_start.replay_spool().await.unwrap(), 1, "{db}");
        assert_eq!(keeper.read(&connected.grant).await.generation, 2, "{db}: what it was sealed for");
        let landed = next_start.refresh_grant_single_flight(&connected.grant, Ask::automatic(Trigger::Sweep)).await;
        assert_eq!(landed, Landed::Exchanged, "{db}: the kept token works");
    }
}
