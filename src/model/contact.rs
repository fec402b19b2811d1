//! Contacts of connections, as pages show them.

use serde::{Deserialize, Serialize};

/// The most contacts of a connection.
pub const MAX_CONTACTS: usize = 5;

/// A contact of a connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContactView {
    /// The address, in lower case.
    pub email: String,
    /// Since when the person wants no letters, in unix seconds; `None` if they get them.
    pub unsubscribed_at: Option<i64>,
    /// When the mail server refused the address for good, in unix seconds; `None` if it accepts letters.
    pub refused_at: Option<i64>,
}

/// What the page behind a letter's unsubscribe link shows. Never leaves the server.
#[derive(Clone, Debug, PartialEq)]
pub struct UnsubscribePage {
    /// The organization that sends the letters.
    pub organisation: String,
    /// The address that gets them.
    pub email: String,
    /// Whether it gets no more.
    pub is_unsubscribed: bool,
}
