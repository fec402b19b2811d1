//! Tests of disabling, deletion, new passwords and the demo login on both databases.

use super::*;
use crate::model::{ApiKeyId, ConnectLinkId, LinkStatus, OrgId, Scope};
use crate::server::store::testing::each_store;
use crate::server::store::{
    AuditFilter, CreateLinkError, LinkCreator, NewApiKeyRow, NewConnectLink, NewInvitation, NewUser, UserOrg,
};

async fn person(store: &Store, email: &str, org: &str) -> (UserId, OrgId) {
    let new = NewUser { email, password_hash: &Secret::new("hash"), org: Some(UserOrg::New(org)) };
    let created = store.add_user(new).await.unwrap();
    (created.user, created.org.unwrap().0)
}

async fn key_of(store: &Store, org: &OrgId, user: &UserId, hash: &str) -> ApiKeyId {
    let new = NewApiKeyRow {
        name: "Payroll",
        hash,
        prefix: "egk_12345678",
        scopes: Scope::ALL,
        expires_at: None,
        created_by: Some(user),
        bindings: &[],
    };
    store.add_api_key(org, new).await.unwrap()
}

/// Creates an invitation, a connect link, and a connect link of a key of this person. Returns the two links.
async fn links_of(store: &Store, org: &OrgId, user: &UserId, hash: &str) -> [ConnectLinkId; 2] {
    let invitation = NewInvitation { role: Role::Admin, hash, email: None, by_mail: false };
    store.invite(org, user, invitation).await.unwrap();
    let key = key_of(store, org, user, &format!("key of {hash}")).await;
    let link =
        async |creator| store.create_connect_link(org, NewConnectLink { created_by: Some(creator), ..link() }).await;
    [link(LinkCreator::Person(user)).await.unwrap(), link(LinkCreator::Program(&key)).await.unwrap()]
}

fn link<'a>() -> NewConnectLink<'a> {
    NewConnectLink {
        secret_hash: "secret",
        binding: None,
        requested_by: "",
        note: "",
        external_id: None,
        tags: &[],
        return_url: None,
        lifetime: 7 * 24 * 60 * 60,
        email: None,
        created_by: None,
    }
}

#[apply(each_store!)]
async fn new_password_ends_every_session_but_the_one_that_continues(store: Store) {
    let (ann, org) = person(&store, "ann@example.com", "Harbour").await;
    for hash in ["here", "elsewhere"] {
        _ = store.add_session(NewSession::new(hash, &ann, Some(&org))).await.unwrap();
    }
    let (old, new) = (Secret::new("hash"), Secret::new("new hash"));
    let next = NewSession::new("next", &ann, Some(&org));
    let wrong = store.set_password(&ann, Some(&Secret::new("other")), &new, Some(next)).await.unwrap();
    assert_eq!(wrong, RowChange::NotFound, "somebody else has changed it meanwhile");
    assert!(store.session("here").await.unwrap().is_some());

    assert_eq!(store.set_password(&ann, Some(&old), &new, Some(next)).await.unwrap(), RowChange::Applied);
    assert!(store.session("here").await.unwrap().is_none() && store.session("elsewhere").await.unwrap().is_none());
    assert!(store.session("next").await.unwrap().is_some());
    let late = store.add_session(NewSession::new("late", &ann, None).proven_by(&old)).await.unwrap();
    assert_eq!(late, RowChange::NotFound, "a sign-in with the old password that was under way");
}

#[apply(each_store!)]
async fn disabled_account_has_no_session_and_its_keys_are_refused_until_it_is_enabled(store: Store) {
    let (ann, org) = person(&store, "ann@example.com", "Harbour").await;
    key_of(&store, &org, &ann, "key-hash").await;
    _ = store.add_session(NewSession::new("s", &ann, Some(&org))).await.unwrap();
    assert!(store.api_key("key-hash").await.unwrap().is_some());

    assert_eq!(store.disable_user(&ann).await.unwrap(), RowChange::Applied);
    assert_eq!(store.disable_user(&ann).await.unwrap(), RowChange::NotFound, "already");
    assert!(store.session("s").await.unwrap().is_none());
    assert!(store.account("ann@example.com").await.unwrap().unwrap().is_disabled);
    assert!(store.api_key("key-hash").await.unwrap().is_none());
    assert_eq!(store.add_session(NewSession::new("t", &ann, None)).await.unwrap(), RowChange::NotFound);

    assert_eq!(store.enable_user(&ann).await.unwrap(), RowChange::Applied);
    assert!(store.api_key("key-hash").await.unwrap().is_some());
    let events = store.audit_events(Some(&org), AuditFilter::default(), None, 2).await.unwrap();
    let actions: Vec<&str> = events.iter().map(|event| event.action.as_str()).collect();
    assert_eq!(actions, ["account.enabled", "account.disabled"]);
}

#[apply(each_store!)]
async fn links_of_a_disabled_or_deleted_account_end_in_every_organization(store: Store) {
    let (ann, org) = person(&store, "ann@example.com", "Harbour").await;
    let (bob, other) = person(&store, "bob@example.com", "Bob's").await;
    store.add_member(&org, &bob, Role::Owner).await.unwrap();
    store.add_member(&other, &ann, Role::Owner).await.unwrap();
    let status = async |id: &ConnectLinkId| store.connect_link(id).await.unwrap().unwrap().status;
    let anns = links_of(&store, &org, &ann, "of ann").await;
    for (round, because) in ["the account of the person who created it was disabled", "the person who created it left"]
        .into_iter()
        .enumerate()
    {
        let mut ended = Vec::new();
        for (org, at) in [(&org, "here"), (&other, "there")] {
            ended.extend(links_of(&store, org, &bob, &format!("{round} {at}")).await);
        }
        match round {
            0 => assert_eq!(store.disable_user(&bob).await.unwrap(), RowChange::Applied),
            _ => assert_eq!(store.delete_user(&bob).await.unwrap(), RowChange::Applied),
        }
        for link in &ended {
            assert_eq!(status(link).await, LinkStatus::Cancelled, "{because}");
        }
        assert!(store.find_open_invitation(&format!("{round} here")).await.unwrap().is_none(), "{because}");
        for org in [&org, &other] {
            let events = store.audit_events(Some(org), AuditFilter::default(), None, 99).await.unwrap();
            let of = |action: Action| {
                let reason = ("because".to_owned(), because.to_owned());
                events
                    .iter()
                    .filter(|one| one.action.as_str() == action.as_str() && one.detail.contains(&reason))
                    .count()
            };
            assert_eq!((of(Action::InvitationRevoked), of(Action::ConnectLinkCancelled)), (1, 2), "{because}");
        }
        if round == 0 {
            assert_eq!(store.enable_user(&bob).await.unwrap(), RowChange::Applied);
            assert_eq!(status(&ended[0]).await, LinkStatus::Cancelled, "they stay ended");
        }
    }
    for link in &anns {
        assert_eq!(status(link).await, LinkStatus::Open, "another person's");
    }
    assert!(store.find_open_invitation("of ann").await.unwrap().is_some());
}

#[apply(each_store!)]
async fn link_of_a_program_ends_with_its_key(store: Store) {
    let (ann, org) = person(&store, "ann@example.com", "Harbour").await;
    let (key, other) = (key_of(&store, &org, &ann, "a").await, key_of(&store, &org, &ann, "b").await);
    let of = async |key| {
        let new = NewConnectLink { created_by: Some(LinkCreator::Program(key)), ..link() };
        store.create_connect_link(&org, new).await
    };
    let (ends, stays) = (of(&key).await.unwrap(), of(&other).await.unwrap());
    assert_eq!(store.revoke_api_key(&org, &key).await.unwrap(), RowChange::Applied);
    let status = async |id: &ConnectLinkId| store.connect_link(id).await.unwrap().unwrap().status;
    assert_eq!((status(&ends).await, status(&stays).await), (LinkStatus::Cancelled, LinkStatus::Open));
    let late = of(&key).await;
    assert!(matches!(late, Err(CreateLinkError::NotAllowed)), "a call that began before: {late:?}");
}

#[apply(each_store!)]
async fn last_owner_is_not_deleted_and_the_audit_log_stays(store: Store) {
    let (ann, org) = person(&store, "ann@example.com", "Harbour").await;
    let (bob, _) = person(&store, "bob@example.com", "Bob's").await;
    let refused = store.delete_user(&ann).await;
    assert!(matches!(refused, Err(DeleteUserError::LastOwner(name)) if name == "Harbour"));
    store.add_member(&org, &bob, Role::Owner).await.unwrap();
    key_of(&store, &org, &ann, "key-hash").await;
    _ = store.add_session(NewSession::new("s", &ann, Some(&org))).await.unwrap();

    assert_eq!(store.delete_user(&ann).await.unwrap(), RowChange::Applied);
    assert!(store.account("ann@example.com").await.unwrap().is_none() && store.session("s").await.unwrap().is_none());
    assert!(store.api_key("key-hash").await.unwrap().unwrap().revoked_at.is_some());
    let events = store.audit_events(Some(&org), AuditFilter::default(), None, 9).await.unwrap();
    let actions: Vec<&str> = events.iter().map(|event| event.action.as_str()).collect();
    assert_eq!(&actions[..3], ["member.removed", "api_key.revoked", "account.deleted"]);
    assert!(events[0].detail.contains(&("member".into(), "ann@example.com".into())), "{:?}", events[0]);
}

#[apply(each_store!)]
async fn demo_login_exists_in_sandbox_mode_only(store: Store) {
    let sandbox = store.clone().with_demo_login(true);
    let (demo, org) = person(&sandbox, "demo@evergrant.example", "Harbour").await;
    sandbox.admit_demo_login("demo@evergrant.example").await.unwrap();
    key_of(&sandbox, &org, &demo, "key-hash").await;
    let session = async |hash: &str| _ = sandbox.add_session(NewSession::new(hash, &demo, Some(&org))).await.unwrap();
    session("s").await;
    assert!(sandbox.session("s").await.unwrap().is_some() && sandbox.has_users().await.unwrap());

    let production = store;
    assert!(production.session("s").await.unwrap().is_none(), "even before a start there");
    production.admit_demo_login("demo@evergrant.example").await.unwrap();
    assert!(production.account("demo@evergrant.example").await.unwrap().is_none());
    assert!(production.api_key("key-hash").await.unwrap().is_none());
    assert!(!production.has_users().await.unwrap(), "so that the page says how to create the first account");

    sandbox.admit_demo_login("demo@evergrant.example").await.unwrap();
    assert!(sandbox.session("s").await.unwrap().is_none(), "it was ended");
    session("t").await;
    assert!(sandbox.session("t").await.unwrap().is_some() && sandbox.api_key("key-hash").await.unwrap().is_some());
}
