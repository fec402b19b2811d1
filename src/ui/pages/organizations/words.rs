//! The words of the page of a person's organizations.

use crate::model::OrganizationView;

pub const TITLE: &str = "Organisations";
/// Says how many organizations have a connection that somebody has to reconnect.
pub fn lead(organizations: &[OrganizationView]) -> String {
    let broken = organizations.iter().filter(|one| one.counts.needs_reauth > 0).count();
    if let [one] = organizations {
        return match one.counts.needs_reauth {
            0 => "Nothing in your organisation needs reconnecting.".to_owned(),
            1 => "Your organisation has a connection that needs reconnecting.".to_owned(),
            many => format!("Your organisation has {many} connections that need reconnecting."),
        };
    }
    match (organizations.len(), broken) {
        (0, _) => "None yet.".to_owned(),
        (all, 0) => format!("Nothing in your {all} organisations needs reconnecting."),
        (all, 1) => format!("1 of your {all} organisations has a connection that needs reconnecting."),
        (all, many) => format!("{many} of your {all} organisations have a connection that needs reconnecting."),
    }
}
pub const NO_ORGANIZATIONS: &str = "You don't belong to an organisation yet";
pub const ASK_OR_CREATE: &str = "Ask an owner for an invitation, or create your own.";

// The search.
pub const SHOW_ALL: &str = "Show all";
pub use crate::ui::layout::NO_ORGANIZATION_MATCHES;
pub const SEARCH_FOR_SOMETHING_ELSE: &str = "Search for something else, or look at all of them.";

// An organization.
pub fn role(role: &str, is_open: bool) -> String {
    if is_open { format!("{role}, open now") } else { role.to_owned() }
}
pub const REQUIRES_SECOND_FACTOR: &str = "Requires a second factor";
pub const SET_YOURS_UP: &str = "Set yours up";
pub const NO_CONNECTIONS: &str = "No connections";

pub const CLERK_SWITCHES: &str = "Switch and create organisations at the top of this page.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{HealthCounts, OrgView, Role};

    #[test]
    fn lead_counts_the_organizations_that_need_somebody() {
        let one = |needs_reauth| OrganizationView {
            org: OrgView { id: "o".into(), name: "Harbour".into(), role: Role::Owner, attention: 0 },
            is_current: false,
            is_locked: false,
            counts: HealthCounts { needs_reauth, ..HealthCounts::default() },
        };
        assert_eq!(lead(&[one(0)]), "Nothing in your organisation needs reconnecting.");
        assert_eq!(lead(&[one(1)]), "Your organisation has a connection that needs reconnecting.");
        assert_eq!(lead(&[one(6)]), "Your organisation has 6 connections that need reconnecting.");
        assert_eq!(
            lead(&[one(0), one(3), one(0)]),
            "1 of your 3 organisations has a connection that needs reconnecting."
        );
        assert_eq!(lead(&[one(1), one(3)]), "2 of your 2 organisations have a connection that needs reconnecting.");
    }
}
