//! What the finder shows.

use serde::{Deserialize, Serialize};

use super::{ConnectionName, Permission, paths};

/// What was found for a few letters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FoundView {
    /// What was searched for.
    pub query: String,
    /// The matching connections. Names that begin with the search text come first.
    pub connections: Vec<ConnectionName>,
    /// How many more connections were found than are listed.
    pub more: usize,
    /// The pages.
    pub pages: Vec<FindablePage>,
    /// The server's time of the search, in unix seconds.
    pub as_of: i64,
}

/// A page that can be found by its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FindablePage {
    /// The page's name.
    pub name: String,
    /// The page's path.
    pub path: String,
}

/// Names and paths of the pages that can be found, and what a person needs to see them.
pub const FINDABLE_PAGES: [(&str, &str, Option<Permission>); 13] = [
    ("Overview", paths::HOME, None),
    ("Activity", paths::ACTIVITY, None),
    ("Events", paths::EVENT_LIST, None),
    ("Organisations", paths::ORGANIZATIONS, None),
    ("Xero's state", paths::XERO, None),
    ("Integrations", paths::INTEGRATIONS, None),
    ("Connect links", paths::CONNECT_LINK_LIST, Some(Permission::ManageConnections)),
    ("Members", paths::MEMBERS, None),
    ("API keys", paths::API_KEYS, Some(Permission::ManageApiKeys)),
    ("Notifications", paths::NOTIFICATIONS, None),
    ("Deliveries to webhooks", paths::DELIVERIES, Some(Permission::ManageNotifications)),
    ("Your account", paths::ACCOUNT, None),
    ("API reference", paths::API_REFERENCE, None),
];
