//! How an attempt at an exchange ended, and what its failure says. The failure's class is decided once, when the error
//! is classified, and stored in the journal.

use serde::{Deserialize, Serialize};

use crate::model::Outcome;
use crate::model::text_enum::str_enum;

str_enum!(
    /// Whether a request was sent completely.
    RequestSent {
        No = "no",
        Yes = "yes",
    }
);

str_enum!(
    /// What a failure affects.
    FaultScope {
        /// This grant, tenant or request only. The provider works.
        Request = "request",
        /// The provider, or the network.
        Provider = "provider",
        /// The whole app: every other request would fail likewise.
        App = "app",
    }
);

str_enum!(
    /// Whether Xero may have rotated the token although the exchange failed.
    RotationRisk {
        /// It did not: Xero refused the request, or the request was not sent.
        NotRotated = "none",
        /// Xero reported a server error, or an undocumented refusal came back, perhaps a proxy's.
        Unlikely = "unlikely",
        /// The request was sent, and no valid reply came back.
        Possible = "possible",
    }
);

/// What a failure says about the request, the fault and the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureClass {
    /// Whether the request was sent completely.
    pub sent: RequestSent,
    /// What the failure affects.
    pub fault: FaultScope,
    /// Whether Xero may have rotated the token.
    pub rotation: RotationRisk,
}

impl FailureClass {
    /// A token set was received and discarded, because the fence refused it.
    pub const DISCARDED_TOKEN_SET: Self =
        Self { sent: RequestSent::Yes, fault: FaultScope::Request, rotation: RotationRisk::Possible };
    /// Xero replied, and did not rotate the grant's token.
    pub const ANSWERED: Self =
        Self { sent: RequestSent::Yes, fault: FaultScope::Request, rotation: RotationRisk::NotRotated };

    /// Returns the class of a request that was not sent.
    pub const fn unsent(fault: FaultScope) -> Self {
        Self { sent: RequestSent::No, fault, rotation: RotationRisk::NotRotated }
    }
}

/// How an attempt ended, with evidence from Xero.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptEnd {
    /// Never `Running`. Only the store writes `Abandoned`, for the attempt of a holder that died.
    pub outcome: Outcome,
    /// The failure's error code; `None` if nothing failed.
    pub error_code: Option<String>,
    /// The HTTP status of Xero's response; `None` if there was none.
    pub http_status: Option<u16>,
    /// Xero's correlation id of the call.
    pub correlation_id: Option<String>,
    /// `None` if the exchange succeeded.
    pub class: Option<FailureClass>,
}

impl AttemptEnd {
    /// Returns the end of a successful exchange.
    pub const fn refreshed(http_status: Option<u16>, correlation_id: Option<String>) -> Self {
        Self { outcome: Outcome::Refreshed, error_code: None, http_status, correlation_id, class: None }
    }

    /// Returns the end of a failed attempt, without a response.
    pub fn failed(outcome: Outcome, code: &str, class: FailureClass) -> Self {
        let error_code = Some(code.to_owned());
        Self { outcome, error_code, http_status: None, correlation_id: None, class: Some(class) }
    }

    /// Returns this end for an attempt whose result the fence refused. A token set that it had is lost.
    pub fn superseded(self) -> Self {
        Self { outcome: Outcome::Superseded, class: self.class.or(Some(FailureClass::DISCARDED_TOKEN_SET)), ..self }
    }
}

/// An earlier attempt with the same refresh token, as evidence about a later one.
#[derive(Clone, Debug, PartialEq)]
pub struct PriorAttempt {
    /// `Running` if it has not ended.
    pub outcome: Outcome,
    /// `None` unless it failed or was superseded.
    pub rotation_risk: Option<RotationRisk>,
    /// Unix seconds at which its request was sent.
    pub sent_at: i64,
}

impl PriorAttempt {
    /// Returns whether Xero may have rotated the token without a usable reply: the holder died before it recorded an
    /// outcome, or the reply was lost or malformed.
    fn is_unanswered(&self) -> bool {
        match self.outcome {
            Outcome::Running | Outcome::Abandoned => true,
            Outcome::Transient | Outcome::Superseded => self.rotation_risk != Some(RotationRisk::NotRotated),
            Outcome::Refreshed | Outcome::Reconnect | Outcome::Operator | Outcome::Refused => false,
        }
    }
}

/// Returns when the refresh token was first sent without a usable reply, or `None` if every earlier attempt got one.
pub fn first_unanswered_at(earlier: &[PriorAttempt]) -> Option<i64> {
    earlier.iter().filter(|one| one.is_unanswered()).map(|one| one.sent_at).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_attempts_without_a_usable_reply_count_as_unanswered() {
        let tried = |outcome, rotation_risk, sent_at| PriorAttempt { outcome, rotation_risk, sent_at };
        let answered = [
            tried(Outcome::Transient, Some(RotationRisk::NotRotated), 1),
            tried(Outcome::Operator, Some(RotationRisk::NotRotated), 2),
            tried(Outcome::Superseded, Some(RotationRisk::NotRotated), 3),
            tried(Outcome::Reconnect, Some(RotationRisk::NotRotated), 4),
            // An operator's token: the reply that was lost is not the stored token's.
            tried(Outcome::Refused, Some(RotationRisk::Possible), 5),
            tried(Outcome::Refreshed, None, 6),
        ];
        assert_eq!(first_unanswered_at(&answered), None);
        for lost in [
            tried(Outcome::Running, None, 9),
            tried(Outcome::Abandoned, None, 9),
            tried(Outcome::Superseded, Some(RotationRisk::Possible), 9),
            tried(Outcome::Superseded, None, 9),
            tried(Outcome::Transient, Some(RotationRisk::Possible), 9),
            tried(Outcome::Transient, Some(RotationRisk::Unlikely), 9),
        ] {
            let later = tried(Outcome::Running, None, 10);
            let earlier = [&answered[..], &[later, lost.clone()]].concat();
            assert_eq!(first_unanswered_at(&earlier), Some(9), "{lost:?}");
        }
    }

    #[test]
    fn superseded_attempt_keeps_its_failure_and_loses_its_token_set() {
        let timeout = FailureClass { sent: RequestSent::Yes, ..FailureClass::unsent(FaultScope::Provider) };
        let failed = AttemptEnd::failed(Outcome::Transient, "timeout", timeout);
        assert_eq!(failed.clone().superseded(), AttemptEnd { outcome: Outcome::Superseded, ..failed });
        let lost = AttemptEnd::refreshed(Some(200), None).superseded();
        assert_eq!((lost.outcome, lost.class), (Outcome::Superseded, Some(FailureClass::DISCARDED_TOKEN_SET)));
    }
}
