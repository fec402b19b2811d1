//! The journal as people read it, and the last day of it.

use serde::{Deserialize, Serialize};

use super::status::spelt;
use super::{AttemptId, BindingId};

spelt!(
    /// How a try at an exchange ended, for a filter.
    Outcome {
        Refreshed = "refreshed",
        /// Xero asked for a new consent.
        Reconnect = "reconnect",
        /// Xero refused the app itself, or a token didn't open.
        Operator = "operator",
        /// No answer, or one that says nothing about the token.
        Transient = "transient",
        /// Its holder died before it knew; the next one sent the token again.
        Abandoned = "abandoned",
        /// Another try's result counted.
        Superseded = "superseded",
        /// A token that an operator gave brought nothing.
        Refused = "refused",
        /// No end is known.
        Running = "running",
    }
);

/// What somebody wants to see of the journal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ActivityFilter {
    pub connection: Option<BindingId>,
    pub outcome: Option<Outcome>,
}

/// A place in the journal, which is read from the newest on: what stands after it is older.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cursor {
    pub at: i64,
    pub id: String,
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.at, self.id)
    }
}

impl Cursor {
    /// As an address carries it; `None` for what makes no sense.
    pub fn parse(text: &str) -> Option<Self> {
        let (at, id) = text.split_once('.')?;
        Some(Self { at: at.parse().ok()?, id: id.to_owned() })
    }
}

/// What `/activity` shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ActivityView {
    pub entries: Vec<Entry>,
    /// To choose from, by name.
    pub connections: Vec<ConnectionName>,
    pub filter: ActivityFilter,
    /// Where the older ones begin, if there are any.
    pub older: Option<Cursor>,
    pub as_of: i64,
}

/// A connection to filter by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConnectionName {
    pub id: BindingId,
    pub name: String,
}

/// One thing that happened. Whatever its kind, it has a place in the one order of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// A try at an exchange, with the names of the connections that its grant served.
    Attempt { connections: Vec<String>, attempt: AttemptView },
}

impl Entry {
    pub fn cursor(&self) -> Cursor {
        match self {
            Self::Attempt { attempt, .. } => Cursor { at: attempt.started_at, id: attempt.id.0.clone() },
        }
    }
}

/// One journalled try.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptView {
    pub id: AttemptId,
    pub trigger: String,
    /// Who asked, where a person did.
    pub actor: Option<String>,
    pub started_at: i64,
    pub finished_at: Option<i64>,
    /// How long it took, for one that was journalled with that.
    pub duration_ms: Option<i64>,
    /// The word of an `Outcome`; absent while it runs.
    pub outcome: Option<String>,
    pub error_code: Option<String>,
    pub http_status: Option<i64>,
    /// The trace that it is part of, where that was kept.
    pub trace_id: Option<String>,
    /// Xero's own id of the call, to quote to its support.
    pub correlation_id: Option<String>,
}

impl AttemptView {
    /// What Xero answered, as far as it is known, and what we know beyond it.
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

/// What an hour held. It begins at a whole hour of UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HourView {
    pub begins_at: i64,
    pub refreshed: u32,
    pub failed: u32,
}

/// Something that Evergrant does by itself, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NextView {
    pub kind: NextKind,
    pub connection: String,
    pub at: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NextKind {
    /// Xero didn't answer, and is asked again.
    Retry,
    /// The access token is kept fresh.
    Refresh,
    /// Nobody needs the connection; its refresh token is renewed before its sixty days are over.
    Roll,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xero_answered_is_said_as_far_as_it_is_known() {
        let said = |http_status, error_code: Option<&str>| {
            let attempt = AttemptView {
                id: "a".into(),
                trigger: "sweep".into(),
                actor: None,
                started_at: 0,
                finished_at: Some(1),
                duration_ms: None,
                outcome: Some("reconnect".into()),
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
    fn a_place_survives_the_address() {
        let cursor = Cursor { at: 1_800_000_000, id: "a-1".into() };
        assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
        for text in ["", "soon.a", "17", "x"] {
            assert_eq!(Cursor::parse(text), None, "{text}");
        }
    }
}
