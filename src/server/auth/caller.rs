//! Who is asking, and for which organisation. Both come from the session, never from an argument (rule 10).

use crate::model::{OrgId, OrgView, Permission, SessionView, UserId};

/// A signed-in person, read anew for each request.
#[derive(Clone, Debug, PartialEq)]
pub struct Caller {
    pub user_id: UserId,
    pub email: String,
    /// The organisation that the person works in; always one that they are a member of now.
    pub org: Option<OrgView>,
    /// Every organisation of the person's, by name.
    pub orgs: Vec<OrgView>,
    /// What the database knows the session by.
    pub session_hash: String,
    /// What the organisation's keeper knows it by, where that isn't us.
    pub external_org: Option<String>,
}

impl Caller {
    /// The organisation chosen in the session. Where the person is no longer, or not yet, a member of it, the first
    /// of theirs takes its place.
    pub(super) fn new(
        user_id: UserId,
        email: String,
        orgs: Vec<OrgView>,
        chosen: Option<&OrgId>,
        session_hash: String,
    ) -> Self {
        let org = orgs.iter().find(|org| Some(&org.id) == chosen).or(orgs.first()).cloned();
        Self { user_id, email, org, orgs, session_hash, external_org: None }
    }

    /// Whether the person may do that in the organisation that they work in.
    pub fn may(&self, permission: Permission) -> bool {
        self.org.as_ref().is_some_and(|org| org.role.may(permission))
    }

    /// As pages show it. `attention` is the number of bindings that wait for a person, `unread` that of events that
    /// this one hasn't marked as read.
    pub fn view(&self, attention: u32, unread: u32) -> SessionView {
        SessionView { email: self.email.clone(), orgs: self.orgs.clone(), org: self.org.clone(), attention, unread }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Role;

    fn org(id: &str, role: Role) -> OrgView {
        OrgView { id: id.into(), name: id.into(), role }
    }

    fn caller(orgs: Vec<OrgView>, chosen: Option<&str>) -> Caller {
        let chosen = chosen.map(OrgId::from);
        Caller::new("u".into(), "ann@example.com".into(), orgs, chosen.as_ref(), "hash".into())
    }

    #[test]
    fn the_chosen_organisation_counts_only_for_its_members() {
        let orgs = || vec![org("a", Role::Member), org("b", Role::Owner)];
        assert_eq!(caller(orgs(), Some("b")).org, Some(org("b", Role::Owner)));
        assert_eq!(caller(orgs(), Some("c")).org, Some(org("a", Role::Member)));
        assert_eq!(caller(orgs(), None).org, Some(org("a", Role::Member)));
        assert_eq!(caller(vec![], Some("a")).org, None);
    }

    #[test]
    fn members_may_not_manage_connections() {
        assert!(!caller(vec![org("a", Role::Member)], None).may(Permission::ManageConnections));
        assert!(caller(vec![org("a", Role::Admin)], None).may(Permission::ManageConnections));
        assert!(!caller(vec![], None).may(Permission::ManageConnections));
    }
}
