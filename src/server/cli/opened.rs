//! The store, opened for a command that isn't a server.

use super::Failed;
use crate::server::clock::Clock;
use crate::server::config::{Config, Settings};
use crate::server::domain::Actor;
use crate::server::store::{Database, Store};
use crate::server::{app, keyring, logging};

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
    sealing(&config, database).await
}

/// A store that seals with a key which every running server can open.
pub async fn sealing(config: &Config, database: Database) -> Result<Store, Failed> {
    let ring = keyring::load(config, &database).await?;
    let store = Store::new(database, ring, Clock::system()).planned_by(app::plan(config)).acting(Actor::operator());
    store.agree_on_a_key().await?;
    Ok(store)
}
