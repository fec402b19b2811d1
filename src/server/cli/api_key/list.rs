//! `evergrant api-key list`.

use chrono::DateTime;
use clap::{ArgAction, Args};
use serde_json::{Value, json};

use crate::model::{ApiKeyView, Scope};
use crate::server::cli::organization::OrgFilter;
use crate::server::cli::output::Output;
use crate::server::cli::table::{format_table, replace_control_chars};
use crate::server::cli::{CliError, context};
use crate::server::config::Settings;

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

pub async fn run(flags: List) -> Result<(), CliError> {
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

fn to_json(org: &str, key: &ApiKeyView) -> Value {
    // The view holds only strings and numbers, so it always serializes.
    let mut value = serde_json::to_value(key).unwrap_or_default();
    value["org"] = org.into();
    value
}

const TABLE_HEADER: [&str; 11] = [
    "KEY",
    "OLD KEY",
    "ORGANIZATION",
    "NAME",
    "SCOPES",
    "CONNECTIONS",
    "STATUS",
    "CREATED",
    "EXPIRES",
    "LAST USED",
    "BY",
];

fn to_row(org: &str, key: &ApiKeyView) -> [String; 11] {
    let previous = key.previous.as_ref();
    let connections = key.connections.as_ref();
    [
        key.prefix.clone(),
        previous.map(|old| format!("{} until {}", old.prefix, format_time(old.ends_at))).unwrap_or_default(),
        replace_control_chars(org),
        replace_control_chars(&key.name),
        Scope::join(&key.scopes),
        connections.map_or_else(|| "all".to_owned(), |only| only.len().to_string()),
        key.status.as_str().to_owned(),
        format_date(Some(key.created_at)),
        format_date(key.expires_at),
        format_date(key.last_use.at),
        replace_control_chars(&key.last_use.by()),
    ]
}

fn format_time(at: i64) -> String {
    DateTime::from_timestamp(at, 0).map_or_else(String::new, |at| at.format("%Y-%m-%d %H:%M UTC").to_string())
}

fn format_date(at: Option<i64>) -> String {
    let at = at.and_then(|at| DateTime::from_timestamp(at, 0));
    at.map_or_else(|| "never".to_owned(), |at| at.format("%Y-%m-%d").to_string())
}
