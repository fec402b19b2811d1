//! Refuses a database whose grants belong to another kind of provider than the configured one: a real app's grants in
//! sandbox mode, or the sandbox's with a real app.

use super::StartupError;
use crate::server::config::{Config, default_database_url};
use crate::server::domain::AppIdentity;
use crate::server::store::Database;

/// A database with grants of the wrong kind of provider. The texts say how to get past it.
#[derive(Debug, thiserror::Error)]
pub enum ProviderMismatch {
    /// Sandbox mode, and grants of a real app.
    #[error(
        "this database has {grants} of {app}, and Evergrant would send their tokens to its own sandbox, because \
         XERO_CLIENT_ID and XERO_CLIENT_SECRET aren't set. Set both. To try the sandbox, use another folder: {advice}"
    )]
    RealGrantsInSandboxMode {
        /// How many grants, in words.
        grants: String,
        /// The app that the grants belong to.
        app: AppIdentity,
        /// The environment variables of a server beside this database.
        advice: String,
    },
    /// A real app, and grants of the sandbox.
    #[error(
        "this database has {grants} of the sandbox, and XERO_CLIENT_ID is a real app's. Use another folder for real \
         connections: {advice}. To go on with the sandbox, unset XERO_CLIENT_ID and XERO_CLIENT_SECRET"
    )]
    SandboxGrantsWithRealApp {
        /// How many grants, in words.
        grants: String,
        /// The environment variables of a server beside this database.
        advice: String,
    },
}

/// Checks that the database's grants belong to the kind of provider that `app` belongs to. Logs a warning about grants
/// of another app at the same kind of provider: they wait until their app is configured again.
pub async fn check_provider(config: &Config, database: &Database, app: &AppIdentity) -> Result<(), StartupError> {
    for (other, number) in database.count_grants_by_app().await?.into_iter().filter(|(other, _)| other != app) {
        let grants = if number == 1 { "1 grant".to_owned() } else { format!("{number} grants") };
        match (app.is_sandbox(), other.is_sandbox()) {
            (true, false) => {
                let advice = separate_folder(config, "sandbox-data");
                return Err(ProviderMismatch::RealGrantsInSandboxMode { grants, app: other, advice }.into());
            }
            (false, true) => {
                let advice = separate_folder(config, "xero-data");
                return Err(ProviderMismatch::SandboxGrantsWithRealApp { grants, advice }.into());
            }
            _ => tracing::warn!(
                client_id = other.client_id,
                issuer = other.issuer,
                number,
                "grants of another app are not refreshed: set that app's XERO_CLIENT_ID and XERO_CLIENT_SECRET, or \
                 reconnect them"
            ),
        }
    }
    Ok(())
}

/// Returns the environment variables that select another folder, and another database if it is set separately.
fn separate_folder(config: &Config, folder: &str) -> String {
    if config.database_url.expose() == default_database_url(&config.data_dir) {
        return format!("EVERGRANT_DATA_DIR={folder}");
    }
    format!("EVERGRANT_DATA_DIR={folder} and DATABASE_URL=sqlite://{folder}/evergrant.db")
}
