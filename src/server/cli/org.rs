//! `evergrant org add`: creates an organization.

use clap::{ArgAction, Args, Subcommand};
use serde_json::json;

use super::output::Output;
use super::{CliError, context};
use crate::server::config::Settings;
use crate::server::store::AddOrgError;

#[derive(Subcommand)]
pub enum Command {
    /// Create an organization without members.
    Add(Box<Add>),
}

#[derive(Args)]
pub struct Add {
    /// The organization's name, which must be unique.
    #[arg(long)]
    name: String,
    /// Print the new id as JSON.
    #[arg(long = "json", action = ArgAction::SetTrue, value_parser = Output::flag())]
    output: Output,
    #[command(flatten, next_help_heading = "Settings")]
    settings: Settings,
}

pub async fn run(command: Command) -> Result<(), CliError> {
    let Command::Add(add) = command;
    let name = add.name.trim();
    if name.is_empty() {
        return Err("an organization needs a name".into());
    }
    if let Some(instead) = add.settings.clone().check()?.sign_in.delegated_advice() {
        return Err(instead.into());
    }
    let store = context::create_store(add.settings).await?;
    let added = store.add_org(name).await;
    store.database().close().await;
    let org = match added {
        Ok(org) => org,
        Err(AddOrgError::NameTaken) => return Err(format!("there is already an organization called {name}").into()),
        Err(AddOrgError::Store(error)) => return Err(error.into()),
    };
    let text = format!("Created {name}. Add people with: evergrant user add --email … --org \"{name}\"");
    add.output.print(&json!({ "orgId": org }), &text);
    Ok(())
}
