//! `evergrant migrate`: brings the database's schema up to date.

use clap::{ArgAction, Args};
use serde_json::json;

use super::output::Output;
use super::{CliError, context};
use crate::server::config::Settings;

#[derive(Args)]
pub struct Flags {
    /// Print the result as JSON.
    #[arg(long = "json", action = ArgAction::SetTrue, value_parser = Output::flag())]
    output: Output,
    #[command(flatten, next_help_heading = "Settings")]
    settings: Settings,
}

pub async fn run(flags: Flags) -> Result<(), CliError> {
    let (_, database) = context::create_database(flags.settings).await?;
    database.close().await;
    flags.output.print(&json!({ "upToDate": true }), "The schema is up to date.");
    Ok(())
}
