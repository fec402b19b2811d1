//! The signed-in person and their organization. Both come from the session, never from an argument (rule 10).

use crate::model::{OrgId, OrgView, Permission, SessionView, UserId};

/// A signed-in person, read anew for each request.
#[derive(Clone, Debug, PartialEq)]
pub struct Caller {
    /// The person's user id.
    pub user_id: UserId,
    /// The person's email address.
    pub email: String,
    /// The active organization; the person is always a member of it.
    pub org: Option<OrgView>,
    /// All organizations of the person, by name.
    pub orgs: Vec<OrgView>,
    /// The hash by which the database stores the session.
    pub session_hash: String,
    /// The active organization's id at the identity provider, if there is one.
    pub external_org: Option<String>,
}

impl Caller {
    /// Makes `chosen` the active organization, or the person's first one if they aren't a member of `chosen`.
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

    /// Returns whether the person has the permission in the active organization.
    pub fn may(&self, permission: Permission) -> bool {
        self.org.as_ref().is_some_and(|org| org.role.may(permission))
    }

    /// Returns what pages show. `attention` is the number of bindings that need a person, `unread` the number of events
    /// that this person hasn't marked as read.
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
    fn chosen_organization_is_active_only_for_its_members() {
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
