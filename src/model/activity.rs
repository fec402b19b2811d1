//! Refresh attempts as the pages show them, and the overview's last 24 hours.

use serde::{Deserialize, Serialize};

use super::text_enum::str_enum;
use super::{ActivityRange, AttemptId, BindingId, RangeProblem, Span, Stored, Trigger};

str_enum!(
    /// How a refresh attempt ended.
    Outcome {
        /// Xero returned new tokens.
        Refreshed = "refreshed",
        /// Xero refused the refresh token: a new consent is needed.
        Reconnect = "reconnect",
        /// Xero refused the app's credentials, or a stored token could not be decrypted.
        Operator = "operator",
        /// No response, or one that says nothing about the token.
        Transient = "transient",
        /// The lease holder died before it recorded a result; the next holder sent the token again.
        Abandoned = "abandoned",
        /// Another attempt's result was committed.
        Superseded = "superseded",
        /// A token that an operator supplied was refused.
        Refused = "refused",
        /// No result is recorded yet.
        Running = "running",
    }
);

impl Outcome {
    /// The outcomes of an attempt that Xero refused or that got no usable response.
    pub const FAILURES: [Self; 3] = [Self::Reconnect, Self::Operator, Self::Transient];
}

/// Filter of the activity page.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ActivityFilter {
    /// Only attempts for this connection; `None` for all connections.
    pub connection: Option<BindingId>,
    /// Only attempts with this outcome; `None` for all outcomes.
    pub outcome: Option<Outcome>,
    /// Only attempts that started within this span.
    pub span: Span,
    /// Selects attempts by people and API keys whose email address or name contains this text; empty for all.
    pub person: String,
}

/// Position in a list that is sorted newest first; what follows it is older.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cursor {
    /// Time of the list entry, in unix seconds.
    pub at: i64,
    /// Id of the list entry, which orders entries of the same second.
    pub id: String,
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.at, self.id)
    }
}

impl Cursor {
    /// Parses the text form that URLs carry. Returns `None` if it is malformed.
    pub fn parse(text: &str) -> Option<Self> {
        let (at, id) = text.split_once('.')?;
        Some(Self { at: at.parse().ok()?, id: id.to_owned() })
    }
}

/// What `/activity` shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ActivityView {
    /// Entries of this page, newest first.
    pub entries: Vec<ActivityEntry>,
    /// Choices of the connection filter, by name.
    pub connections: Vec<ConnectionName>,
    /// Filter that the entries match.
    pub filter: ActivityFilter,
    /// The days and the person of the filter, as they were typed.
    pub range: ActivityRange,
    /// What is wrong with the days. Then there are no entries.
    pub problem: Option<RangeProblem>,
    /// Cursor of the next, older page, if there is one.
    pub older: Option<Cursor>,
    /// Time at which the view was created, in unix seconds.
    pub as_of: i64,
}

/// A choice of the connection filter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConnectionName {
    /// Id of the binding.
    pub id: BindingId,
    /// Name of the tenant in Xero.
    pub name: String,
}

/// One entry of the activity list. Entries of every kind share one order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ActivityEntry {
    /// A refresh attempt, with the names of the connections that its grant served.
    Attempt {
        /// Names of the connections that the attempt's grant served.
        connections: Vec<String>,
        /// The attempt.
        attempt: AttemptView,
    },
}

impl ActivityEntry {
    /// Returns the entry's position in the list.
    pub fn cursor(&self) -> Cursor {
        match self {
            Self::Attempt { attempt, .. } => Cursor { at: attempt.started_at, id: attempt.id.0.clone() },
        }
    }
}

/// One refresh attempt from the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptView {
    /// Id of the attempt.
    pub id: AttemptId,
    /// What triggered the attempt.
    pub trigger: Stored<Trigger>,
    /// The person who requested it, if one did.
    pub actor: Option<String>,
    /// When the attempt started, in unix seconds.
    pub started_at: i64,
    /// When the attempt ended, in unix seconds; `None` while it runs.
    pub finished_at: Option<i64>,
    /// Duration in milliseconds, if it was recorded.
    pub duration_ms: Option<i64>,
    /// How the attempt ended.
    pub outcome: Outcome,
    /// Code of the error; `None` if there was none.
    pub error_code: Option<String>,
    /// Status of Xero's HTTP response; `None` if there was none.
    pub http_status: Option<i64>,
    /// Id of the trace that it belongs to, if it was recorded.
    pub trace_id: Option<String>,
    /// Xero's id of the call, to quote to Xero support.
    pub correlation_id: Option<String>,
}

impl AttemptView {
    /// Describes Xero's response: the HTTP status, the error code, and what preceded it.
    pub fn evidence(&self) -> String {
        let code = self.error_code.as_deref().map(|code| match code.split_once("_after_") {
            Some((said, known)) => format!("{said}, after {}", known.replace('_', " ")),
            None => code.to_owned(),
        });
        match (self.http_status, code) {
            (Some(status), Some(code)) => format!("{status} {code}"),
            (Some(status), None) => status.to_string(),
            (None, Some(code)) => code,
            (None, None) => "none".to_owned(),
        }
    }
}

/// Refresh counts of one hour, which begins at a whole hour of UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HourView {
    /// Start of the hour, in unix seconds.
    pub begins_at: i64,
    /// Number of attempts that refreshed the tokens.
    pub refreshed: u32,
    /// Number of attempts that failed; abandoned, superseded and refused ones are not counted.
    pub failed: u32,
}

/// An upcoming automatic action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpcomingActionView {
    /// Kind of the action.
    pub kind: UpcomingActionKind,
    /// Name of the connection's tenant.
    pub connection: String,
    /// When the action is due, in unix seconds.
    pub at: i64,
}

/// Kind of an upcoming automatic action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpcomingActionKind {
    /// A refresh failed and is retried.
    Retry,
    /// The access token is refreshed before it expires.
    Refresh,
    /// The connection is unused; its refresh token is renewed before its sixty days end.
    Roll,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_joins_the_status_and_the_error_code() {
        let said = |http_status, error_code: Option<&str>| {
            let attempt = AttemptView {
                id: "a".into(),
                trigger: Stored::Known(Trigger::Sweep),
                actor: None,
                started_at: 0,
                finished_at: Some(1),
                duration_ms: None,
                outcome: Outcome::Reconnect,
                error_code: error_code.map(str::to_owned),
                http_status,
                trace_id: None,
                correlation_id: None,
            };
            attempt.evidence()
        };
        assert_eq!(said(Some(400), Some("invalid_grant")), "400 invalid_grant");
        assert_eq!(said(Some(400), Some("invalid_grant_after_lost_reply")), "400 invalid_grant, after lost reply");
        assert_eq!(said(Some(200), None), "200");
        assert_eq!(said(None, Some("timeout")), "timeout");
        assert_eq!(said(None, None), "none");
    }

    #[test]
    fn cursor_survives_a_round_trip_through_text() {
        let cursor = Cursor { at: 1_800_000_000, id: "a-1".into() };
        assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
        for text in ["", "soon.a", "17", "x"] {
            assert_eq!(Cursor::parse(text), None, "{text}");
        }
    }
}
