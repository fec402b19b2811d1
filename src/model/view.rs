//! Connections as the pages and the JSON API show them. Times are unix seconds.

use serde::{Deserialize, Serialize};

use super::{
    AccessSummary, BindingId, BindingStatus, BrokenConnections, ConnectionName, ContactView, GrantStatus, HourView,
    ListPart, OrgId, ScopeRefusalView, UpcomingActionView, XeroTroubleView,
};

/// State of a connection as its badge shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Access works, and no exchange is running.
    Connected,
    /// An exchange is running.
    Refreshing,
    /// The last refresh failed; a retry is scheduled and the connection is safe.
    Retrying,
    /// Someone must reconnect it: the consent was revoked, or the refresh token no longer works.
    NeedsReauth,
    /// Another system keeps it alive, to which its token was exported.
    Moved,
    /// Evergrant has no access, until someone reconnects it.
    Disconnected,
}

impl Health {
    /// Returns the word that people read.
    pub fn label(self) -> &'static str {
        match self {
            Self::Connected => "Connected",
            Self::Refreshing => "Refreshing",
            Self::Retrying => "Retrying",
            Self::NeedsReauth => "Reconnect needed",
            Self::Moved => "Moved to another system",
            Self::Disconnected => "Disconnected",
        }
    }

    /// Returns whether Evergrant has access.
    pub fn has_access(self) -> bool {
        !matches!(self, Self::NeedsReauth | Self::Moved | Self::Disconnected)
    }
}

/// One row of the connections list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConnectionView {
    /// Id of the binding between the organization and the tenant.
    pub id: BindingId,
    /// Name of the tenant in Xero.
    pub tenant_name: String,
    /// `ORGANISATION`, `PRACTICE` or `PRACTICEMANAGER`, as Xero spells it.
    pub tenant_type: String,
    /// Stored status of the binding.
    pub status: BindingStatus,
    /// State that the badge shows, derived from the binding and its grant.
    pub health: Health,
    /// Email address of the person who connected it; absent if they were deleted.
    pub connected_by: Option<String>,
    /// When the tenant was connected, in unix seconds.
    pub connected_at: i64,
    /// When the grant's tokens were last refreshed, in unix seconds; `None` before the first refresh.
    pub last_refreshed_at: Option<i64>,
    /// When the access token expires; absent if there is no usable one.
    pub access_expires_at: Option<i64>,
    /// When the refresh token was issued. Unused, it expires sixty days later.
    pub refresh_issued_at: Option<i64>,
    /// Earliest time of the next automatic attempt after a failure.
    pub next_attempt_at: Option<i64>,
    /// What happened and whether data is safe, if the connection isn't working.
    pub problem: Option<String>,
    /// Whether an access token of its Xero user also opens another organization's Xero.
    #[serde(default)]
    pub is_shared_user: bool,
    /// Who gets a letter if it needs reconnecting; empty if the viewer may not manage connections.
    #[serde(default)]
    pub contacts: Vec<ContactView>,
    /// How many contacts it has; 0 if the viewer may not manage connections. Only on the integrations page.
    #[serde(default)]
    pub contact_count: u32,
    /// The Xero user who consented, as far as they are known: name or email address. Only on the integrations page.
    #[serde(default)]
    pub xero_user: Option<String>,
    /// The scopes of its consent, separated by spaces; empty if they are not known, or Evergrant has no access.
    #[serde(default)]
    pub granted_scopes: String,
    /// The configured scopes that the consent lacks.
    #[serde(default)]
    pub missing_scopes: Vec<String>,
    /// Status of the grant; `None` unless both the binding and its grant are active.
    pub grant_status: Option<GrantStatus>,
}

#[cfg(test)]
impl ConnectionView {
    /// Returns a connection of this name in this state, with nothing else to tell.
    pub fn example(name: &str, health: Health) -> Self {
        Self {
            id: name.into(),
            tenant_name: name.to_owned(),
            tenant_type: "ORGANISATION".to_owned(),
            status: BindingStatus::Active,
            health,
            connected_by: None,
            connected_at: 0,
            last_refreshed_at: None,
            access_expires_at: None,
            refresh_issued_at: None,
            next_attempt_at: None,
            problem: None,
            is_shared_user: false,
            contacts: Vec::new(),
            contact_count: 0,
            xero_user: None,
            granted_scopes: String::new(),
            missing_scopes: Vec::new(),
            grant_status: None,
        }
    }
}

/// Who gave a consent, and to what.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConsentView {
    /// The granted scopes; empty if Xero sent none.
    pub granted: Vec<String>,
    /// The configured scopes that the consent lacks.
    pub missing: Vec<String>,
    /// Name of the member who gave it; `None` if a link was used, or if it was not recorded.
    pub given_by: Option<String>,
    /// Whether it was given by a connect link.
    pub is_by_link: bool,
    /// Who created the link, if that is known.
    pub link_created_by: Option<String>,
    /// When, in unix seconds.
    pub given_at: i64,
    /// The Xero user, as far as they are known: name, email address, or the beginning of Xero's id.
    pub xero_user: Option<String>,
}

/// What programs used of a connection through Evergrant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyUsageView {
    /// Calls to Xero's API.
    pub calls: i64,
    /// Bytes of the bodies sent to Xero.
    pub bytes_sent: i64,
    /// Bytes of the bodies that Xero sent.
    pub bytes_received: i64,
}

impl std::iter::Sum for ProxyUsageView {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            calls: sum.calls + one.calls,
            bytes_sent: sum.bytes_sent + one.bytes_sent,
            bytes_received: sum.bytes_received + one.bytes_received,
        })
    }
}

/// A consent that a person decides on: its tenants are bound through another Xero user, or its Xero user also connects
/// another organization.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PendingConfirmation {
    /// Sent back by the form that decides.
    pub id: String,
    /// Names of the tenants that the consent covers.
    pub tenant_names: Vec<String>,
    /// Whether the tenants are bound through another Xero user.
    pub replaces_user: bool,
    /// Whether the Xero user also connects another organization, so that its access tokens open that one, too.
    pub is_shared_user: bool,
    /// Whether the consent was given by a connect link.
    #[serde(default)]
    pub by_link: bool,
}

/// What `/settings/integrations` shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SettingsView {
    /// Organization that the view belongs to. Another tab may switch the session's organization while a page is open.
    pub org_id: Option<OrgId>,
    /// The connections that this page of the list shows.
    pub connections: Vec<ConnectionView>,
    /// Which part of the list that is.
    pub list: ListPart,
    /// The connections that need reconnecting, on any page.
    pub broken: BrokenConnections,
    /// How many connections are active.
    pub active: usize,
    /// Which connections lack access that the app asks for.
    pub access: AccessSummary,
    /// The connection that the viewer is asked to confirm disconnecting; `None` if they may not.
    #[serde(default)]
    pub asked: Option<ConnectionName>,
    /// Consents that wait for a decision; empty if the viewer may not manage connections.
    pub pending: Vec<PendingConfirmation>,
    /// Connections of former members; empty if the viewer may not keep them.
    pub departing: Vec<DepartingConnection>,
    /// Number of open connect links; 0 if the viewer may not manage connections.
    #[serde(default)]
    pub open_links: u32,
    /// Whether the viewer may manage connections.
    pub may_manage: bool,
    /// Xero's refusal of the scopes that the app asks for, if it stands; `None` if the viewer may not manage connections.
    #[serde(default)]
    pub scope_refusal: Option<ScopeRefusalView>,
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
    /// Id of the binding that ends.
    pub binding_id: BindingId,
    /// Name of the tenant in Xero.
    pub tenant_name: String,
    /// Email address of the former member who connected it.
    pub connected_by: String,
    /// When it is disconnected, in unix seconds.
    pub ends_at: i64,
}

/// What `/` shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OverviewView {
    /// Connections of the organization, those in trouble first, then by name.
    pub connections: Vec<ConnectionView>,
    /// Those that need reconnecting.
    pub broken: BrokenConnections,
    /// The last 24 hours, by clock hour, the current one last.
    pub hours: Vec<HourView>,
    /// Upcoming automatic actions, soonest first.
    pub next: Vec<UpcomingActionView>,
    /// Xero's condition, which says why connections wait.
    #[serde(default)]
    pub xero: XeroTroubleView,
    /// Time at which the view was created, in unix seconds.
    pub as_of: i64,
}

/// The details that Test connection fetches from Xero.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrganizationDetails {
    /// Name of the organization in Xero.
    pub name: String,
    /// Legal name; `None` if Xero sends none.
    pub legal_name: Option<String>,
    /// Country code; `None` if Xero sends none.
    pub country_code: Option<String>,
    /// Code of the base currency; `None` if Xero sends none.
    pub base_currency: Option<String>,
    /// Set if the token was served although an early refresh failed.
    pub warning: Option<String>,
}
