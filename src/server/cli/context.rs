//! Opens the database and the store for commands other than `serve`.

use super::CliError;
use crate::server::clock::Clock;
use crate::server::config::{Config, Settings};
use crate::server::domain::Actor;
use crate::server::store::{Database, Store};
use crate::server::telemetry::logging;
use crate::server::{encryption_keys, startup};

/// Checks the settings, starts logging, opens the database and migrates its schema.
pub async fn open_database(settings: Settings) -> Result<(Config, Database), CliError> {
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

/// Loads the key ring and returns a store that seals with a key that every running server can open.
pub async fn sealing_store(config: &Config, database: Database) -> Result<Store, CliError> {
    let ring = encryption_keys::load_or_create(config, &database).await?;
    let store =
        Store::new(database, ring, Clock::system()).with_plan(startup::plan(config)).as_actor(Actor::operator());
    store.choose_sealing_key().await?;
    Ok(store)
}
