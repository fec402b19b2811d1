//! The list of events that people are notified of, as `/events` shows it.

use serde::{Deserialize, Serialize};

use super::{BindingId, ConnectionName, Cursor, EventKind, EventView};

/// Which events the list contains. Empty filters match all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EventListFilter {
    /// Only events of this kind.
    pub kind: Option<EventKind>,
    /// Only events about this connection.
    pub connection: Option<BindingId>,
}

/// What `/events` shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EventsView {
    /// The events of this page, newest first.
    pub events: Vec<EventView>,
    /// Number of all events that the person hasn't marked as read.
    pub unread: u32,
    /// Choices of the connection filter, by name.
    pub connections: Vec<ConnectionName>,
    /// Filter that the events match.
    pub filter: EventListFilter,
    /// Cursor of the next, older page, if there is one.
    pub older: Option<Cursor>,
    /// Time at which the view was created, in unix seconds.
    pub as_of: i64,
}
