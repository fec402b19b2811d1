//! A server whose machine's clock is wrong, on PostgreSQL: it keeps time by the database's.

use evergrant::server::clock::Clock;
use evergrant::server::startup::{self, StartupError};
use reqwest::StatusCode;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::support::databases::TestDatabase;
use crate::support::test_server::{TestServer, server_config};
use crate::support::wait::{MAX_WAIT, eventually};

#[tokio::test]
async fn server_is_not_ready_while_a_clock_jumps_and_adopts_the_databases() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let server = TestServer::with_clock(database, Clock::system_off_by(120), &[]).await;
    let browser = server.browser();
    assert_eq!(browser.get("/readyz").await.status, StatusCode::OK);
    let right = Clock::system();
    assert!((server.clock.now() - right.now()).abs() <= 1, "{}", server.clock.offset());

    server.clock.advance(-13 * 60 * 60);
    eventually("the jump", MAX_WAIT, async || {
        let page = browser.get("/readyz").await;
        page.status == StatusCode::SERVICE_UNAVAILABLE && page.text.contains("has jumped")
    })
    .await;
    assert!((server.clock.now() - right.now()).abs() <= 1, "{}", server.clock.offset());
}

#[tokio::test]
async fn server_does_not_start_with_a_clock_hours_off() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let (folder, listener) = (TempDir::new().unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let config = server_config(&database, "http://localhost:3000", folder.path(), &[]);
    let clock = Clock::system_off_by(3 * 60 * 60);
    let error = startup::serve(config, clock, listener, std::future::pending()).await.unwrap_err();
    assert!(matches!(error, StartupError::Clock(_)), "{error}");
    assert!(error.to_string().contains("3 hours ahead of the database's"), "{error}");
}
