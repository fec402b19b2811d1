//! `evergrant encryption-key rotate`: seals the database with a new key beside running servers, and retires old keys.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;

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
    #[arg(long)]
    json: bool,
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
        print_retired(&kids, flags.json);
        Ok(())
    } else {
        let tell = |progress| print_progress(&progress, flags.json);
        let report = encryption_keys::rotate(&config, &store, &spooled, flags.wait, tell).await?;
        record_audit(&store, Action::KeyRotated, &report.kid).await?;
        print_report(&report, flags.json);
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

fn print_progress(progress: &RotationProgress, as_json: bool) {
    if as_json {
        let line = match progress {
            RotationProgress::Created { kid } => json!({ "progress": "made", "kid": kid }),
            RotationProgress::Resumed { kid } => json!({ "progress": "resumed", "kid": kid }),
            RotationProgress::Waiting { instances: who } => json!({ "progress": "waiting", "for": who }),
            RotationProgress::Resealed { texts } => json!({ "progress": "resealed", "texts": texts }),
        };
        return println!("{line}");
    }
    match progress {
        RotationProgress::Created { kid } => println!("Created key {kid}. Keep a copy of the key file."),
        RotationProgress::Resumed { kid } => println!("Resuming with key {kid}: not everything is sealed with it yet."),
        RotationProgress::Waiting { instances: who } => println!("Waiting for {} to load it.", who.join(", ")),
        RotationProgress::Resealed { texts } => println!("Resealed {texts} values."),
    }
}

fn print_report(report: &RotationReport, as_json: bool) {
    let RotationReport { kid, resealed, refused, keys } = report;
    if as_json {
        let refused: Vec<String> = refused.iter().map(StoreError::to_string).collect();
        return println!("{}", json!({ "kid": kid, "resealed": resealed, "refused": refused, "keys": keys }));
    }
    println!("Every value that opens is sealed with {kid}: {resealed} were resealed in this run.");
    for key in keys.iter().filter(|key| key.kid != *kid) {
        println!("{}", describe_key(key));
    }
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

fn print_retired(kids: &[String], as_json: bool) {
    if as_json {
        println!("{}", json!({ "retired": kids }));
    } else if kids.is_empty() {
        println!("No key can be removed: evergrant doctor shows what needs each key.");
    } else {
        println!(
            "Removed {} from the key file. Running servers still open what it sealed until they restart.",
            kids.join(", ")
        );
    }
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
