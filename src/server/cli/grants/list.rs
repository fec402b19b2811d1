//! `evergrant grants list`: prints grants as a table or as JSON.

use clap::{ArgAction, Args};
use serde_json::{Value, json};

use crate::model::GrantStatus;
use crate::server::cli::organization::OrgFilter;
use crate::server::cli::output::Output;
use crate::server::cli::table::{format_table, replace_control_chars};
use crate::server::cli::{CliError, context};
use crate::server::clock::Clock;
use crate::server::config::Settings;
use crate::server::domain::AppIdentity;
use crate::server::startup;
use crate::server::store::GrantSummary;

const DAY: i64 = 24 * 60 * 60;

#[derive(Args)]
pub struct Flags {
    #[command(flatten)]
    org: OrgFilter,
    /// Print ids and unix seconds as JSON.
    #[arg(long = "json", action = ArgAction::SetTrue, value_parser = Output::flag())]
    output: Output,
    #[command(flatten, next_help_heading = "Settings")]
    settings: Settings,
}

pub async fn run(flags: Flags) -> Result<(), CliError> {
    let (config, database) = context::open_database(flags.settings).await?;
    let app = startup::xero_client(&config, &Clock::system(), config.listen)?.app();
    let org = flags.org.resolve(&database).await?.map(|org| org.id);
    let listed = database.grant_summaries(org.as_ref()).await?;
    let are_held = database.refused_grants(&app, Clock::system().now()).await?.is_suspicious();
    database.close().await;
    let grants: Vec<Value> = listed.iter().map(|listed| to_json(listed, &app)).collect();
    flags
        .output
        .print(&json!({ "grants": grants }), &describe_grants(&listed, (&app, are_held), Clock::system().now()));
    Ok(())
}

/// Describes grants. Whether refusals are held follows `app`.
fn describe_grants(listed: &[GrantSummary], app: (&AppIdentity, bool), now: i64) -> String {
    if listed.is_empty() {
        return "There are no grants: nothing has been connected to Xero yet, or everything was disconnected."
            .to_owned();
    }
    let rows = listed.iter().map(|listed| to_row(listed, app, now));
    format_table(std::iter::once(TABLE_HEADER.map(str::to_owned)).chain(rows).collect())
}

fn to_json(listed: &GrantSummary, app: &AppIdentity) -> Value {
    let grant = &listed.grant;
    json!({
        "grantId": grant.id,
        "orgId": grant.org_id,
        "org": listed.org_name,
        "tenants": listed.tenants,
        "status": grant.status,
        "clientId": grant.app.client_id,
        "issuer": grant.app.issuer,
        "isOfAnotherApp": grant.app != *app,
        "accessTokenExpiresAt": grant.expires_at,
        "refreshTokenIssuedAt": grant.refresh_token_issued_at,
        "generation": grant.generation,
        "failureCount": grant.failure_count,
        "nextAttemptAt": grant.next_attempt_at,
        "refusedAt": grant.refused_at,
        "exportedAt": grant.exported_at,
        "lastError": grant.last_error,
        "lastErrorCode": listed.last_failure_code,
        "lastRefreshedAt": grant.last_refreshed_at,
        "troubledAt": listed.last_failure_at,
    })
}

const TABLE_HEADER: [&str; 9] = [
    "GRANT",
    "ORGANIZATION",
    "TENANTS",
    "STATUS",
    "ACCESS TOKEN",
    "REFRESH TOKEN",
    "FAILURES",
    "NEXT ATTEMPT",
    "LAST ERROR",
];

fn to_row(listed: &GrantSummary, (app, are_held): (&AppIdentity, bool), now: i64) -> [String; 9] {
    let grant = &listed.grant;
    let nothing = || "-".to_owned();
    let status = match grant.status {
        GrantStatus::Active | GrantStatus::RefreshFailed if grant.app != *app => "another app's",
        GrantStatus::Active if grant.refused_at.is_some() && are_held => "refused, held",
        GrantStatus::Active if grant.refused_at.is_some() => "refused, checked",
        GrantStatus::Active if grant.failure_count > 0 => "failing",
        GrantStatus::Active => "active",
        GrantStatus::RefreshFailed if grant.exported_at.is_some() => "exported",
        GrantStatus::RefreshFailed => "needs reconnecting",
        GrantStatus::Revoked => "revoked",
    };
    let access = if grant.expires_at > now { format_duration(grant.expires_at - now) } else { "expired".to_owned() };
    let next = grant.next_attempt_at.map_or_else(nothing, |next| match next - now {
        wait if wait > 0 => format!("in {}", format_duration(wait)),
        _ => "due".to_owned(),
    });
    [
        grant.id.0.clone(),
        replace_control_chars(&listed.org_name),
        if listed.tenants.is_empty() { nothing() } else { replace_control_chars(&listed.tenants.join(", ")) },
        status.to_owned(),
        access,
        format!("{} d old", (now - grant.refresh_token_issued_at).max(0) / DAY),
        grant.failure_count.to_string(),
        next,
        grant.last_error.as_deref().map_or_else(nothing, replace_control_chars),
    ]
}

/// Formats seconds in the largest unit that is still precise.
fn format_duration(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_formatted_in_one_unit() {
        let said = [0, 119, 120, 7199, 7200, 172_799, 172_800].map(format_duration);
        assert_eq!(said, ["0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 d"]);
    }
}
