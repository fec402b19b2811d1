//! Injected faults: their description, which requests they apply to, and what the client receives.

pub(crate) mod hold;
pub(crate) mod inject;

use std::collections::VecDeque;

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

/// Where a fault is injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// `/connect/token`.
    Token,
    /// `/connect/revocation`.
    Revocation,
    /// `/connections`: the list, and the deletion of one.
    Connections,
    /// The deletion of a connection alone.
    Disconnect,
    /// `/api.xro/2.0/Organisation`.
    #[serde(rename = "organisation")]
    Organization,
    /// `/api.xro/2.0/Invoices` and what is below it.
    Invoices,
    /// Whichever is called next. Valid in a fault only.
    Any,
}

/// What goes wrong. `Before`: the endpoint does not process the request. `After`: it does, and its response is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Before: no response until the client disconnects, or until a release closes the connection.
    TimeoutBefore,
    /// After: no response until the client disconnects, or until a release closes the connection.
    TimeoutAfter,
    /// Before: the connection is closed with nothing sent.
    ResetBefore,
    /// After: the connection is closed with nothing sent.
    ResetAfter,
    /// Before: the given status, by default 503, with `Retry-After` if given.
    Status,
    /// After: the given status, as from a gateway that lost the response.
    StatusAfter,
    /// After: 200 and JSON that is cut off.
    Malformed,
    /// After: the real response's headers and half its body, then a closed connection.
    Truncated,
    /// After: 200 and an HTML page.
    WrongContentType,
    /// Before: 400 `invalid_client`. Token and revocation endpoints only.
    InvalidClient,
    /// Before: 400 `unauthorized_client`. Token and revocation endpoints only.
    UnauthorizedClient,
    /// Before: 400 `unsupported_grant_type`. Token and revocation endpoints only.
    UnsupportedGrantType,
    /// Before: 400 `invalid_request`. Token and revocation endpoints only.
    InvalidRequest,
    /// Before: 400 `invalid_grant` although the token is good, as to the wrong app. Token and revocation endpoints only.
    InvalidGrant,
    /// Before: 403 `AuthenticationUnsuccessful` in Xero's own format, as for a tenant that is not connected. Not at the
    /// token and revocation endpoints. (`Status` with 403 is the page of a proxy.)
    Forbidden,
}

impl FaultKind {
    /// Returns whether the endpoint does not process the request.
    pub fn prevents_processing(self) -> bool {
        match self {
            Self::TimeoutBefore | Self::ResetBefore | Self::Status | Self::Forbidden => true,
            Self::InvalidClient | Self::UnauthorizedClient | Self::UnsupportedGrantType => true,
            Self::InvalidRequest | Self::InvalidGrant => true,
            Self::TimeoutAfter
            | Self::ResetAfter
            | Self::StatusAfter
            | Self::Malformed
            | Self::Truncated
            | Self::WrongContentType => false,
        }
    }

    fn is_oauth_error(self) -> bool {
        matches!(
            self,
            Self::InvalidClient
                | Self::UnauthorizedClient
                | Self::UnsupportedGrantType
                | Self::InvalidRequest
                | Self::InvalidGrant
        )
    }

    /// Returns whether an endpoint sends this kind.
    fn is_possible_at(self, endpoint: Endpoint) -> bool {
        match endpoint {
            Endpoint::Token | Endpoint::Revocation => self != Self::Forbidden,
            Endpoint::Connections | Endpoint::Disconnect | Endpoint::Organization | Endpoint::Invoices => {
                !self.is_oauth_error()
            }
            Endpoint::Any => true,
        }
    }
}

/// A fault that is injected at one endpoint, a number of times.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Where it is injected.
    pub endpoint: Endpoint,
    /// What goes wrong.
    pub kind: FaultKind,
    /// The HTTP status of `Status` and `StatusAfter`.
    #[serde(default)]
    pub status: Option<u16>,
    /// The `Retry-After` of `Status` and `StatusAfter`, in seconds.
    #[serde(default)]
    pub retry_after: Option<u32>,
    /// How often it is injected: once by default, without end if `null`.
    #[serde(default = "once")]
    pub times: Option<u32>,
    /// Restricts a fault of the token endpoint to `authorization_code` or `refresh_token`.
    #[serde(default)]
    pub grant_type: Option<String>,
}

#[expect(clippy::unnecessary_wraps, reason = "serde wants the field's own type")]
fn once() -> Option<u32> {
    Some(1)
}

/// Why a fault is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum InvalidFault {
    /// It is not the JSON of a fault.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// The endpoint sends no such error.
    #[error("OAuth errors are only possible at the token and revocation endpoints, `forbidden` only at the others")]
    WrongEndpoint,
    /// The status is no final HTTP status.
    #[error("status must be between 200 and 599")]
    Status,
    /// `times` is zero.
    #[error("times must be at least 1, or null for no end")]
    Times,
}

impl std::str::FromStr for Fault {
    type Err = InvalidFault;

    /// Parses the JSON that the control route accepts.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fault: Self = serde_json::from_str(text)?;
        fault.validate()?;
        Ok(fault)
    }
}

impl Fault {
    /// Checks that the fields fit together.
    ///
    /// # Errors
    /// If the endpoint can't send this kind, or if `status` or `times` is out of range.
    pub fn validate(&self) -> Result<(), InvalidFault> {
        if !self.kind.is_possible_at(self.endpoint) {
            return Err(InvalidFault::WrongEndpoint);
        }
        if self.status.is_some_and(|status| !(200..600).contains(&status)) {
            return Err(InvalidFault::Status);
        }
        if self.times == Some(0) { Err(InvalidFault::Times) } else { Ok(()) }
    }

    fn applies_to(&self, endpoint: Endpoint, grant_type: Option<&str>) -> bool {
        let endpoint_matches = match self.endpoint {
            Endpoint::Any => self.kind.is_possible_at(endpoint),
            Endpoint::Connections => matches!(endpoint, Endpoint::Connections | Endpoint::Disconnect),
            required => required == endpoint,
        };
        endpoint_matches && self.grant_type.as_deref().is_none_or(|required| grant_type == Some(required))
    }

    /// Returns the HTTP status that the client receives, if any. `processed` is the status of the endpoint's own
    /// response, if the endpoint processed the request.
    pub(crate) fn status_sent(&self, processed: Option<StatusCode>) -> Option<u16> {
        match self.kind {
            FaultKind::TimeoutBefore | FaultKind::TimeoutAfter | FaultKind::ResetBefore | FaultKind::ResetAfter => None,
            FaultKind::Status | FaultKind::StatusAfter => Some(self.status.unwrap_or(503)),
            FaultKind::Malformed | FaultKind::WrongContentType => Some(200),
            FaultKind::InvalidClient
            | FaultKind::UnauthorizedClient
            | FaultKind::UnsupportedGrantType
            | FaultKind::InvalidRequest
            | FaultKind::InvalidGrant => Some(400),
            FaultKind::Forbidden => Some(403),
            FaultKind::Truncated => processed.map(|status| status.as_u16()),
        }
    }
}

/// Takes the first queued fault that applies to the request, and counts it down.
pub(crate) fn take_next(queue: &mut VecDeque<Fault>, endpoint: Endpoint, grant_type: Option<&str>) -> Option<Fault> {
    let index = queue.iter().position(|fault| fault.applies_to(endpoint, grant_type))?;
    let fault = queue[index].clone();
    match &mut queue[index].times {
        Some(left) if *left > 1 => *left -= 1,
        Some(_) => drop(queue.remove(index)),
        None => {}
    }
    Some(fault)
}
