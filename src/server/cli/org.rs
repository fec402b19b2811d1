//! `evergrant org add`

use clap::{Args, Subcommand};

use super::{Failed, opened};
use crate::server::config::Settings;

#[derive(Subcommand)]
pub enum Command {
    /// Make an organisation that nobody belongs to yet.
    Add(Box<Add>),
}

#[derive(Args)]
pub struct Add {
    /// Its name, which no other organisation has.
    #[arg(long)]
    name: String,
    /// Print what was made as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten, next_help_heading = "Settings")]
    settings: Settings,
}

pub async fn run(command: Command) -> Result<(), Failed> {
    let Command::Add(add) = command;
    let name = add.name.trim();
    if name.is_empty() {
        return Err("an organisation needs a name".into());
    }
    if let Some(instead) = add.settings.clone().check()?.sign_in.elsewhere() {
        return Err(instead.into());
    }
    let store = opened::store(add.settings).await?;
    let org = store.add_org(name).await?;
    store.database().close().await;
    let Some(org) = org else { return Err(format!("there is an organisation called {name} already").into()) };
    if add.json {
        println!("{}", serde_json::json!({ "orgId": org }));
    } else {
        println!("Made {name}. Add people with: evergrant user add --email … --org \"{name}\"");
    }
    Ok(())
}
