//! How a flight ends, and what that means to whoever asked.

use crate::model::Trigger;
use crate::server::domain::Ended;
use crate::server::xero::{ErrorKind, Resting, Transient, XeroError};

/// Who wants a grant refreshed, and how badly.
#[derive(Clone, Debug)]
pub struct Ask {
    pub trigger: Trigger,
    /// The e-mail address of the person, where a person asked.
    pub actor: Option<String>,
    /// Exchange even if nothing is due: a person's "Refresh now".
    pub even_if_fresh: bool,
    /// Exchange also where the access token lasts for fewer seconds than these.
    pub min_ttl: i64,
}

impl Ask {
    /// A trigger of our own: refreshes what is due, and waits where back-off says so.
    pub fn automatic(trigger: Trigger) -> Self {
        Self { trigger, actor: None, even_if_fresh: false, min_ttl: 0 }
    }

    /// A program that wants a token which lasts so long.
    pub fn vend(min_ttl: i64) -> Self {
        Self { min_ttl, ..Self::automatic(Trigger::Vend) }
    }

    /// A person's click: may pass the back-off's wait.
    pub fn by(actor: &str, even_if_fresh: bool) -> Self {
        Self { trigger: Trigger::Manual, actor: Some(actor.to_owned()), even_if_fresh, min_ttl: 0 }
    }

    /// An operator's command: may pass the back-off's wait, as a click may.
    pub fn by_operator(even_if_fresh: bool) -> Self {
        Self { trigger: Trigger::Cli, actor: None, even_if_fresh, min_ttl: 0 }
    }

    pub fn is_a_click(&self) -> bool {
        matches!(self.trigger, Trigger::Manual | Trigger::Cli)
    }
}

/// How a flight ended. Cloned to everyone who joined it.
#[derive(Clone, Debug, PartialEq)]
pub enum Landed {
    /// We exchanged and committed.
    Exchanged,
    /// Another holder exchanged while we waited; its token is in the row.
    Adopted,
    /// Nothing was due.
    Fresh,
    Failed(Failed),
}

/// Why a grant isn't fresher than before.
#[derive(Clone, Debug, PartialEq)]
pub struct Failed {
    pub why: Why,
    /// A sentence for a person.
    pub message: String,
    /// Unix seconds of the next automatic try, where one is set.
    pub next_attempt_at: Option<i64>,
}

/// Who has to do something about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The person: connect again.
    Reconnect,
    /// The operator: Xero refused the app itself.
    Operator,
    /// Nobody: it is tried again.
    Transient,
    /// The operator: our own database or keys failed.
    Internal,
    /// The grant was given up.
    Gone,
}

impl Failed {
    pub fn gone() -> Self {
        let message = "This connection was disconnected. Connect to Xero again to use it.".to_owned();
        Self { why: Why::Gone, message, next_attempt_at: None }
    }

    /// Only a new consent helps. `last_error` is what the row says of it.
    pub fn reconnect(last_error: Option<&str>) -> Self {
        let message = last_error.unwrap_or(Ended::There.sentence()).to_owned();
        Self { why: Why::Reconnect, message, next_attempt_at: None }
    }

    /// Our own side failed; what happened is in the log.
    pub fn internal() -> Self {
        let message = "Evergrant couldn't reach its own data. Nothing is lost; try again in a moment.".to_owned();
        Self { why: Why::Internal, message, next_attempt_at: None }
    }

    pub fn busy() -> Self {
        let message = "Another refresh of this connection is still under way. Try again in a moment.".to_owned();
        Self { why: Why::Transient, message, next_attempt_at: None }
    }

    pub fn waiting(last_error: Option<&str>, next_attempt_at: i64) -> Self {
        let message = last_error.unwrap_or("Xero isn't answering. Your connection is safe.").to_owned();
        Self { why: Why::Transient, message, next_attempt_at: Some(next_attempt_at) }
    }

    /// The provider rests, so nothing was sent and nothing is held against the grant.
    pub fn resting(resting: &Resting, next_attempt_at: i64) -> Self {
        Self::by_xero(&resting.cause, next_attempt_at)
    }

    pub fn too_many_clicks(next_attempt_at: Option<i64>) -> Self {
        let message = "That was tried several times just now. Wait a minute, then try again.".to_owned();
        Self { why: Why::Transient, message, next_attempt_at }
    }

    pub fn by_xero(error: &XeroError, next_attempt_at: i64) -> Self {
        let (why, message) = match error.kind {
            ErrorKind::Operator if error.is_of_the_app() => (
                Why::Operator,
                "Xero refused Evergrant's own credentials. Your connection is safe; whoever runs Evergrant has to mend this."
                    .to_owned(),
            ),
            ErrorKind::Operator => (
                Why::Operator,
                format!(
                    "Xero refused the request ({}). Your connection is safe; whoever runs Evergrant has to look at this.",
                    error.evidence_code()
                ),
            ),
            // The evidence stands in the journal; the row says what it means for its reader.
            ErrorKind::Transient(Transient::RateLimited) => {
                (Why::Transient, "Xero asks us to slow down. Your connection is safe.".to_owned())
            }
            ErrorKind::Transient(_) => {
                (Why::Transient, "Xero isn't answering. Your connection is safe.".to_owned())
            }
            _ => (Why::Transient, format!("{} Your connection is safe.", error.summary())),
        };
        Self { why, message, next_attempt_at: Some(next_attempt_at) }
    }
}
