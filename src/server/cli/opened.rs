//! The store, opened for a command that isn't a server.

use super::Failed;
use crate::server::clock::Clock;
use crate::server::config::{Config, Settings};
use crate::server::store::{Database, Store};
use crate::server::{keyring, logging};

/// Checks the settings, opens the database they name and brings its schema up to date.
pub async fn database(settings: Settings) -> Result<(Config, Database), Failed> {
    let config = settings.check()?;
    logging::start(config.log_format);
    keyring::make_data_dir(&config)?;
    let database = Database::connect(config.database_url.expose()).await?;
    database.migrate().await?;
    Ok((config, database))
}

/// The same with the key ring that fits it.
pub async fn store(settings: Settings) -> Result<Store, Failed> {
    let (config, database) = database(settings).await?;
    let ring = keyring::load(&config, &database).await?;
    Ok(Store::new(database, ring, Clock::system()))
}
