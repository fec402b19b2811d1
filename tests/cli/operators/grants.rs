//! `evergrant grants list|refresh`.

use evergrant::model::GrantStatus;
use serde_json::json;
use sqlx::AssertSqlSafe;

use super::{Place, Said};
use crate::support::databases::TestDatabase;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grants_are_listed_for_people_and_for_programs() {
    for database in TestDatabase::each().await {
        let place = Place::on(database).await;
        let empty = place.run(&["grants", "list"]).await;
        assert!(empty.code == Some(0) && empty.out.contains("There is no grant"), "{}", empty.all);

        let harbour = place.connect("Harbour Group", &["harbour"], 1730).await;
        let shop = place.connect("Corner Shop", &["southerly"], -5).await;
        place.provider.control("faults", json!({ "endpoint": "token", "kind": "status", "status": 503 })).await;
        assert_eq!(place.run(&["grants", "refresh", "--all-due"]).await.code, Some(1));

        let table = place.run(&["grants", "list"]).await;
        assert_eq!(table.code, Some(0), "{}", table.all);
        let lines: Vec<&str> = table.out.lines().collect();
        assert!(lines[0].starts_with("GRANT ") && lines[0].ends_with("LAST ERROR"), "{}", table.out);
        let has = |line: &str, words: &[&str]| words.iter().all(|word| line.contains(word));
        assert!(has(lines[1], &[shop.grant.as_str(), "Corner Shop", "failing", "ended", "0 d old", "Xero isn't"]));
        assert!(has(lines[2], &[harbour.grant.as_str(), "Harbour Group", "active", "28 min"]), "{}", table.out);
        assert_eq!(lines.len(), 3);

        let listed = place.run(&["grants", "list", "--json"]).await;
        let grants = &listed.json()["grants"];
        assert_eq!(grants[0]["grantId"], shop.grant.as_str());
        assert_eq!((&grants[0]["failureCount"], &grants[0]["status"]), (&json!(1), &json!("active")));
        assert!(grants[0]["nextAttemptAt"].is_i64() && grants[0]["troubledAt"].is_i64(), "{grants}");
        assert_eq!(grants[1]["accessTokenExpiresAt"], harbour.minted.expires_at);
        assert_eq!(grants[1]["orgId"], harbour.org.as_str());
        assert_eq!(grants[1]["tenants"].as_array().unwrap().len(), 1);

        let one = place.run(&["grants", "list", "--org", "Harbour Group", "--json"]).await;
        assert_eq!(one.json()["grants"].as_array().unwrap().len(), 1);
        let none = place.run(&["grants", "list", "--org", "Nobody"]).await;
        assert!(none.code == Some(1) && none.all.contains("no organisation called Nobody"), "{}", none.all);
        for said in [table, listed, one] {
            said.assert_free_of_secrets(&[&harbour, &shop]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_names_what_failed_and_passes_the_back_off() {
    for database in TestDatabase::each().await {
        let place = Place::on(database).await;
        let harbour = place.connect("Harbour Group", &["harbour"], 1800).await;
        let shop = place.connect("Corner Shop", &["southerly"], 60).await;
        let generation = async |id| place.store.grant(id).await.unwrap().unwrap().generation;

        // One that asks for a long wait.
        let fault = json!({ "endpoint": "token", "kind": "status", "status": 503, "retry_after": 600 });
        place.provider.control("faults", fault).await;
        let failed = place.run(&["grants", "refresh", "--all-due"]).await;
        assert_eq!(failed.code, Some(1), "{}", failed.all);
        let line = format!("Corner Shop (grant {}): failed. Xero isn't answering.", shop.grant);
        assert!(failed.out.starts_with(&line), "{}", failed.all);
        assert!(failed.all.contains("evergrant: 1 of 1 grant couldn't be refreshed"), "{}", failed.all);
        assert!(!failed.all.contains(harbour.grant.as_str()), "what isn't due is left alone: {}", failed.all);
        let waiting = place.store.grant(&shop.grant).await.unwrap().unwrap().next_attempt_at.unwrap();
        assert!(waiting > place.clock.now() + 500);

        let passed = place.run(&["grants", "refresh", "--all-due", "--json"]).await;
        assert_eq!(passed.code, Some(0), "{}", passed.all);
        let grants = passed.json()["grants"].clone();
        assert_eq!((&grants[0]["outcome"], &grants[0]["grantId"]), (&json!("refreshed"), &json!(shop.grant)));
        assert_eq!((generation(&shop.grant).await, generation(&harbour.grant).await), (1, 0));
        let again = place.run(&["grants", "refresh", "--all-due"]).await;
        assert!(again.code == Some(0) && again.out.contains("nothing to refresh"), "{}", again.all);

        // Asked for by name, it need not be due.
        let one = place.run(&["grants", "refresh", "--grant", harbour.grant.as_str()]).await;
        assert!(one.code == Some(0) && one.out.contains("refreshed."), "{}", one.all);
        let org = place.run(&["grants", "refresh", "--org", "Harbour Group"]).await;
        assert_eq!((org.code, generation(&harbour.grant).await), (Some(0), 2), "{}", org.all);
        let attempts = place.store.attempts_of_binding(&harbour.org, &harbour.bindings[0], 10).await.unwrap();
        assert!(attempts.iter().all(|attempt| attempt.trigger == "cli"), "{attempts:?}");

        let unknown = place.run(&["grants", "refresh", "--grant", "no-such"]).await;
        assert!(unknown.code == Some(1) && unknown.all.contains("there is no grant no-such"), "{}", unknown.all);
        for said in [failed, passed, one, org] {
            said.assert_free_of_secrets(&[&harbour, &shop]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_that_xero_ended_is_said_to_need_a_person() {
    let place = Place::on(TestDatabase::sqlite()).await;
    let shop = place.connect("Corner Shop", &["southerly"], 60).await;
    let (sandbox, token) = (place.provider.sandbox.clone(), shop.minted.refresh_token.clone());
    tokio::task::spawn_blocking(move || sandbox.forget_grant(&token)).await.unwrap().unwrap();
    for _ in 0..2 {
        let said = place.run(&["grants", "refresh", "--org", "Corner Shop", "--json"]).await;
        assert_eq!(said.code, Some(1), "{}", said.all);
        let grant = said.json()["grants"][0].clone();
        assert_eq!(grant["outcome"], "failed");
        assert!(grant["error"].as_str().unwrap().contains("reconnect"), "{grant}");
    }
    assert_eq!(place.store.grant(&shop.grant).await.unwrap().unwrap().status, GrantStatus::RefreshFailed);
    let table = place.run(&["grants", "list"]).await;
    assert!(table.out.contains("needs reconnecting"), "{}", table.out);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_commands_at_once_make_one_exchange() {
    for database in TestDatabase::each().await {
        let place = Place::on(database).await;
        let shop = place.connect("Corner Shop", &["southerly"], 60).await;
        place.provider.control("hold", json!({})).await;
        let arguments = ["grants", "refresh", "--all-due"];
        let commands = async { tokio::join!(place.run(&arguments), place.run(&arguments), place.run(&arguments)) };
        let release = async {
            place.provider.waiting(1).await;
            place.provider.control("release", json!({})).await;
        };
        let ((first, second, third), ()) = tokio::join!(commands, release);
        for said in [first, second, third] {
            assert_eq!(said.code, Some(0), "{}: {}", place.database.name, said.all);
        }
        let ledger = place.provider.ledger().await;
        assert_eq!(ledger.iter().filter(|entry| entry["grant_type"] == "refresh_token").count(), 1);
        assert_eq!(place.store.grant(&shop.grant).await.unwrap().unwrap().generation, 1);
    }
}

/// Refreshes what is due while the database lacks a table from the moment that Xero was asked.
async fn refresh_without(place: &Place, table: &str) -> Said {
    place.provider.control("hold", json!({})).await;
    let refresh = place.run(&["grants", "refresh", "--all-due"]);
    let break_it = async {
        place.provider.waiting(1).await;
        rename(place, table, "gone").await;
        place.provider.control("release", json!({})).await;
    };
    tokio::join!(refresh, break_it).0
}

pub async fn rename(place: &Place, from: &str, to: &str) {
    let statement = format!("ALTER TABLE {from} RENAME TO {to}");
    sqlx::query(AssertSqlSafe(statement)).execute(place.store.database().pool()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_set_that_the_database_takes_at_a_later_try_counts_as_refreshed() {
    for database in TestDatabase::each().await {
        let place = Place::on(database).await;
        let shop = place.connect("Corner Shop", &["southerly"], 60).await;
        // The journal's end can't be written beside the tokens; the tokens alone can.
        let said = refresh_without(&place, "refresh_attempts").await;
        assert!(said.code == Some(0) && said.out.contains("refreshed."), "{}", said.all);
        assert_eq!(place.store.grant(&shop.grant).await.unwrap().unwrap().generation, 1);
        said.assert_free_of_secrets(&[&shop]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_set_that_the_database_does_not_take_waits_for_the_next_command() {
    let place = Place::on(TestDatabase::sqlite()).await;
    let shop = place.connect("Corner Shop", &["southerly"], 60).await;
    let said = refresh_without(&place, "integration_grants").await;
    assert!(said.code == Some(1) && said.all.contains("a token set waits in data/spool"), "{}", said.all);
    rename(&place, "gone", "integration_grants").await;
    assert_eq!(place.store.grant(&shop.grant).await.unwrap().unwrap().generation, 0);

    let again = place.run(&["grants", "refresh", "--all-due"]).await;
    assert!(again.code == Some(0) && again.out.contains("nothing to refresh"), "{}", again.all);
    assert_eq!(place.store.grant(&shop.grant).await.unwrap().unwrap().generation, 1);
    let ledger = place.provider.ledger().await;
    assert_eq!(ledger.iter().filter(|entry| entry["grant_type"] == "refresh_token").count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_sandbox_mode_a_refresh_wants_the_server_and_journals_nothing_without_it() {
    let place = Place::on(TestDatabase::sqlite()).await;
    let shop = place.connect("Corner Shop", &["southerly"], 60).await;
    let sandbox = [("XERO_CLIENT_ID", ""), ("XERO_CLIENT_SECRET", ""), ("EVERGRANT_LISTEN", "127.0.0.1:0")];
    let said = place.run_with(&["grants", "refresh", "--all-due"], &sandbox).await;
    assert!(said.code == Some(1) && said.all.contains("start evergrant serve first"), "{}", said.all);
    let attempts = place.store.attempts_of_binding(&shop.org, &shop.bindings[0], 10).await.unwrap();
    assert!(attempts.is_empty());
}
