//! `evergrant api-key add|list|revoke`: manages organizations' API keys.

use chrono::DateTime;
use clap::{ArgAction, Args, Subcommand};
use serde_json::{Value, json};

use super::organization::{OrgChoice, OrgFilter};
use super::output::Output;
use super::table::{format_table, replace_control_chars};
use super::{CliError, context};
use crate::model::{ApiKeyLifetime, ApiKeyView, Scope};
use crate::server::auth::api_keys;
use crate::server::auth::api_keys::{CreatedApiKey, RequestedApiKey};
use crate::server::config::Settings;
use crate::server::store::RowChange;

#[derive(Subcommand)]
pub enum Command {
    /// Create an API key for an organization and print it. It can't be shown again.
    Add(Box<Add>),
    /// List API keys by prefix, including those revoked in the last 30 days.
    List(Box<List>),
    /// Revoke an API key. Requests that use it are refused from then on.
    Revoke(Box<Revoke>),
}

#[derive(Args)]
pub struct Add {
    #[command(flatten)]
    org: OrgChoice,
    /// A name that says what the key is for.
    #[arg(long)]
    name: String,
    /// What the key may do, separated by commas: bindings:read, tokens:read, events:read. [default: all scopes]
    #[arg(long, value_name = "SCOPES", value_delimiter = ',', value_parser = scope)]
    scopes: Vec<Scope>,
    /// How long the key is valid: 30d, 90d, 365d or never (until it is revoked).
    #[arg(long, value_name = "TIME", default_value = "never", value_parser = life)]
    life: ApiKeyLifetime,
    /// Print the key and its id as JSON.
    #[arg(long = "json", action = ArgAction::SetTrue, value_parser = Output::flag())]
    output: Output,
    #[command(flatten, next_help_heading = "Settings")]
    settings: Settings,
}

#[derive(Args)]
pub struct List {
    #[command(flatten)]
    org: OrgFilter,
    /// Print ids and unix seconds as JSON.
    #[arg(long = "json", action = ArgAction::SetTrue, value_parser = Output::flag())]
    output: Output,
    #[command(flatten, next_help_heading = "Settings")]
    settings: Settings,
}

#[derive(Args)]
pub struct Revoke {
    /// The key's prefix or id, as `api-key list` shows them.
    #[arg(long, value_name = "KEY")]
    key: String,
    /// Print the revoked key's id as JSON.
    #[arg(long = "json", action = ArgAction::SetTrue, value_parser = Output::flag())]
    output: Output,
    #[command(flatten, next_help_heading = "Settings")]
    settings: Settings,
}

pub async fn run(command: Command) -> Result<(), CliError> {
    match command {
        Command::Add(flags) => add(*flags).await,
        Command::List(flags) => list(*flags).await,
        Command::Revoke(flags) => revoke(*flags).await,
    }
}

async fn add(flags: Add) -> Result<(), CliError> {
    let store = context::open_store(flags.settings).await?;
    let org = flags.org.resolve(store.database()).await?.id;
    let scopes = if flags.scopes.is_empty() { Scope::ALL } else { &flags.scopes };
    let wanted = RequestedApiKey { name: &flags.name, scopes, life: flags.life, created_by: None };
    let made = api_keys::create(&store, &org, wanted).await;
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

async fn list(flags: List) -> Result<(), CliError> {
    let store = context::open_store(flags.settings).await?;
    let listed = match flags.org.resolve(store.database()).await? {
        None => store.all_api_keys().await?,
        Some(org) => store.api_keys(&org.id).await?.into_iter().map(|key| (org.name.clone(), key)).collect(),
    };
    store.database().close().await;
    let keys: Vec<Value> = listed.iter().map(|(org, key)| to_json(org, key)).collect();
    flags.output.print(&json!({ "keys": keys }), &describe_keys(&listed));
    Ok(())
}

fn describe_keys(listed: &[(String, ApiKeyView)]) -> String {
    if listed.is_empty() {
        return "There are no API keys. Create one with: evergrant api-key add --org … --name …".to_owned();
    }
    let rows = listed.iter().map(|(org, key)| to_row(org, key));
    format_table(std::iter::once(TABLE_HEADER.map(str::to_owned)).chain(rows).collect())
}

async fn revoke(flags: Revoke) -> Result<(), CliError> {
    let store = context::open_store(flags.settings).await?;
    // A whole key is accepted too; the search uses its prefix.
    let called = if api_keys::has_key_prefix(&flags.key) { api_keys::display_prefix(&flags.key) } else { &flags.key };
    let called = store.find_api_keys_by_id_or_prefix(called).await?;
    let revoked = match &called[..] {
        [(org, id)] => match store.revoke_api_key(org, id).await? {
            RowChange::Applied => Some(id),
            RowChange::NotFound => None,
        },
        [_, _, ..] => {
            return Err("several API keys match: pass the id, which evergrant api-key list --json shows".into());
        }
        [] => None,
    };
    store.database().close().await;
    let Some(id) = revoked else {
        return Err("there is no such API key, or it is revoked already: evergrant api-key list shows the keys".into());
    };
    flags.output.print(&json!({ "revoked": id }), "Revoked. Requests that use it are refused from now on.");
    Ok(())
}

fn to_json(org: &str, key: &ApiKeyView) -> Value {
    // The view holds only strings and numbers, so it always serializes.
    let mut value = serde_json::to_value(key).unwrap_or_default();
    value["org"] = org.into();
    value
}

const TABLE_HEADER: [&str; 8] = ["KEY", "ORGANIZATION", "NAME", "SCOPES", "STATUS", "CREATED", "EXPIRES", "LAST USED"];

fn to_row(org: &str, key: &ApiKeyView) -> [String; 8] {
    [
        key.prefix.clone(),
        replace_control_chars(org),
        replace_control_chars(&key.name),
        Scope::join(&key.scopes),
        key.status.as_str().to_owned(),
        format_date(Some(key.created_at)),
        format_date(key.expires_at),
        format_date(key.last_used_at),
    ]
}

fn format_date(at: Option<i64>) -> String {
    let at = at.and_then(|at| DateTime::from_timestamp(at, 0));
    at.map_or_else(|| "never".to_owned(), |at| at.format("%Y-%m-%d").to_string())
}

fn scope(text: &str) -> Result<Scope, String> {
    Scope::parse(text).ok_or_else(|| format!("a scope is one of {}", Scope::join(Scope::ALL).replace(' ', ", ")))
}

fn life(text: &str) -> Result<ApiKeyLifetime, String> {
    ApiKeyLifetime::parse(text).ok_or_else(|| "a key's lifetime is 30d, 90d, 365d or never".to_owned())
}
