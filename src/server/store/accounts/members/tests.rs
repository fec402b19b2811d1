//! Tests of members and invitations on both databases, including concurrent changes.

use super::*;
use crate::model::{ApiKeyStatus, Scope};
use crate::server::domain::Secret;
use crate::server::store::testing::each_store;
use crate::server::store::{
    AcceptOutcome, AuditFilter, CreateOrgOutcome, CreatedUser, INVITATION_LIFETIME, InviteOutcome, Invitee,
    NewApiKeyRow, NewUser,
};

/// A user with an account, and the actor of their changes.
struct Person {
    user: UserId,
    actor: Actor,
}

impl Person {
    fn as_acting_member(&self) -> ActingMember<'_> {
        ActingMember { user: &self.user, actor: &self.actor }
    }
}

async fn person(store: &Store, name: &str) -> Person {
    let email = format!("{name}@example.com");
    let new = NewUser { email: &email, password_hash: &Secret::new("hash"), org: None };
    let CreatedUser { user, .. } = store.add_user(new).await.unwrap().unwrap();
    let actor = Actor::person(&user, &email, Some("192.0.2.1".into()));
    Person { user, actor }
}

/// Creates an organization with an owner, an admin and a member.
async fn org_with_members(store: &Store) -> (OrgId, Person, Person, Person) {
    let (ann, bob, eve) = (person(store, "ann").await, person(store, "bob").await, person(store, "eve").await);
    let CreateOrgOutcome::Created(org) = store.create_org(ann.as_acting_member(), "Harbour").await.unwrap() else {
        panic!("not made")
    };
    store.add_member(&org, &bob.user, Role::Admin).await.unwrap();
    store.add_member(&org, &eve.user, Role::Member).await.unwrap();
    (org, ann, bob, eve)
}

async fn roles(store: &Store, org: &OrgId) -> Vec<(String, Role)> {
    let members = store.members(org, &"nobody".into()).await.unwrap();
    members.into_iter().map(|one| (one.email.split('@').next().unwrap().to_owned(), one.role)).collect()
}

async fn actions(store: &Store, org: &OrgId) -> Vec<String> {
    let events = store.audit_events(Some(org), AuditFilter::default(), None, 99).await.unwrap();
    events.into_iter().rev().map(|event| event.action).collect()
}

#[apply(each_store!)]
async fn admins_cannot_manage_owners_and_members_cannot_manage_anyone(store: Store) {
    let (org, ann, bob, eve) = org_with_members(&store).await;
    let change =
        async |by: &Person, whom: &Person, role| store.change_role(&org, by.as_acting_member(), &whom.user, role).await;
    for (by, whom, role) in [
        (&bob, &ann, Role::Member),
        (&bob, &eve, Role::Owner),
        (&bob, &bob, Role::Owner),
        (&eve, &eve, Role::Admin),
        (&eve, &bob, Role::Member),
    ] {
        assert_eq!(change(by, whom, role).await.unwrap(), Err(MemberChangeError::NotAllowed));
    }
    let stranger = person(&store, "zoe").await;
    assert_eq!(change(&stranger, &eve, Role::Admin).await.unwrap(), Err(MemberChangeError::NotAllowed));
    assert_eq!(change(&ann, &stranger, Role::Admin).await.unwrap(), Err(MemberChangeError::MemberNotFound));
    for (by, whom) in [(&bob, &ann), (&eve, &bob)] {
        let removed = store.remove_member(&org, by.as_acting_member(), &whom.user).await.unwrap();
        assert_eq!(removed, Err(MemberChangeError::NotAllowed));
    }
    let handed = store.transfer_ownership(&org, bob.as_acting_member(), &eve.user).await.unwrap();
    assert_eq!(handed, Err(MemberChangeError::NotAllowed));
    let before = vec![("ann".into(), Role::Owner), ("bob".into(), Role::Admin), ("eve".into(), Role::Member)];
    assert_eq!(roles(&store, &org).await, before);
    assert_eq!(actions(&store, &org).await, ["organization.created"], "a refused change is not recorded");

    change(&bob, &eve, Role::Admin).await.unwrap().unwrap();
    assert_eq!(actions(&store, &org).await.last().unwrap(), "member.role_changed");
}

#[apply(each_store!)]
async fn last_owner_cannot_leave_or_be_demoted(store: Store) {
    let (org, ann, bob, _) = org_with_members(&store).await;
    let last = Err(MemberChangeError::LastOwner);
    assert_eq!(store.remove_member(&org, ann.as_acting_member(), &ann.user).await.unwrap(), last);
    assert_eq!(store.change_role(&org, ann.as_acting_member(), &ann.user, Role::Admin).await.unwrap(), last);
    store.transfer_ownership(&org, ann.as_acting_member(), &bob.user).await.unwrap().unwrap();
    let now = [("bob".to_owned(), Role::Owner), ("ann".to_owned(), Role::Admin)];
    assert_eq!(roles(&store, &org).await[..2], now);
    store.remove_member(&org, ann.as_acting_member(), &ann.user).await.unwrap().unwrap();
    let told = actions(&store, &org).await;
    assert_eq!(told[told.len() - 2..], ["organization.ownership_transferred", "member.left"]);
}

#[apply(each_store!)]
async fn concurrent_demotions_leave_one_owner(store: Store) {
    for _ in 0..20 {
        let (ann, bob) = (person(&store, &uuid()).await, person(&store, &uuid()).await);
        let CreateOrgOutcome::Created(org) = store.create_org(ann.as_acting_member(), &uuid()).await.unwrap() else {
            panic!("not made")
        };
        store.add_member(&org, &bob.user, Role::Owner).await.unwrap();
        let demote = async |by: &Person, whom: &Person| {
            store.change_role(&org, by.as_acting_member(), &whom.user, Role::Member).await.unwrap()
        };
        let (one, other) = tokio::join!(demote(&ann, &bob), demote(&bob, &ann));
        assert_eq!(usize::from(one.is_ok()) + usize::from(other.is_ok()), 1, "{one:?} {other:?}");

        // Two owners who leave at the same time.
        let CreateOrgOutcome::Created(org) = store.create_org(ann.as_acting_member(), &uuid()).await.unwrap() else {
            panic!("not made")
        };
        store.add_member(&org, &bob.user, Role::Owner).await.unwrap();
        let leave = async |who: &Person| store.remove_member(&org, who.as_acting_member(), &who.user).await.unwrap();
        let (one, other) = tokio::join!(leave(&ann), leave(&bob));
        assert_eq!(usize::from(one.is_ok()) + usize::from(other.is_ok()), 1, "{one:?} {other:?}");
    }
}

fn uuid() -> String {
    crate::server::store::new_id()
}

#[apply(each_store!)]
async fn removed_member_loses_active_org_api_keys_and_invitations(store: Store) {
    let (org, ann, bob, _) = org_with_members(&store).await;
    store.add_session("s", &bob.user, Some(&org)).await.unwrap();
    assert!(matches!(
        store.invite(&org, bob.as_acting_member(), Role::Admin, "h").await.unwrap(),
        InviteOutcome::Created(_)
    ));
    for (hash, by) in [("bobs", &bob), ("anns", &ann)] {
        let (name, prefix, by) = ("key", hash, Some(&by.user));
        let new = NewApiKeyRow { name, hash, prefix, scopes: Scope::ALL, created_by: by, expires_at: None };
        store.add_api_key(&org, new, ann.as_acting_member().actor).await.unwrap().unwrap();
    }
    store.remove_member(&org, ann.as_acting_member(), &bob.user).await.unwrap().unwrap();
    let keys = store.api_keys(&org).await.unwrap();
    let ended = |prefix: &str| keys.iter().find(|key| key.prefix == prefix).unwrap().status;
    assert_eq!((ended("bobs"), ended("anns")), (ApiKeyStatus::Revoked, ApiKeyStatus::Active));
    let filter = AuditFilter { action: "api_key.revoked", ..AuditFilter::default() };
    let told = store.audit_events(Some(&org), filter, None, 9).await.unwrap();
    let detail =
        [("because".to_owned(), "the person who created it left".to_owned()), ("name".to_owned(), "key".to_owned())];
    assert_eq!(told.iter().map(|one| &one.detail[..]).collect::<Vec<_>>(), [detail]);
    assert_eq!(store.session("s").await.unwrap().unwrap().active_org, None);
    assert!(
        store.find_open_invitation("h").await.unwrap().is_none() && store.invitations(&org).await.unwrap().is_empty()
    );
}

#[apply(each_store!)]
async fn invitation_admits_one_person_once_within_a_week(store: Store) {
    let (org, ann, bob, eve) = org_with_members(&store).await;
    let invite =
        async |by: &Person, role, hash: &str| store.invite(&org, by.as_acting_member(), role, hash).await.unwrap();
    assert_eq!(invite(&bob, Role::Owner, "no").await, InviteOutcome::NotAllowed);
    assert_eq!(invite(&eve, Role::Member, "no").await, InviteOutcome::NotAllowed);
    for hash in ["one", "late", "back"] {
        assert!(matches!(invite(&ann, Role::Admin, hash).await, InviteOutcome::Created(_)));
    }
    let shown = store.find_open_invitation("one").await.unwrap().unwrap();
    let said = (shown.organisation.as_str(), shown.role, shown.invited_by.as_deref());
    assert_eq!(said, ("Harbour", Role::Admin, Some("ann@example.com")));

    let known = async |who: &Person, hash: &str| {
        let guest = Invitee::SignedIn { user: &who.user, email: &who.actor.name };
        store.accept_invitation(hash, guest, None).await.unwrap()
    };
    let hash = Secret::new("hash");
    let new = async |email, token: &str| {
        store.accept_invitation(token, Invitee::NewAccount { email, password_hash: &hash }, None).await.unwrap()
    };
    assert_eq!(known(&eve, "one").await, AcceptOutcome::AlreadyMember { org: org.clone() });
    assert_eq!(new("ann@example.com", "one").await, AcceptOutcome::EmailTaken);
    let (x, y) = tokio::join!(new("x@example.com", "one"), new("y@example.com", "one"));
    assert!(matches!(
        (&x, &y),
        (AcceptOutcome::Joined { .. }, AcceptOutcome::NotOpen) | (AcceptOutcome::NotOpen, AcceptOutcome::Joined { .. })
    ));
    assert_eq!(roles(&store, &org).await.len(), 4);
    let loser = if x == AcceptOutcome::NotOpen { "x@example.com" } else { "y@example.com" };
    assert!(store.account(loser).await.unwrap().is_none(), "no account is created without a membership");

    let open = store.invitations(&org).await.unwrap();
    let back = &open.iter().find(|one| one.role == Role::Admin).unwrap().id;
    let other = store.add_org("Elsewhere").await.unwrap().unwrap();
    assert!(!store.revoke_invitation(&other, &ann.actor, back).await.unwrap(), "another organization's");
    assert!(store.revoke_invitation(&org, &ann.actor, back).await.unwrap());
    assert!(!store.revoke_invitation(&org, &ann.actor, back).await.unwrap(), "twice");
    store.clock().advance(INVITATION_LIFETIME);
    for hash in ["late", "back", "never"] {
        assert_eq!(new("z@example.com", hash).await, AcceptOutcome::NotOpen, "{hash}");
    }
    assert!(store.account("z@example.com").await.unwrap().is_none());
}

#[apply(each_store!)]
async fn organization_is_created_and_renamed_by_users(store: Store) {
    let ann = person(&store, "ann").await;
    let CreateOrgOutcome::Created(org) = store.create_org(ann.as_acting_member(), "Harbour").await.unwrap() else {
        panic!("not made")
    };
    assert_eq!(store.create_org(ann.as_acting_member(), "Harbour").await.unwrap(), CreateOrgOutcome::NameTaken);
    let bob = person(&store, "bob").await;
    // Another user may create an organization of the same name.
    assert!(matches!(store.create_org(bob.as_acting_member(), "Harbour").await.unwrap(), CreateOrgOutcome::Created(_)));
    store.rename_org(&org, &ann.actor, "Harbour Group").await.unwrap();
    assert_eq!(store.memberships(&ann.user).await.unwrap()[0].name, "Harbour Group");
    let events = store.audit_events(Some(&org), AuditFilter::default(), None, 9).await.unwrap();
    let detail = [("from".to_owned(), "Harbour".to_owned()), ("to".to_owned(), "Harbour Group".to_owned())];
    assert_eq!((events[0].action.as_str(), &events[0].detail[..]), ("organization.renamed", &detail[..]));
}
