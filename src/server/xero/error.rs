//! What a failed call to Xero means, decided in one match, and the evidence that stays with it.

use std::time::Duration;

use super::answer::Answer;
use super::breaker::Endpoint;
use super::wire;
use crate::server::domain::AccessToken;

/// The refusals that every grant would meet: of our id, our secret, or of refreshing at all.
const APP_WORDS: [&str; 3] = ["invalid_client", "unauthorized_client", "unsupported_grant_type"];
/// Evidence words of requests that never left this machine whole.
const UNSENT: [&str; 4] = ["connect_timeout", "dns", "connect", "unsendable"];

/// A call that failed. Free of secrets: it may be logged, journalled and shown.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}", self.summary())]
pub struct XeroError {
    pub kind: ErrorKind,
    /// HTTP status, where an answer came.
    pub status: Option<u16>,
    /// A short machine word: OAuth's own, or ours where Xero used none.
    pub code: Option<String>,
    /// How long Xero asks us to wait, a day at most.
    pub retry_after: Option<Duration>,
    /// `Xero-Correlation-Id`, which Xero's support asks for.
    pub correlation_id: Option<String>,
    /// Xero's own words, for the person.
    pub detail: Option<String>,
    /// With a 429: it is the whole app that asks too much, not this tenant.
    pub whole_app: bool,
}

/// What to do about a failure, which is all that the callers branch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The grant or code is dead and a person must consent again. Only ever from HTTP 400 `invalid_grant`.
    Reconnect,
    /// Xero refuses our app itself: its id, secret, scopes or request. Whoever runs Evergrant must act.
    Operator,
    /// Nothing is known to be wrong with the grant: try again.
    Transient(Transient),
    /// API calls: the access token is over, a refreshed one will do.
    TokenExpired,
    /// API calls: the consent doesn't cover this call.
    ScopeMissing,
    /// API calls: the tenant is unknown to this token, most often because it was disconnected inside Xero.
    TenantGone,
    /// API calls: refused in Xero's own words for a reason that has no kind of its own.
    Refused,
}

/// Whom a failure speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearing {
    /// This grant, tenant or request: the provider answered as it should.
    Answer,
    /// The provider, or the way to it.
    Provider,
    /// Our app as a whole: every other request would hear the same.
    App,
}

/// What is known of a reply that didn't bring a token set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Xero refused, or the request never left: nothing was rotated.
    Refused,
    /// Trouble inside Xero: most likely nothing was.
    Unclear,
    /// The request left, and what came back, if anything, isn't the answer to it.
    Lost,
}

/// Why trying again is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transient {
    /// No complete answer in the time given; Xero may have acted on the request all the same.
    Timeout,
    /// No name, no connection, no TLS, or a connection lost half-way.
    Unreachable,
    RateLimited,
    ServerError,
    /// An answer that isn't what Xero documents: a proxy's page, a cut body, a redirect.
    Malformed,
    /// Nothing was sent: others have just found that Xero doesn't answer.
    Resting,
}

/// What a failed answer's body says, in the dialect of the endpoint that was asked.
enum Said {
    Oauth(&'static str),
    Problem(String),
    Nothing,
}

impl XeroError {
    /// A failure of the token or revocation endpoint.
    pub(super) fn of_identity(answer: &Answer) -> Self {
        let word = answer.json().and_then(wire::oauth_error);
        Self::classify(answer, word.map_or(Said::Nothing, Said::Oauth))
    }

    /// A failure of the API host. `sent` is the access token, which no answer gets to repeat through us.
    pub(super) fn of_api(answer: &Answer, sent: &AccessToken) -> Self {
        let words = answer.json().and_then(wire::problem).filter(|words| !words.contains(sent.expose()));
        Self::classify(answer, words.map_or(Said::Nothing, Said::Problem))
    }

    fn classify(answer: &Answer, said: Said) -> Self {
        let status = answer.status;
        let (kind, word) = match (status, &said) {
            (400, Said::Oauth(word @ "invalid_grant")) => (ErrorKind::Reconnect, Some(*word)),
            (400 | 401, Said::Oauth(word @ "invalid_client")) => (ErrorKind::Operator, Some(*word)),
            (
                400,
                Said::Oauth(
                    word @ ("unauthorized_client" | "unsupported_grant_type" | "invalid_request" | "invalid_scope"),
                ),
            ) => (ErrorKind::Operator, Some(*word)),
            (401, Said::Problem(words)) if words.starts_with("TokenExpired") => {
                (ErrorKind::TokenExpired, Some("token_expired"))
            }
            (401, Said::Problem(words)) if words.starts_with("AuthorizationUnsuccessful") => {
                (ErrorKind::ScopeMissing, Some("scope_missing"))
            }
            (403, Said::Problem(words)) if words.starts_with("AuthenticationUnsuccessful") => {
                (ErrorKind::TenantGone, Some("tenant_gone"))
            }
            (429, _) => (ErrorKind::Transient(Transient::RateLimited), Some("rate_limited")),
            (500..=599, _) => (ErrorKind::Transient(Transient::ServerError), None),
            (400..=499, Said::Problem(_)) => (ErrorKind::Refused, None),
            _ => (ErrorKind::Transient(Transient::Malformed), None),
        };
        let detail = match said {
            Said::Problem(words) => Some(wire::for_a_person(&words)),
            Said::Oauth(_) | Said::Nothing => None,
        };
        let code = word.map_or_else(|| format!("http_{status}"), str::to_owned);
        Self { detail, ..Self::without_answer(kind, &code).with_evidence(answer) }
    }

    /// A success by its status whose body isn't what Xero documents.
    pub(super) fn malformed(answer: &Answer) -> Self {
        let code = if answer.json().is_none() { "wrong_content_type" } else { "malformed" };
        Self::without_answer(ErrorKind::Transient(Transient::Malformed), code).with_evidence(answer)
    }

    /// The request or the answer's body didn't get through. Nothing of reqwest's text is kept: it can quote addresses.
    pub(super) fn of_transport(error: &reqwest::Error) -> Self {
        let (why, code) = if error.is_timeout() && error.is_connect() {
            (Transient::Timeout, UNSENT[0])
        } else if error.is_timeout() {
            (Transient::Timeout, "timeout")
        } else if error.is_dns() {
            (Transient::Unreachable, UNSENT[1])
        } else if error.is_connect() {
            (Transient::Unreachable, UNSENT[2])
        } else if error.is_builder() {
            (Transient::Unreachable, UNSENT[3])
        } else {
            (Transient::Unreachable, "connection_lost")
        };
        Self::without_answer(ErrorKind::Transient(why), code)
    }

    pub(super) fn without_answer(kind: ErrorKind, code: &str) -> Self {
        let code = Some(code.to_owned());
        Self { kind, status: None, code, retry_after: None, correlation_id: None, detail: None, whole_app: false }
    }

    /// Nothing was sent, and nothing will be for so many seconds.
    pub(super) fn resting(seconds: i64) -> Self {
        let retry_after = u64::try_from(seconds).ok().map(Duration::from_secs);
        Self { retry_after, ..Self::without_answer(ErrorKind::Transient(Transient::Resting), "resting") }
    }

    pub(super) fn with_evidence(self, answer: &Answer) -> Self {
        Self {
            status: Some(answer.status),
            retry_after: answer.retry_after,
            correlation_id: answer.correlation_id.clone(),
            whole_app: answer.app_is_over_its_limit,
            ..self
        }
    }

    /// Whether Xero refused our app itself, and not just this request of it.
    pub fn is_of_the_app(&self) -> bool {
        self.kind == ErrorKind::Operator && APP_WORDS.contains(&self.evidence_code())
    }

    /// Whom it speaks of, where it came from this endpoint.
    pub fn bearing(&self, endpoint: Endpoint) -> Bearing {
        match self.kind {
            ErrorKind::Operator if self.is_of_the_app() => Bearing::App,
            // The token endpoint knows no tenants: what it limits is the app.
            ErrorKind::Transient(Transient::RateLimited) if self.whole_app || endpoint == Endpoint::Token => {
                if self.retry_after.is_some() { Bearing::App } else { Bearing::Provider }
            }
            ErrorKind::Transient(Transient::RateLimited) => Bearing::Answer,
            ErrorKind::Transient(_) => Bearing::Provider,
            _ => Bearing::Answer,
        }
    }

    /// Whether an exchange that failed so may have rotated the token all the same.
    pub fn reply(&self) -> Reply {
        match self.kind {
            ErrorKind::Transient(Transient::Timeout | Transient::Unreachable)
                if UNSENT.contains(&self.evidence_code()) =>
            {
                Reply::Refused
            }
            ErrorKind::Transient(Transient::Timeout | Transient::Unreachable) => Reply::Lost,
            // A success that can't be read is a successor that got lost.
            ErrorKind::Transient(Transient::Malformed) if self.status.is_some_and(|status| status < 400) => Reply::Lost,
            // A gateway that had no answer to give on.
            ErrorKind::Transient(Transient::ServerError) if matches!(self.status, Some(502 | 504)) => Reply::Lost,
            ErrorKind::Transient(Transient::ServerError) => Reply::Unclear,
            _ => Reply::Refused,
        }
    }

    /// Whether Xero may have acted on a request that failed with this code: false where it was never sent, or where
    /// the answer says that nothing was done.
    pub fn may_have_been_acted_on(code: &str) -> bool {
        let left_alone = ["rate_limited", "invalid_grant"];
        let refused =
            ["invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_request", "invalid_scope"];
        !UNSENT.contains(&code) && !left_alone.contains(&code) && !refused.contains(&code)
    }

    /// A sentence or two for a person: what happened, what to do next, and Xero's own words where there are any.
    pub fn summary(&self) -> String {
        let ours = match self.kind {
            ErrorKind::Reconnect => "Xero no longer accepts this connection. Connect to Xero again.".to_owned(),
            ErrorKind::Operator => format!(
                "Xero refuses Evergrant itself ({}). Whoever runs it should check XERO_CLIENT_ID, XERO_CLIENT_SECRET \
                 and XERO_SCOPES.",
                self.evidence_code()
            ),
            ErrorKind::Transient(Transient::Timeout) => "Xero didn't answer in time. Try again in a moment.".to_owned(),
            ErrorKind::Transient(Transient::Unreachable) => "Xero can't be reached. Try again in a moment.".to_owned(),
            ErrorKind::Transient(Transient::RateLimited) => {
                format!("Xero asks us to slow down. Try again {}.", self.when())
            }
            ErrorKind::Transient(Transient::ServerError) => {
                format!("Xero has trouble of its own ({}). Try again {}.", self.evidence_code(), self.when())
            }
            ErrorKind::Transient(Transient::Malformed) => {
                format!("Xero's answer couldn't be read ({}). Try again in a moment.", self.evidence_code())
            }
            ErrorKind::Transient(Transient::Resting) => format!("Xero isn't answering. Try again {}.", self.when()),
            ErrorKind::TokenExpired => "The access token is over. Refresh it, then try again.".to_owned(),
            ErrorKind::ScopeMissing => {
                "The consent given at Xero doesn't cover this. Connect to Xero again to give it.".to_owned()
            }
            ErrorKind::TenantGone => "Xero no longer lets us into this organisation. Connect to Xero again.".to_owned(),
            ErrorKind::Refused => format!("Xero refused the request ({}).", self.evidence_code()),
        };
        match &self.detail {
            Some(detail) => format!("{ours} Xero says: {detail}"),
            None => ours,
        }
    }

    /// A short machine word for the journal: `invalid_grant`, `timeout`, `http_503`.
    pub fn evidence_code(&self) -> &str {
        self.code.as_deref().unwrap_or(match self.kind {
            ErrorKind::Reconnect => "invalid_grant",
            ErrorKind::Operator => "invalid_client",
            ErrorKind::Transient(Transient::Timeout) => "timeout",
            ErrorKind::Transient(Transient::Unreachable) => "unreachable",
            ErrorKind::Transient(Transient::RateLimited) => "rate_limited",
            ErrorKind::Transient(Transient::ServerError) => "server_error",
            ErrorKind::Transient(Transient::Malformed) => "malformed",
            ErrorKind::Transient(Transient::Resting) => "resting",
            ErrorKind::TokenExpired => "token_expired",
            ErrorKind::ScopeMissing => "scope_missing",
            ErrorKind::TenantGone => "tenant_gone",
            ErrorKind::Refused => "refused",
        })
    }

    fn when(&self) -> String {
        match self.retry_after.map(|wait| wait.as_secs()) {
            None | Some(0) => "in a moment".to_owned(),
            Some(1) => "in 1 second".to_owned(),
            Some(seconds @ 2..=119) => format!("in {seconds} seconds"),
            Some(seconds @ 120..=7199) => format!("in {} minutes", seconds.div_ceil(60)),
            Some(seconds) => format!("in {} hours", seconds.div_ceil(3600)),
        }
    }
}
