//! The signed-in person and their organization. Both come from the session, never from an argument (rule 10).

use crate::model::{OrgId, OrgView, PROOF_LIFETIME, Permission, SessionView, UserId};
use crate::server::store::Proof;

/// How far the clocks of two instances may be apart, in seconds.
const CLOCK_TOLERANCE: i64 = 60;

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
    /// When and how the person last proved who they are; `None` if Clerk answers for it.
    pub proof: Option<Proof>,
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
        Self { user_id, email, org, orgs, session_hash, external_org: None, proof: None }
    }

    /// Sets when and how the person last proved who they are.
    pub(super) fn proven(self, proof: Proof) -> Self {
        Self { proof: Some(proof), ..self }
    }

    /// Returns whether the person proved who they are recently enough for a sensitive action. Clerk's sessions count,
    /// because only Clerk can ask for a proof.
    pub fn is_recently_proven(&self, now: i64) -> bool {
        self.proof.is_none_or(|proof| proof.at <= now + CLOCK_TOLERANCE && now - proof.at < PROOF_LIFETIME)
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
    use crate::model::{ProofMethod, Role};

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
    fn proof_counts_for_ten_minutes_and_not_from_a_wrong_clock() {
        let at =
            |at| Caller::proven(caller(vec![], None), Proof { at, method: ProofMethod::Password, by_provider: false });
        let now = 1_800_000_000;
        for (proven, counts) in
            [(now, true), (now - 599, true), (now - 600, false), (now + 30, true), (now + 61, false)]
        {
            assert_eq!(at(proven).is_recently_proven(now), counts, "{}", proven - now);
        }
        assert!(caller(vec![], None).is_recently_proven(now), "Clerk answers for it");
    }

    #[test]
    fn members_may_not_manage_connections() {
        assert!(!caller(vec![org("a", Role::Member)], None).may(Permission::ManageConnections));
        assert!(caller(vec![org("a", Role::Admin)], None).may(Permission::ManageConnections));
        assert!(!caller(vec![], None).may(Permission::ManageConnections));
    }
}
