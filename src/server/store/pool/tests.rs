//! Tests which connections stay ready, and that nobody waits for one in vain.

use futures::future::{join_all, poll_immediate};
use tokio::time::sleep;

use super::*;
use crate::server::store::Database;
use crate::server::store::testing::{each_database, postgres, sqlite};

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

fn ready_count(database: &Database) -> usize {
    database.pool().0.ready.lock().as_ref().map_or(0, Vec::len)
}

async fn read(database: &Database) -> Result<AnyQueryResult, Error> {
    sqlx::query("SELECT retained_from FROM audit_retention").execute(database.pool()).await
}

#[apply(each_database!)]
async fn connection_stays_ready_after_a_statement_that_ended_well_and_after_nothing_else(database: Database) {
    read(&database).await.unwrap();
    assert_eq!(ready_count(&database), 1);
    read(&database).await.unwrap();
    assert_eq!(ready_count(&database), 1, "the same one");

    sqlx::query("SELECT nothing FROM nowhere").execute(database.pool()).await.unwrap_err();
    assert_eq!(ready_count(&database), 0, "its statement failed");
    read(&database).await.unwrap();
    let slow = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 300000) \
                SELECT COUNT(*) FROM numbers";
    let canceled = poll_immediate(sqlx::query(slow).execute(database.pool())).await;
    assert!(canceled.is_none());
    assert_eq!(ready_count(&database), 0, "nobody waited for the end of its statement");
    read(&database).await.unwrap();
    database.begin().await.unwrap().rollback().await.unwrap();
    assert_eq!(ready_count(&database), 0, "it was in a transaction");
    read(&database).await.unwrap();
    drop(database.pool().acquire().await.unwrap());
    assert_eq!(ready_count(&database), 0, "anything may have been done with it");
}

#[apply(each_database!)]
async fn unused_connections_go_back_to_the_pool(database: Database) {
    read(&database).await.unwrap();
    sleep(MAX_READY_IDLE).await;
    let taken = database.pool().take_ready();
    assert!(taken.is_none());
    assert_eq!(ready_count(&database), 0);
}

#[apply(each_database!)]
async fn everybody_gets_a_connection_if_more_ask_than_there_are(database: Database) {
    let work = (0..100).map(|number| {
        let database = database.clone();
        async move {
            for round in 0..5 {
                match (number + round) % 4 {
                    0 => drop(database.pool().acquire().await.unwrap()),
                    1 => database.begin().await.unwrap().rollback().await.unwrap(),
                    2 => _ = sqlx::query("SELECT nothing FROM nowhere").execute(database.pool()).await.unwrap_err(),
                    _ => _ = read(&database).await.unwrap(),
                }
            }
        }
    });
    timeout(LONG, join_all(work)).await.expect("each gets one in its turn");
    let max = usize::try_from(database.pool().max_connections()).unwrap();
    assert_eq!(database.pool().0.permits.available_permits(), max);
}

#[apply(each_database!)]
async fn closing_does_not_wait_for_connections_that_are_ready(database: Database) {
    read(&database).await.unwrap();
    timeout(LONG, database.close()).await.expect("nobody uses a connection");
    assert!(matches!(read(&database).await, Err(Error::PoolClosed)));
}

#[test]
fn database_may_be_dropped_without_a_runtime() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = runtime.block_on(async {
        let database = sqlite().await;
        read(&database).await.unwrap();
        database
    });
    assert_eq!(ready_count(&database), 1);
    drop(runtime);
    drop(database);
}

#[tokio::test]
async fn statements_without_a_pause_between_them_leave_a_server_that_became_read_only() {
    let Some(database) = postgres().await else { return };
    sqlx::query("SET default_transaction_read_only = on").execute(database.pool()).await.unwrap();
    let left = async {
        loop {
            let state: String =
                sqlx::query_scalar("SHOW transaction_read_only").fetch_one(database.pool()).await.unwrap();
            if state == "off" {
                return;
            }
        }
    };
    timeout(LONG, left).await.expect("the connection must be asked while it is in use all the time");
}

#[tokio::test]
async fn transaction_begins_on_a_connection_that_was_asked() {
    let Some(database) = postgres().await else { return };
    let mut admin = AnyConnection::connect(database.url()).await.unwrap();
    let end = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity \
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    for _ in 0..3 {
        read(&database).await.unwrap();
        admin.execute(end).await.unwrap();
        // A statement could meet the closed connection now.
        database.begin().await.unwrap().commit().await.unwrap();
    }
}
