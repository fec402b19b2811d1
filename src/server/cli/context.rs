//! Opens the database and the store for commands other than `serve`.

use super::CliError;
use crate::server::clock::Clock;
use crate::server::config::{Config, Settings};
use crate::server::domain::Actor;
use crate::server::store::{Database, SchemaState, Store, StoreError};
use crate::server::telemetry::logging;
use crate::server::{encryption_keys, startup};

/// Checks the settings, starts logging, and opens the database, which must exist and have this version's schema.
pub async fn open_database(settings: Settings) -> Result<(Config, Database), CliError> {
    let config = settings.check()?;
    logging::start(config.log_format);
    let Some(database) = Database::connect_existing(config.database_url.expose()).await? else {
        return Err(format!(
            "there is no database at {}: check DATABASE_URL and EVERGRANT_DATA_DIR, which the server must have too. \
             evergrant migrate creates one",
            // SQLite's URL has no password.
            config.database_url.expose()
        )
        .into());
    };
    match database.schema_state().await? {
        SchemaState::UpToDate | SchemaState::Newer => Ok((config, database)),
        SchemaState::Behind => Err("the database has no schema of this version: check DATABASE_URL, which the server \
                                    must have too, or run evergrant migrate first"
            .into()),
        SchemaState::Incompatible => Err(StoreError::IncompatibleSchema.into()),
    }
}

/// Like `open_database`, but creates a missing database and brings its schema up to date.
pub async fn create_database(settings: Settings) -> Result<(Config, Database), CliError> {
    let config = settings.check()?;
    logging::start(config.log_format);
    encryption_keys::create_data_dir(&config)?;
    let database = Database::connect(config.database_url.expose()).await?;
    database.migrate().await?;
    Ok((config, database))
}

/// Like `open_database`, and returns a store that seals as `sealing_store` says.
pub async fn open_store(settings: Settings) -> Result<Store, CliError> {
    let (config, database) = open_database(settings).await?;
    sealing_store(&config, database).await
}

/// Like `create_database`, and returns a store that seals as `sealing_store` says.
pub async fn create_store(settings: Settings) -> Result<Store, CliError> {
    let (config, database) = create_database(settings).await?;
    sealing_store(&config, database).await
}

/// Loads the key ring and returns a store that seals with a key that every running server can open, and keeps time by
/// the database's clock.
pub async fn sealing_store(config: &Config, database: Database) -> Result<Store, CliError> {
    let ring = encryption_keys::load_or_create(config, &database).await?;
    let clock = Clock::system();
    database.adopt_clock(&clock).await?;
    let store = startup::configured_store(config, Store::new(database, ring, clock)).as_actor(Actor::operator());
    store.choose_sealing_key().await?;
    Ok(store)
}
