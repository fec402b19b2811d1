//! `evergrant api-key add|list|rename|limit|rotate|end-previous|revoke`: manages organizations' API keys.

mod change;
mod list;

use clap::{ArgAction, Args, Subcommand};
use serde_json::json;

use super::organization::OrgChoice;
use super::output::Output;
use super::{CliError, context};
use crate::model::{ApiKeyLifetime, BindingId, Scope};
use crate::server::auth::api_keys;
use crate::server::auth::api_keys::{CreatedApiKey, RequestedApiKey};
use crate::server::config::Settings;

#[derive(Subcommand)]
pub enum Command {
    /// Create an API key for an organization and print it. It can't be shown again.
    Add(Box<Add>),
    /// List API keys by prefix, with their last use, including those revoked in the last 30 days.
    List(Box<list::List>),
    /// Give an API key another name.
    Rename(Box<change::Rename>),
    /// Change which connections an API key opens.
    Limit(Box<change::Limit>),
    /// Replace an API key and print the new one. The old one works for a day, or as long as --overlap says.
    Rotate(Box<change::Rotate>),
    /// End the old key of a rotation at once.
    EndPrevious(Box<change::EndPrevious>),
    /// Revoke an API key. Requests that use it are refused from then on.
    Revoke(Box<change::Revoke>),
}

#[derive(Args)]
pub struct Add {
    #[command(flatten)]
    org: OrgChoice,
    /// A name that says what the key is for.
    #[arg(long)]
    name: String,
    #[arg(long, value_name = "SCOPES", value_delimiter = ',', value_parser = scope, help = scopes_help())]
    scopes: Vec<Scope>,
    /// How long the key is valid: 30d, 90d, 365d or never (until it is revoked).
    #[arg(long, value_name = "TIME", default_value = "never", value_parser = life)]
    life: ApiKeyLifetime,
    /// ID of a connection that the key is limited to. May be repeated. [default: all connections, also later ones]
    #[arg(long = "binding", value_name = "ID")]
    bindings: Vec<BindingId>,
    /// Print the key and its id as JSON.
    #[arg(long = "json", action = ArgAction::SetTrue, value_parser = Output::flag())]
    output: Output,
    #[command(flatten, next_help_heading = "Settings")]
    settings: Settings,
}

pub async fn run(command: Command) -> Result<(), CliError> {
    match command {
        Command::Add(flags) => add(*flags).await,
        Command::List(flags) => list::run(*flags).await,
        Command::Rename(flags) => change::rename(*flags).await,
        Command::Limit(flags) => change::limit(*flags).await,
        Command::Rotate(flags) => change::rotate(*flags).await,
        Command::EndPrevious(flags) => change::end_previous(*flags).await,
        Command::Revoke(flags) => change::revoke(*flags).await,
    }
}

async fn add(flags: Add) -> Result<(), CliError> {
    let store = context::open_store(flags.settings).await?;
    let org = flags.org.resolve(store.database()).await?.id;
    let scopes = if flags.scopes.is_empty() { Scope::ALL } else { &flags.scopes };
    let wanted = RequestedApiKey { name: &flags.name, scopes, life: flags.life, created_by: None };
    let made = api_keys::create_limited(&store, &org, wanted, &flags.bindings).await;
    store.database().close().await;
    let CreatedApiKey { id, key, expires_at } = made?;
    if flags.output == Output::Text {
        // Only the key goes to standard output, so that it can be piped.
        eprintln!("Copy this key now: it is not shown again. Programs send it as Authorization: Bearer KEY.");
    }
    let value = json!({ "id": id, "orgId": org, "expiresAt": expires_at, "key": key.expose() });
    flags.output.print(&value, key.expose());
    Ok(())
}

fn scopes_help() -> String {
    format!("What the key may do, separated by commas: {}. [default: all scopes]", scope_names())
}

fn scope(text: &str) -> Result<Scope, String> {
    Scope::parse(text).ok_or_else(|| format!("a scope is one of {}", scope_names()))
}

fn scope_names() -> String {
    Scope::join(Scope::ALL).replace(' ', ", ")
}

fn life(text: &str) -> Result<ApiKeyLifetime, String> {
    ApiKeyLifetime::parse(text).ok_or_else(|| "a key's lifetime is 30d, 90d, 365d or never".to_owned())
}
