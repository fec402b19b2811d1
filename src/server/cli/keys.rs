//! `evergrant keys rotate`: a new key beside running servers, and the end of an old one.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Failed, opened};
use crate::model::Action;
use crate::server::config::Settings;
use crate::server::domain::{Actor, AuditEvent};
use crate::server::keyring::{self, KeyUse, Progress, Report};
use crate::server::store::{Store, StoreError};
use crate::server::tokens::Spool;

#[derive(Subcommand)]
pub enum Command {
    /// Make a new key and seal everything with it, beside running servers. Go on where an interrupted rotation was.
    Rotate(Box<Rotate>),
}

#[derive(Args)]
pub struct Rotate {
    /// Make no key: take those out of the key file that nothing needs any more.
    #[arg(long)]
    retire: bool,
    /// How long running servers have to take up the new key.
    #[arg(long, value_name = "TIME", default_value = "75s", value_parser = humantime::parse_duration)]
    wait: Duration,
    /// Print the progress, a line each, and the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten, next_help_heading = "Settings")]
    settings: Settings,
}

pub async fn run(command: Command) -> Result<(), Failed> {
    let Command::Rotate(flags) = command;
    let (config, database) = opened::database(flags.settings).await?;
    let store = opened::sealing(&config, database).await?;
    let spooled = Spool::look(&config.spool())?.kids;
    let done = if flags.retire {
        let kids = keyring::retire(&config, &store, &spooled).await?;
        if !kids.is_empty() {
            record(&store, Action::KeyRetired, &kids.join(", ")).await?;
        }
        retired(&kids, flags.json);
        Ok(())
    } else {
        let tell = |progress| told(&progress, flags.json);
        let report = keyring::rotate(&config, &store, &spooled, flags.wait, tell).await?;
        record(&store, Action::KeyRotated, &report.kid).await?;
        rotated(&report, flags.json);
        refusal(&report.refused)
    };
    store.database().close().await;
    done
}

/// The ring is a file, so what was done to it is written down once it is done.
async fn record(store: &Store, action: Action, kids: &str) -> Result<(), StoreError> {
    let operator = Actor::operator();
    store.record_alone(&AuditEvent::new(&operator, action).with("key", kids)).await
}

fn told(progress: &Progress, as_json: bool) {
    if as_json {
        let line = match progress {
            Progress::Made { kid } => json!({ "progress": "made", "kid": kid }),
            Progress::Resumed { kid } => json!({ "progress": "resumed", "kid": kid }),
            Progress::Waiting { who } => json!({ "progress": "waiting", "for": who }),
            Progress::Resealed { texts } => json!({ "progress": "resealed", "texts": texts }),
        };
        return println!("{line}");
    }
    match progress {
        Progress::Made { kid } => println!("Made key {kid}. Keep a copy of the key file."),
        Progress::Resumed { kid } => println!("Going on with key {kid}: not everything is sealed with it yet."),
        Progress::Waiting { who } => println!("Waiting for {} to take it up.", who.join(", ")),
        Progress::Resealed { texts } => println!("Sealed {texts} anew."),
    }
}

fn rotated(report: &Report, as_json: bool) {
    let Report { kid, resealed, refused, keys } = report;
    if as_json {
        let refused: Vec<String> = refused.iter().map(StoreError::to_string).collect();
        return println!("{}", json!({ "kid": kid, "resealed": resealed, "refused": refused, "keys": keys }));
    }
    println!("Everything that opens is sealed with {kid}: {resealed} anew in this run.");
    for key in keys.iter().filter(|key| key.kid != *kid) {
        println!("{}", for_a_person(key));
    }
}

/// Whether a key may go, and what it is still needed for.
fn for_a_person(KeyUse { kid, texts, needed_by, may_go }: &KeyUse) -> String {
    if *may_go {
        return format!(
            "Nothing needs {kid} any more. Keep a copy beside backups that were made before; to take it out of the ring: \
             evergrant keys rotate --retire"
        );
    }
    let texts = (*texts > 0).then(|| format!("{texts} sealed texts"));
    let needs: Vec<String> = texts.into_iter().chain(needed_by.iter().cloned()).collect();
    format!("Keep {kid}. It is needed by {}.", needs.join("; "))
}

fn retired(kids: &[String], as_json: bool) {
    if as_json {
        println!("{}", json!({ "retired": kids }));
    } else if kids.is_empty() {
        println!("No key may go: evergrant doctor says what each is needed for.");
    } else {
        println!(
            "Took {} out of the key file. Running servers still open what it sealed until they restart.",
            kids.join(", ")
        );
    }
}

fn refusal(refused: &[StoreError]) -> Result<(), Failed> {
    match refused {
        [] => Ok(()),
        [first, ..] => Err(format!(
            "{} sealed texts don't open and stay as they are: {first}. evergrant doctor names them and what to do",
            refused.len()
        )
        .into()),
    }
}
