//! Tests of disabling, deletion, new passwords and the demo login on both databases.

use super::*;
use crate::model::Scope;
use crate::server::store::testing::each_store;
use crate::server::store::{AuditFilter, NewApiKeyRow, NewUser, UserOrg};

async fn person(store: &Store, email: &str, org: &str) -> (UserId, crate::model::OrgId) {
    let new = NewUser { email, password_hash: &Secret::new("hash"), org: Some(UserOrg::New(org)) };
    let created = store.add_user(new).await.unwrap();
    (created.user, created.org.unwrap().0)
}

async fn key_of(store: &Store, org: &crate::model::OrgId, user: &UserId, hash: &str) {
    let new = NewApiKeyRow {
        name: "Payroll",
        hash,
        prefix: "egk_12345678",
        scopes: Scope::ALL,
        expires_at: None,
        created_by: Some(user),
        bindings: &[],
    };
    store.add_api_key(org, new).await.unwrap();
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
