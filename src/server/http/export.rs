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
use crate::model::{Action, ActivityFilter, ActorKind, AuditView, ChangesFilter, Cursor, Entry, OrgView, Outcome};
use crate::server::state::AppState;
use crate::server::store::{Store, StoreError};
use crate::server::views::{Names, audit, entries};

/// Rows that are read at a time.
const BATCH: usize = 500;

/// The columns' names. A BOM before them: without it Excel reads UTF-8 as something else.
const TRIES: &str = "\u{feff}started_at,finished_at,duration_ms,connections,trigger,actor,outcome,error_code,http_status,trace_id,attempt_id,correlation_id\r\n";

const CHANGES: &str = "\u{feff}at,actor_kind,actor,action,detail,address,event_id\r\n";

/// The page's filters. A form sends empty ones too.
#[derive(Deserialize)]
pub struct Asked {
    #[serde(default)]
    connection: String,
    #[serde(default)]
    outcome: String,
    /// `changes` for what was done and by whom, instead of the tries.
    #[serde(default)]
    show: String,
    #[serde(default)]
    action: String,
    #[serde(default)]
    actor: String,
}

/// What is still to be sent.
struct Export {
    store: Store,
    org: OrgView,
    what: What,
    next: Next,
}

enum What {
    Tries { names: Names, filter: ActivityFilter },
    Changes(ChangesFilter),
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
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    let Some(caller) = state.auth.caller(&headers).await? else {
        let wanted = uri.path_and_query().map_or("/activity", |wanted| wanted.as_str());
        return Ok(see_other(&path::login(wanted)));
    };
    let Some(org) = caller.org else {
        return Ok((StatusCode::FORBIDDEN, "You don't belong to an organisation yet.\n").into_response());
    };
    let what = if asked.show == "changes" {
        What::Changes(ChangesFilter { action: Action::parse(&asked.action), actor: ActorKind::parse(&asked.actor) })
    } else {
        let connection = Some(asked.connection).filter(|id| !id.is_empty()).map(Into::into);
        let filter = ActivityFilter { connection, outcome: Outcome::parse(&asked.outcome) };
        What::Tries { names: Names::of(&state.store.connected(&org.id).await?), filter }
    };
    let name = if matches!(what, What::Tries { .. }) { "activity" } else { "changes" };
    let today = DateTime::from_timestamp(state.store.clock().now(), 0).unwrap_or_default().format("%Y-%m-%d");
    let headers = [
        (CONTENT_TYPE, "text/csv; charset=utf-8; header=present".to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"evergrant-{name}-{today}.csv\"")),
        (CACHE_CONTROL, "no-store".to_owned()),
    ];
    let export = Export { store: state.store, org, what, next: Next::Head };
    Ok((headers, Body::from_stream(stream::try_unfold(export, Export::next))).into_response())
}

impl Export {
    async fn next(mut self) -> Result<Option<(String, Self)>, StoreError> {
        let after = match std::mem::replace(&mut self.next, Next::Nothing) {
            Next::Head => {
                self.next = Next::After(None);
                let head = if matches!(self.what, What::Tries { .. }) { TRIES } else { CHANGES };
                return Ok(Some((head.to_owned(), self)));
            }
            Next::After(after) => after,
            Next::Nothing => return Ok(None),
        };
        let read = self.read(after.as_ref()).await;
        // The answer is cut off then, which its reader notices; a table that merely ended early would pass for whole.
        let (lines, older) = read.inspect_err(|error| tracing::error!(%error, "an export was cut off"))?;
        if older.is_some() {
            self.next = Next::After(older);
        }
        Ok(Some((lines, self)))
    }

    /// Some lines, and the place after which there are more.
    async fn read(&self, after: Option<&Cursor>) -> Result<(String, Option<Cursor>), StoreError> {
        Ok(match &self.what {
            What::Tries { names, filter } => {
                let (read, older) = entries(&self.store, &self.org.id, names, filter, after, BATCH).await?;
                (read.iter().map(line).collect(), older)
            }
            What::Changes(filter) => {
                let (read, older) = audit(&self.store, &self.org, *filter, after, BATCH).await?;
                (read.iter().map(change).collect(), older)
            }
        })
    }
}

fn change(event: &AuditView) -> String {
    let detail: Vec<String> = event.detail.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    row(&[
        time(event.at),
        event.actor_kind.as_str().to_owned(),
        event.actor.clone(),
        event.action.clone(),
        detail.join("; "),
        event.address.clone().unwrap_or_default(),
        event.id.clone(),
    ])
}

fn line(entry: &Entry) -> String {
    let Entry::Attempt { connections, attempt } = entry;
    let number = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    row(&[
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
        text(&attempt.correlation_id),
    ])
}

fn row(cells: &[String]) -> String {
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
