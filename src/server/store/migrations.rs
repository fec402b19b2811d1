//! The schema's migrations, and how a database's schema stands to the ones that this binary knows.

use sqlx::Row;
use sqlx::SqlSafeStr;
use sqlx::any::AnyRow;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use super::StoreError;
use super::database::{Database, Kind};

/// Every migration, oldest first. A released one is never edited: later ones amend. They only add, so that servers of
/// the version before go on beside them, and start on them; one that can't has `BREAKING` in its name.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "first", include_str!("../../../migrations/0001_first.sql")),
    (2, "lost replies", include_str!("../../../migrations/0002_lost_replies.sql")),
    (4, "instances", include_str!("../../../migrations/0004_instances.sql")),
    (5, "sweep", include_str!("../../../migrations/0005_sweep.sql")),
    (6, "notify", include_str!("../../../migrations/0006_notify.sql")),
    (7, "activity", include_str!("../../../migrations/0007_activity.sql")),
    (8, "external", include_str!("../../../migrations/0008_external.sql")),
    (9, "drift", include_str!("../../../migrations/0009_drift.sql")),
    (10, "audit", include_str!("../../../migrations/0010_audit.sql")),
    (11, "api keys", include_str!("../../../migrations/0011_api_keys.sql")),
    (12, "invitations", include_str!("../../../migrations/0012_invitations.sql")),
    (13, "old events", include_str!("../../../migrations/0013_old_events.sql")),
    (14, "traces", include_str!("../../../migrations/0014_traces.sql")),
];

/// A migration's text. The triggers of the tenth are the one thing that the two databases spell differently.
fn text(version: i64, portable: &'static str, kind: Kind) -> &'static str {
    match (version, kind) {
        (10, Kind::Sqlite) => concat!(
            include_str!("../../../migrations/0010_audit.sql"),
            include_str!("../../../migrations/0010_audit.sqlite.sql")
        ),
        (10, Kind::Postgres) => concat!(
            include_str!("../../../migrations/0010_audit.sql"),
            include_str!("../../../migrations/0010_audit.postgres.sql")
        ),
        _ => portable,
    }
}

/// In a migration's name: a version that doesn't know it can't work with what it makes of the schema.
const BREAKING: &str = "breaking";

/// How a database's schema stands to this binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    UpToDate,
    /// `migrate` brings it up to date.
    Behind,
    /// A newer Evergrant has been here, and has only added: this one serves beside it.
    Newer,
    /// A newer Evergrant has changed what this one relies on.
    Broken,
}

impl Database {
    /// Brings the schema up to date; several instances may do so at once, and of several versions.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        match self.schema().await? {
            Schema::Broken => return Err(StoreError::NewerSchema),
            Schema::Newer => {
                tracing::warn!("a newer Evergrant has brought the schema further; this one serves beside it")
            }
            Schema::UpToDate | Schema::Behind => {}
        }
        let migrations = MIGRATIONS.iter().map(|&(version, name, sql)| {
            let sql = text(version, sql, self.kind()).into_sql_str();
            Migration::new(version, name.into(), MigrationType::Simple, sql, false)
        });
        let mut migrator = Migrator::with_migrations(migrations.collect());
        migrator.set_ignore_missing(true);
        Ok(migrator.run(self.pool()).await?)
    }

    /// How the schema stands to the migrations that this binary knows. Changes nothing.
    pub async fn schema(&self) -> Result<Schema, StoreError> {
        let tables = match self.kind() {
            Kind::Sqlite => "SELECT COUNT(*) FROM sqlite_master WHERE name = '_sqlx_migrations'",
            Kind::Postgres => "SELECT COUNT(to_regclass('_sqlx_migrations'))",
        };
        let journal: i64 = sqlx::query(tables).fetch_one(self.pool()).await?.try_get(0)?;
        let mut applied: Vec<(i64, String)> = Vec::new();
        if journal > 0 {
            let rows = sqlx::query("SELECT version, description FROM _sqlx_migrations WHERE success");
            let rows = rows.fetch_all(self.pool()).await?;
            let read = |row: &AnyRow| Ok::<_, sqlx::Error>((row.try_get(0)?, row.try_get(1)?));
            applied = rows.iter().map(read).collect::<Result<_, _>>()?;
        }
        let (known, unknown): (Vec<_>, Vec<_>) =
            applied.iter().partition(|(version, _)| MIGRATIONS.iter().any(|(known, ..)| known == version));
        Ok(if unknown.iter().any(|(_, name)| name.contains(BREAKING)) {
            Schema::Broken
        } else if known.len() < MIGRATIONS.len() {
            Schema::Behind
        } else if unknown.is_empty() {
            Schema::UpToDate
        } else {
            Schema::Newer
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::testing::databases;

    #[test]
    fn a_migration_only_adds_or_says_that_it_breaks() {
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
            for kind in [Kind::Sqlite, Kind::Postgres] {
                assert!(adds(text(*version, sql, kind)) || name.contains(BREAKING), "{version} {name}");
            }
        }
    }

    #[tokio::test]
    async fn a_schema_is_told_apart_from_older_and_newer_ones() {
        for (name, database) in databases().await {
            assert_eq!(database.schema().await.unwrap(), Schema::UpToDate, "{name}");
            let change = async |sql: &'static str| {
                sqlx::query(sql).execute(database.pool()).await.unwrap();
                database.schema().await.unwrap()
            };
            let later = "UPDATE _sqlx_migrations SET version = 999999 WHERE version = 1";
            assert_eq!(change(later).await, Schema::Behind, "{name}: what is missing comes first");
            let first = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                         SELECT 1, 'first', success, checksum, 0 FROM _sqlx_migrations WHERE version = 999999";
            assert_eq!(change(first).await, Schema::Newer, "{name}");
            let breaking = "UPDATE _sqlx_migrations SET description = 'breaking: tokens' WHERE version = 999999";
            assert_eq!(change(breaking).await, Schema::Broken, "{name}");
            assert_eq!(change("DELETE FROM _sqlx_migrations").await, Schema::Behind, "{name}");
            assert_eq!(change("DROP TABLE _sqlx_migrations").await, Schema::Behind, "{name}");
        }
    }
}
