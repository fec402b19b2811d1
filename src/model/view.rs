//! What pages and the JSON API show of connections. Times are unix seconds, UTC.

use serde::{Deserialize, Serialize};

use super::{BindingId, BindingStatus, GrantStatus, HourView, NextView, OrgId};

/// What a refresh did: the answer of `POST /api/integrations/xero/refresh`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefreshReport {
    /// Whether every due grant is fresh now.
    pub success: bool,
    pub has_active_bindings: bool,
    /// Grants exchanged in this call, also those whose running exchange it joined.
    pub refreshed_count: u32,
    pub errors: Vec<BindingError>,
}

/// A binding whose grant could not be refreshed, and why, as a sentence for a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BindingError {
    pub binding_id: BindingId,
    pub error: String,
    /// When it is tried again by itself, where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<i64>,
    /// Until when the access token that it has goes on working, where it does: the refresh was early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<i64>,
}

impl RefreshReport {
    /// The result beside the button: "3 tokens refreshed", "All 4 tokens are fresh", "3 refreshed, 1 needs attention".
    pub fn sentence(refreshed: u32, failed: u32, total: u32) -> String {
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

/// How a connection stands, in the one word that its badge shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    Connected,
    /// An exchange is under way.
    Refreshing,
    /// Xero isn't answering; the next try is set and the connection is safe.
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
    /// The e-mail address of who connected it; absent when that person is gone.
    pub connected_by: Option<String>,
    pub connected_at: i64,
    pub last_refreshed_at: Option<i64>,
    /// When the access token ends; absent when there is none that counts.
    pub access_expires_at: Option<i64>,
    /// When the refresh token was issued; it lives sixty days from then if unused.
    pub refresh_issued_at: Option<i64>,
    /// When the next automatic try may happen, while Xero isn't answering.
    pub next_attempt_at: Option<i64>,
    /// What happened and whether data is safe, for a row that isn't well.
    pub problem: Option<String>,
    pub grant_status: Option<GrantStatus>,
}

/// A tenant that is bound through one Xero user while another has just consented to it: the page asks first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PendingConfirmation {
    /// What the answer's form sends back.
    pub id: String,
    pub tenant_names: Vec<String>,
}

/// What `/settings/integrations` shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SettingsView {
    /// Whose these are. Another tab may have switched the session's organisation under a page that stands open.
    pub org_id: Option<OrgId>,
    pub connections: Vec<ConnectionView>,
    pub pending: Vec<PendingConfirmation>,
    /// Connections of people who have left, shown to who may keep them.
    pub departing: Vec<Departing>,
    pub may_manage: bool,
    /// The server's time when it made this view: what countdowns start from, so that a wrong clock at home doesn't matter.
    pub as_of: i64,
}

/// A connection of somebody who has left, and when it goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Departing {
    pub binding_id: BindingId,
    pub tenant_name: String,
    pub connected_by: String,
    pub ends_at: i64,
}

/// What `/` shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OverviewView {
    pub connections: Vec<ConnectionView>,
    /// The last 24 hours of the clock, the current one last.
    pub hours: Vec<HourView>,
    /// What Evergrant does next by itself, soonest first.
    pub next: Vec<NextView>,
    pub as_of: i64,
}

/// What Test connection brings back from Xero.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrganisationDetails {
    pub name: String,
    pub legal_name: Option<String>,
    pub country_code: Option<String>,
    pub base_currency: Option<String>,
    /// Said when the token was served although an early refresh failed.
    pub warning: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::RefreshReport;

    #[test]
    fn the_sentence_beside_the_button_counts() {
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
            assert_eq!(RefreshReport::sentence(refreshed, failed, total), sentence);
        }
    }
}
