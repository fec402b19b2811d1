//! Tests of the migrations: what they may do, what they do to a database with rows, and how schemas compare.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::migrate::{Migrate as _, MigrateError};
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _};

use super::*;
use crate::server::store::testing::{each_database, empty_database};

#[test]
fn migration_only_adds_or_is_marked_breaking() {
    let adds = |sql: &str| {
        let sql = sql.to_uppercase();
        let statements = sql.split(';').map(|one| one.lines().filter(|line| !line.trim_start().starts_with("--")));
        statements.map(|lines| lines.collect::<Vec<_>>().join(" ")).all(|one| {
            let demands = one.contains("ADD COLUMN") && one.contains("NOT NULL") && !one.contains("DEFAULT");
            let takes = ["DROP TABLE", "DROP COLUMN", "RENAME", "ALTER COLUMN", "SET NOT NULL"];
            !demands && !takes.iter().any(|take| one.contains(take))
        })
    };
    assert!(!adds("ALTER TABLE users ADD COLUMN age BIGINT NOT NULL;") && !adds("x; Alter table a rename to b"));
    for (version, name, sql) in MIGRATIONS {
        for kind in [DatabaseKind::Sqlite, DatabaseKind::Postgres] {
            assert!(adds(migration_sql(*version, sql, kind)) || name.contains(BREAKING), "{version} {name}");
        }
    }
}

#[apply(each_database!)]
async fn schema_state_distinguishes_older_and_newer_schemas(database: Database) {
    assert_eq!(database.schema_state().await.unwrap(), SchemaState::UpToDate);
    let change = async |sql: &'static str| {
        sqlx::query(sql).execute(database.pool()).await.unwrap();
        database.schema_state().await.unwrap()
    };
    let later = "UPDATE _sqlx_migrations SET version = 999999 WHERE version = 1";
    assert_eq!(change(later).await, SchemaState::Behind, "a missing migration takes precedence");
    let first = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 SELECT 1, 'accounts', success, checksum, 0 FROM _sqlx_migrations WHERE version = 999999";
    assert_eq!(change(first).await, SchemaState::Newer);
    let breaking = "UPDATE _sqlx_migrations SET description = 'breaking: tokens' WHERE version = 999999";
    assert_eq!(change(breaking).await, SchemaState::Incompatible);
    assert_eq!(change("DELETE FROM _sqlx_migrations").await, SchemaState::Behind);
    assert_eq!(change("DROP TABLE _sqlx_migrations").await, SchemaState::Behind);
}

#[apply(each_database!)]
async fn start_on_a_migrated_database_waits_for_no_migration(database: Database) {
    let mut migrating = database.connect_outside_pool().await.unwrap();
    migrating.lock().await.unwrap();
    let started = tokio::time::timeout(Duration::from_secs(4), database.migrate()).await;
    started.expect("waited for the lock of another instance's migration").unwrap();
}

#[apply(each_database!)]
async fn changed_migration_is_refused_on_a_migrated_database(database: Database) {
    let change = "UPDATE _sqlx_migrations SET checksum = (SELECT checksum FROM _sqlx_migrations WHERE version = 2) \
                  WHERE version = 1";
    sqlx::query(change).execute(database.pool()).await.unwrap();
    assert_eq!(database.schema_state().await.unwrap(), SchemaState::UpToDate);
    let refused = database.migrate().await.unwrap_err();
    assert!(matches!(refused, StoreError::Migration(MigrateError::VersionMismatch(1))), "{refused:?}");
}

#[test]
fn every_file_is_a_migration() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
    let files = std::fs::read_dir(folder).unwrap().map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let applied: Vec<String> = [DatabaseKind::Sqlite, DatabaseKind::Postgres]
        .into_iter()
        .flat_map(|kind| MIGRATIONS.iter().map(move |(version, _, sql)| migration_sql(*version, sql, kind).to_owned()))
        .collect();
    for text in files {
        assert!(applied.iter().any(|sql| sql.contains(&text)), "no migration has this file's text: {text}");
    }
}

// Each migration meets a row in every table of its predecessors, as in a database that is in use.
#[apply(each_database!)]
async fn migrations_keep_the_rows_of_every_table(migrated: Database) {
    let kind = migrated.kind();
    let database = empty_database(kind).await;
    let mut connection = AnyConnection::connect(database.url()).await.unwrap();
    // A row may refer to one that is inserted later.
    let without_references = match kind {
        DatabaseKind::Sqlite => "PRAGMA foreign_keys = OFF",
        DatabaseKind::Postgres => "SET session_replication_role = replica",
    };
    sqlx::query(without_references).execute(&mut connection).await.unwrap();
    let mut filled = BTreeSet::new();
    for count in 1..=MIGRATIONS.len() {
        let (version, name, _) = MIGRATIONS[count - 1];
        migrator(&MIGRATIONS[..count], kind).run(&mut *database.pool().acquire().await.unwrap()).await.unwrap();
        for table in tables(&mut connection, kind).await {
            let rows = format!("SELECT COUNT(*) FROM {table}");
            let rows: i64 = sqlx::query(AssertSqlSafe(rows)).fetch_one(&mut connection).await.unwrap().get(0);
            assert!(rows > 0 || !filled.contains(&table), "migration {version} ({name}) removed the row of {table}");
            if rows == 0 {
                insert_row(&mut connection, kind, &table).await;
            }
            filled.insert(table);
        }
    }
    assert!(filled.contains("integration_grants"), "{filled:?}");
    assert_eq!(database.schema_state().await.unwrap(), SchemaState::UpToDate);
}

async fn tables(connection: &mut AnyConnection, kind: DatabaseKind) -> Vec<String> {
    let names = match kind {
        DatabaseKind::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'",
        DatabaseKind::Postgres => {
            "SELECT CAST(table_name AS TEXT) FROM information_schema.tables WHERE table_schema = 'public'"
        }
    };
    let names = sqlx::query(names).fetch_all(connection).await.unwrap();
    names.iter().map(|row| row.get(0)).filter(|name| name != "_sqlx_migrations").collect()
}

/// Inserts a row with a value in every column. All rows have the same ids, so each refers to one that exists in the end.
async fn insert_row(connection: &mut AnyConnection, kind: DatabaseKind, table: &str) {
    let columns = match kind {
        DatabaseKind::Sqlite => "SELECT name, UPPER(type) FROM pragma_table_info($1)",
        DatabaseKind::Postgres => {
            "SELECT CAST(column_name AS TEXT), UPPER(CAST(data_type AS TEXT)) FROM information_schema.columns \
             WHERE table_name = $1"
        }
    };
    let columns = sqlx::query(columns).bind(table).fetch_all(&mut *connection).await.unwrap();
    let columns: Vec<(String, String)> = columns.iter().map(|row| (row.get(0), row.get(1))).collect();
    let value = |(name, data_type): &(String, String)| match (table, name.as_str()) {
        (_, "role") => "'owner'",
        (_, "email_notifications") => "'on'",
        ("deliveries", "status") => "'pending'",
        (_, "status") => "'active'",
        ("deliveries", "channel") => "'webhook'",
        (_, "actor_kind") => "'user'",
        ("account_messages", "kind") => "'reset_password'",
        (_, "reached_limit") => "'minute'",
        _ if data_type == "TEXT" => "'1'",
        _ => "1",
    };
    let values: Vec<&str> = columns.iter().map(value).collect();
    let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    let insert = format!("INSERT INTO {table} ({}) VALUES ({})", names.join(", "), values.join(", "));
    let inserted = sqlx::query(AssertSqlSafe(insert.as_str())).execute(connection).await;
    inserted.unwrap_or_else(|error| panic!("{insert}: {error}"));
}
