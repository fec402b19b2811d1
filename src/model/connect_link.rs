//! Connect links, by which anybody can connect Xero for an organization, as pages and the API describe them.

use serde::{Deserialize, Serialize};

use super::text_enum::str_enum;
use super::{BindingId, ConnectLinkId, ConnectionView};

/// The shortest lifetime of a link, in seconds.
pub const MIN_LINK_LIFETIME: i64 = 5 * 60;
/// The lifetime of a link if none is asked for, in seconds.
pub const DEFAULT_LINK_LIFETIME: i64 = 7 * 24 * 60 * 60;
/// The longest lifetime of a link, in seconds.
pub const MAX_LINK_LIFETIME: i64 = 30 * 24 * 60 * 60;

str_enum!(
    /// What became of a consent that a link started. The value is the `status` of a return address.
    LinkOutcome {
        Connected = "connected",
        /// A member has to confirm it, because of the Xero user.
        Waiting = "waiting",
        /// No member confirmed it: a member refused, the time to answer ended, or a newer consent replaced it.
        NotConfirmed = "not_confirmed",
        /// The person declined on Xero's page.
        Declined = "declined",
        /// The consent is for another tenant than the one to reconnect.
        WrongOrganization = "wrong_organization",
        /// The app may not ask for these scopes.
        ScopeRefused = "scope_refused",
        /// The consent took longer than ten minutes.
        Expired = "expired",
        /// No tenant was chosen.
        NothingChosen = "nothing_chosen",
        /// Xero failed, or answered with another error.
        Failed = "failed",
    }
);

str_enum!(
    /// Whether a link can be used.
    LinkStatus {
        Open = "open",
        Used = "used",
        Cancelled = "cancelled",
        Expired = "expired",
    }
);

/// What `/settings/integrations/links` shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConnectLinksView {
    /// The open links, newest first.
    pub links: Vec<ConnectLinkView>,
    /// The organization's connections, by name, which a link can reconnect.
    pub connections: Vec<ConnectionView>,
    /// The addresses that links may return to.
    pub return_urls: Vec<String>,
    /// Whether the viewer may change these addresses.
    pub may_edit_return_urls: bool,
    /// Whether email can be sent.
    pub can_send_email: bool,
    /// Time at which the view was created, in unix seconds.
    pub as_of: i64,
}

/// The links that were created for all connections that lack access.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewLinksView {
    /// Their URLs, which are shown once.
    pub urls: Vec<String>,
    /// How many connections have an open link already.
    pub already_open: u32,
}

/// A link as its page lists it. The secret is never in here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConnectLinkView {
    /// Identifies the link.
    pub id: ConnectLinkId,
    /// Who asks, as the page behind the link says it; empty if unknown.
    pub requested_by: String,
    /// What for; empty if unknown.
    pub note: String,
    /// The connection to reconnect; `None` for a new one.
    pub binding_id: Option<BindingId>,
    /// The name of that connection.
    pub tenant_name: Option<String>,
    /// Who created the link.
    pub created_by: String,
    /// Where it is sent; `None` if its creator sends it.
    #[serde(default)]
    pub email: Option<String>,
    /// When it expires, in unix seconds.
    pub expires_at: i64,
    /// What became of the last consent; `None` before the first.
    pub outcome: Option<LinkOutcome>,
}

/// What the page behind a link shows. Never leaves the server.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectLinkPage {
    /// Identifies the link.
    pub id: ConnectLinkId,
    /// Whether it can be used.
    pub status: LinkStatus,
    /// The organization that asks.
    pub organisation: String,
    /// Who asks; empty if unknown.
    pub requested_by: String,
    /// What for; empty if unknown.
    pub note: String,
    /// The name of the tenant to reconnect; `None` for a new connection.
    pub tenant_name: Option<String>,
    /// Whether that tenant's connection works now.
    pub works: bool,
    /// What Evergrant may do, a sentence for each scope.
    pub permissions: Vec<String>,
    /// When it expires, in unix seconds.
    pub expires_at: i64,
    /// What became of the last consent; `None` before the first.
    pub outcome: Option<LinkOutcome>,
    /// The names of the tenants that were chosen.
    pub chosen: Vec<String>,
    /// Set if the link may also be used with the least access: what would not work, a sentence for each scope.
    pub least_access_lacks: Option<Vec<String>>,
}
