//! Compares a binding with Xero's list of connections: whether it is listed, and what changes.

use std::collections::HashSet;

use super::binding::RemoteConnection;
use crate::model::BindingStatus;

/// How many seconds later a list is read again that lacks a connection. Only a second list proves that it is gone.
pub const CONFIRM_MISSING_AFTER: i64 = 60;

/// A binding, as far as a list of connections concerns it.
#[derive(Clone, Debug, PartialEq)]
pub struct BoundConnection {
    /// Xero's id of the tenant.
    pub tenant_id: String,
    /// The tenant's name, or its id if Xero sent no name.
    pub tenant_name: String,
    /// Xero's id of the connection.
    pub connection_id: String,
    /// Whether the binding works.
    pub status: BindingStatus,
    /// See [`Binding::unlisted_at`](super::Binding::unlisted_at).
    pub missing_since: Option<i64>,
}

/// What a list says about a binding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Listing<'a> {
    /// This is its connection.
    Listed(&'a RemoteConnection),
    /// An entry may be its connection, but does not say so.
    Possible,
    /// No entry can be its connection.
    Missing,
}

/// What a list changes about a binding.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedChange {
    /// What happened.
    pub kind: ListedChangeKind,
    /// The binding afterward.
    pub after: BoundConnection,
}

/// What happened to a connection, according to a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListedChangeKind {
    /// It is missing. Another list has to confirm that.
    Missing,
    /// It was missing, and is listed again before that was confirmed; or it has a new id.
    Found,
    /// Its tenant has a new name.
    Renamed,
    /// It is missing from a second list.
    Disconnected,
    /// It was disconnected for that reason, and is listed again.
    Recovered,
}

impl BoundConnection {
    /// Finds this binding's connection. `foreign_events` are the Xero user's consents in other organizations.
    ///
    /// That is the same connection, or a new one to the same tenant, unless another organization's consent created it. An
    /// entry that does not tell its consent is taken for ours if the user has none elsewhere.
    pub fn find_in<'a>(&self, list: &'a [RemoteConnection], foreign_events: &HashSet<String>) -> Listing<'a> {
        if let Some(same) = list.iter().find(|seen| seen.tenant.connection_id == self.connection_id) {
            return Listing::Listed(same);
        }
        let tells_consent = |seen: &RemoteConnection| foreign_events.is_empty() || !seen.auth_event_id.is_empty();
        let of_tenant = list
            .iter()
            .filter(|seen| seen.tenant.id == self.tenant_id && !foreign_events.contains(&seen.auth_event_id));
        match of_tenant.clone().find(|seen| tells_consent(seen)) {
            Some(same) => Listing::Listed(same),
            None if of_tenant.count() > 0 || list.iter().any(RemoteConnection::is_unreadable) => Listing::Possible,
            None => Listing::Missing,
        }
    }

    /// Returns what a list that was read at `read_at` (unix seconds) changes; `None` if it changes nothing.
    pub fn changed_by(&self, listing: Listing<'_>, read_at: i64) -> Option<ListedChange> {
        use ListedChangeKind::{Disconnected, Found, Missing, Recovered, Renamed};
        let change = |kind, after| Some(ListedChange { kind, after });
        let seen_again = Self { missing_since: None, ..self.clone() };
        match (self.status, self.missing_since, listing) {
            (BindingStatus::Active, since, Listing::Missing) => match since {
                Some(since) if read_at - since >= CONFIRM_MISSING_AFTER => {
                    change(Disconnected, Self { status: BindingStatus::Disconnected, ..self.clone() })
                }
                since => change(Missing, Self { missing_since: since.or(Some(read_at)), ..self.clone() }),
            },
            (BindingStatus::Active, Some(_), Listing::Possible) => change(Found, seen_again),
            (BindingStatus::Active, _, Listing::Listed(seen)) => {
                let after = seen_again.described_by(seen);
                let kind = if after.tenant_name == self.tenant_name { Found } else { Renamed };
                if after == *self { None } else { change(kind, after) }
            }
            (BindingStatus::Disconnected, Some(_), Listing::Listed(seen)) => {
                change(Recovered, Self { status: BindingStatus::Active, ..seen_again }.described_by(seen))
            }
            _ => None,
        }
    }

    /// Takes the name and the connection's id from the list, as far as it has them.
    fn described_by(self, seen: &RemoteConnection) -> Self {
        // If the list has no name, the entry has the tenant's id in its place.
        let has_name = !seen.tenant.name.is_empty() && seen.tenant.name != self.tenant_id;
        let has_id = !seen.tenant.connection_id.is_empty();
        Self {
            tenant_name: if has_name { seen.tenant.name.clone() } else { self.tenant_name },
            connection_id: if has_id { seen.tenant.connection_id.clone() } else { self.connection_id },
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::domain::Tenant;

    const NOW: i64 = 1_800_000_000;

    fn bound(status: BindingStatus, missing_since: Option<i64>) -> BoundConnection {
        let [tenant_id, tenant_name, connection_id] = ["t-1", "Harbour", "c-1"].map(str::to_owned);
        BoundConnection { tenant_id, tenant_name, connection_id, status, missing_since }
    }

    fn seen(connection: &str, tenant: &str, name: &str, event: &str) -> RemoteConnection {
        let [connection_id, id, name, auth_event_id] = [connection, tenant, name, event].map(str::to_owned);
        RemoteConnection { tenant: Tenant { id, name, tenant_type: String::new(), connection_id }, auth_event_id }
    }

    #[test]
    fn connection_is_found_by_its_id_or_its_tenant() {
        let other = seen("c-9", "t-9", "Kauri", "e-1");
        let foreign = HashSet::from(["e-foreign".to_owned()]);
        // Whether the same user has consents elsewhere; the entry; whether it is the binding's connection.
        let cases = [
            (true, seen("c-1", "t-1", "Harbour", "e-1"), Some(true)),
            (true, seen("c-1", "", "", ""), Some(true)),
            (true, seen("c-1", "t-1", "Harbour", "e-foreign"), Some(true)),
            (true, seen("c-2", "t-1", "Harbour", "e-1"), Some(true)),
            (true, seen("", "t-1", "Harbour", "e-1"), Some(true)),
            (true, seen("c-2", "t-1", "Harbour", "e-foreign"), Some(false)),
            (true, seen("c-2", "t-1", "Harbour", ""), None),
            (false, seen("c-2", "t-1", "Harbour", ""), Some(true)),
            (false, seen("", "", "", ""), None),
            (false, seen("c-2", "", "", ""), Some(false)),
            (false, seen("c-2", "t-2", "Harbour", "e-1"), Some(false)),
        ];
        for (has_others, entry, is_listed) in cases {
            let foreign = if has_others { foreign.clone() } else { HashSet::new() };
            let list = [other.clone(), entry];
            let expected = match is_listed {
                Some(true) => Listing::Listed(&list[1]),
                Some(false) => Listing::Missing,
                None => Listing::Possible,
            };
            assert_eq!(bound(BindingStatus::Active, None).find_in(&list, &foreign), expected, "{has_others} {list:?}");
        }
        assert_eq!(bound(BindingStatus::Active, None).find_in(&[], &foreign), Listing::Missing);
    }

    #[test]
    fn only_a_second_list_disconnects_a_binding() {
        use BindingStatus::{Active, Disconnected, NeedsReauth};
        use ListedChangeKind as Kind;
        let same = seen("c-1", "t-1", "Harbour", "e-1");
        let listed = Listing::Listed(&same);
        let early = NOW - CONFIRM_MISSING_AFTER + 1;
        let late = NOW - CONFIRM_MISSING_AFTER;
        let cases = [
            (Active, None, listed, None),
            (Active, None, Listing::Possible, None),
            (Active, None, Listing::Missing, Some((Kind::Missing, Active, Some(NOW)))),
            (Active, Some(early), Listing::Missing, Some((Kind::Missing, Active, Some(early)))),
            (Active, Some(late), Listing::Missing, Some((Kind::Disconnected, Disconnected, Some(late)))),
            (Active, Some(late), Listing::Possible, Some((Kind::Found, Active, None))),
            (Active, Some(late), listed, Some((Kind::Found, Active, None))),
            (Disconnected, Some(late), listed, Some((Kind::Recovered, Active, None))),
            (Disconnected, Some(late), Listing::Possible, None),
            (Disconnected, Some(late), Listing::Missing, None),
            // A person disconnected it here.
            (Disconnected, None, listed, None),
            (NeedsReauth, None, Listing::Missing, None),
            (NeedsReauth, Some(late), Listing::Missing, None),
        ];
        for (status, since, listing, expected) in cases {
            let change = bound(status, since).changed_by(listing, NOW);
            let change = change.map(|change| (change.kind, change.after.status, change.after.missing_since));
            assert_eq!(change, expected, "{status:?} {since:?} {listing:?}");
        }
    }

    #[test]
    fn name_and_connection_id_follow_the_list_as_far_as_it_has_them() {
        let before = bound(BindingStatus::Active, None);
        for (entry, kind, name, connection) in [
            (seen("c-1", "t-1", "Harbour Tea", "e"), Some(ListedChangeKind::Renamed), "Harbour Tea", "c-1"),
            (seen("c-2", "t-1", "Harbour", "e"), Some(ListedChangeKind::Found), "Harbour", "c-2"),
            (seen("", "t-1", "Harbour", "e"), None, "Harbour", "c-1"),
            (seen("c-1", "t-1", "t-1", "e"), None, "Harbour", "c-1"),
            (seen("c-1", "", "", ""), None, "Harbour", "c-1"),
        ] {
            let change = before.changed_by(Listing::Listed(&entry), NOW);
            assert_eq!(change.as_ref().map(|change| change.kind), kind, "{entry:?}");
            let after = change.map_or_else(|| before.clone(), |change| change.after);
            assert_eq!((after.tenant_name.as_str(), after.connection_id.as_str()), (name, connection), "{entry:?}");
        }
    }
}
