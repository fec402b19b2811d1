//! A server that starts while its database can't be used: it listens at once, says what it waits for, and goes on by
//! itself.

use std::net::TcpListener as StdListener;
use std::process::Command;

use evergrant::server::store::DatabaseKind;
use reqwest::StatusCode;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use crate::sandbox::Provider;
use crate::support::databases::TestDatabase;
use crate::support::instance::Instance;
use crate::support::locks::HeldLock;
use crate::support::wait::{MAX_WAIT, eventually, run};

async fn get(provider: &Provider, instance: &Instance, path: &str) -> (StatusCode, String) {
    let answer = provider.client.get(format!("{}{path}", instance.base)).send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

/// Asserts that the server is alive, becomes unready for this reason, and answers everything else with 503.
async fn assert_waits(provider: &Provider, instance: &Instance, reason: &str) {
    assert_eq!(get(provider, instance, "/healthz").await, (StatusCode::OK, "ok\n".to_owned()));
    let expected = (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n"));
    eventually(reason, MAX_WAIT, async || get(provider, instance, "/readyz").await == expected).await;
    let (status, page) = get(provider, instance, "/login").await;
    assert_eq!((status, page.contains("is starting")), (StatusCode::SERVICE_UNAVAILABLE, true), "{page}");
    let (status, problem) = get(provider, instance, "/api/v1/bindings").await;
    let problem: Value = serde_json::from_str(&problem).unwrap();
    assert_eq!((status, problem["status"].as_u64()), (StatusCode::SERVICE_UNAVAILABLE, Some(503)));
}

async fn assert_starts(provider: &Provider, instance: &Instance) {
    let is_ready = async || get(provider, instance, "/readyz").await == (StatusCode::OK, "ready\n".to_owned());
    eventually("the start", MAX_WAIT, is_ready).await;
    assert_eq!(get(provider, instance, "/login").await.0, StatusCode::OK);
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_waits_for_a_locked_database_and_goes_on_by_itself(database: TestDatabase) {
    let (provider, data) = (Provider::start().await, TempDir::new().unwrap());
    let lock = HeldLock::on(&database, "instances").await;
    let instance = Instance::start_listening(&database.url, &provider, data.path(), &[]);
    assert_waits(&provider, &instance, "another transaction has locked the database").await;
    lock.release().await;
    assert_starts(&provider, &instance).await;
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_ends_a_server_that_waits_for_its_database(database: TestDatabase) {
    let (provider, data) = (Provider::start().await, TempDir::new().unwrap());
    let _lock = HeldLock::on(&database, "instances").await;
    // Longer than the test runs: a server that serves nothing has nothing to drain.
    let settings = [("EVERGRANT_DRAIN", "5m")];
    let mut instance = Instance::start_listening(&database.url, &provider, data.path(), &settings);
    assert_eq!(get(&provider, &instance, "/healthz").await.0, StatusCode::OK);
    instance.send_sigterm();
    assert!(instance.wait_for_exit().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_waits_for_a_database_that_is_not_reachable_yet() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let (provider, data) = (Provider::start().await, TempDir::new().unwrap());
    let address = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (start, name) = database.url.rsplit_once('/').unwrap();
    let (user, server) = start.rsplit_once('@').unwrap();
    let instance = Instance::start_listening(&format!("{user}@{address}/{name}"), &provider, data.path(), &[]);
    assert_waits(&provider, &instance, "the database can't be reached").await;

    let (listener, server) = (TcpListener::bind(address).await.unwrap(), server.to_owned());
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut database = TcpStream::connect(&server).await.unwrap();
            tokio::spawn(async move { copy_bidirectional(&mut client, &mut database).await });
        }
    });
    assert_starts(&provider, &instance).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_waits_for_a_database_that_does_not_answer() {
    let (provider, data) = (Provider::start().await, TempDir::new().unwrap());
    // The kernel accepts its connections, and nobody reads what they send.
    let silent = StdListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://evergrant@{}/evergrant", silent.local_addr().unwrap());
    let instance = Instance::start_listening(&url, &provider, data.path(), &[]);
    assert_waits(&provider, &instance, "the database does not answer").await;
}

#[apply(each_database!)]
async fn wrong_database_ends_the_start_at_once(database: TestDatabase) {
    let data = TempDir::new().unwrap();
    let url = match database.kind() {
        DatabaseKind::Sqlite => format!("sqlite://{}", data.path().display()),
        DatabaseKind::Postgres => format!("{}_missing", database.url),
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_evergrant"));
    command.current_dir(data.path()).env_clear().env("DATABASE_URL", url).env("EVERGRANT_LISTEN", "127.0.0.1:0");
    let output = run(command).await;
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{}: {error}", database.name);
}
