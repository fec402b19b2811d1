//! Tests of `evergrant grants retry`.

use evergrant::model::{BindingStatus, GrantStatus};
use serde_json::json;

use super::OperatorEnv;
use super::grants::run_without_table;
use crate::support::databases::TestDatabase;

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retry_brings_back_a_grant_and_its_bindings(database: TestDatabase) {
    let env = OperatorEnv::on(database).await;
    let shop = env.connect("Corner Shop", &["southerly"], 60).await;
    let refuse = json!({ "endpoint": "token", "kind": "invalid_grant", "times": 2 });
    env.provider.inject_fault(refuse).await;
    assert_eq!(env.run(&["grants", "refresh", "--org", "Corner Shop"]).await.code, Some(1));
    let status = async || env.store.grant(&shop.grant).await.unwrap().unwrap().status;
    assert_eq!(status().await, GrantStatus::RefreshFailed);

    let refused = env.run(&["grants", "retry", "--grant", shop.grant.as_str()]).await;
    assert_eq!((refused.code, status().await), (Some(1), GrantStatus::RefreshFailed), "{}", refused.combined);
    assert!(refused.stdout.contains("failed. Xero refused the stored token again"), "{}", refused.combined);

    let works = env.run(&["grants", "retry", "--all", "--json"]).await;
    assert_eq!((works.code, status().await), (Some(0), GrantStatus::Active), "{}", works.combined);
    assert_eq!(works.json()["grants"][0]["outcome"], "refreshed");
    let bound = env.store.binding(&shop.org, &shop.bindings[0]).await.unwrap().unwrap();
    assert_eq!(bound.binding.status, BindingStatus::Active);

    let nothing = env.run(&["grants", "retry", "--all"]).await;
    assert!(nothing.code == Some(0) && nothing.stdout.contains("nothing to retry"), "{}", nothing.combined);
    let wrong = env.run(&["grants", "retry", "--grant", shop.grant.as_str()]).await;
    assert!(wrong.code == Some(1) && wrong.combined.contains("Xero hasn't refused grant"), "{}", wrong.combined);
    for output in [refused, works, nothing, wrong] {
        output.assert_contains_no_secrets(&[&shop]);
    }
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retried_token_set_that_is_committed_later_counts_as_working(database: TestDatabase) {
    let env = OperatorEnv::on(database).await;
    let shop = env.connect("Corner Shop", &["southerly"], 60).await;
    env.provider.inject_fault(json!({ "endpoint": "token", "kind": "invalid_grant" })).await;
    assert_eq!(env.run(&["grants", "refresh", "--org", "Corner Shop"]).await.code, Some(1));

    // The end of the attempt cannot be written with the tokens; the tokens alone can.
    let output = run_without_table(&env, &["grants", "retry", "--all"], "refresh_attempts").await;
    assert!(output.code == Some(0) && output.stdout.contains("works again."), "{}", output.combined);
    let grant = env.store.grant(&shop.grant).await.unwrap().unwrap();
    assert_eq!((grant.status, grant.generation), (GrantStatus::Active, 1));
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn held_refusals_are_listed_and_end_by_the_operators_word(database: TestDatabase) {
    let env = OperatorEnv::on(database).await;
    let mut all = Vec::new();
    for org in ["One", "Two"] {
        all.push(env.connect(org, &["harbour"], 60).await);
    }
    env.provider.inject_fault(json!({ "endpoint": "token", "kind": "invalid_grant", "times": 99 })).await;
    let refreshed = env.run(&["grants", "refresh", "--all-due"]).await;
    assert_eq!(refreshed.code, Some(1), "{}", refreshed.combined);

    let listed = env.run(&["grants", "list"]).await;
    assert_eq!(listed.stdout.matches("refused, held").count(), 2, "{}", listed.stdout);
    let doctor = env.run(&["doctor"]).await;
    assert!(doctor.stdout.contains("Xero refuses 2 grants of 2 organizations"), "{}", doctor.combined);

    let held = env.run(&["grants", "retry", "--all"]).await;
    assert!(held.stdout.contains("Nothing was disconnected"), "{}", held.combined);
    let ended = env.run(&["grants", "retry", "--org", "Two", "--accept-refusals"]).await;
    assert_eq!(ended.code, Some(1), "{}", ended.combined);
    let statuses = futures::future::join_all(all.iter().map(async |one| env.store.grant(&one.grant).await)).await;
    let statuses: Vec<GrantStatus> = statuses.into_iter().map(|row| row.unwrap().unwrap().status).collect();
    assert_eq!(statuses, [GrantStatus::Active, GrantStatus::RefreshFailed]);

    // The one that ended says nothing about the other one.
    let listed = env.run(&["grants", "list"]).await;
    assert_eq!(listed.stdout.matches("refused, held").count(), 1, "{}", listed.stdout);
    let doctor = env.run(&["doctor"]).await;
    assert!(
        doctor.stdout.contains("Xero refuses 1 grant of 1 organization, and none is ended yet"),
        "{}",
        doctor.stdout
    );
}
