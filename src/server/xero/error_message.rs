//! What a failed call to Xero says to people.

use super::error::{ErrorKind, Transient, XeroError};
use crate::model::XERO_NOT_ANSWERING;

impl XeroError {
    /// Returns a message for people: what happened, what to do next, and Xero's own message if there is one.
    pub fn summary(&self) -> String {
        let ours = match self.kind {
            ErrorKind::Reconnect => "Xero no longer accepts this connection. Connect to Xero again.".to_owned(),
            ErrorKind::Operator => format!(
                "Xero refuses Evergrant itself ({}). Your Evergrant administrator should check XERO_CLIENT_ID, \
                 XERO_CLIENT_SECRET and XERO_SCOPES.",
                self.evidence_code()
            ),
            ErrorKind::Transient(Transient::Timeout) => "Xero didn't answer in time. Try again in a moment.".to_owned(),
            ErrorKind::Transient(Transient::Unreachable) => "Xero can't be reached. Try again in a moment.".to_owned(),
            ErrorKind::Transient(Transient::RateLimited) => {
                format!("Xero is limiting Evergrant's requests. Try again {}.", self.retry_hint())
            }
            ErrorKind::Transient(Transient::ServerError) => {
                format!(
                    "Xero has a problem ({}). Nothing was disconnected. Try again {}.",
                    self.evidence_code(),
                    self.retry_hint()
                )
            }
            ErrorKind::Transient(Transient::Malformed) => {
                format!("Xero sent an unexpected response ({}). Try again in a moment.", self.evidence_code())
            }
            ErrorKind::Transient(Transient::CircuitOpen) => {
                format!("{XERO_NOT_ANSWERING}. Try again {}.", self.retry_hint())
            }
            ErrorKind::TokenExpired => {
                "The access token has expired. Refresh the connection, then try again.".to_owned()
            }
            ErrorKind::ScopeMissing => {
                "The access that was given in Xero doesn't cover this. Connect to Xero again to allow it.".to_owned()
            }
            ErrorKind::TenantNotConnected => {
                "Xero no longer gives access to this organisation. Connect to Xero again.".to_owned()
            }
            ErrorKind::Refused => format!("Xero refused the request ({}).", self.evidence_code()),
        };
        match &self.detail {
            Some(detail) => format!("{ours} Xero says: {detail}"),
            None => ours,
        }
    }

    /// Returns when to retry, as part of a sentence.
    fn retry_hint(&self) -> String {
        match self.retry_after.map(|wait| wait.as_secs()) {
            None | Some(0) => "in a moment".to_owned(),
            Some(1) => "in 1 second".to_owned(),
            Some(seconds @ 2..=119) => format!("in {seconds} seconds"),
            Some(seconds @ 120..=7199) => format!("in {} minutes", seconds.div_ceil(60)),
            Some(seconds) => format!("in {} hours", seconds.div_ceil(3600)),
        }
    }
}
