//! Tests of `evergrant grants list` and `evergrant grants refresh`.

use evergrant::model::GrantStatus;
use serde_json::json;
use sqlx::AssertSqlSafe;

use super::{CommandOutput, OperatorEnv};
use crate::support::databases::TestDatabase;

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grants_are_listed_as_a_table_and_as_json(database: TestDatabase) {
    let env = OperatorEnv::on(database).await;
    let empty = env.run(&["grants", "list"]).await;
    assert!(empty.code == Some(0) && empty.stdout.contains("There are no grants"), "{}", empty.combined);

    let harbour = env.connect("Harbour Group", &["harbour"], 1730).await;
    let shop = env.connect("Corner Shop", &["southerly"], -5).await;
    env.provider.inject_fault(json!({ "endpoint": "token", "kind": "status", "status": 503 })).await;
    assert_eq!(env.run(&["grants", "refresh", "--all-due"]).await.code, Some(1));

    let table = env.run(&["grants", "list"]).await;
    assert_eq!(table.code, Some(0), "{}", table.combined);
    let lines: Vec<&str> = table.stdout.lines().collect();
    assert!(lines[0].starts_with("GRANT ") && lines[0].ends_with("LAST ERROR"), "{}", table.stdout);
    let has = |line: &str, words: &[&str]| words.iter().all(|word| line.contains(word));
    assert!(has(lines[1], &[shop.grant.as_str(), "Corner Shop", "failing", "expired", "0 d old", "Xero isn't"]));
    assert!(has(lines[2], &[harbour.grant.as_str(), "Harbour Group", "active", "28 min"]), "{}", table.stdout);
    assert_eq!(lines.len(), 3);

    let listed = env.run(&["grants", "list", "--json"]).await;
    let grants = &listed.json()["grants"];
    assert_eq!(grants[0]["grantId"], shop.grant.as_str());
    assert_eq!((&grants[0]["failureCount"], &grants[0]["status"]), (&json!(1), &json!("active")));
    assert!(grants[0]["nextAttemptAt"].is_i64() && grants[0]["troubledAt"].is_i64(), "{grants}");
    assert_eq!(grants[1]["accessTokenExpiresAt"], harbour.minted.expires_at);
    assert_eq!(grants[1]["orgId"], harbour.org.as_str());
    assert_eq!(grants[1]["tenants"].as_array().unwrap().len(), 1);

    let one = env.run(&["grants", "list", "--org", "Harbour Group", "--json"]).await;
    assert_eq!(one.json()["grants"].as_array().unwrap().len(), 1);
    let none = env.run(&["grants", "list", "--org", "Nobody"]).await;
    assert!(none.code == Some(1) && none.combined.contains("no organization called Nobody"), "{}", none.combined);
    for output in [table, listed, one] {
        output.assert_contains_no_secrets(&[&harbour, &shop]);
    }
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refresh_reports_failed_grants_and_ignores_backoff(database: TestDatabase) {
    let env = OperatorEnv::on(database).await;
    let harbour = env.connect("Harbour Group", &["harbour"], 1800).await;
    let shop = env.connect("Corner Shop", &["southerly"], 60).await;
    let generation = async |id| env.store.grant(id).await.unwrap().unwrap().generation;

    // A failure with a long Retry-After.
    let fault = json!({ "endpoint": "token", "kind": "status", "status": 503, "retry_after": 600 });
    env.provider.inject_fault(fault).await;
    let failed = env.run(&["grants", "refresh", "--all-due"]).await;
    assert_eq!(failed.code, Some(1), "{}", failed.combined);
    let line = format!("Corner Shop (grant {}): failed. Xero isn't answering.", shop.grant);
    assert!(failed.stdout.starts_with(&line), "{}", failed.combined);
    assert!(failed.combined.contains("evergrant: 1 of 1 grant couldn't be refreshed"), "{}", failed.combined);
    assert!(
        !failed.combined.contains(harbour.grant.as_str()),
        "a grant that is not due is not refreshed: {}",
        failed.combined
    );
    let waiting = env.store.grant(&shop.grant).await.unwrap().unwrap().next_attempt_at.unwrap();
    assert!(waiting > env.clock.now() + 500);

    let passed = env.run(&["grants", "refresh", "--all-due", "--json"]).await;
    assert_eq!(passed.code, Some(0), "{}", passed.combined);
    let grants = passed.json()["grants"].clone();
    assert_eq!((&grants[0]["outcome"], &grants[0]["grantId"]), (&json!("refreshed"), &json!(shop.grant)));
    assert_eq!((generation(&shop.grant).await, generation(&harbour.grant).await), (1, 0));
    let again = env.run(&["grants", "refresh", "--all-due"]).await;
    assert!(again.code == Some(0) && again.stdout.contains("nothing to refresh"), "{}", again.combined);

    // A grant that is named need not be due.
    let one = env.run(&["grants", "refresh", "--grant", harbour.grant.as_str()]).await;
    assert!(one.code == Some(0) && one.stdout.contains("refreshed."), "{}", one.combined);
    let org = env.run(&["grants", "refresh", "--org", "Harbour Group"]).await;
    assert_eq!((org.code, generation(&harbour.grant).await), (Some(0), 2), "{}", org.combined);
    let attempts = env.store.attempts_of_binding(&harbour.org, &harbour.bindings[0], 10).await.unwrap();
    assert!(attempts.iter().all(|attempt| attempt.trigger.as_str() == "cli"), "{attempts:?}");

    let unknown = env.run(&["grants", "refresh", "--grant", "no-such"]).await;
    assert!(unknown.code == Some(1) && unknown.combined.contains("there is no grant no-such"), "{}", unknown.combined);
    for output in [failed, passed, one, org] {
        output.assert_contains_no_secrets(&[&harbour, &shop]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grant_that_ended_at_xero_is_reported_as_needing_reconnection() {
    let env = OperatorEnv::on(TestDatabase::sqlite()).await;
    let shop = env.connect("Corner Shop", &["southerly"], 60).await;
    let (sandbox, token) = (env.provider.sandbox.clone(), shop.minted.refresh_token.clone());
    tokio::task::spawn_blocking(move || sandbox.revoke_grant(&token)).await.unwrap().unwrap();
    for _ in 0..2 {
        let output = env.run(&["grants", "refresh", "--org", "Corner Shop", "--json"]).await;
        assert_eq!(output.code, Some(1), "{}", output.combined);
        let grant = output.json()["grants"][0].clone();
        assert_eq!(grant["outcome"], "failed");
        assert!(grant["error"].as_str().unwrap().contains("Reconnect"), "{grant}");
    }
    assert_eq!(env.store.grant(&shop.grant).await.unwrap().unwrap().status, GrantStatus::RefreshFailed);
    let table = env.run(&["grants", "list"]).await;
    assert!(table.stdout.contains("needs reconnecting"), "{}", table.stdout);
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_refresh_commands_make_one_exchange(database: TestDatabase) {
    let env = OperatorEnv::on(database).await;
    let shop = env.connect("Corner Shop", &["southerly"], 60).await;
    env.provider.control("hold", json!({})).await;
    let arguments = ["grants", "refresh", "--all-due"];
    let commands = async { tokio::join!(env.run(&arguments), env.run(&arguments), env.run(&arguments)) };
    let release = async {
        env.provider.waiting(1).await;
        env.provider.control("release", json!({})).await;
    };
    let ((first, second, third), ()) = tokio::join!(commands, release);
    for output in [first, second, third] {
        assert_eq!(output.code, Some(0), "{}: {}", env.database.name, output.combined);
    }
    assert_eq!(env.provider.exchange_count().await, 1);
    assert_eq!(env.store.grant(&shop.grant).await.unwrap().unwrap().generation, 1);
}

/// Runs a command that sends a token. `table` is missing from the moment Xero receives the request.
pub async fn run_without_table(env: &OperatorEnv, arguments: &[&str], table: &str) -> CommandOutput {
    env.provider.control("hold", json!({})).await;
    let refresh = env.run(arguments);
    let breaking = async {
        env.provider.waiting(1).await;
        rename_table(env, table, "gone").await;
        env.provider.control("release", json!({})).await;
    };
    tokio::join!(refresh, breaking).0
}

pub async fn rename_table(env: &OperatorEnv, from: &str, to: &str) {
    let statement = format!("ALTER TABLE {from} RENAME TO {to}");
    sqlx::query(AssertSqlSafe(statement)).execute(env.store.database().pool()).await.unwrap();
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_set_committed_at_a_later_attempt_counts_as_refreshed(database: TestDatabase) {
    let env = OperatorEnv::on(database).await;
    let shop = env.connect("Corner Shop", &["southerly"], 60).await;
    // The end of the attempt cannot be written with the tokens; the tokens alone can.
    let output = run_without_table(&env, &["grants", "refresh", "--all-due"], "refresh_attempts").await;
    assert!(output.code == Some(0) && output.stdout.contains("refreshed."), "{}", output.combined);
    assert_eq!(env.store.grant(&shop.grant).await.unwrap().unwrap().generation, 1);
    output.assert_contains_no_secrets(&[&shop]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uncommitted_token_set_is_spooled_and_committed_by_the_next_command() {
    let env = OperatorEnv::on(TestDatabase::sqlite()).await;
    let shop = env.connect("Corner Shop", &["southerly"], 60).await;
    let output = run_without_table(&env, &["grants", "refresh", "--all-due"], "integration_grants").await;
    assert!(
        output.code == Some(1) && output.combined.contains("a token set is waiting in data/spool"),
        "{}",
        output.combined
    );
    rename_table(&env, "gone", "integration_grants").await;
    assert_eq!(env.store.grant(&shop.grant).await.unwrap().unwrap().generation, 0);

    let again = env.run(&["grants", "refresh", "--all-due"]).await;
    assert!(again.code == Some(0) && again.stdout.contains("nothing to refresh"), "{}", again.combined);
    assert_eq!(env.store.grant(&shop.grant).await.unwrap().unwrap().generation, 1);
    assert_eq!(env.provider.exchange_count().await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refresh_in_sandbox_mode_requires_the_server_and_journals_nothing_without_it() {
    let env = OperatorEnv::on(TestDatabase::sqlite()).await;
    let shop = env.connect("Corner Shop", &["southerly"], 60).await;
    let sandbox = [("XERO_CLIENT_ID", ""), ("XERO_CLIENT_SECRET", ""), ("EVERGRANT_LISTEN", "127.0.0.1:0")];
    let output = env.run_with_settings(&["grants", "refresh", "--all-due"], &sandbox).await;
    assert!(output.code == Some(1) && output.combined.contains("start evergrant serve first"), "{}", output.combined);
    let attempts = env.store.attempts_of_binding(&shop.org, &shop.bindings[0], 10).await.unwrap();
    assert!(attempts.is_empty());
}
