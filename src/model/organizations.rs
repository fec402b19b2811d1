//! A person's organizations at a glance, as `/organizations` shows them.

use serde::{Deserialize, Serialize};

use super::{Health, OrgView};

/// What `/organizations` shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OrganizationsView {
    /// The organizations that match the search: those that need reconnecting first, then by name.
    pub organizations: Vec<OrganizationView>,
    /// What was searched for.
    #[serde(default)]
    pub search: String,
    /// How many organizations the person has.
    #[serde(default)]
    pub total: usize,
    /// Time at which the view was created, in unix seconds.
    pub as_of: i64,
}

/// One organization of the person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrganizationView {
    /// The organization, and the person's role in it.
    pub org: OrgView,
    /// Whether the person works in it now.
    pub is_current: bool,
    /// Whether it requires a second factor that the person has not. Then nothing of it is counted.
    pub is_locked: bool,
    /// Its connections.
    pub counts: HealthCounts,
}

/// How many connections are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCounts {
    /// Those that a person has to reconnect.
    pub needs_reauth: u32,
    /// Connections that are retried after a failed refresh.
    pub retrying: u32,
    /// Those that work.
    pub connected: u32,
    /// Those that another system keeps alive.
    pub moved: u32,
    /// Those without access.
    pub disconnected: u32,
}

impl HealthCounts {
    /// Returns the nonzero counts, connections that need reconnecting first.
    pub fn present(self) -> impl Iterator<Item = (Health, u32)> {
        let all = [
            (Health::NeedsReauth, self.needs_reauth),
            (Health::Retrying, self.retrying),
            (Health::Connected, self.connected),
            (Health::Moved, self.moved),
            (Health::Disconnected, self.disconnected),
        ];
        all.into_iter().filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_states_that_some_connection_is_in_are_told() {
        let counts = HealthCounts { retrying: 2, connected: 3, ..HealthCounts::default() };
        assert_eq!(counts.present().collect::<Vec<_>>(), [(Health::Retrying, 2), (Health::Connected, 3)]);
    }
}
