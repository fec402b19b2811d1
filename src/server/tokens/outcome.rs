//! Refresh requests, their outcomes, and the messages for people.

use crate::model::{FailureCause, Trigger, XERO_NOT_ANSWERING};
use crate::server::domain::{AppIdentity, Grant};
use crate::server::xero::{ErrorKind, OpenCircuit, Transient, XeroError};

/// Returns the message while Xero doesn't answer.
fn not_answering() -> String {
    format!("{XERO_NOT_ANSWERING}. Your connection is safe.")
}

/// The message while refusals are held, which also keep the circuit open for others.
const HELD_REFUSAL: &str = "Xero refuses several connections at once. Evergrant doesn't believe it yet and asks again. \
                            Nothing was disconnected.";

/// What triggered a refresh, and when to exchange a token that is still fresh.
#[derive(Clone, Debug)]
pub struct RefreshRequest {
    /// What triggered the refresh.
    pub trigger: Trigger,
    /// The email address of the person who requested it, if a person did.
    pub actor: Option<String>,
    /// Exchange the token even if it is not due, as for a person's "Refresh now".
    pub force: bool,
    /// Exchange the token if the access token has fewer seconds left than this.
    pub min_ttl: i64,
    /// End the grant if Xero refuses its token, although the refusal may not be news of the grant: an operator says so.
    pub believes_refusals: bool,
}

impl RefreshRequest {
    /// Returns an automatic request, which refreshes a due grant and observes its back-off.
    pub fn automatic(trigger: Trigger) -> Self {
        Self { trigger, actor: None, force: false, min_ttl: 0, believes_refusals: false }
    }

    /// Returns a program's request for an access token that lasts at least `min_ttl` seconds.
    pub fn vend(min_ttl: i64) -> Self {
        Self { min_ttl, ..Self::automatic(Trigger::Vend) }
    }

    /// Returns the request of the person with this email address, which may bypass the back-off.
    pub fn manual(email: &str) -> Self {
        Self { actor: Some(email.to_owned()), ..Self::automatic(Trigger::Manual) }
    }

    /// Returns a command-line request, which may bypass the back-off.
    pub fn cli() -> Self {
        Self::automatic(Trigger::Cli)
    }

    /// Makes it exchange the token even if it is not due.
    pub fn forced(self) -> Self {
        Self { force: true, ..self }
    }

    /// Makes it end the grant if Xero refuses its token, whatever happens to others.
    pub fn believing_refusals(self) -> Self {
        Self { believes_refusals: true, ..self }
    }

    /// Returns whether a person waits for the outcome.
    pub fn is_interactive(&self) -> bool {
        matches!(self.trigger, Trigger::Manual | Trigger::Cli)
    }
}

/// How an exchange ended. Cloned to every caller that joined it.
#[derive(Clone, Debug, PartialEq)]
pub enum RefreshOutcome {
    /// This exchange was committed.
    Refreshed,
    /// Another holder refreshed the grant meanwhile; the row has its tokens.
    RefreshedElsewhere,
    /// Nothing was due.
    NotDue,
    /// The grant was not refreshed.
    Failed(RefreshFailure),
}

/// Why a grant was not refreshed.
#[derive(Clone, Debug, PartialEq)]
pub struct RefreshFailure {
    /// What caused the failure, and who can fix it.
    pub cause: FailureCause,
    /// A message for people.
    pub message: String,
    /// Unix seconds of the next automatic attempt, if one is planned.
    pub next_attempt_at: Option<i64>,
}

impl RefreshFailure {
    /// Returns whether retrying cannot help.
    pub fn is_final(&self) -> bool {
        self.cause.needs_reconnecting()
    }

    /// Returns the failure for a grant that was disconnected.
    pub fn disconnected() -> Self {
        let message = "This connection was disconnected. Connect to Xero again to use it.".to_owned();
        Self { cause: FailureCause::Disconnected, message, next_attempt_at: None }
    }

    /// Returns the failure for a grant that needs a new consent. `message` says why.
    pub fn reconnect_needed(message: &str) -> Self {
        Self { cause: FailureCause::Reconnect, message: message.to_owned(), next_attempt_at: None }
    }

    /// Returns the failure for an internal error, which the log describes.
    pub fn internal() -> Self {
        let message = "Evergrant had an internal problem. Nothing was lost. Try again in a moment.".to_owned();
        Self { cause: FailureCause::Internal, message, next_attempt_at: None }
    }

    /// Returns the failure for a grant whose tokens `app` issued, which is not the configured one. Nothing was sent.
    pub fn another_app(app: &AppIdentity) -> Self {
        let message = app.foreign_message();
        Self { cause: FailureCause::Operator, message, next_attempt_at: None }
    }

    /// Returns the failure for a lease that another holder kept too long.
    pub fn busy() -> Self {
        let message = "Another refresh of this connection is still running. Try again in a moment.".to_owned();
        Self { cause: FailureCause::Busy, message, next_attempt_at: None }
    }

    /// Returns the failure for a token that Xero refused, while that is checked again.
    pub fn unconfirmed_refusal(next_attempt_at: i64) -> Self {
        let message =
            "Xero refused this connection. Evergrant checks that again before it changes anything.".to_owned();
        Self { cause: FailureCause::Unconfirmed, message, next_attempt_at: Some(next_attempt_at) }
    }

    /// Returns the failure for a token that Xero refused together with those of other organizations.
    pub fn held_refusal(next_attempt_at: i64) -> Self {
        let message = HELD_REFUSAL.to_owned();
        Self { cause: FailureCause::Unconfirmed, message, next_attempt_at: Some(next_attempt_at) }
    }

    /// Returns the failure for a grant in back-off: the one that it waits after.
    pub fn backing_off(grant: &Grant, next_attempt_at: i64) -> Self {
        let message = grant.last_error.clone().unwrap_or_else(not_answering);
        // A row of an earlier version doesn't say.
        let cause = grant.last_failure.unwrap_or(FailureCause::NotAnswering);
        Self { cause, message, next_attempt_at: Some(next_attempt_at) }
    }

    /// Returns the failure for an open circuit. Nothing was sent, and the grant's failure count is unchanged.
    pub fn circuit_open(open: &OpenCircuit, next_attempt_at: i64) -> Self {
        Self::from_xero(&open.cause, next_attempt_at)
    }

    /// Returns the failure for a manual refresh over the rate limit.
    pub fn rate_limited(next_attempt_at: Option<i64>) -> Self {
        let message = "Too many refreshes in a short time. Wait a minute, then try again.".to_owned();
        Self { cause: FailureCause::TooMany, message, next_attempt_at }
    }

    /// Returns the failure for an error from Xero.
    pub fn from_xero(error: &XeroError, next_attempt_at: i64) -> Self {
        let (cause, message) = match error.kind {
            ErrorKind::Reconnect => (FailureCause::Unconfirmed, HELD_REFUSAL.to_owned()),
            ErrorKind::Operator if error.is_app_refusal() => (
                FailureCause::AppRefused,
                "Xero refused Evergrant's own credentials. Your connection is safe. Your Evergrant administrator needs to \
                 fix this."
                    .to_owned(),
            ),
            ErrorKind::Operator => (
                FailureCause::Operator,
                format!(
                    "Xero refused the request ({}). Your connection is safe. Your Evergrant administrator needs to look at \
                     this.",
                    error.evidence_code()
                ),
            ),
            // The evidence is in the journal; the row has the message for people.
            ErrorKind::Transient(Transient::RateLimited) => {
                (FailureCause::Limited, "Xero is limiting Evergrant's requests. Your connection is safe.".to_owned())
            }
            ErrorKind::Transient(_) => (FailureCause::NotAnswering, not_answering()),
            _ => (FailureCause::NotAnswering, format!("{} Your connection is safe.", error.summary())),
        };
        Self { cause, message, next_attempt_at: Some(next_attempt_at) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::xero::{HttpResponse, parse};

    #[test]
    fn failed_request_says_who_can_fix_it() {
        for (status, body, cause) in [
            (400, r#"{"error":"invalid_grant"}"#, FailureCause::Unconfirmed),
            (400, r#"{"error":"invalid_client"}"#, FailureCause::AppRefused),
            (400, r#"{"error":"unauthorized_client"}"#, FailureCause::AppRefused),
            (400, r#"{"error":"invalid_request"}"#, FailureCause::Operator),
            (429, "{}", FailureCause::Limited),
            (503, "{}", FailureCause::NotAnswering),
        ] {
            let response = HttpResponse::for_test(status, "application/json", body.as_bytes());
            let failure = RefreshFailure::from_xero(&parse::tokens(&response, 0).err().unwrap(), 60);
            assert_eq!((failure.cause, failure.next_attempt_at), (cause, Some(60)), "{status} {body}");
            assert!(!failure.is_final(), "{status} {body}: it is tried again");
            // The message of an unconfirmed refusal says it in other words.
            let is_reassuring = failure.message.contains("connection is safe") || cause == FailureCause::Unconfirmed;
            assert!(is_reassuring, "{}", failure.message);
        }
    }

    #[test]
    fn only_a_person_waits_for_the_outcome() {
        assert!(RefreshRequest::manual("ana@example.com").is_interactive() && RefreshRequest::cli().is_interactive());
        for trigger in [Trigger::Vend, Trigger::Sweep] {
            assert!(!RefreshRequest::automatic(trigger).is_interactive(), "{trigger:?}");
        }
    }
}
