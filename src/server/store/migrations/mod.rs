//! The schema's migrations, and how a database's schema compares with them.

use sqlx::Row;
use sqlx::SqlSafeStr;
use sqlx::any::AnyRow;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use super::StoreError;
use super::database::Database;
use super::database_kind::DatabaseKind;

#[cfg(test)]
mod tests;

/// Every migration, oldest first. A released migration is never edited. Migrations only add, so that servers of the
/// previous version keep working and can start on the new schema. One that breaks this has `BREAKING` in its name.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "accounts", include_str!("../../../../migrations/0001_accounts.sql")),
    (2, "connections", include_str!("../../../../migrations/0002_connections.sql")),
    (3, "notifications", include_str!("../../../../migrations/0003_notifications.sql")),
    (4, "audit", include_str!("../../../../migrations/0004_audit.sql")),
    (5, "own account", include_str!("../../../../migrations/0005_own_account.sql")),
    (9, "proxy", include_str!("../../../../migrations/0009_proxy.sql")),
    (10, "webhook reveal", include_str!("../../../../migrations/0010_webhook_reveal.sql")),
    (11, "bindings_api", include_str!("../../../../migrations/0011_bindings_api.sql")),
    (12, "external identities", include_str!("../../../../migrations/0012_external_identities.sql")),
    (13, "sign-in limits", include_str!("../../../../migrations/0013_sign_in_limits.sql")),
    (14, "shared Xero users", include_str!("../../../../migrations/0014_shared_xero_users.sql")),
    (15, "invitations", include_str!("../../../../migrations/0015_invitations.sql")),
    (17, "second factor", include_str!("../../../../migrations/0017_second_factor.sql")),
    (18, "required factor", include_str!("../../../../migrations/0018_required_factor.sql")),
    (19, "events for programs", include_str!("../../../../migrations/0019_events_for_programs.sql")),
    (20, "predecessors", include_str!("../../../../migrations/0020_predecessors.sql")),
    (22, "token imports", include_str!("../../../../migrations/0022_token_imports.sql")),
    (23, "connect links", include_str!("../../../../migrations/0023_connect_links.sql")),
    (26, "API key limits", include_str!("../../../../migrations/0026_api_key_limits.sql")),
    (27, "delivery log", include_str!("../../../../migrations/0027_delivery_log.sql")),
    (28, "idempotent calls", include_str!("../../../../migrations/0028_idempotent_calls.sql")),
    (29, "pending identities", include_str!("../../../../migrations/0029_pending_identities.sql")),
    (31, "exported grants", include_str!("../../../../migrations/0031_exported_grants.sql")),
    (33, "consent outcomes", include_str!("../../../../migrations/0033_consent_outcomes.sql")),
    (
        34,
        "breaking: predecessors without end",
        include_str!("../../../../migrations/0034_predecessors_without_end.sql"),
    ),
    (35, "contacts", include_str!("../../../../migrations/0035_contacts.sql")),
    (36, "connect link mails", include_str!("../../../../migrations/0036_connect_link_mails.sql")),
    (37, "scope refusals", include_str!("../../../../migrations/0037_scope_refusals.sql")),
    (38, "consent details", include_str!("../../../../migrations/0038_consent_details.sql")),
    (40, "tokens by connection", include_str!("../../../../migrations/0040_tokens_by_connection.sql")),
    (41, "left at Xero", include_str!("../../../../migrations/0041_left_at_xero.sql")),
    (44, "notice origin", include_str!("../../../../migrations/0044_notice_origin.sql")),
    (45, "link consent outcomes", include_str!("../../../../migrations/0045_link_consent_outcomes.sql")),
    (46, "connect link keys", include_str!("../../../../migrations/0046_connect_link_keys.sql")),
    (48, "failure causes", include_str!("../../../../migrations/0048_failure_causes.sql")),
];

/// Returns a migration's SQL. Only the triggers of migration 4 differ between the two databases.
fn migration_sql(version: i64, portable: &'static str, kind: DatabaseKind) -> &'static str {
    match (version, kind) {
        (4, DatabaseKind::Sqlite) => concat!(
            include_str!("../../../../migrations/0004_audit.sql"),
            include_str!("../../../../migrations/0004_audit.sqlite.sql")
        ),
        (4, DatabaseKind::Postgres) => concat!(
            include_str!("../../../../migrations/0004_audit.sql"),
            include_str!("../../../../migrations/0004_audit.postgres.sql")
        ),
        _ => portable,
    }
}

/// Returns what applies these migrations, and ignores others that are applied.
fn migrator(migrations: &[(i64, &'static str, &'static str)], kind: DatabaseKind) -> Migrator {
    let migrations = migrations.iter().map(|&(version, name, sql)| {
        let sql = migration_sql(version, sql, kind).into_sql_str();
        Migration::new(version, name.into(), MigrationType::Simple, sql, false)
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    migrator.set_ignore_missing(true);
    migrator
}

/// Part of a migration's name that says that older versions cannot work with the migrated schema.
const BREAKING: &str = "breaking";

/// How a database's schema compares with this binary's migrations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaState {
    /// Every migration is applied.
    UpToDate,
    /// Migrations are missing: run `migrate`.
    Behind,
    /// A newer version has migrated it with additions only, so this version can use it.
    Newer,
    /// A newer version has migrated it with a breaking change.
    Incompatible,
}

impl Database {
    /// Applies the missing migrations. Several instances, also of different versions, may do so at once.
    ///
    /// Fails with `IncompatibleSchema` if a newer version made a breaking change.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let state = self.schema_state().await?;
        match state {
            SchemaState::Incompatible => return Err(StoreError::IncompatibleSchema),
            SchemaState::Newer => {
                tracing::warn!("schema is newer than this version, but compatible")
            }
            SchemaState::UpToDate | SchemaState::Behind => {}
        }
        let mut migrator = migrator(MIGRATIONS, self.kind());
        if state == SchemaState::Behind {
            let migrating = self.reopen_for_migration().await?;
            let migrated = migrating.run_missing(&migrator).await;
            migrating.close().await;
            migrated?;
        } else {
            // Compares checksums only. Without the lock, because another instance may hold it for minutes.
            migrator.set_locking(false).run_direct(None, &mut *self.pool().acquire().await?, false).await?;
        }
        // Spool files name the database that they belong to.
        sqlx::query("INSERT INTO database_identity (singleton, id) VALUES (1, $1) ON CONFLICT DO NOTHING")
            .bind(uuid::Uuid::new_v4().to_string())
            .execute(self.pool())
            .await?;
        self.read_id().await
    }

    async fn run_missing(&self, migrator: &Migrator) -> Result<(), StoreError> {
        if self.kind() == DatabaseKind::Sqlite {
            // The migrator locks PostgreSQL only. The write lock of SQLite lets one instance migrate at a time.
            let mut transaction = self.begin().await?;
            migrator.run_direct(None, &mut *transaction, false).await?;
            return transaction.commit().await;
        }
        let mut connection = self.pool().acquire().await?;
        Ok(migrator.run_direct(None, &mut *connection, false).await?)
    }

    /// Compares the schema with this binary's migrations. Changes nothing.
    pub async fn schema_state(&self) -> Result<SchemaState, StoreError> {
        let tables = match self.kind() {
            DatabaseKind::Sqlite => "SELECT COUNT(*) FROM sqlite_master WHERE name = '_sqlx_migrations'",
            DatabaseKind::Postgres => "SELECT COUNT(to_regclass('_sqlx_migrations'))",
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
            SchemaState::Incompatible
        } else if known.len() < MIGRATIONS.len() {
            SchemaState::Behind
        } else if unknown.is_empty() {
            SchemaState::UpToDate
        } else {
            SchemaState::Newer
        })
    }
}
