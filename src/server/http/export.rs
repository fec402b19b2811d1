//! `GET /activity.csv`: the journal as a table for spreadsheets and programs (RFC 4180), filtered as the page is.
//!
//! It is read and sent a few hundred rows at a time, with no connection to the database held in between.

use std::fmt::Write as _;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use chrono::DateTime;
use futures::stream;
use serde::Deserialize;

use super::failure::Failure;
use super::notice::see_other;
use super::path;
use crate::model::{ActivityFilter, Cursor, Entry, OrgId, Outcome};
use crate::server::state::AppState;
use crate::server::store::{Store, StoreError};
use crate::server::views::{Names, entries};

/// Rows that are read at a time.
const BATCH: usize = 500;

/// The columns' names. A BOM before them: without it Excel reads UTF-8 as something else.
const HEAD: &str = "\u{feff}started_at,finished_at,duration_ms,connections,trigger,actor,outcome,error_code,http_status,trace_id,attempt_id\r\n";

/// The page's filters. A form sends empty ones too.
#[derive(Deserialize)]
pub struct Asked {
    #[serde(default)]
    connection: String,
    #[serde(default)]
    outcome: String,
}

/// What is still to be sent.
struct Export {
    store: Store,
    org: OrgId,
    names: Names,
    filter: ActivityFilter,
    next: Next,
}

enum Next {
    Head,
    After(Option<Cursor>),
    Nothing,
}

/// The export, for members of the organisation; anybody else is led to the login.
pub async fn activity(
    State(state): State<AppState>,
    headers: HeaderMap,
    uri: Uri,
    Query(Asked { connection, outcome }): Query<Asked>,
) -> Result<Response, Failure> {
    let Some(caller) = state.auth.caller(&headers).await? else {
        let wanted = uri.path_and_query().map_or("/activity", |wanted| wanted.as_str());
        return Ok(see_other(&path::login(wanted)));
    };
    let Some(org) = caller.org.map(|org| org.id) else {
        return Ok((StatusCode::FORBIDDEN, "You don't belong to an organisation yet.\n").into_response());
    };
    let filter = ActivityFilter {
        connection: Some(connection).filter(|id| !id.is_empty()).map(Into::into),
        outcome: Outcome::parse(&outcome),
    };
    let names = Names::of(&state.store.connected(&org).await?);
    let today = DateTime::from_timestamp(state.store.clock().now(), 0).unwrap_or_default().format("%Y-%m-%d");
    let headers = [
        (CONTENT_TYPE, "text/csv; charset=utf-8; header=present".to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"evergrant-activity-{today}.csv\"")),
        (CACHE_CONTROL, "no-store".to_owned()),
    ];
    let export = Export { store: state.store, org, names, filter, next: Next::Head };
    Ok((headers, Body::from_stream(stream::try_unfold(export, Export::next))).into_response())
}

impl Export {
    async fn next(mut self) -> Result<Option<(String, Self)>, StoreError> {
        let after = match std::mem::replace(&mut self.next, Next::Nothing) {
            Next::Head => {
                self.next = Next::After(None);
                return Ok(Some((HEAD.to_owned(), self)));
            }
            Next::After(after) => after,
            Next::Nothing => return Ok(None),
        };
        let read = entries(&self.store, &self.org, &self.names, &self.filter, after.as_ref(), BATCH).await;
        // The answer is cut off then, which its reader notices; a table that merely ended early would pass for whole.
        let (entries, older) = read.inspect_err(|error| tracing::error!(%error, "an export was cut off"))?;
        if older.is_some() {
            self.next = Next::After(older);
        }
        Ok(Some((entries.iter().map(line).collect(), self)))
    }
}

fn line(entry: &Entry) -> String {
    let Entry::Attempt { connections, attempt } = entry;
    let number = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let cells = [
        time(attempt.started_at),
        attempt.finished_at.map(time).unwrap_or_default(),
        number(attempt.duration_ms),
        connections.join("; "),
        attempt.trigger.clone(),
        text(&attempt.actor),
        attempt.outcome.clone().unwrap_or_else(|| Outcome::Running.as_str().to_owned()),
        text(&attempt.error_code),
        number(attempt.http_status),
        text(&attempt.trace_id),
        attempt.id.0.clone(),
    ];
    let mut line = String::new();
    for (index, text) in cells.iter().enumerate() {
        // Writing to a String can't fail.
        let _ = write!(line, "{}{}", if index > 0 { "," } else { "" }, cell(text));
    }
    line + "\r\n"
}

fn time(unix: i64) -> String {
    DateTime::from_timestamp(unix, 0).unwrap_or_default().format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A cell that no spreadsheet takes for a formula (OWASP, CSV injection): what others named might begin like one. An
/// apostrophe before it makes it text. Quoted where RFC 4180 asks for it.
fn cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains(['"', ',', '\r', '\n']) || formula { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_quoted_where_it_must_be_and_never_a_formula() {
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
            ("\t=1", "\"'\t=1\""),
        ] {
            assert_eq!(cell(text), written, "{text:?}");
        }
    }

    #[test]
    fn times_are_utc() {
        assert_eq!(time(1_795_442_709), "2026-11-23T14:05:09Z");
    }
}
