//! `evergrant migrate`

use clap::Args;

use super::{Failed, opened};
use crate::server::config::Settings;

#[derive(Args)]
pub struct Flags {
    /// Print what was done as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten, next_help_heading = "Settings")]
    settings: Settings,
}

pub async fn run(flags: Flags) -> Result<(), Failed> {
    let (_, database) = opened::database(flags.settings).await?;
    database.close().await;
    if flags.json {
        println!("{}", serde_json::json!({ "upToDate": true }));
    } else {
        println!("The schema is up to date.");
    }
    Ok(())
}
