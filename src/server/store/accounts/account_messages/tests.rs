//! Tests of account messages and their links on both databases.

use super::*;
use crate::model::OrgId;
use crate::server::store::testing::each_store;
use crate::server::store::{AuditFilter, NewSession, NewUser, UserOrg};

async fn ann(store: &Store) -> (UserId, OrgId) {
    let new =
        NewUser { email: "ann@example.com", password_hash: &Secret::new("hash"), org: Some(UserOrg::New("Harbour")) };
    let created = store.add_user(new).await.unwrap();
    (created.user, created.org.unwrap().0)
}

/// Sends every message that is due, with links `prefix-0`, `prefix-1` and so on. Returns what was sent.
async fn send_all(store: &Store, prefix: &str) -> Vec<(AccountMessageKind, String)> {
    let until = store.clock().now() + 60;
    let mut sent = Vec::new();
    for (n, message) in store.claim_account_messages("me", until, 9).await.unwrap().into_iter().enumerate() {
        if store.open_link(&message, &format!("{prefix}-{n}")).await.unwrap() == RowChange::Applied {
            store.record_account_message_attempt(&message.id, "me", None).await.unwrap();
            sent.push((message.kind, message.email));
        }
    }
    sent
}

#[apply(each_store!)]
async fn reset_link_works_once_and_ends_every_session(store: Store) {
    let (user, org) = ann(&store).await;
    _ = store.add_session(NewSession::new("s", &user, Some(&org))).await.unwrap();
    store.request_password_reset("ann@example.com", Some("192.0.2.7")).await.unwrap();
    assert_eq!(send_all(&store, "link").await, [(AccountMessageKind::ResetPassword, "ann@example.com".to_owned())]);
    assert!(send_all(&store, "again").await.is_empty(), "it is sent once");

    for _ in 0..2 {
        let open = store.open_link_of(AccountMessageKind::ResetPassword, "link-0").await.unwrap().unwrap();
        assert_eq!(open.user, user, "reading uses nothing up");
    }
    assert_eq!(store.open_link_of(AccountMessageKind::ConfirmEmail, "link-0").await.unwrap(), None);
    let reset = async |hash: &str| store.reset_password(hash, &Secret::new("new"), None).await.unwrap();
    assert_eq!(reset("guess").await, RowChange::NotFound);
    assert_eq!(reset("link-0").await, RowChange::Applied);
    assert_eq!(reset("link-0").await, RowChange::NotFound);
    assert!(store.session("s").await.unwrap().is_none());
    assert_eq!(store.account("ann@example.com").await.unwrap().unwrap().password_hash.expose(), "new");
    assert_eq!(send_all(&store, "told").await, [(AccountMessageKind::PasswordChanged, "ann@example.com".to_owned())]);

    let events = store.audit_events(Some(&org), AuditFilter::default(), None, 2).await.unwrap();
    let told: Vec<_> =
        events.iter().map(|one| (one.action.as_str(), one.actor.as_str(), one.address.as_deref())).collect();
    assert_eq!(told[0], ("account.password_reset", "ann@example.com", None));
    assert_eq!(told[1], ("account.password_reset_requested", "ann@example.com", Some("192.0.2.7")));
}

#[apply(each_store!)]
async fn reset_link_expires_after_thirty_minutes_and_with_a_changed_password(store: Store) {
    let (user, _) = ann(&store).await;
    store.request_password_reset("ann@example.com", None).await.unwrap();
    send_all(&store, "first").await;
    store.clock().advance(LINK_LIFETIME - 1);
    assert!(store.open_link_of(AccountMessageKind::ResetPassword, "first-0").await.unwrap().is_some());
    store.clock().advance(1);
    assert!(store.open_link_of(AccountMessageKind::ResetPassword, "first-0").await.unwrap().is_none());
    assert_eq!(store.delete_expired().await.unwrap(), 1);

    store.request_password_reset("ann@example.com", None).await.unwrap();
    send_all(&store, "second").await;
    _ = store.set_password(&user, None, &Secret::new("new"), None).await.unwrap();
    assert!(store.open_link_of(AccountMessageKind::ResetPassword, "second-0").await.unwrap().is_none());
}

#[apply(each_store!)]
async fn request_for_an_unknown_or_disabled_account_sends_nothing_and_few_are_open_at_once(store: Store) {
    let (user, _) = ann(&store).await;
    store.request_password_reset("nobody@example.com", None).await.unwrap();
    assert!(send_all(&store, "link").await.is_empty());
    for _ in 0..5 {
        store.request_password_reset("ann@example.com", None).await.unwrap();
    }
    assert_eq!(send_all(&store, "many").await.len(), 3);
    store.clock().advance(LINK_LIFETIME);
    _ = store.disable_user(&user).await.unwrap();
    store.request_password_reset("ann@example.com", None).await.unwrap();
    assert!(send_all(&store, "disabled").await.is_empty());
}

#[apply(each_store!)]
async fn letter_that_was_not_sent_is_claimed_again_and_each_of_its_links_works(store: Store) {
    ann(&store).await;
    store.request_password_reset("ann@example.com", None).await.unwrap();
    let claim = async |owner: &str| store.claim_account_messages(owner, store.clock().now() + 60, 9).await.unwrap();
    let crashed = claim("crashed").await;
    assert_eq!(store.open_link(&crashed[0], "lost").await.unwrap(), RowChange::Applied);
    assert!(claim("other").await.is_empty(), "claimed");
    store.clock().advance(60);
    let again = claim("other").await;
    assert_eq!(store.open_link(&again[0], "sent").await.unwrap(), RowChange::Applied);
    store.record_account_message_attempt(&again[0].id, "crashed", None).await.unwrap();
    store.record_account_message_attempt(&again[0].id, "other", None).await.unwrap();
    for link in ["lost", "sent"] {
        assert!(store.open_link_of(AccountMessageKind::ResetPassword, link).await.unwrap().is_some(), "{link}");
    }
    assert_eq!(store.reset_password("sent", &Secret::new("new"), None).await.unwrap(), RowChange::Applied);
    assert!(store.open_link_of(AccountMessageKind::ResetPassword, "lost").await.unwrap().is_none());
}

#[apply(each_store!)]
async fn new_email_address_is_confirmed_there_and_the_old_one_is_told(store: Store) {
    let (user, org) = ann(&store).await;
    let new = NewUser { email: "taken@example.com", password_hash: &Secret::new("hash"), org: None };
    store.add_user(new).await.unwrap();
    for email in ["wrong@example.com", "new@example.com"] {
        store.request_email_change(&user, email).await.unwrap();
    }
    assert_eq!(store.unconfirmed_email(&user).await.unwrap().as_deref(), Some("new@example.com"));
    assert_eq!(send_all(&store, "link").await, [(AccountMessageKind::ConfirmEmail, "new@example.com".to_owned())]);
    assert_eq!(store.confirm_email("link-0", None).await.unwrap(), EmailConfirmation::Changed);
    assert_eq!(store.confirm_email("link-0", None).await.unwrap(), EmailConfirmation::NotOpen);
    assert!(store.account("new@example.com").await.unwrap().is_some());
    assert_eq!(send_all(&store, "told").await, [(AccountMessageKind::EmailChanged, "ann@example.com".to_owned())]);

    store.request_email_change(&user, "taken@example.com").await.unwrap();
    send_all(&store, "taken").await;
    assert_eq!(store.confirm_email("taken-0", None).await.unwrap(), EmailConfirmation::Taken);
    let events =
        store.audit_events(Some(&org), AuditFilter { action: "account.email_changed", actor_kind: "" }, None, 9);
    let detail = [("from".into(), "ann@example.com".into()), ("to".into(), "new@example.com".into())];
    assert_eq!(events.await.unwrap()[0].detail, detail);
}
