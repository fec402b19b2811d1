//! The list of connections as its page shows it: what is searched and filtered for, and the part that is shown.

use serde::{Deserialize, Serialize};

use super::text_enum::str_enum;
use super::{BindingId, ConnectionName, Health};

/// How many connections a page of the list shows.
pub const CONNECTIONS_PER_PAGE: usize = 50;

/// How many connections are named where some need reconnecting. The others are in the list.
pub const NAMED_BROKEN_CONNECTIONS: usize = 3;

str_enum!(
    /// The connections that the list's filter selects, those in trouble first.
    ListState {
        NeedsReauth = "reconnect",
        Retrying = "retrying",
        /// Also those that are being refreshed.
        Connected = "connected",
        Moved = "moved",
        Disconnected = "disconnected",
    }
);

impl ListState {
    /// Returns the state by which a connection is listed.
    pub fn of(health: Health) -> Self {
        match health {
            Health::NeedsReauth => Self::NeedsReauth,
            Health::Retrying => Self::Retrying,
            Health::Connected | Health::Refreshing => Self::Connected,
            Health::Moved => Self::Moved,
            Health::Disconnected => Self::Disconnected,
        }
    }

    /// Returns the word that people read.
    pub fn label(self) -> &'static str {
        match self {
            Self::NeedsReauth => Health::NeedsReauth.label(),
            Self::Retrying => Health::Retrying.label(),
            Self::Connected => Health::Connected.label(),
            Self::Moved => Health::Moved.label(),
            Self::Disconnected => Health::Disconnected.label(),
        }
    }
}

/// Which part of the list is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListQuery {
    /// What a name, an external id or a tag contains.
    pub search: String,
    /// Only connections in this state.
    pub state: Option<ListState>,
    /// The number of the page, from 1. One after the last stands for the last.
    pub page: usize,
    /// The connection that comes first, on the first page.
    pub first: Option<BindingId>,
}

/// The part of the list that a page shows, without its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListPart {
    /// What was searched for.
    pub search: String,
    /// The state that was filtered for.
    pub state: Option<ListState>,
    /// How many connections the search finds in each state. A state without any is left out.
    pub counts: Vec<(ListState, usize)>,
    /// How many connections the organization has.
    pub total: usize,
    /// How many of them the search and the filter select.
    pub selected: usize,
    /// The number of the page, from 1.
    pub page: usize,
    /// The path of the page before.
    pub previous: Option<String>,
    /// The path of the next page.
    pub next: Option<String>,
}

impl ListPart {
    /// Returns whether the list is searched or filtered.
    pub fn is_filtered(&self) -> bool {
        !self.search.is_empty() || self.state.is_some()
    }

    /// Returns which rows are shown: "Showing 51–100 of 200". Empty if none are.
    pub fn summary(&self) -> String {
        if self.selected == 0 {
            return String::new();
        }
        let first = (self.page - 1) * CONNECTIONS_PER_PAGE + 1;
        let last = (first + CONNECTIONS_PER_PAGE - 1).min(self.selected);
        format!("Showing {first}–{last} of {}", self.selected)
    }

    /// Returns the number of the last page.
    pub fn last_page(&self) -> usize {
        self.selected.div_ceil(CONNECTIONS_PER_PAGE).max(1)
    }
}

/// Which of an organization's connections lack access that the app asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessSummary {
    /// How many connections have known access.
    pub known: usize,
    /// The missing scopes of each connection that lacks some.
    pub missing: Vec<Vec<String>>,
}

/// The connections that need reconnecting: some by name, and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BrokenConnections {
    /// The first of them, by name.
    pub named: Vec<ConnectionName>,
    /// How many there are.
    pub count: usize,
}

impl BrokenConnections {
    /// Returns how many are not named.
    pub fn unnamed(&self) -> usize {
        self.count.saturating_sub(self.named.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_says_which_rows_are_shown() {
        let part = |page, selected| ListPart { page, selected, ..ListPart::default() };
        for (part, text, last) in [
            (part(1, 1), "Showing 1–1 of 1", 1),
            (part(1, 50), "Showing 1–50 of 50", 1),
            (part(2, 200), "Showing 51–100 of 200", 4),
            (part(5, 201), "Showing 201–201 of 201", 5),
            (part(1, 0), "", 1),
        ] {
            assert_eq!((part.summary().as_str(), part.last_page()), (text, last));
        }
    }

    #[test]
    fn list_is_filtered_by_a_search_or_a_state() {
        let all = ListPart::default();
        let searched = ListPart { search: "harbour".into(), ..all.clone() };
        let one_state = ListPart { state: Some(ListState::Moved), ..all.clone() };
        assert_eq!([all, searched, one_state].map(|part| part.is_filtered()), [false, true, true]);
    }

    #[test]
    fn broken_connections_that_are_not_named_are_counted() {
        let named = ConnectionName { id: "b".into(), name: "Harbour".into() };
        let broken = |count| BrokenConnections { named: vec![named.clone(); 3], count }.unnamed();
        assert_eq!((broken(3), broken(5)), (0, 2));
    }
}
