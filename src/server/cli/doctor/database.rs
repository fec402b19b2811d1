//! Checks that the database answers and has the schema that this binary knows.

use super::check::{Check, to_sentence, try_to_write};
use crate::server::config::Config;
use crate::server::store::{Database, DatabaseKind, SchemaState, StoreError};

/// Returns the check, and the database if the other checks can use it.
pub async fn check_database(config: &Config) -> (Check, Option<Database>) {
    match open(config).await {
        Ok(Some((database, schema))) => check_schema(database, schema).await,
        Ok(None) => (check_folder(config), None),
        Err(error) => {
            let to_do = "Check DATABASE_URL, that the database is running, and that this user may use it.";
            (Check::fail("database", format!("{} Its contents were not checked.", to_sentence(&error)), to_do), None)
        }
    }
}

/// A missing database is made at the first start, if its folder takes files.
fn check_folder(config: &Config) -> Check {
    let folder = Database::folder(config.database_url.expose()).unwrap_or_default();
    match try_to_write(&folder) {
        Ok(()) => {
            let found = "There is none yet; the first start creates it. Its contents were not checked.";
            Check::warn("database", found, "Run evergrant serve, or evergrant migrate.")
        }
        Err(error) => Check::fail(
            "database",
            format!("There is none yet, and no file can be made in {}: {error}.", folder.display()),
            "Let this user write to the folder, or name another one in DATABASE_URL.",
        ),
    }
}

async fn open(config: &Config) -> Result<Option<(Database, SchemaState)>, StoreError> {
    let Some(database) = Database::connect_existing(config.database_url.expose()).await? else { return Ok(None) };
    let schema = database.schema_state().await?;
    Ok(Some((database, schema)))
}

async fn check_schema(database: Database, schema: SchemaState) -> (Check, Option<Database>) {
    let kind = match database.kind() {
        DatabaseKind::Sqlite => "SQLite",
        DatabaseKind::Postgres => "PostgreSQL",
    };
    let (found, to_do) = match schema {
        SchemaState::UpToDate => return check_writes(database, kind).await,
        SchemaState::Behind => {
            ("the schema is older than this Evergrant", "Run evergrant migrate, or start a server, which migrates too.")
        }
        SchemaState::Newer => {
            let found = format!("{kind} answers. A newer Evergrant has changed the schema, and has only added to it.");
            let to_do =
                "Nothing, if that version is being rolled out or was rolled back; otherwise install it here too.";
            return (Check::warn("database", found, to_do), Some(database));
        }
        SchemaState::Incompatible => (
            "a newer Evergrant has changed the schema in a way that this one can't work with",
            "Install that version or a newer one; to go back, restore the backup from before the change.",
        ),
    };
    database.close().await;
    (Check::fail("database", format!("{kind} answers, but {found}. Its contents were not checked."), to_do), None)
}

/// A write that is taken back shows what a read does not: a read-only file or server, a full disk.
async fn check_writes(database: Database, kind: &str) -> (Check, Option<Database>) {
    let check = match database.try_to_write().await {
        Ok(()) => Check::ok("database", format!("{kind} answers and takes writes, and the schema is up to date.")),
        Err(error) => Check::fail(
            "database",
            format!("{kind} answers, but takes no writes: {}", to_sentence(&error)),
            "Let this user write to it: the file and its folder, or the server's tables.",
        ),
    };
    (check, Some(database))
}
