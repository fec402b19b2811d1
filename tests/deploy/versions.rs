//! Two versions on one database, as while one is rolled out or taken back: real processes, and a schema that a newer
//! Evergrant has brought further.

use std::process::Command;

use serde_json::{Value, json};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, SqlSafeStr as _};

use crate::support::databases::TestDatabase;
use crate::support::plant::Plant;

const SETTINGS: &[(&str, &str)] = &[("EVERGRANT_LEASE_TTL", "1s")];

/// Each of them is read on some page, or by what runs in the background.
const TABLES: [&str; 18] = [
    "organizations",
    "users",
    "memberships",
    "sessions",
    "integration_grants",
    "integration_tenant_bindings",
    "refresh_attempts",
    "oauth_states",
    "instances",
    "outbox",
    "deliveries",
    "webhook_endpoints",
    "alarms",
    "binding_grants",
    "membership_removals",
    "audit_events",
    "api_keys",
    "invitations",
];
/// What Ana looks at, with words that are there only where rows were read.
const PAGES: [(&str, &str); 6] = [
    ("/", "Harbour Coffee"),
    ("/settings/integrations", "Harbour Coffee"),
    ("/activity", "Refreshed"),
    ("/activity?show=changes", "ana@example.com"),
    ("/settings/members", "ana@example.com"),
    ("/settings/notifications", "ana@example.com"),
];

/// What a newer version's first start does to the schema.
async fn newer_version_starts(plant: &Plant, name: &'static str) {
    let added = TABLES.map(|table| format!("ALTER TABLE {table} ADD COLUMN newer BIGINT NOT NULL DEFAULT 0; "));
    let sql = AssertSqlSafe(format!("{} CREATE TABLE newer (id TEXT PRIMARY KEY);", added.concat())).into_sql_str();
    let newer = Migration::new(9999, name.into(), MigrationType::Simple, sql, false);
    let mut migrator = Migrator::with_migrations(vec![newer]);
    migrator.set_ignore_missing(true);
    migrator.run(plant.store.database().pool()).await.unwrap();
}

async fn assert_pages_are_whole(plant: &Plant) {
    for (path, words) in PAGES {
        let page = plant.page(0, path).await;
        assert!(page.contains(words), "{} {path}: {page}", plant.database.name);
    }
}

async fn refresh(plant: &Plant, instance: usize) {
    let report: Value = plant.refresh(instance).send().await.unwrap().json().await.unwrap();
    assert_eq!((&report["success"], &report["refreshedCount"]), (&json!(true), &json!(1)), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_version_goes_on_and_starts_again_beside_a_newer_schema() {
    for database in TestDatabase::each().await {
        let name = database.name;
        let mut plant = Plant::on(database, 1, SETTINGS).await;
        refresh(&plant, 0).await;
        assert_pages_are_whole(&plant).await;
        newer_version_starts(&plant, "moods").await;
        // The one that was running all the time, with statements that it prepared before.
        refresh(&plant, 0).await;
        assert_pages_are_whole(&plant).await;
        // And one that is started again, crashed or taken back.
        plant.instances[0].kill();
        plant.restart(0);
        plant.must_work(0, name).await;
        assert_pages_are_whole(&plant).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_newer_version_changed_what_it_relies_on_an_older_one_refuses_to_start_and_says_what_to_do() {
    for database in TestDatabase::each().await {
        let plant = Plant::on(database, 1, SETTINGS).await;
        newer_version_starts(&plant, "breaking: moods").await;
        for command in ["serve", "migrate"] {
            let mut older = Command::new(env!("CARGO_BIN_EXE_evergrant"));
            older.arg(command).current_dir(plant.spool(0).parent().unwrap()).env_clear();
            older.env("DATABASE_URL", &plant.database.url).env("EVERGRANT_LISTEN", "127.0.0.1:0");
            let output = older.output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{said}");
            assert!(said.contains("newer Evergrant") && said.contains("restore the backup from before"), "{said}");
        }
    }
}
