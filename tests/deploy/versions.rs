//! Two versions on one database, as during a rollout or a rollback: real processes, and a schema that a newer version
//! has migrated.

use std::process::Command;

use evergrant::server::store::DatabaseKind;
use serde_json::{Value, json};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, Row as _, SqlSafeStr as _};

use crate::support::cluster::TestCluster;
use crate::support::databases::TestDatabase;
use crate::support::wait::run;

const SETTINGS: &[(&str, &str)] = &[("EVERGRANT_LEASE_TTL", "2s")];

/// Pages, each with a text that is shown only if rows were read.
const PAGES: [(&str, &str); 6] = [
    ("/", "Harbour Coffee"),
    ("/settings/integrations", "Harbour Coffee"),
    ("/activity", "Refreshed"),
    ("/activity?show=changes", "ana@example.com"),
    ("/settings/members", "ana@example.com"),
    ("/settings/notifications", "ana@example.com"),
];

/// Migrates the schema as the first start of a newer version does, with a new column in every table.
async fn migrate_as_newer_version(cluster: &TestCluster, name: &'static str) {
    let tables = match cluster.database.kind() {
        DatabaseKind::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '%sql%'",
        DatabaseKind::Postgres => {
            "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE '%sql%'"
        }
    };
    let tables = sqlx::query(tables).fetch_all(cluster.store.database().pool()).await.unwrap();
    let tables: Vec<String> = tables.iter().map(|row| row.get(0)).collect();
    assert!(tables.contains(&"integration_grants".to_owned()), "{tables:?}");
    let added: Vec<String> = tables
        .iter()
        .map(|table| format!("ALTER TABLE {table} ADD COLUMN newer BIGINT NOT NULL DEFAULT 0; "))
        .collect();
    let sql = AssertSqlSafe(format!("{} CREATE TABLE newer (id TEXT PRIMARY KEY);", added.concat())).into_sql_str();
    let newer = Migration::new(9999, name.into(), MigrationType::Simple, sql, false);
    let mut migrator = Migrator::with_migrations(vec![newer]);
    migrator.set_ignore_missing(true);
    migrator.run(&mut *cluster.store.database().pool().acquire().await.unwrap()).await.unwrap();
}

async fn assert_pages_have_data(cluster: &TestCluster) {
    for (path, words) in PAGES {
        let page = cluster.page(0, path).await;
        assert!(page.contains(words), "{} {path}: {page}", cluster.database.name);
    }
}

async fn refresh(cluster: &TestCluster, instance: usize) {
    let report: Value = cluster.refresh(instance).send().await.unwrap().json().await.unwrap();
    assert_eq!((&report["success"], &report["refreshedCount"]), (&json!(true), &json!(1)), "{report}");
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_version_runs_and_restarts_on_a_newer_schema(database: TestDatabase) {
    let name = database.name;
    let mut cluster = TestCluster::on(database, 1, SETTINGS).await;
    refresh(&cluster, 0).await;
    assert_pages_have_data(&cluster).await;
    migrate_as_newer_version(&cluster, "moods").await;
    // The running instance, with the statements that it prepared before the migration.
    refresh(&cluster, 0).await;
    assert_pages_have_data(&cluster).await;
    // An instance that is restarted after a crash or a rollback.
    cluster.instances[0].kill();
    cluster.restart(0);
    cluster.assert_ok(0, name).await;
    assert_pages_have_data(&cluster).await;
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_version_refuses_to_start_on_a_breaking_schema_with_advice(database: TestDatabase) {
    let cluster = TestCluster::on(database, 1, SETTINGS).await;
    migrate_as_newer_version(&cluster, "breaking: moods").await;
    for command in ["serve", "migrate"] {
        let mut older = Command::new(env!("CARGO_BIN_EXE_evergrant"));
        older.arg(command).current_dir(cluster.spool(0).parent().unwrap()).env_clear();
        older.env("DATABASE_URL", &cluster.database.url).env("EVERGRANT_LISTEN", "127.0.0.1:0");
        let output = run(older).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("newer Evergrant") && said.contains("restore the backup from before"), "{said}");
    }
}
