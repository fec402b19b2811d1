//! Bounds the audit events of vended tokens. A program that asks for one with every call would fill the audit log and
//! hide the rest: beyond a number a minute, an organization's vends are counted and told in one event.

use std::collections::{BTreeSet, HashMap};

use parking_lot::Mutex;

use crate::model::OrgId;

/// The span over which vends are counted, in seconds.
pub const SPAN: i64 = 60;
/// The most events of single vends of one organization within the span, at each instance.
pub const MAX_EVENTS: u32 = 120;
/// The most keys and connections that a summary names.
const MAX_NAMES: usize = 20;

/// Counts vends by organization.
#[derive(Default)]
pub struct VendAudit(Mutex<HashMap<OrgId, Window>>);

/// A span of one organization.
struct Window {
    starts_at: i64,
    recorded: u32,
    thinned: Summary,
}

/// The vends of a span that have no event of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many there were.
    pub count: u64,
    /// Names of the keys, up to a number.
    pub keys: BTreeSet<String>,
    /// Names of the connections, up to a number.
    pub connections: BTreeSet<String>,
}

/// What to do about a vend.
#[derive(Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it has an event of its own.
    pub is_recorded: bool,
    /// When its span began, if it is the first of the span that has none.
    pub first_thinned_in: Option<i64>,
    /// The summary of the span before, if that had any.
    pub ended: Option<Summary>,
}

impl VendAudit {
    /// Counts a vend at `now`.
    pub fn count(&self, org: &OrgId, key: &str, connection: &str, now: i64) -> Decision {
        let mut windows = self.0.lock();
        let fresh = || Window { starts_at: now, recorded: 0, thinned: Summary::default() };
        let window = windows.entry(org.clone()).or_insert_with(fresh);
        // A clock that was set back starts a new span, too.
        let ended = if (window.starts_at..window.starts_at + SPAN).contains(&now) {
            None
        } else {
            Some(std::mem::replace(window, fresh()).thinned).filter(|thinned| thinned.count > 0)
        };
        if window.recorded < MAX_EVENTS {
            window.recorded += 1;
            return Decision { is_recorded: true, first_thinned_in: None, ended };
        }
        window.thinned.count += 1;
        for (names, name) in [(&mut window.thinned.keys, key), (&mut window.thinned.connections, connection)] {
            if names.len() < MAX_NAMES {
                names.insert(name.to_owned());
            }
        }
        let first_thinned_in = (window.thinned.count == 1).then_some(window.starts_at);
        Decision { is_recorded: false, first_thinned_in, ended }
    }

    /// Ends the organization's span that began at `starts_at`, and returns its summary. `None` if it has ended.
    pub fn end(&self, org: &OrgId, starts_at: i64) -> Option<Summary> {
        let mut windows = self.0.lock();
        windows.get(org).filter(|window| window.starts_at == starts_at)?;
        windows.remove(org).map(|window| window.thinned).filter(|thinned| thinned.count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vends_beyond_the_limit_are_told_in_one_summary() {
        let (audit, org) = (VendAudit::default(), OrgId::from("harbour"));
        for _ in 0..MAX_EVENTS {
            assert!(audit.count(&org, "Export", "Harbour Coffee", 100).is_recorded);
        }
        assert!(audit.count(&"southerly".into(), "Export", "Cycles", 100).is_recorded, "each organization has its own");
        let first = audit.count(&org, "Export", "Harbour Coffee", 110);
        assert_eq!(first, Decision { is_recorded: false, first_thinned_in: Some(100), ended: None });
        assert_eq!(audit.count(&org, "Import", "Kauri", 159).first_thinned_in, None);
        let next = audit.count(&org, "Export", "Harbour Coffee", 160);
        let ended = next.ended.unwrap();
        assert!(next.is_recorded && ended.count == 2);
        assert_eq!(ended.keys.into_iter().collect::<Vec<_>>(), ["Export", "Import"]);
        assert_eq!(audit.end(&org, 100), None, "it has ended");
        assert_eq!(audit.end(&org, 160), None, "nothing was thinned");
        assert!(audit.count(&org, "Export", "Harbour Coffee", 50).is_recorded, "the clock was set back");
    }

    #[test]
    fn summary_of_a_span_that_no_vend_ends_names_twenty_of_its_keys_and_connections() {
        let (audit, org) = (VendAudit::default(), OrgId::from("harbour"));
        for number in 0..MAX_EVENTS + 21 {
            audit.count(&org, &format!("key {number}"), &format!("connection {number}"), 100);
        }
        assert_eq!(audit.end(&org, 101), None, "another span began then");
        let ended = audit.end(&org, 100).unwrap();
        assert_eq!((ended.count, ended.keys.len(), ended.connections.len()), (21, 20, 20));
        assert_eq!(audit.end(&org, 100), None, "it is told once");
        audit.count(&org, "key", "connection", 200);
        assert_eq!(audit.count(&org, "key", "connection", 260).ended, None, "there is nothing to tell");
    }
}
