//! `evergrant encryption-key rotate`: seals the database with a new key beside running servers, and retires old keys.

use std::time::Duration;

use clap::{ArgAction, Args, Subcommand};
use serde_json::json;

use super::output::Output;
use super::{CliError, context};
use crate::model::Action;
use crate::server::config::{Settings, parse_duration};
use crate::server::domain::{Actor, AuditEvent};
use crate::server::encryption_keys;
use crate::server::encryption_keys::{KeyUse, RotationProgress, RotationReport};
use crate::server::store::{Store, StoreError};
use crate::server::tokens::Spool;

#[derive(Subcommand)]
pub enum Command {
    /// Create a key and seal everything with it, beside running servers. Resumes an interrupted rotation.
    Rotate(Box<Rotate>),
}

#[derive(Args)]
pub struct Rotate {
    /// Create no key; remove those from the key file that nothing needs any more.
    #[arg(long)]
    retire: bool,
    /// How long to wait for running servers to load the new key.
    #[arg(long, value_name = "TIME", default_value = "75s", value_parser = parse_duration)]
    wait: Duration,
    /// Print progress and the result as JSON, one object per line.
    #[arg(long = "json", action = ArgAction::SetTrue, value_parser = Output::flag())]
    output: Output,
    #[command(flatten, next_help_heading = "Settings")]
    settings: Settings,
}

pub async fn run(command: Command) -> Result<(), CliError> {
    let Command::Rotate(flags) = command;
    let (config, database) = context::open_database(flags.settings).await?;
    let store = context::sealing_store(&config, database).await?;
    let spooled = Spool::inspect(&config.spool_dir())?.kids;
    let done = if flags.retire {
        let kids = encryption_keys::retire(&config, &store, &spooled).await?;
        if !kids.is_empty() {
            record_audit(&store, Action::KeyRetired, &kids.join(", ")).await?;
        }
        print_retired(&kids, flags.output);
        Ok(())
    } else {
        let tell = |progress| print_progress(&progress, flags.output);
        let report = encryption_keys::rotate(&config, &store, &spooled, flags.wait, tell).await?;
        record_audit(&store, Action::KeyRotated, &report.kid).await?;
        print_report(&report, flags.output);
        unreadable_values_error(&report.refused)
    };
    store.database().close().await;
    done
}

/// Records the change in the audit log. The key ring is a file, so this happens after the change, not in its
/// transaction.
async fn record_audit(store: &Store, action: Action, kids: &str) -> Result<(), StoreError> {
    let operator = Actor::operator();
    store.record_standalone(&AuditEvent::new(&operator, action).detail("key", kids)).await
}

fn print_progress(progress: &RotationProgress, output: Output) {
    let (value, text) = match progress {
        RotationProgress::Created { kid } => {
            (json!({ "progress": "made", "kid": kid }), format!("Created key {kid}. Keep a copy of the key file."))
        }
        RotationProgress::Resumed { kid } => (
            json!({ "progress": "resumed", "kid": kid }),
            format!("Resuming with key {kid}: not everything is sealed with it yet."),
        ),
        RotationProgress::Waiting { instances: who } => {
            (json!({ "progress": "waiting", "for": who }), format!("Waiting for {} to load it.", who.join(", ")))
        }
        RotationProgress::Resealed { texts } => {
            (json!({ "progress": "resealed", "texts": texts }), format!("Resealed {texts} values."))
        }
    };
    output.print(&value, &text);
}

fn print_report(report: &RotationReport, output: Output) {
    let RotationReport { kid, resealed, refused, keys } = report;
    let refused: Vec<String> = refused.iter().map(StoreError::to_string).collect();
    let sealed = format!("Every value that opens is sealed with {kid}: {resealed} were resealed in this run.");
    let others = keys.iter().filter(|key| key.kid != *kid).map(describe_key);
    let lines: Vec<String> = std::iter::once(sealed).chain(others).collect();
    let value = json!({ "kid": kid, "resealed": resealed, "refused": refused, "keys": keys });
    output.print(&value, &lines.join("\n"));
}

/// Says if a key can be removed, or what still needs it.
fn describe_key(KeyUse { kid, texts, needed_by, may_go }: &KeyUse) -> String {
    if *may_go {
        return format!(
            "Nothing needs {kid} any more. Keep a copy with your older backups. To remove it from the key file: \
             evergrant encryption-key rotate --retire"
        );
    }
    let texts = (*texts > 0).then(|| format!("{texts} sealed values"));
    let needs: Vec<String> = texts.into_iter().chain(needed_by.iter().cloned()).collect();
    format!("Keep {kid}. It is needed by {}.", needs.join("; "))
}

fn print_retired(kids: &[String], output: Output) {
    let text = match kids {
        [] => "No key can be removed: evergrant doctor shows what needs each key.".to_owned(),
        kids => format!(
            "Removed {} from the key file. Running servers still open what it sealed until they restart.",
            kids.join(", ")
        ),
    };
    output.print(&json!({ "retired": kids }), &text);
}

fn unreadable_values_error(refused: &[StoreError]) -> Result<(), CliError> {
    match refused {
        [] => Ok(()),
        [first, ..] => Err(format!(
            "{} sealed values can't be opened and were left unchanged: {first}. Run evergrant doctor to list them",
            refused.len()
        )
        .into()),
    }
}
