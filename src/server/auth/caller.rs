//! The signed-in person and their organization. Both come from the session, never from an argument (rule 10).

use crate::model::{OrgId, OrgView, PROOF_LIFETIME, Permission, ProofMethod, SessionView, UserId};
use crate::server::store::{FactorDeadline, Proof, ReadState};

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
    /// The organizations of the person, by name, but for those that are locked.
    pub orgs: Vec<OrgView>,
    /// The organizations of the person that require a second factor, which the person has not.
    pub locked_orgs: Vec<OrgView>,
    /// The chosen organization, if it is locked. Then none is active.
    pub locked_org: Option<OrgView>,
    /// What the person has read of the active organization's events; `None` if it was not looked up yet.
    pub read: Option<ReadState>,
    /// Whether the session has begun to add a second factor.
    pub is_enrolling: bool,
    /// From when on the active organization requires a second factor, in unix seconds. Set until the person has one.
    pub factor_due: Option<i64>,
    /// The hash by which the database stores the session.
    pub session_hash: String,
    /// The active organization's id at the identity provider, if there is one.
    pub external_org: Option<String>,
    /// When and how the person last proved who they are; `None` if Clerk answers for it.
    pub proof: Option<Proof>,
    /// The time zone that the person chose.
    pub time_zone: Option<String>,
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
        let (locked_orgs, locked_org, factor_due) = (Vec::new(), None, None);
        let (read, external_org, proof, time_zone) = (None, None, None, None);
        let is_enrolling = false;
        Self {
            user_id,
            email,
            org,
            orgs,
            locked_orgs,
            locked_org,
            read,
            is_enrolling,
            factor_due,
            session_hash,
            external_org,
            proof,
            time_zone,
        }
    }

    /// Sets when and how the person last proved who they are.
    pub(super) fn proven(self, proof: Proof) -> Self {
        Self { proof: Some(proof), ..self }
    }

    /// Sets the time zone that the person chose.
    pub(super) fn in_time_zone(self, time_zone: Option<String>) -> Self {
        Self { time_zone, ..self }
    }

    /// Takes the organizations away whose deadline for a second factor is over. For a person who has none.
    pub(super) fn without_factor(self, deadlines: &[FactorDeadline], now: i64) -> Self {
        let deadline = |org: &OrgView| deadlines.iter().find(|one| one.org == org.id).map(|one| one.at);
        let is_locked = |org: &OrgView| deadline(org).is_some_and(|at| at <= now);
        let (locked_orgs, orgs) = self.orgs.into_iter().partition(is_locked);
        let (locked_org, org) =
            if self.org.as_ref().is_some_and(is_locked) { (self.org, None) } else { (None, self.org) };
        let factor_due = org.as_ref().and_then(deadline);
        Self { org, orgs, locked_orgs, locked_org, factor_due, ..self }
    }

    /// Returns whether the person signed in with a password and has no second factor.
    pub fn lacks_factor(&self) -> bool {
        self.proof.is_some_and(|proof| proof.method == ProofMethod::Password && !proof.by_provider)
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

    /// Returns what pages show. `unread` is the number of events that this person hasn't marked as read.
    pub fn view(&self, unread: u32) -> SessionView {
        let Self { email, orgs, org, locked_orgs, locked_org, factor_due, .. } = self.clone();
        SessionView { email, orgs, org, locked_org, locked_orgs, factor_due, unread }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Role;

    fn org(id: &str, role: Role) -> OrgView {
        OrgView { id: id.into(), name: id.into(), role, attention: 0 }
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
    fn organization_is_locked_from_its_deadline_on_and_no_other_takes_its_place() {
        let (a, b) = (org("a", Role::Member), org("b", Role::Owner));
        let deadlines = [FactorDeadline { org: "b".into(), at: 100 }];
        let at = |chosen, now| caller(vec![a.clone(), b.clone()], Some(chosen)).without_factor(&deadlines, now);
        let before = at("b", 99);
        assert_eq!((before.org, before.factor_due, before.locked_orgs.len()), (Some(b.clone()), Some(100), 0));
        let after = at("b", 100);
        assert_eq!((after.org, after.locked_org, after.factor_due), (None, Some(b.clone()), None));
        assert_eq!((after.orgs, after.locked_orgs), (vec![a.clone()], vec![b.clone()]));
        let elsewhere = at("a", 100);
        assert_eq!((elsewhere.org, elsewhere.locked_org, elsewhere.factor_due), (Some(a.clone()), None, None));
    }

    #[test]
    fn members_may_not_manage_connections() {
        assert!(!caller(vec![org("a", Role::Member)], None).may(Permission::ManageConnections));
        assert!(caller(vec![org("a", Role::Admin)], None).may(Permission::ManageConnections));
        assert!(!caller(vec![], None).may(Permission::ManageConnections));
    }
}
