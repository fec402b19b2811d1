//! Servers that start at the same moment on an empty database: what a first start does is done once, and all start.

use evergrant::server::clock::Clock;
use evergrant::server::startup;
use evergrant::server::store::{Database, StoreError};
use futures::future::join_all;
use reqwest::StatusCode;
use sqlx::Row as _;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::support::databases::TestDatabase;
use crate::support::http::test_client;
use crate::support::test_server::keyless_config;
use crate::support::wait::{MAX_WAIT, eventually};

/// How many servers start at once, in one round after another.
const ROUNDS: [usize; 10] = [2, 2, 2, 2, 2, 2, 2, 2, 8, 8];

async fn open_and_migrate(url: String) -> Result<(), StoreError> {
    let database = Database::connect(&url).await?;
    database.migrate().await?;
    database.close().await;
    Ok(())
}

/// Starts a server in sandbox mode, with everything that a first start creates, and stops it when it is ready.
async fn serve_until_ready(database: &TestDatabase, data_dir: &TempDir) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let config = keyless_config(database, &base, data_dir.path(), &[]);
    let stop = CancellationToken::new();
    let running = tokio::spawn(startup::serve(config, Clock::system(), listener, stop.clone().cancelled_owned()));
    let client = test_client();
    let is_ready = async || {
        assert!(!running.is_finished(), "{}: a server did not start", database.name);
        let ready = client.get(format!("{base}/readyz")).send().await;
        ready.is_ok_and(|ready| ready.status() == StatusCode::OK)
    };
    eventually("the start of the server", MAX_WAIT, is_ready).await;
    stop.cancel();
    running.await.unwrap().unwrap();
}

async fn count(database: &Database, table: &str) -> i64 {
    let statement = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
    sqlx::query(statement).fetch_one(database.pool()).await.unwrap().get(0)
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn empty_database_is_migrated_once_by_servers_that_start_at_once(database: TestDatabase) {
    for servers in ROUNDS {
        let empty = database.empty_sibling().await;
        let starts = join_all((0..servers).map(|_| tokio::spawn(open_and_migrate(empty.url.clone()))));
        for started in starts.await {
            started.unwrap().unwrap_or_else(|error| panic!("{}, {servers} at once: {error}", database.name));
        }
    }
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn servers_that_start_at_once_with_one_data_directory_share_its_files_and_the_demo(database: TestDatabase) {
    let name = database.name;
    for servers in [2, 8] {
        let (empty, data_dir) = (database.empty_sibling().await, TempDir::new().unwrap());
        join_all((0..servers).map(|_| serve_until_ready(&empty, &data_dir))).await;
        let store = empty.open().await;
        assert_eq!((count(&store, "users").await, count(&store, "organizations").await), (1, 2), "{name}");
        store.close().await;
        // The key file of the first has opened what it sealed for all the others, or they had not started.
        serve_until_ready(&empty, &data_dir).await;
        let files = std::fs::read_dir(data_dir.path()).unwrap();
        let left = files.filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().contains(".new"));
        assert_eq!(left.count(), 0, "{name}: temporary files are left");
    }
}
