//! `GET /activity.csv`: exports the journal or the audit log as CSV (RFC 4180), with the filters of the page.
//!
//! Rows are read and sent in batches; no database connection is held between them.

use std::fmt::Write as _;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use chrono::DateTime;
use futures::stream;
use serde::Deserialize;

use crate::model::{
    Action, ActivityEntry, ActivityFilter, ActivityRange, ActorKind, AuditView, ChangesFilter, Cursor, OrgView,
    Outcome, paths,
};
use crate::server::http::flash::see_other;
use crate::server::http::internal_error::InternalError;
use crate::server::http::sign_in_path::sign_in_path;
use crate::server::http::state::AppState;
use crate::server::store::{Store, StoreError};
use crate::server::views::{ConnectionNamesByGrant, Viewer, attempt_page, audit_page, in_zone, span};

/// Rows per batch.
const BATCH_SIZE: usize = 500;

/// The header row for refresh attempts. Excel needs the BOM to recognize UTF-8.
const ATTEMPTS_HEADER: &str = "\u{feff}started_at,finished_at,duration_ms,connections,trigger,actor,outcome,error_code,http_status,trace_id,attempt_id,correlation_id\r\n";

/// The header row for audit events.
const CHANGES_HEADER: &str = "\u{feff}at,actor_kind,actor,action,detail,address,event_id\r\n";

/// The filters of the page. A form sends unused ones as empty strings.
#[derive(Deserialize)]
pub struct ExportQuery {
    #[serde(default)]
    connection: String,
    #[serde(default)]
    outcome: String,
    /// `changes` exports audit events instead of refresh attempts.
    #[serde(default)]
    show: String,
    #[serde(default)]
    action: String,
    #[serde(default)]
    actor: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
    #[serde(default)]
    zone: String,
    #[serde(default)]
    person: String,
}

/// The state of a running export.
struct Export {
    store: Store,
    org: OrgView,
    viewer: Viewer,
    kind: ExportKind,
    position: ExportPosition,
}

enum ExportKind {
    Attempts { names: ConnectionNamesByGrant, filter: ActivityFilter },
    Changes(ChangesFilter),
}

enum ExportPosition {
    Header,
    After(Option<Cursor>),
    End,
}

/// Streams the export of the caller's organization. Without a session, redirects to the login.
pub async fn activity(
    State(state): State<AppState>,
    headers: HeaderMap,
    uri: Uri,
    Query(query): Query<ExportQuery>,
) -> Result<Response, InternalError> {
    let Some(caller) = state.auth.caller(&headers).await? else {
        let wanted = uri.path_and_query().map_or(paths::ACTIVITY, |wanted| wanted.as_str());
        return Ok(see_other(&sign_in_path(&state, &headers, wanted)));
    };
    if caller.locked_org.is_some() {
        let why = "This organisation requires a second factor. Set yours up on your account page.\n";
        return Ok((StatusCode::FORBIDDEN, why).into_response());
    }
    let Some(org) = caller.org else {
        return Ok((StatusCode::FORBIDDEN, "You don't belong to an organisation yet.\n").into_response());
    };
    let range = ActivityRange::typed(Some(query.from), Some(query.to), Some(query.zone), Some(query.person));
    let range = in_zone(range, caller.time_zone.as_deref());
    let span = match span(&range) {
        Ok(span) => span,
        Err(problem) => return Ok((StatusCode::UNPROCESSABLE_ENTITY, format!("{problem}\n")).into_response()),
    };
    let what = if query.show == "changes" {
        ExportKind::Changes(ChangesFilter {
            action: Action::parse(&query.action),
            actor: ActorKind::parse(&query.actor),
            span,
            person: range.person,
        })
    } else {
        let connection = Some(query.connection).filter(|id| !id.is_empty()).map(Into::into);
        let outcome = Outcome::parse(&query.outcome);
        let filter = ActivityFilter { connection, outcome, span, person: range.person };
        ExportKind::Attempts {
            names: ConnectionNamesByGrant::of(&state.store.connections_with_grants(&org.id).await?),
            filter,
        }
    };
    let name = if matches!(what, ExportKind::Attempts { .. }) { "activity" } else { "changes" };
    let today = DateTime::from_timestamp(state.store.clock().now(), 0).unwrap_or_default().format("%Y-%m-%d");
    let headers = [
        (CONTENT_TYPE, "text/csv; charset=utf-8; header=present".to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"evergrant-{name}-{today}.csv\"")),
        (CACHE_CONTROL, "no-store".to_owned()),
    ];
    let viewer = Viewer::new(org.role, &caller.email);
    let export = Export { store: state.store.clone(), org, viewer, kind: what, position: ExportPosition::Header };
    Ok((headers, Body::from_stream(stream::try_unfold(export, Export::next_chunk))).into_response())
}

impl Export {
    async fn next_chunk(mut self) -> Result<Option<(String, Self)>, StoreError> {
        let after = match std::mem::replace(&mut self.position, ExportPosition::End) {
            ExportPosition::Header => {
                self.position = ExportPosition::After(None);
                let head =
                    if matches!(self.kind, ExportKind::Attempts { .. }) { ATTEMPTS_HEADER } else { CHANGES_HEADER };
                return Ok(Some((head.to_owned(), self)));
            }
            ExportPosition::After(after) => after,
            ExportPosition::End => return Ok(None),
        };
        let read = self.read_batch(after.as_ref()).await;
        // Aborts the response, so that the client notices. A table that just ended would look complete.
        let (lines, older) = read.inspect_err(|error| tracing::error!(%error, "CSV export aborted"))?;
        if older.is_some() {
            self.position = ExportPosition::After(older);
        }
        Ok(Some((lines, self)))
    }

    /// Reads a batch of rows, and the cursor of the next batch if there is one.
    async fn read_batch(&self, after: Option<&Cursor>) -> Result<(String, Option<Cursor>), StoreError> {
        Ok(match &self.kind {
            ExportKind::Attempts { names, filter } => {
                let (read, older) =
                    attempt_page(&self.store, (&self.org.id, &self.viewer), names, filter, after, BATCH_SIZE).await?;
                (read.iter().map(attempt_row).collect(), older)
            }
            ExportKind::Changes(filter) => {
                let (read, older) =
                    audit_page(&self.store, (&self.org, &self.viewer), filter, after, BATCH_SIZE).await?;
                (read.iter().map(change_row).collect(), older)
            }
        })
    }
}

fn change_row(event: &AuditView) -> String {
    let detail: Vec<String> = event.detail.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    csv_row(&[
        format_time(event.at),
        event.actor_kind.as_str().to_owned(),
        event.actor.clone(),
        event.action.as_str().to_owned(),
        detail.join("; "),
        event.address.clone().unwrap_or_default(),
        event.id.clone(),
    ])
}

fn attempt_row(entry: &ActivityEntry) -> String {
    let ActivityEntry::Attempt { connections, attempt } = entry;
    let number = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    csv_row(&[
        format_time(attempt.started_at),
        attempt.finished_at.map(format_time).unwrap_or_default(),
        number(attempt.duration_ms),
        connections.join("; "),
        attempt.trigger.as_str().to_owned(),
        text(&attempt.actor),
        attempt.outcome.as_str().to_owned(),
        text(&attempt.error_code),
        number(attempt.http_status),
        text(&attempt.trace_id),
        attempt.id.0.clone(),
        text(&attempt.correlation_id),
    ])
}

fn csv_row(cells: &[String]) -> String {
    let mut line = String::new();
    for (index, text) in cells.iter().enumerate() {
        // Writing to a String never fails.
        let _ = write!(line, "{}{}", if index > 0 { "," } else { "" }, csv_cell(text));
    }
    line + "\r\n"
}

fn format_time(unix: i64) -> String {
    DateTime::from_timestamp(unix, 0).unwrap_or_default().format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Quotes a cell as RFC 4180 requires, and puts an apostrophe before what a spreadsheet would take for a formula (OWASP,
/// CSV injection), because names come from outside. A spreadsheet of another language separates cells at semicolons or
/// tabs and doesn't see our quotes, so what follows these or a line break is treated like a cell's start.
fn csv_cell(text: &str) -> String {
    let mut guarded = String::with_capacity(text.len());
    let mut at_start = true;
    for character in text.chars() {
        let is_separator = matches!(character, ';' | '\t' | '\r' | '\n');
        let starts_formula = matches!(character, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠');
        if at_start && (starts_formula || (guarded.is_empty() && matches!(character, '\t' | '\r' | '\n'))) {
            guarded.push('\'');
        }
        guarded.push(character);
        // Spreadsheets skip blanks, and quotes belong to the cell's syntax.
        at_start = is_separator || (at_start && matches!(character, ' ' | '"'));
    }
    let needs_quotes = guarded.len() != text.len() || text.contains(['"', ',', ';', '\t', '\r', '\n']);
    if needs_quotes { format!("\"{}\"", guarded.replace('"', "\"\"")) } else { guarded }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cell_is_quoted_if_needed_and_formulas_are_neutralized() {
        for (text, written) in [
            ("Harbour Coffee", "Harbour Coffee"),
            ("", ""),
            ("Smith, Jones", "\"Smith, Jones\""),
            ("the \"Shop\"", "\"the \"\"Shop\"\"\""),
            ("two\r\nlines", "\"two\r\nlines\""),
            ("=cmd|' /C calc'!A0", "\"'=cmd|' /C calc'!A0\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("+64 9", "\"'+64 9\""),
            ("-1", "\"'-1\""),
            ("\t=1", "\"'\t'=1\""),
            ("Shop;=1+1", "\"Shop;'=1+1\""),
            ("Shop; @SUM(A1)", "\"Shop; '@SUM(A1)\""),
            ("Shop\t=1", "\"Shop\t'=1\""),
            ("Shop\n-1", "\"Shop\n'-1\""),
            ("Shop\r+1", "\"Shop\r'+1\""),
            ("Shop;\"=1\"", "\"Shop;\"\"'=1\"\"\""),
            (" =1", "\" '=1\""),
            ("=1;-2", "\"'=1;'-2\""),
            ("a-b; c+d", "\"a-b; c+d\""),
        ] {
            assert_eq!(csv_cell(text), written, "{text:?}");
        }
    }

    #[test]
    fn times_are_utc() {
        assert_eq!(format_time(1_795_442_709), "2026-11-23T14:05:09Z");
    }
}
