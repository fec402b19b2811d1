//! `evergrant doctor`.

use std::os::unix::fs::PermissionsExt as _;

use evergrant::model::Trigger;
use evergrant::server::store::NewAttempt;
use serde_json::Value;
use tokio::net::TcpListener;

use super::{Place, Said};
use crate::support::databases::TestDatabase;

/// One check of a report: its verdict, and everything it says.
fn check(report: &Value, name: &str) -> (String, String) {
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name} in {report}"));
    let text = format!("{} {}", check["found"].as_str().unwrap(), check["toDo"].as_str().unwrap_or_default());
    (check["verdict"].as_str().unwrap().to_owned(), text)
}

/// The check's verdict and words; the rest of the report is as it should be.
fn assert_only(said: &Said, name: &str, verdict: &str, words: &[&str]) {
    let report = said.json();
    let (got, text) = check(&report, name);
    assert_eq!(got, verdict, "{report}");
    for word in words {
        assert!(text.contains(word), "{name}: {text}");
    }
    assert_eq!(report["verdict"], verdict, "{report}");
    assert_eq!(said.code, Some(i32::from(verdict == "fail")), "{}", said.all);
    let others = report["checks"].as_array().unwrap().iter().filter(|check| check["name"] != name);
    for other in others {
        assert_eq!(other["verdict"], "ok", "{report}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_clerk_knows_people_its_side_is_looked_at_too() {
    let place = Place::on(TestDatabase::sqlite()).await;
    // Nobody listens at port 9, so that its keys can't be had.
    let settings = [("EVERGRANT_AUTH", "clerk"), ("CLERK_PUBLISHABLE_KEY", "pk_test_MTI3LjAuMC4xOjkk")];
    let report = place.run_with(&["doctor", "--json"], &settings).await.json();
    let (verdict, text) = check(&report, "Clerk");
    assert!(verdict == "fail" && text.contains("127.0.0.1:9") && text.contains("CLERK_JWT_KEY"), "{text}");
    assert_eq!(check(&report, "Clerk's webhooks").0, "warn");
    assert_eq!(check(&report, "Clerk's parties").0, "ok");
    let foreign = [settings[0], settings[1], ("CLERK_AUTHORIZED_PARTIES", "https://elsewhere.example")];
    let report = place.run_with(&["doctor", "--json"], &foreign).await.json();
    assert_eq!(check(&report, "Clerk's parties").0, "fail");

    let add = ["user", "add", "--email", "ann@example.com", "--password", "correct horse battery"];
    let said = place.run_with(&add, &settings).await;
    assert!(said.code == Some(1) && said.all.contains("invite them there"), "{}", said.all);
    let said = place.run_with(&["user", "add", "--email", "a@b.c"], &[settings[0]]).await;
    assert!(said.code == Some(2) && said.all.contains("needs CLERK_PUBLISHABLE_KEY"), "{}", said.all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_healthy_set_up_passes_every_check() {
    for database in TestDatabase::each().await {
        let place = Place::on(database).await;
        let shop = place.connect("Corner Shop", &["southerly"], 1800).await;
        let said = place.run(&["doctor", "--json"]).await;
        let report = said.json();
        assert_eq!((said.code, &report["verdict"]), (Some(0), &Value::from("ok")), "{}", said.all);
        let names: Vec<&str> =
            report["checks"].as_array().unwrap().iter().map(|check| check["name"].as_str().unwrap()).collect();
        let wanted = [
            "settings",
            "data directory",
            "key file",
            "database",
            "key ring",
            "keys in use",
            "sealed texts",
            "attempts",
            "grants",
            "spool",
            "Xero",
            "clock",
        ];
        assert_eq!(names, wanted);
        assert!(check(&report, "database").1.contains(place.database.name), "{report}");
        assert!(check(&report, "grants").1.starts_with("1 active, 0 of them failing; 0 to be reconnected"), "{report}");

        let people = place.run(&["doctor"]).await;
        assert!(people.code == Some(0) && people.out.starts_with("ok    settings "), "{}", people.all);
        assert_eq!(people.out.lines().count(), wanted.len(), "{}", people.out);
        for said in [said, people] {
            said.assert_free_of_secrets(&[&shop]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_do_not_fit_are_named() {
    for database in TestDatabase::each().await {
        let place = Place::on(database).await;
        let shop = place.connect("Corner Shop", &["southerly"], 1800).await;
        let other = format!("other:{}=", "I".repeat(43));
        let said = place.run_with(&["doctor", "--json"], &[("EVERGRANT_KEYS", &other)]).await;
        assert_only(&said, "key ring", "fail", &["sealed with key test", shop.grant.as_str(), "Bring back the keys"]);
        assert!(!said.all.contains(&other[6..]), "{}", said.all);

        // Without any: the lost file is named, and none is made in its place.
        let said = place.run_with(&["doctor", "--json"], &[("EVERGRANT_KEYS", "")]).await;
        assert_only(&said, "key ring", "fail", &["data/keys isn't there", "Bring back the keys"]);
        assert!(!place.folder.path().join("data/keys").exists());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_was_moved_is_named_with_its_grant() {
    for database in TestDatabase::each().await {
        let place = Place::on(database).await;
        let shop = place.connect("Corner Shop", &["southerly"], 1800).await;
        sqlx::query("UPDATE integration_grants SET access_token_enc = refresh_token_enc")
            .execute(place.store.database().pool())
            .await
            .unwrap();
        let said = place.run(&["doctor", "--json"]).await;
        assert_only(&said, "sealed texts", "fail", &[shop.grant.as_str(), "doesn't open", "have a person reconnect"]);
        said.assert_free_of_secrets(&[&shop]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_that_are_apart_are_noticed() {
    for (ahead, verdict) in [(90, "warn"), (900, "fail")] {
        let place = Place::with(TestDatabase::sqlite(), |options| options.clock_ahead = ahead).await;
        let said = place.run(&["doctor", "--json"]).await;
        assert_only(&said, "clock", verdict, &["seconds behind Xero's", "NTP"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_is_away_or_is_none_fails_with_what_to_do() {
    let place = Place::on(TestDatabase::sqlite()).await;
    // Nobody listens there once this has been let go.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let away = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let said = place.run_with(&["doctor", "--json"], &[("XERO_IDENTITY_URL", &away)]).await;
    assert_only(&said, "Xero", "fail", &[&away, "can't be reached (connect)", "Check XERO_IDENTITY_URL"]);

    let elsewhere = format!("{}/elsewhere", place.provider.base);
    let said = place.run_with(&["doctor", "--json"], &[("XERO_IDENTITY_URL", &elsewhere)]).await;
    assert_only(&said, "Xero", "fail", &["isn't Xero (http_404)"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_crash_leaves_and_what_grows_old_is_counted() {
    const DAY: i64 = 24 * 60 * 60;
    for database in TestDatabase::each().await {
        let place = Place::on(database).await;
        let shop = place.connect("Corner Shop", &["southerly"], 1800).await;
        let pool = place.store.database().pool();
        let new =
            NewAttempt { grant_id: &shop.grant, generation: 0, trigger: Trigger::Sweep, actor: None, trace_id: None };
        place.store.begin_attempt(&new).await.unwrap();
        let now = place.clock.now();
        sqlx::query("UPDATE refresh_attempts SET started_at = $1").bind(now - 120).execute(pool).await.unwrap();
        let said = place.run(&["doctor", "--json"]).await;
        assert_only(&said, "attempts", "warn", &["1 exchange began", shop.grant.as_str(), "grants refresh --grant"]);
        sqlx::query("DELETE FROM refresh_attempts").execute(pool).await.unwrap();

        for (days, verdict, to_do) in [(47, "warn", "--all-due"), (56, "fail", "sixty days")] {
            sqlx::query("UPDATE integration_grants SET refresh_token_issued_at = $1")
                .bind(now - days * DAY)
                .execute(pool)
                .await
                .unwrap();
            let said = place.run(&["doctor", "--json"]).await;
            assert_only(&said, "grants", verdict, &[to_do, shop.grant.as_str()]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_can_read_and_what_waits_is_warned_about() {
    let place = Place::on(TestDatabase::sqlite()).await;
    let data = place.folder.path().join("data");
    let allow = |mode| std::fs::set_permissions(&data, std::fs::Permissions::from_mode(mode)).unwrap();
    allow(0o755);
    let said = place.run(&["doctor", "--json"]).await;
    assert_only(&said, "data directory", "warn", &["mode 0755", "chmod 700 data"]);
    allow(0o700);

    std::fs::create_dir(data.join("spool")).unwrap();
    std::fs::write(data.join("spool/g.json"), "{").unwrap();
    let said = place.run(&["doctor", "--json"]).await;
    assert_only(&said, "spool", "warn", &["1 file can't be read", "data/spool/g.json"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn looking_changes_nothing_and_settings_that_do_not_fit_are_a_finding() {
    let place = Place::on(TestDatabase::sqlite()).await;
    let empty = [("EVERGRANT_DATA_DIR", "elsewhere"), ("DATABASE_URL", ""), ("EVERGRANT_KEYS", "")];
    let sandbox = [("XERO_CLIENT_ID", ""), ("XERO_CLIENT_SECRET", "")];
    let said = place.run_with(&["doctor", "--json"], &[empty.as_slice(), &sandbox].concat()).await;
    assert_only(&said, "database", "warn", &["none yet", "evergrant migrate"]);
    assert!(check(&said.json(), "Xero").1.contains("Sandbox mode"), "{}", said.all);
    assert!(!place.folder.path().join("elsewhere").exists());

    let half = place.run_with(&["doctor", "--json"], &[("XERO_CLIENT_SECRET", "")]).await;
    assert_only(&half, "settings", "fail", &["XERO_CLIENT_SECRET isn't set"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_is_named_without_its_password() {
    let place = Place::on(TestDatabase::sqlite()).await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let away = format!("postgres://evergrant:hunter2@{}/evergrant", free.local_addr().unwrap());
    drop(free);
    let said = place.run_with(&["doctor", "--json"], &[("DATABASE_URL", &away)]).await;
    assert_only(&said, "database", "fail", &["refused", "Check DATABASE_URL"]);
    assert!(!said.all.contains("hunter2"), "{}", said.all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_that_does_not_fit_is_told_with_what_to_do() {
    for database in TestDatabase::each().await {
        let place = Place::on(database).await;
        let pool = place.store.database().pool();
        let later = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                     SELECT 999999, 'more columns', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1";
        sqlx::query(later).execute(pool).await.unwrap();
        let said = place.run(&["doctor", "--json"]).await;
        assert_only(&said, "database", "warn", &["has only added", "install it here too"]);
        let breaking = "UPDATE _sqlx_migrations SET description = 'breaking: tokens' WHERE version = 999999";
        sqlx::query(breaking).execute(pool).await.unwrap();
        let said = place.run(&["doctor", "--json"]).await;
        assert_only(&said, "database", "fail", &["can't work with", "Install", "restore"]);
        sqlx::query("DELETE FROM _sqlx_migrations").execute(pool).await.unwrap();
        let said = place.run(&["doctor", "--json"]).await;
        assert_only(&said, "database", "fail", &["older than this Evergrant", "evergrant migrate"]);
    }
}
