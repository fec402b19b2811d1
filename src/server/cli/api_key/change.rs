//! `evergrant api-key rename|limit|rotate|end-previous|revoke`: changes one key.

use std::time::Duration;

use clap::{ArgAction, Args};
use serde_json::json;

use crate::model::{ApiKeyId, BindingId, OrgId};
use crate::server::auth::api_keys;
use crate::server::cli::output::Output;
use crate::server::cli::{CliError, context};
use crate::server::config::{Settings, parse_duration};
use crate::server::store::{RowChange, Store};

const NO_SUCH_KEY: &str = "there is no such API key, or it is revoked already: evergrant api-key list shows the keys";

#[derive(Args)]
pub struct Rename {
    /// The key's prefix or id, as `api-key list` shows them.
    #[arg(long, value_name = "KEY")]
    key: String,
    /// The new name.
    #[arg(long)]
    name: String,
    /// Print the key's id as JSON.
    #[arg(long = "json", action = ArgAction::SetTrue, value_parser = Output::flag())]
    output: Output,
    #[command(flatten, next_help_heading = "Settings")]
    settings: Settings,
}

#[derive(Args)]
pub struct Limit {
    /// The key's prefix or id, as `api-key list` shows them.
    #[arg(value_name = "KEY")]
    key: String,
    #[command(flatten)]
    reach: Reach,
    /// Print the key's id and its connections as JSON.
    #[arg(long = "json", action = ArgAction::SetTrue, value_parser = Output::flag())]
    output: Output,
    #[command(flatten, next_help_heading = "Settings")]
    settings: Settings,
}

/// The connections that a key opens from now on.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct Reach {
    /// ID of a connection that the key opens. May be repeated. All others are closed to it.
    #[arg(long = "binding", value_name = "ID")]
    bindings: Vec<BindingId>,
    /// Remove the limit: the key opens all connections, also later ones.
    #[arg(long)]
    all: bool,
}

#[derive(Args)]
pub struct Rotate {
    /// The key's prefix or id, as `api-key list` shows them.
    #[arg(long, value_name = "KEY")]
    key: String,
    /// How long the old key works: 7d at most, 0s to end it at once.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = parse_duration)]
    overlap: Duration,
    /// Print the new key, its id, and when the old one ends as JSON.
    #[arg(long = "json", action = ArgAction::SetTrue, value_parser = Output::flag())]
    output: Output,
    #[command(flatten, next_help_heading = "Settings")]
    settings: Settings,
}

#[derive(Args)]
pub struct EndPrevious {
    /// The new key's prefix or the id, as `api-key list` shows them.
    #[arg(long, value_name = "KEY")]
    key: String,
    /// Print the key's id as JSON.
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

pub async fn rename(flags: Rename) -> Result<(), CliError> {
    let store = context::open_store(flags.settings).await?;
    let (org, id) = find(&store, &flags.key).await?;
    let renamed = api_keys::rename(&store, &org, &id, &flags.name).await;
    store.database().close().await;
    renamed?;
    flags.output.print(&json!({ "renamed": id }), "Renamed.");
    Ok(())
}

pub async fn limit(flags: Limit) -> Result<(), CliError> {
    let store = context::open_store(flags.settings).await?;
    let (org, id) = find(&store, &flags.key).await?;
    let Reach { bindings, all } = flags.reach;
    let limited = store.limit_api_key(&org, &id, (!all).then_some(bindings.as_slice())).await;
    store.database().close().await;
    limited?;
    let text = match bindings.len() {
        0 => "The key opens all connections from now on.".to_owned(),
        1 => "The key opens 1 connection from now on.".to_owned(),
        number => format!("The key opens {number} connections from now on."),
    };
    flags.output.print(&json!({ "limited": id, "bindings": (!all).then_some(bindings) }), &text);
    Ok(())
}

pub async fn rotate(flags: Rotate) -> Result<(), CliError> {
    let store = context::open_store(flags.settings).await?;
    let (org, id) = find(&store, &flags.key).await?;
    let overlap = i64::try_from(flags.overlap.as_secs()).unwrap_or(i64::MAX);
    let rotated = api_keys::rotate(&store, &org, &id, overlap, None).await;
    store.database().close().await;
    let rotated = rotated?;
    if flags.output == Output::Text {
        // Only the key goes to standard output, so that it can be piped.
        let overlap = humantime::format_duration(flags.overlap);
        eprintln!("Copy this key now: it is not shown again. The old key works for another {overlap}.");
    }
    let replaced = rotated.replaced;
    let value = json!({
        "id": id,
        "expiresAt": replaced.expires_at,
        "previousEndsAt": replaced.previous_ends_at,
        "key": rotated.key.expose(),
    });
    flags.output.print(&value, rotated.key.expose());
    Ok(())
}

pub async fn end_previous(flags: EndPrevious) -> Result<(), CliError> {
    let store = context::open_store(flags.settings).await?;
    let (org, id) = find(&store, &flags.key).await?;
    let ended = store.end_previous_secret(&org, &id).await;
    store.database().close().await;
    if ended? == RowChange::NotFound {
        return Err("this API key has no old key that still works".into());
    }
    flags.output.print(&json!({ "ended": id }), "Ended. Requests that use the old key are refused from now on.");
    Ok(())
}

pub async fn revoke(flags: Revoke) -> Result<(), CliError> {
    let store = context::open_store(flags.settings).await?;
    let (org, id) = find(&store, &flags.key).await?;
    let revoked = store.revoke_api_key(&org, &id).await;
    store.database().close().await;
    if revoked? == RowChange::NotFound {
        return Err(NO_SUCH_KEY.into());
    }
    flags.output.print(&json!({ "revoked": id }), "Revoked. Requests that use it are refused from now on.");
    Ok(())
}

/// Finds the one unrevoked key with this id or prefix. A whole key is accepted, too; the search uses its prefix.
async fn find(store: &Store, called: &str) -> Result<(OrgId, ApiKeyId), CliError> {
    let called = if api_keys::has_key_prefix(called) { api_keys::display_prefix(called) } else { called };
    let mut found = store.find_api_keys_by_id_or_prefix(called).await?;
    match (found.pop(), found.len()) {
        (Some(one), 0) => Ok(one),
        (Some(_), _) => Err("several API keys match: pass the id, which evergrant api-key list --json shows".into()),
        (None, _) => Err(NO_SUCH_KEY.into()),
    }
}
