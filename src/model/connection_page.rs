//! What a connection's own page shows besides its row in the list. Times are unix seconds.

use serde::{Deserialize, Serialize};

use super::{AttemptView, ConnectLinkView, ConnectionView, ConsentView, Cursor, ProxyUsageView};

/// What `/settings/integrations/{id}` shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConnectionPageView {
    /// The connection, with its contacts if the viewer may manage connections.
    pub connection: ConnectionView,
    /// What identifies it.
    pub ids: ConnectionIdsView,
    /// The consent that it stands on; `None` if it has none.
    pub consent: Option<ConsentView>,
    /// The API keys that took tokens, or called Xero in the last thirty days, the latest first.
    pub keys: Vec<KeyActivityView>,
    /// Its open connect links; empty if the viewer may not manage connections.
    pub links: Vec<ConnectLinkView>,
    /// A page of its refresh attempts, newest first.
    pub attempts: Vec<AttemptView>,
    /// Cursor of the next, older page, if there is one.
    pub older: Option<Cursor>,
    /// Whether the viewer may manage connections.
    pub may_manage: bool,
    /// Whether email can be sent.
    pub can_send_email: bool,
    /// The age of a refresh token, in seconds, from which it is renewed in any case.
    pub roll_after: i64,
    /// How long an unused refresh token lives, in seconds.
    pub refresh_token_lifetime: i64,
    /// The server's time of creating the view.
    pub as_of: i64,
}

/// What identifies a connection, for programs and for support.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConnectionIdsView {
    /// Xero's id of the tenant.
    pub tenant_id: String,
    /// Xero's id of the connection.
    pub connection_id: String,
    /// The program's own id of the connection.
    pub external_id: Option<String>,
    /// Tags, sorted.
    pub tags: Vec<String>,
}

/// What an API key did with a connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyActivityView {
    /// The key's name.
    pub name: String,
    /// Whether the key was revoked.
    pub is_revoked: bool,
    /// When it last took an access token; `None` if it took none.
    pub last_token_at: Option<i64>,
    /// What it used in the last thirty days.
    pub usage: ProxyUsageView,
}
