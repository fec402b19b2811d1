//! `evergrant grants refresh`: refreshes grants on request, under the same lease and journal as a server.

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
    /// Print each grant's outcome as JSON.
    #[arg(long = "json", action = ArgAction::SetTrue, value_parser = Output::flag())]
    output: Output,
    #[command(flatten, next_help_heading = "Settings")]
    settings: Settings,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct GrantSelection {
    /// This grant, due or not; `grants list` shows the ids.
    #[arg(long, value_name = "ID")]
    grant: Option<String>,
    /// Every grant of this organization, if exactly one has this name, due or not.
    #[arg(long, value_name = "NAME")]
    org: Option<String>,
    /// Only the grants of the organization with this id, as org list shows it.
    #[arg(long, value_name = "ID")]
    org_id: Option<String>,
    /// Every active grant that is due, in all organizations.
    #[arg(long)]
    all_due: bool,
}

pub async fn run(flags: Flags) -> Result<(), CliError> {
    let service = OneShotService::open(flags.settings).await?;
    let selected = select_grants(&flags.which, &service).await?;
    let request = if flags.which.all_due { RefreshRequest::cli() } else { RefreshRequest::cli().forced() };
    let mut outcomes: Vec<(GrantSummary, RefreshOutcome)> = stream::iter(selected)
        .map(|listed| async {
            let outcome = service.service.refresh_grant_single_flight(&listed.grant.id, request.clone()).await;
            (listed, outcome)
        })
        .buffered(service.policy.concurrency)
        .collect()
        .await;
    service.wait_for_tasks().await;
    for (listed, outcome) in &mut outcomes {
        // A grant whose commit succeeded on retry counts as refreshed.
        if matches!(outcome, RefreshOutcome::Failed(_)) && service.was_rotated_since(&listed.grant).await {
            *outcome = RefreshOutcome::Refreshed;
        }
    }
    let spool = service.config.spool_dir();
    let waiting = service.close().await;
    let grants: Vec<Value> = outcomes.iter().map(|(listed, outcome)| to_json(listed, outcome)).collect();
    flags.output.print(&json!({ "grants": grants }), &describe_outcomes(&outcomes));
    let failed = outcomes.iter().filter(|(_, outcome)| matches!(outcome, RefreshOutcome::Failed(_))).count();
    match (failed, waiting) {
        (0, 0) => Ok(()),
        (_, 0) => Err(format!("{failed} of {} couldn't be refreshed", format_grant_count(outcomes.len())).into()),
        _ => Err(spool_advice(waiting, &spool).into()),
    }
}

/// Returns the grants that the flags select.
async fn select_grants(which: &GrantSelection, service: &OneShotService) -> Result<Vec<GrantSummary>, CliError> {
    let (database, now) = (service.store.database(), service.store.clock().now());
    let org = resolve_id(database, which.org.as_deref(), which.org_id.as_deref()).await?;
    let mut listed = database.grant_summaries(org.as_ref()).await?;
    if let Some(id) = &which.grant {
        let id = GrantId(id.clone());
        listed.retain(|listed| listed.grant.id == id);
        if listed.is_empty() {
            return Err(
                format!("there is no grant {id}, or it is revoked: evergrant grants list shows the grants").into()
            );
        }
    }
    if which.all_due {
        listed.retain(|listed| {
            listed.grant.status == GrantStatus::Active && service.policy.needs_refresh(&listed.grant, now)
        });
    }
    Ok(listed)
}

fn describe_outcomes(outcomes: &[(GrantSummary, RefreshOutcome)]) -> String {
    if outcomes.is_empty() {
        return "There was nothing to refresh.".to_owned();
    }
    let line = |(listed, outcome): &(GrantSummary, RefreshOutcome)| {
        format!("{} (grant {}): {}", listed.org_name, listed.grant.id, describe_outcome(outcome))
    };
    outcomes.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn describe_outcome(outcome: &RefreshOutcome) -> String {
    match outcome {
        RefreshOutcome::Refreshed => "refreshed.".to_owned(),
        RefreshOutcome::RefreshedElsewhere => "already refreshed by another process.".to_owned(),
        RefreshOutcome::NotDue => "already fresh.".to_owned(),
        RefreshOutcome::Failed(failed) => format!("failed. {}", failed.message),
    }
}

fn to_json(listed: &GrantSummary, outcome: &RefreshOutcome) -> Value {
    let (word, failed) = match outcome {
        RefreshOutcome::Refreshed => ("refreshed", None),
        RefreshOutcome::RefreshedElsewhere => ("adopted", None),
        RefreshOutcome::NotDue => ("fresh", None),
        RefreshOutcome::Failed(failed) => ("failed", Some(failed)),
    };
    json!({
        "grantId": listed.grant.id,
        "orgId": listed.grant.org_id,
        "org": listed.org_name,
        "outcome": word,
        "error": failed.map(|failed| &failed.message),
        "nextAttemptAt": failed.and_then(|failed| failed.next_attempt_at),
    })
}

fn format_grant_count(grants: usize) -> String {
    if grants == 1 { "1 grant".to_owned() } else { format!("{grants} grants") }
}
