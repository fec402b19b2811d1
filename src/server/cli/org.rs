//! `evergrant org add|list`: creates an organization, and lists all.

use clap::{ArgAction, Args, Subcommand};
use serde_json::{Value, json};

use super::output::Output;
use super::table::{format_table, replace_control_chars};
use super::{CliError, context};
use crate::server::config::Settings;
use crate::server::store::{AddOrgError, OrgSummary};

#[derive(Subcommand)]
pub enum Command {
    /// Create an organization without members.
    Add(Box<Add>),
    /// List the organizations with their ids and owners. Several may have the same name.
    List(Box<List>),
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

#[derive(Args)]
pub struct List {
    /// Print ids and unix seconds as JSON.
    #[arg(long = "json", action = ArgAction::SetTrue, value_parser = Output::flag())]
    output: Output,
    #[command(flatten, next_help_heading = "Settings")]
    settings: Settings,
}

pub async fn run(command: Command) -> Result<(), CliError> {
    match command {
        Command::Add(flags) => add(*flags).await,
        Command::List(flags) => list(*flags).await,
    }
}

async fn list(flags: List) -> Result<(), CliError> {
    let (_, database) = context::open_database(flags.settings).await?;
    let orgs = database.org_summaries(None, None).await?;
    database.close().await;
    let values: Vec<Value> = orgs.iter().map(to_json).collect();
    flags.output.print(&json!({ "organizations": values }), &describe_orgs(&orgs));
    Ok(())
}

fn to_json(org: &OrgSummary) -> Value {
    json!({
        "orgId": org.id, "name": org.name, "createdAt": org.created_at, "owners": org.owners, "members": org.members,
    })
}

fn describe_orgs(orgs: &[OrgSummary]) -> String {
    if orgs.is_empty() {
        return "There are no organizations. Create one with: evergrant org add --name …".to_owned();
    }
    let rows = orgs.iter().map(|org| {
        let owners = replace_control_chars(&org.owners.join(", "));
        [org.id.0.clone(), replace_control_chars(&org.name), owners, org.members.to_string()]
    });
    let header = ["ID", "NAME", "OWNERS", "MEMBERS"].map(str::to_owned);
    format_table(std::iter::once(header).chain(rows).collect())
}

async fn add(add: Add) -> Result<(), CliError> {
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
    let text = format!("Created {name}. Add people with: evergrant user add --email … --org-id {org} --join");
    add.output.print(&json!({ "orgId": org }), &text);
    Ok(())
}
