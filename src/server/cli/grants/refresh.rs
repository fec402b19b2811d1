//! `evergrant grants refresh`: exchanges by an operator's hand, under the same lease and journal as a server's.

use clap::Args;
use futures::{StreamExt, stream};
use serde_json::{Value, json};

use super::hands::{Hands, waits};
use crate::model::{GrantId, GrantStatus};
use crate::server::cli::{Failed, org_named};
use crate::server::config::Settings;
use crate::server::store::Listed;
use crate::server::tokens::{Ask, Landed};

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
    let hands = Hands::open(flags.settings).await?;
    let wanted = wanted(&flags.which, &hands).await?;
    let ask = Ask::by_operator(!flags.which.all_due);
    let mut landed: Vec<(Listed, Landed)> = stream::iter(wanted)
        .map(|listed| async {
            let landed = hands.service.refresh_grant_single_flight(&listed.grant.id, ask.clone()).await;
            (listed, landed)
        })
        .buffered(hands.policy.at_once)
        .collect()
        .await;
    hands.settle().await;
    for (listed, landed) in &mut landed {
        // The one whose commit worked at a later try has been refreshed all the same.
        if matches!(landed, Landed::Failed(_)) && hands.has_moved_on(&listed.grant).await {
            *landed = Landed::Exchanged;
        }
    }
    let spool = hands.config.spool();
    let waiting = hands.close().await;
    say(&landed, flags.json);
    let failed = landed.iter().filter(|(_, landed)| matches!(landed, Landed::Failed(_))).count();
    match (failed, waiting) {
        (0, 0) => Ok(()),
        (_, 0) => Err(format!("{failed} of {} couldn't be refreshed", count(landed.len())).into()),
        _ => Err(waits(waiting, &spool).into()),
    }
}

/// The grants that were asked for.
async fn wanted(which: &Which, hands: &Hands) -> Result<Vec<Listed>, Failed> {
    let (database, now) = (hands.store.database(), hands.store.clock().now());
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
        listed.retain(|listed| {
            listed.grant.status == GrantStatus::Active && hands.policy.needs_refresh(&listed.grant, now)
        });
    }
    Ok(listed)
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
