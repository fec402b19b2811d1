//! `evergrant grants retry`: sends the stored tokens of grants again that Xero refused.

use clap::{ArgAction, Args};
use futures::{StreamExt, stream};
use serde_json::{Value, json};

use crate::model::{GrantId, GrantStatus};
use crate::server::cli::CliError;
use crate::server::cli::one_shot_service::{OneShotService, spool_advice};
use crate::server::cli::organization::resolve_id;
use crate::server::cli::output::Output;
use crate::server::config::Settings;
use crate::server::store::GrantSummary;
use crate::server::tokens::{RefreshOutcome, RefreshRequest};

#[derive(Args)]
pub struct Flags {
    #[command(flatten)]
    which: GrantSelection,
    /// Take back the exported grants of the selection, instead of retrying refused ones. The other system must have stopped.
    #[arg(long, conflicts_with = "grant")]
    exported: bool,
    /// End a grant that Xero refuses again, although it refuses those of other organizations, too.
    #[arg(long)]
    accept_refusals: bool,
    /// Print each grant's outcome as JSON.
    #[arg(long = "json", action = ArgAction::SetTrue, value_parser = Output::flag())]
    output: Output,
    #[command(flatten, next_help_heading = "Settings")]
    settings: Settings,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct GrantSelection {
    /// This grant; `grants list` shows the ids. One that was exported is taken back: the other system must have stopped.
    #[arg(long, value_name = "ID")]
    grant: Option<String>,
    /// Every grant of this organization, if exactly one has this name that needs reconnecting or whose refusal is held.
    #[arg(long, value_name = "NAME")]
    org: Option<String>,
    /// Every such grant of the organization with this id, as org list shows it.
    #[arg(long, value_name = "ID")]
    org_id: Option<String>,
    /// Every grant that needs reconnecting or whose refusal is held, in all organizations.
    #[arg(long)]
    all: bool,
}

/// How a retry ended.
enum Retried {
    /// The grant works.
    Works,
    /// It does not, for this reason.
    Failed(String),
}

pub async fn run(flags: Flags) -> Result<(), CliError> {
    let service = OneShotService::open(flags.settings).await?;
    let selected = select_grants(&flags.which, flags.exported, &service).await?;
    let request = RefreshRequest::cli().forced();
    let request = &if flags.accept_refusals { request.believing_refusals() } else { request };
    let mut retried: Vec<(GrantSummary, Retried)> = stream::iter(selected)
        .map(|listed| async {
            let retried = retry_one(&service, &listed, request.clone()).await;
            (listed, retried)
        })
        .buffered(service.policy.concurrency)
        .collect()
        .await;
    service.wait_for_tasks().await;
    for (listed, retried) in &mut retried {
        // A grant whose commit succeeded on retry works, too.
        if matches!(retried, Retried::Failed(_)) && service.was_rotated_since(&listed.grant).await {
            *retried = Retried::Works;
        }
    }
    let spool = service.config.spool_dir();
    let waiting = service.close().await;
    let grants: Vec<Value> = retried.iter().map(|(listed, retried)| to_json(listed, retried)).collect();
    flags.output.print(&json!({ "grants": grants }), &describe_outcomes(&retried));
    let failed = retried.iter().filter(|(_, retried)| matches!(retried, Retried::Failed(_))).count();
    match (failed, waiting) {
        (0, 0) => Ok(()),
        (_, 0) => Err(format!("{failed} of {} didn't come back", retried.len()).into()),
        _ => Err(spool_advice(waiting, &spool).into()),
    }
}

/// Returns the grants that the flags select.
async fn select_grants(
    which: &GrantSelection,
    exported: bool,
    service: &OneShotService,
) -> Result<Vec<GrantSummary>, CliError> {
    let database = service.store.database();
    let org = resolve_id(database, which.org.as_deref(), which.org_id.as_deref()).await?;
    let mut listed = database.grant_summaries(org.as_ref()).await?;
    let is_refused =
        |listed: &GrantSummary| listed.grant.status == GrantStatus::RefreshFailed || listed.grant.refused_at.is_some();
    match &which.grant {
        Some(id) => {
            let id = GrantId(id.clone());
            listed.retain(|listed| listed.grant.id == id);
            match listed.first() {
                None => {
                    Err(format!("there is no grant {id}, or it is revoked: evergrant grants list shows the grants")
                        .into())
                }
                Some(found) if !is_refused(found) => Err(format!(
                    "Xero hasn't refused grant {id}: to exchange its token, use evergrant grants refresh --grant {id}"
                )
                .into()),
                Some(_) => Ok(listed),
            }
        }
        None => {
            // An exported grant is taken back only by name or on request: two keepers of one token lose it.
            listed.retain(|listed| is_refused(listed) && listed.grant.exported_at.is_some() == exported);
            Ok(listed)
        }
    }
}

async fn retry_one(service: &OneShotService, listed: &GrantSummary, request: RefreshRequest) -> Retried {
    let id = &listed.grant.id;
    if listed.grant.status == GrantStatus::RefreshFailed {
        return match service.service.retry(id).await {
            Ok(()) => Retried::Works,
            Err(error) => Retried::Failed(error.to_string()),
        };
    }
    match service.service.refresh_grant_single_flight(id, request).await {
        RefreshOutcome::Refreshed | RefreshOutcome::RefreshedElsewhere | RefreshOutcome::NotDue => Retried::Works,
        RefreshOutcome::Failed(failed) => Retried::Failed(failed.message),
    }
}

fn describe_outcomes(retried: &[(GrantSummary, Retried)]) -> String {
    if retried.is_empty() {
        return "There was nothing to retry.".to_owned();
    }
    let line = |(listed, retried): &(GrantSummary, Retried)| {
        let outcome = match retried {
            Retried::Works => "works again.".to_owned(),
            Retried::Failed(why) => format!("failed. {why}"),
        };
        format!("{} (grant {}): {outcome}", listed.org_name, listed.grant.id)
    };
    retried.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn to_json(listed: &GrantSummary, retried: &Retried) -> Value {
    let (outcome, error) = match retried {
        Retried::Works => ("refreshed", None),
        Retried::Failed(why) => ("failed", Some(why)),
    };
    json!({
        "grantId": listed.grant.id,
        "orgId": listed.grant.org_id,
        "org": listed.org_name,
        "outcome": outcome,
        "error": error,
    })
}
