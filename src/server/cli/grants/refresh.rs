//! `evergrant grants refresh`: exchanges by an operator's hand, under the same lease and journal as a server's.

use std::time::Duration;

use clap::Args;
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::org_named;
use crate::model::{GrantId, GrantStatus};
use crate::server::cli::{Failed, opened};
use crate::server::clock::Clock;
use crate::server::config::{Config, Settings};
use crate::server::domain::Grant;
use crate::server::store::{Database, Listed, Store};
use crate::server::tokens::{Ask, Landed, Policy, Spool, TokenService};
use crate::server::xero::XeroClient;
use crate::server::{app, keyring};

/// How long a database that would not take a token set is tried again before the spool is left to have it.
const SETTLE: Duration = Duration::from_secs(5);

#[derive(Args)]
pub struct Flags {
    #[command(flatten)]
    which: Which,
    /// Print what happened to each grant as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten, next_help_heading = "Settings")]
    settings: Settings,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// This grant, whether or not it is due; `grants list` has the ids.
    #[arg(long, value_name = "ID")]
    grant: Option<String>,
    /// Every grant of this organisation, whether or not it is due.
    #[arg(long, value_name = "NAME")]
    org: Option<String>,
    /// Every active grant that is due, in all organisations.
    #[arg(long)]
    all_due: bool,
}

pub async fn run(flags: Flags) -> Result<(), Failed> {
    let (config, database) = opened::database(flags.settings).await?;
    let clock = Clock::system();
    let ring = keyring::load(&config, &database).await?;
    let store = Store::new(database.clone(), ring, clock.clone()).planned_by(app::plan(&config));
    let policy = app::policy(&config);
    let at_once = policy.at_once;
    let (tasks, stopping) = (TaskTracker::new(), CancellationToken::new());
    let service = TokenService::new(
        store.clone(),
        xero(&config, &clock).await?,
        policy.clone(),
        Spool::open(&config.spool())?,
        tasks.clone(),
        stopping.clone(),
    );

    // Newer than their rows, so before any of those is looked at.
    service.replay_spool().await?;
    let wanted = wanted(&flags.which, &database, &policy, clock.now()).await?;
    let ask = Ask::by_operator(!flags.which.all_due);
    let mut landed: Vec<(Listed, Landed)> = stream::iter(wanted)
        .map(|listed| async {
            let landed = service.refresh_grant_single_flight(&listed.grant.id, ask.clone()).await;
            (listed, landed)
        })
        .buffered(at_once)
        .collect()
        .await;

    tasks.close();
    // What a broken database would not take gets some more tries; then it waits in the spool.
    let _ = tokio::time::timeout(SETTLE, tasks.wait()).await;
    stopping.cancel();
    tasks.wait().await;
    for (listed, landed) in &mut landed {
        // The one whose commit worked at a later try has been refreshed all the same.
        if matches!(landed, Landed::Failed(_)) && has_moved_on(&store, &listed.grant).await {
            *landed = Landed::Exchanged;
        }
    }
    database.close().await;
    let waiting = service.spooled();
    if waiting > 0 {
        tracing::error!(waiting, spool = %config.spool().display(), "token sets wait for the database");
    }
    say(&landed, flags.json);
    let failed = landed.iter().filter(|(_, landed)| matches!(landed, Landed::Failed(_))).count();
    match (failed, waiting) {
        (0, 0) => Ok(()),
        (_, 0) => Err(format!("{failed} of {} couldn't be refreshed", count(landed.len())).into()),
        _ => Err(format!(
            "{} waits in {} for the database: when that answers again, start Evergrant on this data directory, or \
             run this command once more, within 30 minutes",
            if waiting == 1 { "a token set".to_owned() } else { format!("{waiting} token sets") },
            config.spool().display()
        )
        .into()),
    }
}

async fn has_moved_on(store: &Store, before: &Grant) -> bool {
    // A database that doesn't answer has taken nothing.
    let now = store.grant(&before.id).await.ok().flatten();
    now.is_some_and(|now| now.generation > before.generation && now.status == GrantStatus::Active)
}

/// The grants that were asked for.
async fn wanted(which: &Which, database: &Database, policy: &Policy, now: i64) -> Result<Vec<Listed>, Failed> {
    let org = match &which.org {
        Some(name) => Some(org_named(database, name).await?),
        None => None,
    };
    let mut listed = database.listed_grants(org.as_ref()).await?;
    if let Some(id) = &which.grant {
        let id = GrantId(id.clone());
        listed.retain(|listed| listed.grant.id == id);
        if listed.is_empty() {
            return Err(format!("there is no grant {id}, or it was given up: evergrant grants list has them").into());
        }
    }
    if which.all_due {
        listed.retain(|listed| listed.grant.status == GrantStatus::Active && policy.needs_refresh(&listed.grant, now));
    }
    Ok(listed)
}

/// Our app at Xero. In sandbox mode its Xero is a part of the server, which has to run.
async fn xero(config: &Config, clock: &Clock) -> Result<XeroClient, Failed> {
    let xero = app::client(config, clock, config.listen)?;
    // Asked before anything is journalled: that the server isn't running says nothing about a grant.
    if config.xero_app.is_none() && xero.probe().await.is_err() {
        return Err(format!(
            "no Xero app is set, and the sandbox is a part of the server, which doesn't answer on {}: start \
             evergrant serve first, or set XERO_CLIENT_ID and XERO_CLIENT_SECRET",
            config.listen
        )
        .into());
    }
    Ok(xero)
}

fn say(landed: &[(Listed, Landed)], as_json: bool) {
    if as_json {
        let grants: Vec<Value> = landed.iter().map(|(listed, landed)| for_a_program(listed, landed)).collect();
        println!("{}", json!({ "grants": grants }));
    } else if landed.is_empty() {
        println!("There was nothing to refresh.");
    } else {
        for (listed, landed) in landed {
            println!("{} (grant {}): {}", listed.org_name, listed.grant.id, for_a_person(landed));
        }
    }
}

fn for_a_person(landed: &Landed) -> String {
    match landed {
        Landed::Exchanged => "refreshed.".to_owned(),
        Landed::Adopted => "refreshed meanwhile by another process.".to_owned(),
        Landed::Fresh => "fresh already.".to_owned(),
        Landed::Failed(failed) => format!("failed. {}", failed.message),
    }
}

fn for_a_program(listed: &Listed, landed: &Landed) -> Value {
    let (outcome, failed) = match landed {
        Landed::Exchanged => ("refreshed", None),
        Landed::Adopted => ("adopted", None),
        Landed::Fresh => ("fresh", None),
        Landed::Failed(failed) => ("failed", Some(failed)),
    };
    json!({
        "grantId": listed.grant.id,
        "orgId": listed.grant.org_id,
        "org": listed.org_name,
        "outcome": outcome,
        "error": failed.map(|failed| &failed.message),
        "nextAttemptAt": failed.and_then(|failed| failed.next_attempt_at),
    })
}

fn count(grants: usize) -> String {
    if grants == 1 { "1 grant".to_owned() } else { format!("{grants} grants") }
}
