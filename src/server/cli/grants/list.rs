//! `evergrant grants list`: a table for people, JSON for programs.

use clap::Args;
use serde_json::{Value, json};

use super::org_named;
use crate::model::GrantStatus;
use crate::server::cli::{Failed, opened};
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

/// Names are other people's: none of them moves a terminal's cursor.
fn on_one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// Columns as wide as their widest cell, two spaces between; the last one runs free.
fn table<const N: usize>(rows: Vec<[String; N]>) -> String {
    let widths: [usize; N] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_said_in_one_unit() {
        let said = [0, 119, 120, 7199, 7200, 172_799, 172_800].map(span);
        assert_eq!(said, ["0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 d"]);
    }

    #[test]
    fn columns_stand_below_each_other_and_names_stay_on_their_line() {
        let rows = vec![["A".to_owned(), "B".to_owned()], ["Māori".to_owned(), on_one_line("x\u{1b}[2J\ny")]];
        assert_eq!(table(rows), "A      B\nMāori  x [2J y\n");
    }
}
