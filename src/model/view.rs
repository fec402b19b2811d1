//! Connections as the pages and the JSON API show them. Times are unix seconds.

use serde::{Deserialize, Serialize};

use super::{BindingId, BindingStatus, GrantStatus, HourView, OrgId, UpcomingActionView};

/// Result of a refresh: the response of `POST /api/integrations/xero/refresh`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefreshReport {
    /// Whether every grant that was due has been refreshed.
    pub success: bool,
    pub has_active_bindings: bool,
    /// Number of grants exchanged in this call, including those whose running exchange it joined.
    pub refreshed_count: u32,
    pub errors: Vec<BindingError>,
}

/// A binding whose grant could not be refreshed, with the reason as a sentence for a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BindingError {
    pub binding_id: BindingId,
    pub error: String,
    /// When the refresh is retried automatically, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<i64>,
    /// Until when the stored access token still works, if it does: the refresh was early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<i64>,
}

impl RefreshReport {
    /// Returns the result shown beside the button, such as "3 tokens refreshed", "All 4 tokens are fresh" or
    /// "3 refreshed, 1 needs attention".
    pub fn summary(refreshed: u32, failed: u32, total: u32) -> String {
        let tokens = |n: u32| if n == 1 { "1 token".to_owned() } else { format!("{n} tokens") };
        let needs = if failed == 1 { "1 needs attention".to_owned() } else { format!("{failed} need attention") };
        match (refreshed, failed) {
            (0, 0) if total == 0 => "Nothing to refresh yet".to_owned(),
            (0, 0) if total == 1 => "The token is fresh".to_owned(),
            (0, 0) => format!("All {total} tokens are fresh"),
            (n, 0) => format!("{} refreshed", tokens(n)),
            (0, _) => needs,
            (n, _) => format!("{n} refreshed, {needs}"),
        }
    }
}

/// State of a connection as its badge shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    Connected,
    /// An exchange is running.
    Refreshing,
    /// The last refresh failed; a retry is scheduled and the connection is safe.
    Retrying,
    NeedsReauth,
    Disconnected,
}

/// One row of the connections list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConnectionView {
    pub id: BindingId,
    pub tenant_name: String,
    /// `ORGANISATION`, `PRACTICE` or `PRACTICEMANAGER`, as Xero spells it.
    pub tenant_type: String,
    pub status: BindingStatus,
    pub health: Health,
    /// Email address of the person who connected it; absent if they were deleted.
    pub connected_by: Option<String>,
    pub connected_at: i64,
    pub last_refreshed_at: Option<i64>,
    /// When the access token expires; absent if there is no usable one.
    pub access_expires_at: Option<i64>,
    /// When the refresh token was issued. Unused, it expires sixty days later.
    pub refresh_issued_at: Option<i64>,
    /// Earliest time of the next automatic attempt after a failure.
    pub next_attempt_at: Option<i64>,
    /// What happened and whether data is safe, if the connection isn't working.
    pub problem: Option<String>,
    pub grant_status: Option<GrantStatus>,
}

/// A consent for tenants that are bound through another Xero user. The page asks which user to use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PendingConfirmation {
    /// Sent back by the form that decides.
    pub id: String,
    pub tenant_names: Vec<String>,
}

/// What `/settings/integrations` shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SettingsView {
    /// Organization that the view belongs to. Another tab may switch the session's organization while a page is open.
    pub org_id: Option<OrgId>,
    pub connections: Vec<ConnectionView>,
    pub pending: Vec<PendingConfirmation>,
    /// Connections of former members; empty if the viewer may not keep them.
    pub departing: Vec<DepartingConnection>,
    pub may_manage: bool,
    /// The age of a refresh token, in seconds, from which it is renewed in any case (`EVERGRANT_ROLL_AFTER`).
    pub roll_after: i64,
    /// How long an unused refresh token lives, in seconds.
    pub refresh_token_lifetime: i64,
    /// The server's time of creating the view. Countdowns start from it, so a wrong clock in the browser does no harm.
    pub as_of: i64,
}

/// A connection of a former member, which is disconnected at `ends_at`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DepartingConnection {
    pub binding_id: BindingId,
    pub tenant_name: String,
    pub connected_by: String,
    pub ends_at: i64,
}

/// What `/` shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OverviewView {
    pub connections: Vec<ConnectionView>,
    /// The last 24 hours, by clock hour, the current one last.
    pub hours: Vec<HourView>,
    /// Upcoming automatic actions, soonest first.
    pub next: Vec<UpcomingActionView>,
    pub as_of: i64,
}

/// The details that Test connection fetches from Xero.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrganizationDetails {
    pub name: String,
    pub legal_name: Option<String>,
    pub country_code: Option<String>,
    pub base_currency: Option<String>,
    /// Set if the token was served although an early refresh failed.
    pub warning: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::RefreshReport;

    #[test]
    fn summary_counts_refreshed_and_failed_tokens() {
        let cases = [
            ((3, 0, 4), "3 tokens refreshed"),
            ((1, 0, 1), "1 token refreshed"),
            ((0, 0, 4), "All 4 tokens are fresh"),
            ((0, 0, 1), "The token is fresh"),
            ((0, 0, 0), "Nothing to refresh yet"),
            ((3, 1, 4), "3 refreshed, 1 needs attention"),
            ((0, 2, 2), "2 need attention"),
        ];
        for ((refreshed, failed, total), sentence) in cases {
            assert_eq!(RefreshReport::summary(refreshed, failed, total), sentence);
        }
    }
}
