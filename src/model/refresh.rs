//! The result of a refresh, and its summary for people.

use serde::{Deserialize, Serialize};

use super::BindingId;
use super::text_enum::str_enum;

/// How messages begin while Xero doesn't answer.
pub const XERO_NOT_ANSWERING: &str = "Xero isn't answering";

str_enum!(
    /// Why a grant was not refreshed, and so who has to act.
    FailureCause {
        /// Xero no longer accepts the grant: a person must reconnect.
        Reconnect = "reconnect",
        /// The grant was revoked by a disconnect.
        Disconnected = "disconnected",
        /// Xero refused the app's own credentials: the operator must act.
        AppRefused = "app_refused",
        /// Xero refused the request, or the tokens are not this app's: the operator must act.
        Operator = "operator",
        /// Evergrant's database or encryption keys failed: the operator must act.
        Internal = "internal",
        /// Xero did not answer, or had a problem of its own. The refresh is retried automatically.
        NotAnswering = "not_answering",
        /// Xero limits the app's requests. The refresh is retried automatically.
        Limited = "limited",
        /// Xero refused the token, which is not believed yet. The refresh is retried automatically.
        Unconfirmed = "unconfirmed",
        /// The person asked too often.
        TooMany = "too_many",
        /// Another refresh of the grant is still running.
        Busy = "busy",
    }
);

impl FailureCause {
    /// Returns whether a person has to act.
    pub fn needs_action(self) -> bool {
        self.needs_reconnecting() || matches!(self, Self::AppRefused | Self::Operator | Self::Internal)
    }

    /// Returns whether only a new consent helps.
    pub fn needs_reconnecting(self) -> bool {
        matches!(self, Self::Reconnect | Self::Disconnected)
    }

    /// Returns what a refresh waits for, in a sentence; what the person may do, if Evergrant doesn't try again by itself.
    fn waits_for(self) -> &'static str {
        match self {
            Self::Limited => "Xero is limiting Evergrant's requests.",
            Self::Unconfirmed => "Xero refused a token. Evergrant checks that again before it changes anything.",
            Self::TooMany => "Too many refreshes in a short time. Wait a minute, then try again.",
            Self::Busy => "Try again in a moment.",
            _ => "Xero isn't answering.",
        }
    }
}

/// Result of a refresh: the response of `POST /api/integrations/xero/refresh`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefreshReport {
    /// Whether every grant that was due has been refreshed.
    pub success: bool,
    /// Whether any active binding was in the scope of the call.
    pub has_active_bindings: bool,
    /// Number of grants exchanged in this call, including those whose running exchange it joined.
    pub refreshed_count: u32,
    /// Bindings whose grants could not be refreshed, sorted by id.
    pub errors: Vec<BindingError>,
}

/// A binding whose grant could not be refreshed, with the reason as a sentence for a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BindingError {
    /// The binding's id.
    pub binding_id: BindingId,
    /// Reason for the failure, as a sentence for a person.
    pub error: String,
    /// What caused the failure.
    pub cause: FailureCause,
    /// Whether a person has to act. If not, the refresh is retried automatically, or the person may try again.
    pub needs_action: bool,
    /// When the refresh is retried automatically, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<i64>,
    /// Until when the stored access token still works, if it does: the refresh was early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<i64>,
}

/// What the summary of a report mentions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RefreshSummary {
    /// Number of grants exchanged.
    pub refreshed: u32,
    /// Number of bindings that failed and that a person has to reconnect.
    pub to_reconnect: u32,
    /// Number of bindings that failed and that the operator has to look at.
    pub for_operator: u32,
    /// Number of bindings that failed and need nobody.
    pub retrying: u32,
    /// What those wait for; of several causes, the one that most of them have.
    pub waits_for: Option<FailureCause>,
    /// The soonest automatic attempt for one of those.
    pub next_attempt_at: Option<i64>,
    /// Whether any active binding was in the scope of the call.
    pub has_active_bindings: bool,
}

impl RefreshReport {
    /// Counts what the summary mentions.
    pub fn summary(&self) -> RefreshSummary {
        let count = |is_counted: &dyn Fn(FailureCause) -> bool| {
            u32::try_from(self.errors.iter().filter(|one| is_counted(one.cause)).count()).unwrap_or(u32::MAX)
        };
        let retrying = || self.errors.iter().filter(|one| !one.cause.needs_action());
        RefreshSummary {
            refreshed: self.refreshed_count,
            to_reconnect: count(&FailureCause::needs_reconnecting),
            for_operator: count(&|cause| cause.needs_action() && !cause.needs_reconnecting()),
            retrying: count(&|cause| !cause.needs_action()),
            waits_for: retrying().map(|one| one.cause).max_by_key(|cause| count(&|other| other == *cause)),
            next_attempt_at: retrying().filter_map(|one| one.next_attempt_at).min(),
            has_active_bindings: self.has_active_bindings,
        }
    }
}

impl RefreshSummary {
    /// Returns the number of bindings that failed and that a person has to act on.
    pub fn needs_action(&self) -> u32 {
        self.to_reconnect.saturating_add(self.for_operator)
    }

    /// Returns the number of bindings that failed.
    pub fn failed(&self) -> u32 {
        self.needs_action().saturating_add(self.retrying)
    }

    /// Returns when Evergrant tries again by itself, if nobody has to act until then.
    pub fn retry_at(&self) -> Option<i64> {
        let is_by_person = matches!(self.waits_for, Some(FailureCause::TooMany | FailureCause::Busy));
        self.next_attempt_at.filter(|_| self.needs_action() == 0 && !is_by_person)
    }

    /// Returns the result shown beside the button, such as "3 tokens refreshed", "All 4 tokens are fresh" or
    /// "3 refreshed, 1 needs reconnecting". `total` is the number of active connections, if it is known. The time of the
    /// next attempt is left to `retry_sentence`, because the server and the browser write times differently.
    pub fn text(&self, total: Option<u32>) -> String {
        let waits_for = self.waits_for.map_or("", FailureCause::waits_for);
        let done = match (self.refreshed, self.failed()) {
            (0, 0) if !self.has_active_bindings => return "There is no working connection to refresh".to_owned(),
            (0, 0) => {
                return match total {
                    Some(1) => "The token is fresh".to_owned(),
                    Some(total) => format!("All {total} tokens are fresh"),
                    None => "All tokens are fresh".to_owned(),
                };
            }
            (1, 0) => return "1 token refreshed".to_owned(),
            (n, 0) => return format!("{n} tokens refreshed"),
            (0, _) => None,
            (n, _) => Some(format!("{n} refreshed")),
        };
        let needs = |n: u32| if n == 1 { "1 needs".to_owned() } else { format!("{n} need") };
        let attention = match (self.to_reconnect, self.for_operator) {
            (0, 0) => None,
            (n, 0) => Some(needs(n) + " reconnecting"),
            (0, n) => Some(needs(n) + " your Evergrant administrator"),
            (n, more) => Some(needs(n + more) + " attention"),
        };
        // Alone, the cause says it.
        let is_alone = done.is_none() && attention.is_none() && self.waits_for != Some(FailureCause::Busy);
        let waiting = (self.retrying > 0 && !is_alone).then(|| match self.retrying {
            1 if done.is_none() && attention.is_none() => "Not refreshed yet".to_owned(),
            n => format!("{n} not yet"),
        });
        let counts: Vec<String> = [done, attention, waiting].into_iter().flatten().collect();
        match (counts.is_empty(), waits_for) {
            (true, waits_for) => waits_for.to_owned(),
            (false, "") => counts.join(", "),
            (false, waits_for) => format!("{}. {waits_for}", counts.join(", ")),
        }
    }

    /// Returns the sentence with the time of the next automatic attempt.
    pub fn retry_sentence(time: &str) -> String {
        format!("Evergrant will try again at {time}.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use FailureCause::*;

    fn report(refreshed_count: u32, causes: &[FailureCause]) -> RefreshReport {
        let error = |(cause, at): (&FailureCause, i64)| BindingError {
            binding_id: "b".into(),
            error: String::new(),
            cause: *cause,
            needs_action: cause.needs_action(),
            next_attempt_at: (!matches!(cause, Reconnect | Busy)).then_some(at),
            valid_until: None,
        };
        let errors = causes.iter().zip(60..).map(error).collect();
        RefreshReport { has_active_bindings: true, refreshed_count, errors, ..RefreshReport::default() }
    }

    #[test]
    fn summary_counts_refreshed_and_failed_tokens_and_says_the_cause() {
        for (refreshed, causes, total, text) in [
            (3, &[][..], Some(4), "3 tokens refreshed"),
            (1, &[], Some(1), "1 token refreshed"),
            (0, &[], Some(4), "All 4 tokens are fresh"),
            (0, &[], Some(1), "The token is fresh"),
            (0, &[], None, "All tokens are fresh"),
            (3, &[Reconnect], Some(4), "3 refreshed, 1 needs reconnecting"),
            (0, &[Reconnect, Disconnected], Some(2), "2 need reconnecting"),
            (0, &[AppRefused], Some(2), "1 needs your Evergrant administrator"),
            (0, &[Operator, Reconnect], Some(2), "2 need attention"),
            (0, &[Busy], Some(1), "Not refreshed yet. Try again in a moment."),
            (1, &[Busy], Some(2), "1 refreshed, 1 not yet. Try again in a moment."),
            (0, &[NotAnswering, NotAnswering], Some(2), "Xero isn't answering."),
            (1, &[NotAnswering, NotAnswering], Some(3), "1 refreshed, 2 not yet. Xero isn't answering."),
            (
                0,
                &[Reconnect, Limited],
                Some(2),
                "1 needs reconnecting, 1 not yet. Xero is limiting Evergrant's requests.",
            ),
            (0, &[NotAnswering, Limited, Limited], Some(3), "Xero is limiting Evergrant's requests."),
            (
                0,
                &[Unconfirmed],
                Some(1),
                "Xero refused a token. Evergrant checks that again before it changes anything.",
            ),
            (0, &[TooMany], Some(1), "Too many refreshes in a short time. Wait a minute, then try again."),
        ] {
            assert_eq!(report(refreshed, causes).summary().text(total), text, "{refreshed} {causes:?}");
        }
        assert_eq!(RefreshSummary::default().text(Some(0)), "There is no working connection to refresh");
    }

    #[test]
    fn next_attempt_is_said_only_while_nobody_has_to_act() {
        for (causes, retry_at) in [
            (&[NotAnswering, NotAnswering][..], Some(60)),
            (&[Limited], Some(60)),
            (&[Unconfirmed], Some(60)),
            (&[NotAnswering, Reconnect], None),
            (&[AppRefused], None),
            (&[Operator], None),
            (&[TooMany], None),
            (&[Busy], None),
        ] {
            assert_eq!(report(1, causes).summary().retry_at(), retry_at, "{causes:?}");
        }
    }
}
