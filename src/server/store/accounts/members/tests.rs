//! Tests of members and invitations on both databases, including concurrent changes.

use super::*;
use crate::model::{ApiKeyStatus, LinkStatus, Scope};
use crate::server::domain::{Actor, Secret};
use crate::server::store::testing::each_store;
use crate::server::store::{
    AcceptError, AddApiKeyError, AddEndpointError, AuditFilter, CreateLinkError, CreateOrgError, CreatedUser,
    INVITATION_LIFETIME, InviteError, Invitee, LinkCreator, NewApiKeyRow, NewConnectLink, NewInvitation, NewSecret,
    NewSession, NewUser, NewWebhookEndpoint, RotateKeyError, RowChange,
};

/// A user with an account, and the actor of their changes.
struct Person {
    user: UserId,
    actor: Actor,
}

impl Person {
    /// Returns the store, whose audit events name this person.
    fn acting(&self, store: &Store) -> Store {
        store.as_actor(self.actor.clone())
    }
}

fn invitation(role: Role, hash: &str) -> NewInvitation<'_> {
    NewInvitation { role, hash, email: None, by_mail: false }
}

async fn person(store: &Store, name: &str) -> Person {
    let email = format!("{name}@example.com");
    let new = NewUser { email: &email, password_hash: &Secret::new("hash"), org: None };
    let CreatedUser { user, .. } = store.add_user(new).await.unwrap();
    let actor = Actor::person(&user, &email, Some("192.0.2.1".into()));
    Person { user, actor }
}

/// Creates an organization with an owner, an admin and a member.
async fn org_with_members(store: &Store) -> (OrgId, Person, Person, Person) {
    let (ann, bob, eve) = (person(store, "ann").await, person(store, "bob").await, person(store, "eve").await);
    let org = ann.acting(store).create_org(&ann.user, "Harbour").await.unwrap();
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
    events.into_iter().rev().map(|event| event.action.as_str().to_owned()).collect()
}

#[apply(each_store!)]
async fn admins_cannot_manage_owners_and_members_cannot_manage_anyone(store: Store) {
    let (org, ann, bob, eve) = org_with_members(&store).await;
    let change =
        async |by: &Person, whom: &Person, role| by.acting(&store).change_role(&org, &by.user, &whom.user, role).await;
    for (by, whom, role) in [
        (&bob, &ann, Role::Member),
        (&bob, &eve, Role::Owner),
        (&bob, &bob, Role::Owner),
        (&eve, &eve, Role::Admin),
        (&eve, &bob, Role::Member),
    ] {
        assert!(matches!(change(by, whom, role).await, Err(MemberChangeError::NotAllowed)));
    }
    let stranger = person(&store, "zoe").await;
    assert!(matches!(change(&stranger, &eve, Role::Admin).await, Err(MemberChangeError::NotAllowed)));
    assert!(matches!(change(&ann, &stranger, Role::Admin).await, Err(MemberChangeError::MemberNotFound)));
    for (by, whom) in [(&bob, &ann), (&eve, &bob)] {
        let removed = by.acting(&store).remove_member(&org, &by.user, &whom.user).await;
        assert!(matches!(removed, Err(MemberChangeError::NotAllowed)), "{removed:?}");
    }
    let transferred = bob.acting(&store).transfer_ownership(&org, &bob.user, &eve.user).await;
    assert!(matches!(transferred, Err(MemberChangeError::NotAllowed)), "{transferred:?}");
    let before = vec![("ann".into(), Role::Owner), ("bob".into(), Role::Admin), ("eve".into(), Role::Member)];
    assert_eq!(roles(&store, &org).await, before);
    assert_eq!(actions(&store, &org).await, ["organization.created"], "a refused change is not recorded");

    change(&bob, &eve, Role::Admin).await.unwrap();
    assert_eq!(actions(&store, &org).await.last().unwrap(), "member.role_changed");
}

#[apply(each_store!)]
async fn last_owner_cannot_leave_or_be_demoted(store: Store) {
    let (org, ann, bob, _) = org_with_members(&store).await;
    let acting = ann.acting(&store);
    let left = acting.remove_member(&org, &ann.user, &ann.user).await;
    assert!(matches!(left, Err(MemberChangeError::LastOwner)), "{left:?}");
    let demoted = acting.change_role(&org, &ann.user, &ann.user, Role::Admin).await;
    assert!(matches!(demoted, Err(MemberChangeError::LastOwner)), "{demoted:?}");
    acting.transfer_ownership(&org, &ann.user, &bob.user).await.unwrap();
    let now = [("bob".to_owned(), Role::Owner), ("ann".to_owned(), Role::Admin)];
    assert_eq!(roles(&store, &org).await[..2], now);
    acting.remove_member(&org, &ann.user, &ann.user).await.unwrap();
    let events = actions(&store, &org).await;
    assert_eq!(events[events.len() - 2..], ["organization.ownership_transferred", "member.left"]);
}

#[apply(each_store!)]
async fn concurrent_demotions_leave_one_owner(store: Store) {
    for _ in 0..20 {
        let (ann, bob) = (person(&store, &uuid()).await, person(&store, &uuid()).await);
        let org = ann.acting(&store).create_org(&ann.user, &uuid()).await.unwrap();
        store.add_member(&org, &bob.user, Role::Owner).await.unwrap();
        let demote = async |by: &Person, whom: &Person| {
            denied_or_done(by.acting(&store).change_role(&org, &by.user, &whom.user, Role::Member).await)
        };
        let (one, other) = tokio::join!(demote(&ann, &bob), demote(&bob, &ann));
        assert_eq!(usize::from(one.is_ok()) + usize::from(other.is_ok()), 1, "{one:?} {other:?}");

        // Two owners who leave at the same time.
        let org = ann.acting(&store).create_org(&ann.user, &uuid()).await.unwrap();
        store.add_member(&org, &bob.user, Role::Owner).await.unwrap();
        let leave =
            async |who: &Person| denied_or_done(who.acting(&store).remove_member(&org, &who.user, &who.user).await);
        let (one, other) = tokio::join!(leave(&ann), leave(&bob));
        assert_eq!(usize::from(one.is_ok()) + usize::from(other.is_ok()), 1, "{one:?} {other:?}");
    }
}

/// Panics on errors other than a denied change.
fn denied_or_done(result: Result<(), MemberChangeError>) -> Result<(), MemberChangeError> {
    if let Err(MemberChangeError::Store(error)) = result { panic!("{error}") } else { result }
}

fn uuid() -> String {
    crate::server::store::new_id()
}

#[apply(each_store!)]
async fn removed_member_loses_active_org_api_keys_and_invitations(store: Store) {
    let (org, ann, bob, _) = org_with_members(&store).await;
    _ = store.add_session(NewSession::new("s", &bob.user, Some(&org))).await.unwrap();
    bob.acting(&store).invite(&org, &bob.user, invitation(Role::Admin, "h")).await.unwrap();
    for (hash, by) in [("bobs", &bob), ("anns", &ann)] {
        let (name, prefix, by) = ("key", hash, Some(&by.user));
        let new =
            NewApiKeyRow { name, hash, prefix, scopes: Scope::ALL, created_by: by, expires_at: None, bindings: &[] };
        store.add_api_key(&org, new).await.unwrap();
    }
    ann.acting(&store).remove_member(&org, &ann.user, &bob.user).await.unwrap();
    let keys = store.api_keys(&org).await.unwrap();
    let ended = |prefix: &str| keys.iter().find(|key| key.prefix == prefix).unwrap().status;
    assert_eq!((ended("bobs"), ended("anns")), (ApiKeyStatus::Revoked, ApiKeyStatus::Active));
    let filter = AuditFilter { action: "api_key.revoked", ..AuditFilter::default() };
    let events = store.audit_events(Some(&org), filter, None, 9).await.unwrap();
    let detail =
        [("because".to_owned(), "the person who created it left".to_owned()), ("name".to_owned(), "key".to_owned())];
    assert_eq!(events.iter().map(|one| &one.detail[..]).collect::<Vec<_>>(), [detail]);
    assert_eq!(store.session("s").await.unwrap().unwrap().active_org, None);
    assert!(
        store.find_open_invitation("h").await.unwrap().is_none() && store.invitations(&org).await.unwrap().is_empty()
    );
}

#[apply(each_store!)]
async fn invitation_admits_one_person_once_within_a_week(store: Store) {
    let (org, ann, bob, eve) = org_with_members(&store).await;
    let invite =
        async |by: &Person, role, hash: &str| by.acting(&store).invite(&org, &by.user, invitation(role, hash)).await;
    assert!(matches!(invite(&bob, Role::Owner, "no").await, Err(InviteError::NotAllowed)));
    assert!(matches!(invite(&eve, Role::Member, "no").await, Err(InviteError::NotAllowed)));
    for hash in ["one", "late", "back"] {
        invite(&ann, Role::Admin, hash).await.unwrap();
    }
    let shown = store.find_open_invitation("one").await.unwrap().unwrap();
    let said = (shown.organisation.as_str(), shown.role, shown.invited_by.as_deref());
    assert_eq!(said, ("Harbour", Role::Admin, Some("ann@example.com")));
    assert_eq!((&shown.org_id, shown.owners.join(" ").as_str()), (&org, "ann@example.com"));

    let known = async |who: &Person, hash: &str| {
        let invitee = Invitee::SignedIn { user: &who.user, email: &who.actor.name };
        store.accept_invitation(hash, invitee, None).await
    };
    let hash = Secret::new("hash");
    let new = async |email, token: &str| {
        store.accept_invitation(token, Invitee::NewAccount { email, password_hash: &hash }, None).await
    };
    assert!(matches!(known(&eve, "one").await, Err(AcceptError::AlreadyMember { org: joined }) if joined == org));
    assert!(matches!(new("ann@example.com", "one").await, Err(AcceptError::EmailTaken)));
    let (x, y) = tokio::join!(new("x@example.com", "one"), new("y@example.com", "one"));
    assert!(matches!((&x, &y), (Ok(_), Err(AcceptError::NotOpen)) | (Err(AcceptError::NotOpen), Ok(_))), "{x:?} {y:?}");
    assert_eq!(roles(&store, &org).await.len(), 4);
    let loser = if x.is_err() { "x@example.com" } else { "y@example.com" };
    assert!(store.account(loser).await.unwrap().is_none(), "no account is created without a membership");

    let open = store.invitations(&org).await.unwrap();
    let back = &open.iter().find(|one| one.role == Role::Admin).unwrap().id;
    let other = store.add_org("Elsewhere").await.unwrap();
    assert_eq!(store.revoke_invitation(&other, back).await.unwrap(), RowChange::NotFound, "another organization's");
    assert_eq!(store.revoke_invitation(&org, back).await.unwrap(), RowChange::Applied);
    assert_eq!(store.revoke_invitation(&org, back).await.unwrap(), RowChange::NotFound, "twice");
    store.clock().advance(INVITATION_LIFETIME);
    for hash in ["late", "back", "never"] {
        assert!(matches!(new("z@example.com", hash).await, Err(AcceptError::NotOpen)), "{hash}");
    }
    assert!(store.account("z@example.com").await.unwrap().is_none());
}

#[apply(each_store!)]
async fn invitation_of_a_clock_that_was_set_back_is_not_open(store: Store) {
    let (org, ann, ..) = org_with_members(&store).await;
    ann.acting(&store).invite(&org, &ann.user, invitation(Role::Admin, "h")).await.unwrap();
    store.clock().advance(-13 * 60 * 60);
    assert!(
        store.find_open_invitation("h").await.unwrap().is_none() && store.invitations(&org).await.unwrap().is_empty()
    );
    let hash = Secret::new("hash");
    let new = Invitee::NewAccount { email: "x@example.com", password_hash: &hash };
    assert!(matches!(store.accept_invitation("h", new, None).await, Err(AcceptError::NotOpen)));
}

#[apply(each_store!)]
async fn organization_is_created_and_renamed_by_users(store: Store) {
    let ann = person(&store, "ann").await;
    let org = ann.acting(&store).create_org(&ann.user, "Harbour").await.unwrap();
    let again = store.create_org(&ann.user, "Harbour").await;
    assert!(matches!(again, Err(CreateOrgError::NameTaken)), "{again:?}");
    let bob = person(&store, "bob").await;
    // Another user may create an organization of the same name.
    store.create_org(&bob.user, "Harbour").await.unwrap();
    ann.acting(&store).rename_org(&org, "Harbour Group").await.unwrap();
    assert_eq!(store.memberships(&ann.user).await.unwrap()[0].name, "Harbour Group");
    let events = store.audit_events(Some(&org), AuditFilter::default(), None, 9).await.unwrap();
    let detail = [("from".to_owned(), "Harbour".to_owned()), ("to".to_owned(), "Harbour Group".to_owned())];
    assert_eq!((events[0].action.as_str(), &events[0].detail[..]), ("organization.renamed", &detail[..]));
}

#[apply(each_store!)]
async fn key_of_a_request_that_began_before_a_demotion_is_not_created(store: Store) {
    let (org, ann, bob, eve) = org_with_members(&store).await;
    let add = async |by: &UserId| {
        let new = NewApiKeyRow {
            name: "Export",
            hash: by.as_str(),
            prefix: "egk_a",
            scopes: &[Scope::TokensRead],
            expires_at: None,
            created_by: Some(by),
            bindings: &[],
        };
        store.add_api_key(&org, new).await
    };
    let key = add(&bob.user).await.unwrap();
    ann.acting(&store).change_role(&org, &ann.user, &bob.user, Role::Member).await.unwrap();
    ann.acting(&store).remove_member(&org, &ann.user, &eve.user).await.unwrap();
    for by in [&bob.user, &eve.user] {
        let refused = add(by).await;
        assert!(matches!(refused, Err(AddApiKeyError::NotAllowed)), "{refused:?}");
    }
    let secret = NewSecret { hash: "new", prefix: "egk_b", overlap: 0, by: Some(&bob.user) };
    let refused = store.rotate_api_key(&org, &key, secret).await;
    assert!(matches!(refused, Err(RotateKeyError::NotAllowed)), "{refused:?}");
}

#[apply(each_store!)]
async fn owner_who_became_an_admin_invites_no_owner(store: Store) {
    let (org, ann, bob, _) = org_with_members(&store).await;
    ann.acting(&store).change_role(&org, &ann.user, &bob.user, Role::Owner).await.unwrap();
    for (role, hash) in [(Role::Owner, "owner"), (Role::Admin, "admin")] {
        ann.acting(&store).invite(&org, &ann.user, invitation(role, hash)).await.unwrap();
    }
    bob.acting(&store).change_role(&org, &bob.user, &ann.user, Role::Admin).await.unwrap();
    let open: Vec<Role> = store.invitations(&org).await.unwrap().into_iter().map(|one| one.role).collect();
    assert_eq!(open, [Role::Admin]);
    let filter = AuditFilter { action: "invitation.revoked", ..AuditFilter::default() };
    let events = store.audit_events(Some(&org), filter, None, 9).await.unwrap();
    let detail = [
        ("because".to_owned(), "the person who created it may no longer do so".to_owned()),
        ("role".to_owned(), "owner".to_owned()),
    ];
    assert_eq!(events.iter().map(|one| &one.detail[..]).collect::<Vec<_>>(), [detail]);
}

#[apply(each_store!)]
async fn links_of_a_demoted_person_end_and_none_is_created_by_a_request_that_began_before(store: Store) {
    let (org, ann, bob, _) = org_with_members(&store).await;
    let secret = Secret::new("secret");
    let link = |hash| NewConnectLink {
        secret_hash: hash,
        binding: None,
        requested_by: "Bob",
        note: "",
        external_id: None,
        tags: &[],
        return_url: None,
        lifetime: 60,
        email: None,
        created_by: Some(LinkCreator::Person(&bob.user)),
    };
    let hook = || NewWebhookEndpoint {
        url: "https://example.com/hooks",
        secret: &secret,
        created_by: &bob.user,
        session_hash: "s",
    };
    let created = store.create_connect_link(&org, link("before")).await.unwrap();
    store.add_endpoint(&org, hook()).await.unwrap();
    ann.acting(&store).change_role(&org, &ann.user, &bob.user, Role::Member).await.unwrap();
    assert_eq!(store.connect_link(&created).await.unwrap().unwrap().status, LinkStatus::Cancelled);
    assert!(actions(&store, &org).await.contains(&"connect_link.cancelled".to_owned()));
    let refused = store.create_connect_link(&org, link("after")).await;
    assert!(matches!(refused, Err(CreateLinkError::NotAllowed)), "{refused:?}");
    let refused = store.add_endpoint(&org, hook()).await;
    assert!(matches!(refused, Err(AddEndpointError::NotAllowed)), "{refused:?}");
}

#[apply(each_store!)]
async fn owner_whose_account_is_disabled_does_not_count_as_another_owner(store: Store) {
    let (org, ann, bob, _) = org_with_members(&store).await;
    let change = async |role| ann.acting(&store).change_role(&org, &ann.user, &bob.user, role).await;
    change(Role::Owner).await.unwrap();
    assert_eq!(store.disable_user(&bob.user).await.unwrap(), RowChange::Applied);
    let steps_down = ann.acting(&store).change_role(&org, &ann.user, &ann.user, Role::Admin).await;
    assert!(matches!(steps_down, Err(MemberChangeError::LastOwner)), "{steps_down:?}");
    change(Role::Member).await.unwrap();
}

#[apply(each_store!)]
async fn organizations_of_a_person_are_sorted_as_people_sort_names(store: Store) {
    let ann = person(&store, "ann").await;
    for name in ["Tui", "Branch 10", "Ōtautahi", "Branch 2", "apple"] {
        store.create_org(&ann.user, name).await.unwrap();
    }
    _ = store.add_session(NewSession::new("s", &ann.user, None)).await.unwrap();
    let of_session = store.session("s").await.unwrap().unwrap().orgs;
    for orgs in [of_session, store.memberships(&ann.user).await.unwrap()] {
        let names: Vec<_> = orgs.iter().map(|org| org.name.as_str()).collect();
        assert_eq!(names, ["apple", "Branch 2", "Branch 10", "Ōtautahi", "Tui"]);
    }
}
