//! The result of a refresh, and its summary for people.

use serde::{Deserialize, Serialize};

use super::BindingId;

/// How messages begin while Xero doesn't answer.
pub const XERO_NOT_ANSWERING: &str = "Xero isn't answering";

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
    /// Whether a person has to act. If not, the refresh is retried automatically, or the person may try again.
    pub needs_action: bool,
    /// When the refresh is retried automatically, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<i64>,
    /// Until when the stored access token still works, if it does: the refresh was early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<i64>,
}

/// The counts of a report that its summary mentions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RefreshSummary {
    /// Number of grants exchanged.
    pub refreshed: u32,
    /// Number of bindings that failed and need a person.
    pub needs_action: u32,
    /// Number of bindings that failed and need nobody.
    pub retrying: u32,
    /// The soonest automatic attempt for one of those.
    pub next_attempt_at: Option<i64>,
    /// Whether any active binding was in the scope of the call.
    pub has_active_bindings: bool,
}

impl RefreshReport {
    /// Counts what the summary mentions.
    pub fn summary(&self) -> RefreshSummary {
        let retrying = || self.errors.iter().filter(|one| !one.needs_action);
        let count = |many: usize| u32::try_from(many).unwrap_or(u32::MAX);
        RefreshSummary {
            refreshed: self.refreshed_count,
            needs_action: count(self.errors.len() - retrying().count()),
            retrying: count(retrying().count()),
            next_attempt_at: retrying().filter_map(|one| one.next_attempt_at).min(),
            has_active_bindings: self.has_active_bindings,
        }
    }
}

impl RefreshSummary {
    /// Returns the number of bindings that failed.
    pub fn failed(&self) -> u32 {
        self.needs_action.saturating_add(self.retrying)
    }

    /// Returns when Evergrant tries again by itself, if nobody has to act until then.
    pub fn retry_at(&self) -> Option<i64> {
        self.next_attempt_at.filter(|_| self.needs_action == 0)
    }

    /// Returns the result shown beside the button, such as "3 tokens refreshed", "All 4 tokens are fresh" or
    /// "3 refreshed, 1 needs attention". `total` is the number of active connections, if it is known. The time of the
    /// next attempt is left to `retry_sentence`, because the server and the browser write times differently.
    pub fn text(&self, total: Option<u32>) -> String {
        let tokens = |n: u32| if n == 1 { "1 token".to_owned() } else { format!("{n} tokens") };
        let attention = |n: u32| if n == 1 { "1 needs attention".to_owned() } else { format!("{n} need attention") };
        match (self.refreshed, self.needs_action, self.retrying) {
            (0, 0, 0) if !self.has_active_bindings => "Nothing to refresh yet".to_owned(),
            (0, 0, 0) => match total {
                Some(1) => "The token is fresh".to_owned(),
                Some(total) => format!("All {total} tokens are fresh"),
                None => "All tokens are fresh".to_owned(),
            },
            (n, 0, 0) => format!("{} refreshed", tokens(n)),
            (0, 0, _) if self.next_attempt_at.is_some() => format!("{XERO_NOT_ANSWERING}."),
            (0, 0, _) => "Not refreshed yet. Try again in a moment.".to_owned(),
            (n, 0, waiting) if self.next_attempt_at.is_some() => {
                format!("{} refreshed. {XERO_NOT_ANSWERING} for {waiting}.", tokens(n))
            }
            (n, 0, waiting) => format!("{n} refreshed, {waiting} not yet. Try again in a moment."),
            (0, failed, _) => attention(failed),
            (n, failed, _) => format!("{n} refreshed, {}", attention(failed)),
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

    #[test]
    fn summary_counts_refreshed_and_failed_tokens() {
        let cases = [
            ((3, 0, 0), Some(4), "3 tokens refreshed"),
            ((1, 0, 0), Some(1), "1 token refreshed"),
            ((0, 0, 0), Some(4), "All 4 tokens are fresh"),
            ((0, 0, 0), Some(1), "The token is fresh"),
            ((0, 0, 0), None, "All tokens are fresh"),
            ((3, 1, 0), Some(4), "3 refreshed, 1 needs attention"),
            ((0, 2, 0), Some(2), "2 need attention"),
            ((0, 1, 1), Some(2), "1 needs attention"),
            ((0, 0, 1), Some(1), "Not refreshed yet. Try again in a moment."),
        ];
        for ((refreshed, needs_action, retrying), total, text) in cases {
            let summary =
                RefreshSummary { refreshed, needs_action, retrying, next_attempt_at: None, has_active_bindings: true };
            assert_eq!(summary.text(total), text);
        }
        assert_eq!(RefreshSummary::default().text(Some(0)), "Nothing to refresh yet");
    }

    #[test]
    fn while_xero_is_down_the_summary_asks_nobody_to_act() {
        let error = |needs_action, next_attempt_at| BindingError {
            binding_id: "b".into(),
            error: "Xero isn't answering.".into(),
            needs_action,
            next_attempt_at,
            valid_until: None,
        };
        let mut report = RefreshReport { has_active_bindings: true, ..RefreshReport::default() };
        report.errors = vec![error(false, Some(90)), error(false, Some(60))];
        assert_eq!(
            (report.summary().text(Some(2)).as_str(), report.summary().retry_at()),
            ("Xero isn't answering.", Some(60))
        );
        report.refreshed_count = 1;
        assert_eq!(report.summary().text(Some(3)), "1 token refreshed. Xero isn't answering for 2.");
        report.errors.push(error(true, None));
        assert_eq!(
            (report.summary().text(Some(4)).as_str(), report.summary().retry_at()),
            ("1 refreshed, 1 needs attention", None)
        );
    }
}
