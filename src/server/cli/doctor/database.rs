//! Whether the database answers with the schema that this binary knows.

use super::check::{Check, sentence};
use crate::server::config::Config;
use crate::server::store::{Database, Kind, Schema, StoreError};

/// The database comes with the check where the others can use it.
pub async fn reachable(config: &Config) -> (Check, Option<Database>) {
    match open(config).await {
        Ok(Some((database, schema))) => judge(database, schema).await,
        Ok(None) => {
            let found = "There is none yet: the first start makes it. Nothing in it was looked at.";
            (Check::warn("database", found, "evergrant serve, or evergrant migrate"), None)
        }
        Err(error) => {
            let to_do = "Check DATABASE_URL, that the database runs, and that this user may use it.";
            (Check::fail("database", format!("{} Nothing in it was looked at.", sentence(&error)), to_do), None)
        }
    }
}

async fn open(config: &Config) -> Result<Option<(Database, Schema)>, StoreError> {
    let Some(database) = Database::connect_existing(config.database_url.expose()).await? else { return Ok(None) };
    let schema = database.schema().await?;
    Ok(Some((database, schema)))
}

async fn judge(database: Database, schema: Schema) -> (Check, Option<Database>) {
    let kind = match database.kind() {
        Kind::Sqlite => "SQLite",
        Kind::Postgres => "PostgreSQL",
    };
    let (found, to_do) = match schema {
        Schema::UpToDate => {
            return (Check::ok("database", format!("{kind} answers, and the schema is up to date.")), Some(database));
        }
        Schema::Behind => {
            ("the schema is older than this Evergrant", "evergrant migrate; starting a server does so too.")
        }
        Schema::Newer => {
            let found =
                format!("{kind} answers. A newer Evergrant has brought the schema further, and has only added.");
            let to_do = "Nothing, where that one is being rolled out or was taken back; else install it here too.";
            return (Check::warn("database", found, to_do), Some(database));
        }
        Schema::Broken => (
            "a newer Evergrant has changed the schema in a way that this one can't work with",
            "Install the Evergrant that did, or a newer one; to go back, restore the backup from before.",
        ),
    };
    database.close().await;
    (Check::fail("database", format!("{kind} answers, but {found}. Nothing in it was looked at."), to_do), None)
}
