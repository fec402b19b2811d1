//! `evergrant migrate`: brings the database's schema up to date.

use clap::Args;

use super::{CliError, context};
use crate::server::config::Settings;

#[derive(Args)]
pub struct Flags {
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten, next_help_heading = "Settings")]
    settings: Settings,
}

pub async fn run(flags: Flags) -> Result<(), CliError> {
    let (_, database) = context::open_database(flags.settings).await?;
    database.close().await;
    if flags.json {
        println!("{}", serde_json::json!({ "upToDate": true }));
    } else {
        println!("The schema is up to date.");
    }
    Ok(())
}
