//! Tests of account messages and their links on both databases.

use super::*;
use crate::model::OrgId;
use crate::server::store::testing::each_store;
use crate::server::store::{AuditFilter, ExternalIdentity, NewSession, NewUser, PendingIdentity, PendingKey, UserOrg};

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
    assert_eq!(store.account_details(&user, "").await.unwrap().unconfirmed_email.as_deref(), Some("new@example.com"));
    assert_eq!(send_all(&store, "link").await, [(AccountMessageKind::ConfirmEmail, "new@example.com".to_owned())]);
    assert_eq!(store.confirm_email("link-0", None).await.unwrap(), EmailConfirmation::Changed);
    assert_eq!(store.confirm_email("link-0", None).await.unwrap(), EmailConfirmation::NotOpen);
    assert!(store.account("new@example.com").await.unwrap().is_some());
    assert_eq!(send_all(&store, "told").await, [(AccountMessageKind::EmailChanged, "ann@example.com".to_owned())]);

    store.request_email_change(&user, "taken@example.com").await.unwrap();
    send_all(&store, "taken").await;
    assert_eq!(store.confirm_email("taken-0", None).await.unwrap(), EmailConfirmation::Taken);
    let events = store.audit_events(
        Some(&org),
        AuditFilter { action: "account.email_changed", ..AuditFilter::default() },
        None,
        9,
    );
    let detail = [("from".into(), "ann@example.com".into()), ("to".into(), "new@example.com".into())];
    assert_eq!(events.await.unwrap()[0].detail, detail);
}

#[apply(each_store!)]
async fn changed_password_ends_the_change_of_address_that_waits(store: Store) {
    let (user, _) = ann(&store).await;
    let open = async |link: &str| store.open_link_of(AccountMessageKind::ConfirmEmail, link).await.unwrap().is_some();
    // Somebody who knows the old password asked for it, and waits with the link until the person has noticed.
    store.request_email_change(&user, "thief@example.com").await.unwrap();
    send_all(&store, "thief").await;
    assert!(open("thief-0").await);
    _ = store.set_password(&user, None, &Secret::new("new"), None).await.unwrap();
    assert!(!open("thief-0").await);
    assert_eq!(store.confirm_email("thief-0", None).await.unwrap(), EmailConfirmation::NotOpen);

    store.request_email_change(&user, "thief@example.com").await.unwrap();
    store.request_password_reset("ann@example.com", None).await.unwrap();
    let sent = send_all(&store, "link").await;
    let at = |kind| sent.iter().position(|(one, _)| *one == kind).unwrap();
    let (change, reset) = (at(AccountMessageKind::ConfirmEmail), at(AccountMessageKind::ResetPassword));
    assert_eq!(
        store.reset_password(&format!("link-{reset}"), &Secret::new("newer"), None).await.unwrap(),
        RowChange::Applied
    );
    assert_eq!(store.confirm_email(&format!("link-{change}"), None).await.unwrap(), EmailConfirmation::NotOpen);

    // The link that confirms the address which the account has goes on.
    store.request_email_change(&user, "ann@example.com").await.unwrap();
    send_all(&store, "own").await;
    _ = store.set_password(&user, None, &Secret::new("newest"), None).await.unwrap();
    assert!(open("own-0").await || open("own-1").await);
}

#[apply(each_store!)]
async fn reset_link_to_an_address_that_the_account_left_meanwhile_changes_nothing(store: Store) {
    let (user, _) = ann(&store).await;
    store.request_password_reset("ann@example.com", None).await.unwrap();
    send_all(&store, "link").await;
    // As if the address had changed between the look-up of the account and the sending of the link.
    let moved = sqlx::query("UPDATE users SET email = 'new@example.com' WHERE id = $1").bind(user.as_str());
    moved.execute(store.pool()).await.unwrap();
    assert_eq!(store.reset_password("link-0", &Secret::new("theirs"), None).await.unwrap(), RowChange::NotFound);
    assert_eq!(store.account("new@example.com").await.unwrap().unwrap().password_hash.expose(), "hash");
}

#[apply(each_store!)]
async fn reset_of_an_unconfirmed_account_ends_what_its_creator_added(store: Store) {
    let (user, org) = ann(&store).await;
    let identity = ExternalIdentity { issuer: "https://a.example", subject: "creator" };
    let add_ways_in = async || {
        store.begin_enrollment(&user, "s", &Secret::new("SECRET")).await.unwrap().ok_or_else(|| "no account").unwrap();
        let pending = store.pending_enrollment(&user, "s").await.unwrap().unwrap();
        _ = store.confirm_enrollment(&user, "s", &pending, 7, &["code".to_owned()]).await.unwrap();
        let password = store.account("ann@example.com").await.unwrap().unwrap().password_hash;
        let pending = PendingIdentity { email: None, session_hash: None };
        store.add_pending_identity("token", identity, &pending).await.unwrap();
        store.link_identity(PendingKey::Token("token"), &user, &password).await.unwrap();
    };
    let reset = async |prefix: &str, password: &str| {
        store.request_password_reset("ann@example.com", None).await.unwrap();
        let sent = send_all(&store, prefix).await;
        let at = sent.iter().position(|(kind, _)| *kind == AccountMessageKind::ResetPassword).unwrap();
        store.reset_password(&format!("{prefix}-{at}"), &Secret::new(password), None).await.unwrap()
    };
    let ways_in = async || {
        let has_factor = store.factor_view(&user).await.unwrap().is_on();
        (has_factor, store.user_of_identity(identity).await.unwrap().is_some())
    };
    add_ways_in().await;
    let unconfirmed = sqlx::query("UPDATE users SET email_unconfirmed_since = 1 WHERE id = $1").bind(user.as_str());
    unconfirmed.execute(store.pool()).await.unwrap();
    assert_eq!(reset("first", "owner's").await, RowChange::Applied);
    assert_eq!(ways_in().await, (false, false), "they were somebody else's");
    let filter = AuditFilter { action: "account.password_reset", ..AuditFilter::default() };
    let events = store.audit_events(Some(&org), filter, None, 1).await.unwrap();
    assert_eq!(events[0].detail, [("ended".to_owned(), "second factor and linked sign-in".to_owned())]);

    add_ways_in().await;
    assert_eq!(reset("second", "another").await, RowChange::Applied);
    assert_eq!(ways_in().await, (true, true), "the address was the person's by then");
}
