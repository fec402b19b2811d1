//! `evergrant grants list`: a table for people, JSON for programs.

use clap::Args;
use serde_json::{Value, json};

use crate::model::GrantStatus;
use crate::server::cli::table::{on_one_line, table};
use crate::server::cli::{Failed, opened, org_named};
use crate::server::clock::Clock;
use crate::server::config::Settings;
use crate::server::store::Listed;

const DAY: i64 = 24 * 60 * 60;

#[derive(Args)]
pub struct Flags {
    /// The grants of this organisation alone.
    #[arg(long, value_name = "NAME")]
    org: Option<String>,
    /// Print ids and unix seconds as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten, next_help_heading = "Settings")]
    settings: Settings,
}

pub async fn run(flags: Flags) -> Result<(), Failed> {
    let (_, database) = opened::database(flags.settings).await?;
    let org = match &flags.org {
        Some(name) => Some(org_named(&database, name).await?),
        None => None,
    };
    let listed = database.listed_grants(org.as_ref()).await?;
    database.close().await;
    if flags.json {
        let grants: Vec<Value> = listed.iter().map(for_a_program).collect();
        println!("{}", json!({ "grants": grants }));
    } else if listed.is_empty() {
        println!("There is no grant: nobody has connected to Xero yet, or everybody has disconnected.");
    } else {
        let now = Clock::system().now();
        let rows = listed.iter().map(|listed| for_a_person(listed, now));
        print!("{}", table(std::iter::once(HEADS.map(str::to_owned)).chain(rows).collect()));
    }
    Ok(())
}

fn for_a_program(listed: &Listed) -> Value {
    let grant = &listed.grant;
    json!({
        "grantId": grant.id,
        "orgId": grant.org_id,
        "org": listed.org_name,
        "tenants": listed.tenants,
        "status": grant.status,
        "accessTokenExpiresAt": grant.expires_at,
        "refreshTokenIssuedAt": grant.refresh_token_issued_at,
        "generation": grant.generation,
        "failureCount": grant.failure_count,
        "nextAttemptAt": grant.next_attempt_at,
        "lastError": grant.last_error,
        "lastErrorCode": listed.trouble_code,
        "lastRefreshedAt": grant.last_refreshed_at,
        "troubledAt": listed.troubled_at,
    })
}

const HEADS: [&str; 9] = [
    "GRANT",
    "ORGANISATION",
    "TENANTS",
    "STATUS",
    "ACCESS TOKEN",
    "REFRESH TOKEN",
    "FAILURES",
    "NEXT TRY",
    "LAST ERROR",
];

fn for_a_person(listed: &Listed, now: i64) -> [String; 9] {
    let grant = &listed.grant;
    let nothing = || "-".to_owned();
    let status = match grant.status {
        GrantStatus::Active if grant.failure_count > 0 => "failing",
        GrantStatus::Active => "active",
        GrantStatus::RefreshFailed => "needs reconnecting",
        GrantStatus::Revoked => "given up",
    };
    let access = if grant.expires_at > now { span(grant.expires_at - now) } else { "ended".to_owned() };
    let next = grant.next_attempt_at.map_or_else(nothing, |next| match next - now {
        wait if wait > 0 => format!("in {}", span(wait)),
        _ => "due".to_owned(),
    });
    [
        grant.id.0.clone(),
        on_one_line(&listed.org_name),
        if listed.tenants.is_empty() { nothing() } else { on_one_line(&listed.tenants.join(", ")) },
        status.to_owned(),
        access,
        format!("{} d old", (now - grant.refresh_token_issued_at).max(0) / DAY),
        grant.failure_count.to_string(),
        next,
        grant.last_error.as_deref().map_or_else(nothing, on_one_line),
    ]
}

/// The largest unit that says enough.
fn span(seconds: i64) -> String {
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
    fn spans_are_said_in_one_unit() {
        let said = [0, 119, 120, 7199, 7200, 172_799, 172_800].map(span);
        assert_eq!(said, ["0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 d"]);
    }
}
