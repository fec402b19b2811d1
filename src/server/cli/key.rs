//! `evergrant key add|list|revoke`: an organisation's API keys, by an operator's hand.

use chrono::DateTime;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::table::{on_one_line, table};
use super::{Failed, opened, org_named};
use crate::model::{ApiKeyView, KeyLife, Scope};
use crate::server::auth::keys::{self, Made, Wanted};
use crate::server::config::Settings;
use crate::server::domain::Actor;

#[derive(Subcommand)]
pub enum Command {
    /// Make an API key for an organisation, and print it once: nobody can look it up later.
    Add(Box<Add>),
    /// Show API keys by their first letters, those that were revoked in the last 30 days too.
    List(Box<List>),
    /// End an API key. Whatever asks with it is refused from then on.
    Revoke(Box<Revoke>),
}

#[derive(Args)]
pub struct Add {
    /// The organisation whose connections it opens.
    #[arg(long, value_name = "NAME")]
    org: String,
    /// What it is for, as its list shows it.
    #[arg(long)]
    name: String,
    /// What it may do, separated by commas: bindings:read, tokens:read. All of it unless said otherwise.
    #[arg(long, value_name = "SCOPES", value_delimiter = ',', value_parser = scope)]
    scopes: Vec<Scope>,
    /// How long it counts: 30d, 90d, 365d or never, which means until it is revoked.
    #[arg(long, value_name = "TIME", default_value = "never", value_parser = life)]
    life: KeyLife,
    /// Print the key and its id as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten, next_help_heading = "Settings")]
    settings: Settings,
}

#[derive(Args)]
pub struct List {
    /// The keys of this organisation alone.
    #[arg(long, value_name = "NAME")]
    org: Option<String>,
    /// Print ids and unix seconds as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten, next_help_heading = "Settings")]
    settings: Settings,
}

#[derive(Args)]
pub struct Revoke {
    /// Its first letters or its id, as `key list` shows them.
    #[arg(long, value_name = "KEY")]
    key: String,
    /// Print what was revoked as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten, next_help_heading = "Settings")]
    settings: Settings,
}

pub async fn run(command: Command) -> Result<(), Failed> {
    match command {
        Command::Add(flags) => add(*flags).await,
        Command::List(flags) => list(*flags).await,
        Command::Revoke(flags) => revoke(*flags).await,
    }
}

async fn add(flags: Add) -> Result<(), Failed> {
    let store = opened::store(flags.settings).await?;
    let org = org_named(store.database(), flags.org.trim()).await?;
    let scopes = if flags.scopes.is_empty() { Scope::ALL } else { &flags.scopes };
    let wanted = Wanted { name: &flags.name, scopes, life: flags.life, by: None };
    let made = keys::make(&store, &org, wanted, &Actor::operator()).await;
    store.database().close().await;
    let Made { id, key, expires_at } = made?;
    if flags.json {
        println!("{}", json!({ "id": id, "orgId": org, "expiresAt": expires_at, "key": key.expose() }));
    } else {
        // The key alone on standard output, so that it can be handed on by a pipe.
        eprintln!("Copy this key now: it is shown this once. Programs send it as Authorization: Bearer KEY.");
        println!("{}", key.expose());
    }
    Ok(())
}

async fn list(flags: List) -> Result<(), Failed> {
    let store = opened::store(flags.settings).await?;
    let listed = match &flags.org {
        None => store.all_api_keys().await?,
        Some(name) => {
            let org = org_named(store.database(), name).await?;
            store.api_keys(&org).await?.into_iter().map(|key| (name.clone(), key)).collect()
        }
    };
    store.database().close().await;
    if flags.json {
        let keys: Vec<Value> = listed.iter().map(|(org, key)| for_a_program(org, key)).collect();
        println!("{}", json!({ "keys": keys }));
    } else if listed.is_empty() {
        println!("There is no API key. Make one with: evergrant key add --org … --name …");
    } else {
        let rows = listed.iter().map(|(org, key)| for_a_person(org, key));
        print!("{}", table(std::iter::once(HEADS.map(str::to_owned)).chain(rows).collect()));
    }
    Ok(())
}

async fn revoke(flags: Revoke) -> Result<(), Failed> {
    let store = opened::store(flags.settings).await?;
    // Whoever has a whole key in hand may say all of it: its first letters are what is looked for.
    let called = if keys::is_a_key(&flags.key) { keys::shown(&flags.key) } else { &flags.key };
    let called = store.api_keys_called(called).await?;
    let revoked = match &called[..] {
        [(org, id)] => store.revoke_api_key(org, id, &Actor::operator()).await?.then_some(id),
        [_, _, ..] => {
            return Err("several API keys begin like that: say its id, which evergrant key list --json shows".into());
        }
        [] => None,
    };
    store.database().close().await;
    let Some(id) = revoked else {
        return Err("there is no such API key, or it was revoked already: evergrant key list shows them".into());
    };
    if flags.json {
        println!("{}", json!({ "revoked": id }));
    } else {
        println!("Revoked. Whatever asks with it is refused from now on.");
    }
    Ok(())
}

fn for_a_program(org: &str, key: &ApiKeyView) -> Value {
    // Names and numbers alone, which all have a form in JSON.
    let mut value = serde_json::to_value(key).unwrap_or_default();
    value["org"] = org.into();
    value
}

const HEADS: [&str; 8] = ["KEY", "ORGANISATION", "NAME", "MAY", "STATUS", "CREATED", "EXPIRES", "LAST USED"];

fn for_a_person(org: &str, key: &ApiKeyView) -> [String; 8] {
    [
        key.prefix.clone(),
        on_one_line(org),
        on_one_line(&key.name),
        Scope::join(&key.scopes),
        key.status.as_str().to_owned(),
        day(Some(key.created_at)),
        day(key.expires_at),
        day(key.last_used_at),
    ]
}

fn day(at: Option<i64>) -> String {
    let at = at.and_then(|at| DateTime::from_timestamp(at, 0));
    at.map_or_else(|| "never".to_owned(), |at| at.format("%Y-%m-%d").to_string())
}

fn scope(text: &str) -> Result<Scope, String> {
    Scope::parse(text).ok_or_else(|| format!("a scope is one of {}", Scope::join(Scope::ALL).replace(' ', ", ")))
}

fn life(text: &str) -> Result<KeyLife, String> {
    KeyLife::parse(text).ok_or_else(|| "a key's life is 30d, 90d, 365d or never".to_owned())
}
