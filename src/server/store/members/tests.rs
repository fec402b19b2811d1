//! Members and invitations, each on SQLite and on PostgreSQL, also two at once.

use super::*;
use crate::model::{KeyStatus, Scope};
use crate::server::domain::Secret;
use crate::server::store::testing::stores;
use crate::server::store::{
    Accepted, Added, AuditFilter, Guest, INVITATION_LIFE, Inviting, MadeOrg, NewApiKey, NewUser,
};

/// Somebody with an account, and what they act as.
struct Person {
    user: UserId,
    actor: Actor,
}

impl Person {
    fn by(&self) -> By<'_> {
        By { user: &self.user, actor: &self.actor }
    }
}

async fn person(store: &Store, name: &str) -> Person {
    let email = format!("{name}@example.com");
    let new = NewUser { email: &email, password_hash: &Secret::new("hash"), org: None };
    let Added { user, .. } = store.add_user(new).await.unwrap().unwrap();
    let actor = Actor::person(&user, &email, Some("192.0.2.1".into()));
    Person { user, actor }
}

/// An organisation with an owner, an admin and a member.
async fn place(store: &Store) -> (OrgId, Person, Person, Person) {
    let (ann, bob, eve) = (person(store, "ann").await, person(store, "bob").await, person(store, "eve").await);
    let MadeOrg::Made(org) = store.create_org(ann.by(), "Harbour").await.unwrap() else { panic!("not made") };
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

#[tokio::test]
async fn admins_have_no_say_over_owners_and_members_over_nobody() {
    for (db, store) in stores().await {
        let (org, ann, bob, eve) = place(&store).await;
        let change = async |by: &Person, whom: &Person, role| store.change_role(&org, by.by(), &whom.user, role).await;
        for (by, whom, role) in [
            (&bob, &ann, Role::Member),
            (&bob, &eve, Role::Owner),
            (&bob, &bob, Role::Owner),
            (&eve, &eve, Role::Admin),
            (&eve, &bob, Role::Member),
        ] {
            assert_eq!(change(by, whom, role).await.unwrap(), Err(Unchanged::NotAllowed), "{db}");
        }
        let stranger = person(&store, "zoe").await;
        assert_eq!(change(&stranger, &eve, Role::Admin).await.unwrap(), Err(Unchanged::NotAllowed), "{db}");
        assert_eq!(change(&ann, &stranger, Role::Admin).await.unwrap(), Err(Unchanged::NoSuchMember), "{db}");
        for (by, whom) in [(&bob, &ann), (&eve, &bob)] {
            let removed = store.remove_member(&org, by.by(), &whom.user).await.unwrap();
            assert_eq!(removed, Err(Unchanged::NotAllowed), "{db}");
        }
        let handed = store.transfer_ownership(&org, bob.by(), &eve.user).await.unwrap();
        assert_eq!(handed, Err(Unchanged::NotAllowed), "{db}");
        let before = vec![("ann".into(), Role::Owner), ("bob".into(), Role::Admin), ("eve".into(), Role::Member)];
        assert_eq!(roles(&store, &org).await, before, "{db}");
        assert_eq!(actions(&store, &org).await, ["organization.created"], "{db}: a refusal is no change");

        change(&bob, &eve, Role::Admin).await.unwrap().unwrap();
        assert_eq!(actions(&store, &org).await.last().unwrap(), "member.role_changed", "{db}");
    }
}

#[tokio::test]
async fn the_last_owner_stays_until_there_is_another() {
    for (db, store) in stores().await {
        let (org, ann, bob, _) = place(&store).await;
        let last = Err(Unchanged::LastOwner);
        assert_eq!(store.remove_member(&org, ann.by(), &ann.user).await.unwrap(), last, "{db}");
        assert_eq!(store.change_role(&org, ann.by(), &ann.user, Role::Admin).await.unwrap(), last, "{db}");
        store.transfer_ownership(&org, ann.by(), &bob.user).await.unwrap().unwrap();
        let now = [("bob".to_owned(), Role::Owner), ("ann".to_owned(), Role::Admin)];
        assert_eq!(roles(&store, &org).await[..2], now, "{db}");
        store.remove_member(&org, ann.by(), &ann.user).await.unwrap().unwrap();
        let told = actions(&store, &org).await;
        assert_eq!(told[told.len() - 2..], ["organization.ownership_transferred", "member.left"], "{db}");
    }
}

#[tokio::test]
async fn of_two_owners_who_demote_each_other_at_once_one_stays() {
    for (db, store) in stores().await {
        for _ in 0..20 {
            let (ann, bob) = (person(&store, &uuid()).await, person(&store, &uuid()).await);
            let MadeOrg::Made(org) = store.create_org(ann.by(), &uuid()).await.unwrap() else { panic!("not made") };
            store.add_member(&org, &bob.user, Role::Owner).await.unwrap();
            let demote = async |by: &Person, whom: &Person| {
                store.change_role(&org, by.by(), &whom.user, Role::Member).await.unwrap()
            };
            let (one, other) = tokio::join!(demote(&ann, &bob), demote(&bob, &ann));
            assert_eq!(usize::from(one.is_ok()) + usize::from(other.is_ok()), 1, "{db}: {one:?} {other:?}");

            // And of two who leave at once.
            let MadeOrg::Made(org) = store.create_org(ann.by(), &uuid()).await.unwrap() else { panic!("not made") };
            store.add_member(&org, &bob.user, Role::Owner).await.unwrap();
            let leave = async |who: &Person| store.remove_member(&org, who.by(), &who.user).await.unwrap();
            let (one, other) = tokio::join!(leave(&ann), leave(&bob));
            assert_eq!(usize::from(one.is_ok()) + usize::from(other.is_ok()), 1, "{db}: {one:?} {other:?}");
        }
    }
}

fn uuid() -> String {
    crate::server::store::new_id()
}

#[tokio::test]
async fn who_is_removed_loses_their_place_there_and_their_invitations() {
    for (db, store) in stores().await {
        let (org, ann, bob, _) = place(&store).await;
        store.add_session("s", &bob.user, Some(&org)).await.unwrap();
        assert!(matches!(store.invite(&org, bob.by(), Role::Admin, "h").await.unwrap(), Inviting::Made(_)), "{db}");
        for (hash, by) in [("bobs", &bob), ("anns", &ann)] {
            let (name, prefix, by) = ("key", hash, Some(&by.user));
            let new = NewApiKey { name, hash, prefix, scopes: Scope::ALL, by, expires_at: None };
            store.add_api_key(&org, new, ann.by().actor).await.unwrap().unwrap();
        }
        store.remove_member(&org, ann.by(), &bob.user).await.unwrap().unwrap();
        let keys = store.api_keys(&org).await.unwrap();
        let ended = |prefix: &str| keys.iter().find(|key| key.prefix == prefix).unwrap().status;
        assert_eq!((ended("bobs"), ended("anns")), (KeyStatus::Revoked, KeyStatus::Active), "{db}");
        let filter = AuditFilter { action: "api_key.revoked", ..AuditFilter::default() };
        let told = store.audit_events(Some(&org), filter, None, 9).await.unwrap();
        let detail = [("because".to_owned(), "whoever made it left".to_owned()), ("name".to_owned(), "key".to_owned())];
        assert_eq!(told.iter().map(|one| &one.detail[..]).collect::<Vec<_>>(), [detail], "{db}");
        assert_eq!(store.session("s").await.unwrap().unwrap().active_org, None, "{db}");
        assert!(
            store.invited("h").await.unwrap().is_none() && store.invitations(&org).await.unwrap().is_empty(),
            "{db}"
        );
    }
}

#[tokio::test]
async fn an_invitation_lets_one_person_in_once_and_within_its_week() {
    for (db, store) in stores().await {
        let (org, ann, bob, eve) = place(&store).await;
        let invite = async |by: &Person, role, hash: &str| store.invite(&org, by.by(), role, hash).await.unwrap();
        assert_eq!(invite(&bob, Role::Owner, "no").await, Inviting::NotAllowed, "{db}");
        assert_eq!(invite(&eve, Role::Member, "no").await, Inviting::NotAllowed, "{db}");
        for hash in ["one", "late", "back"] {
            assert!(matches!(invite(&ann, Role::Admin, hash).await, Inviting::Made(_)), "{db}");
        }
        let shown = store.invited("one").await.unwrap().unwrap();
        let said = (shown.organisation.as_str(), shown.role, shown.invited_by.as_deref());
        assert_eq!(said, ("Harbour", Role::Admin, Some("ann@example.com")), "{db}");

        let known = async |who: &Person, hash: &str| {
            let guest = Guest::Known { user: &who.user, email: &who.actor.name };
            store.accept_invitation(hash, guest, None).await.unwrap()
        };
        let hash = Secret::new("hash");
        let new = async |email, token: &str| {
            store.accept_invitation(token, Guest::New { email, password_hash: &hash }, None).await.unwrap()
        };
        assert_eq!(known(&eve, "one").await, Accepted::MemberAlready { org: org.clone() }, "{db}");
        assert_eq!(new("ann@example.com", "one").await, Accepted::EmailTaken, "{db}");
        let (x, y) = tokio::join!(new("x@example.com", "one"), new("y@example.com", "one"));
        assert!(matches!(
            (&x, &y),
            (Accepted::Joined { .. }, Accepted::Over) | (Accepted::Over, Accepted::Joined { .. })
        ));
        assert_eq!(roles(&store, &org).await.len(), 4, "{db}");
        let loser = if x == Accepted::Over { "x@example.com" } else { "y@example.com" };
        assert!(store.account(loser).await.unwrap().is_none(), "{db}: no account without a place");

        let open = store.invitations(&org).await.unwrap();
        let back = &open.iter().find(|one| one.role == Role::Admin).unwrap().id;
        let other = store.add_org("Elsewhere").await.unwrap().unwrap();
        assert!(!store.revoke_invitation(&other, &ann.actor, back).await.unwrap(), "{db}: another's");
        assert!(store.revoke_invitation(&org, &ann.actor, back).await.unwrap(), "{db}");
        assert!(!store.revoke_invitation(&org, &ann.actor, back).await.unwrap(), "{db}: twice");
        store.clock().advance(INVITATION_LIFE);
        for hash in ["late", "back", "never"] {
            assert_eq!(new("z@example.com", hash).await, Accepted::Over, "{db}: {hash}");
        }
        assert!(store.account("z@example.com").await.unwrap().is_none(), "{db}");
    }
}

#[tokio::test]
async fn an_organisation_is_made_and_renamed_by_its_people() {
    for (db, store) in stores().await {
        let ann = person(&store, "ann").await;
        let MadeOrg::Made(org) = store.create_org(ann.by(), "Harbour").await.unwrap() else { panic!("not made") };
        assert_eq!(store.create_org(ann.by(), "Harbour").await.unwrap(), MadeOrg::NameTaken, "{db}");
        let bob = person(&store, "bob").await;
        // What others call theirs is nobody else's business.
        assert!(matches!(store.create_org(bob.by(), "Harbour").await.unwrap(), MadeOrg::Made(_)), "{db}");
        store.rename_org(&org, &ann.actor, "Harbour Group").await.unwrap();
        assert_eq!(store.memberships(&ann.user).await.unwrap()[0].name, "Harbour Group", "{db}");
        let events = store.audit_events(Some(&org), AuditFilter::default(), None, 9).await.unwrap();
        let detail = [("from".to_owned(), "Harbour".to_owned()), ("to".to_owned(), "Harbour Group".to_owned())];
        assert_eq!((events[0].action.as_str(), &events[0].detail[..]), ("organization.renamed", &detail[..]), "{db}");
    }
}
