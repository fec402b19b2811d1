//! Letters to contacts: when they are sent, to whom, and what a stop or a refusal changes.

use crate::support::consents::ConnectedOrg;
use crate::support::databases::TestDatabase;

use evergrant::model::{BindingId, Role};
use evergrant::server::domain::Secret;
use evergrant::server::notify::Notifier;
use evergrant::server::store::{NewUser, RowChange, Store};

use super::mail_server::{MailServer, ReceivedMessage};
use super::{DAY, MINUTE, end_at_xero, notifier};
use crate::support::test_service::TestService;

const BOOKS: &str = "books@example.com";
/// How long the first letter waits for further connections.
const GATHERING: i64 = 10 * MINUTE;
/// How long another instance waits for one that has stopped.
const CLAIM: i64 = 20 * MINUTE;

async fn set_contacts(store: &Store, connected: &ConnectedOrg, binding: &BindingId, emails: &[&str]) {
    let emails: Vec<String> = emails.iter().map(|&email| email.to_owned()).collect();
    assert_eq!(store.set_contacts(&connected.org, binding, &emails).await.unwrap(), RowChange::Applied);
}

/// Connects tenants with one contact.
async fn connect_with_contact(harness: &TestService, tenants: &[&str]) -> ConnectedOrg {
    let connected = harness.connect("Harbour", tenants, 60).await;
    for binding in &connected.bindings {
        set_contacts(&harness.store, &connected, binding, &[BOOKS]).await;
    }
    connected
}

/// Sends the letters that are due, and returns them.
async fn letters(notifier: &Notifier, mail_server: &MailServer) -> Vec<ReceivedMessage> {
    while notifier.send_reconnect_letters().await.unwrap().has_more {}
    mail_server.take_messages()
}

fn subjects(letters: &[ReceivedMessage]) -> Vec<&str> {
    letters.iter().filter_map(|one| one.text.lines().find_map(|line| line.strip_prefix("Subject: "))).collect()
}

#[apply(each_database!)]
async fn contact_gets_one_letter_for_many_connections_and_reminders_until_they_work(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let (db, mail) = (harness.database.name, MailServer::start().await);
    let notifier = mail.notifier(&harness.store);
    let connected = connect_with_contact(&harness, &["harbour", "kauri"]).await;
    end_at_xero(&harness, &connected).await;
    harness.advance(GATHERING - 1);
    assert_eq!(subjects(&letters(&notifier, &mail).await), Vec::<&str>::new(), "{db}: too early");
    harness.advance(1);
    let first = letters(&notifier, &mail).await;
    assert_eq!(subjects(&first), ["2 organisations need reconnecting to Xero"], "{db}");
    let text = &first[0].text;
    assert_eq!(first[0].to, BOOKS, "{db}");
    for part in ["Harbour Coffee:\nhttps://evergrant.example/connect/", "Kauri Joinery:\n", "\"Harbour\"", "token="] {
        assert!(text.contains(part), "{db}: no {part} in {text}");
    }
    assert!(text.contains("List-Unsubscribe: <https://evergrant.example/api/unsubscribe?token="), "{db}: {text}");
    assert!(text.contains("\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\n"), "{db}: {text}");

    harness.advance(DAY - 1);
    assert_eq!(subjects(&letters(&notifier, &mail).await), Vec::<&str>::new(), "{db}: before the reminder");
    harness.advance(1);
    let second = letters(&notifier, &mail).await;
    assert_eq!(subjects(&second), ["Reminder: 2 organisations need reconnecting to Xero"], "{db}");
    harness.reconnect(&connected, &["harbour"]).await;
    for wait in [2 * DAY, 4 * DAY] {
        harness.advance(wait - 1);
        assert_eq!(subjects(&letters(&notifier, &mail).await), Vec::<&str>::new(), "{db}: before {wait}");
        harness.advance(1);
        let reminder = letters(&notifier, &mail).await;
        assert_eq!(subjects(&reminder), ["Reminder: Kauri Joinery needs reconnecting to Xero"], "{db}");
    }
    for _ in 0..10 {
        harness.advance(3 * DAY);
        assert_eq!(subjects(&letters(&notifier, &mail).await), Vec::<&str>::new(), "{db}: after a week");
    }
}

#[apply(each_database!)]
async fn connection_that_works_again_needs_no_letter_and_a_later_end_is_a_new_one(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let (db, mail) = (harness.database.name, MailServer::start().await);
    let notifier = mail.notifier(&harness.store);
    let connected = connect_with_contact(&harness, &["harbour"]).await;
    end_at_xero(&harness, &connected).await;
    harness.advance(GATHERING - 1);
    let again = harness.reconnect(&connected, &["harbour"]).await;
    harness.advance(DAY);
    assert_eq!(subjects(&letters(&notifier, &mail).await), Vec::<&str>::new(), "{db}");
    end_at_xero(&harness, &again).await;
    harness.advance(GATHERING);
    let first = "Harbour Coffee needs reconnecting to Xero";
    assert_eq!(subjects(&letters(&notifier, &mail).await), [first], "{db}");
    let again = harness.reconnect(&connected, &["harbour"]).await;
    harness.advance(DAY);
    end_at_xero(&harness, &again).await;
    harness.advance(GATHERING);
    assert_eq!(subjects(&letters(&notifier, &mail).await), [first], "{db}: not a reminder");
}

#[apply(each_database!)]
async fn member_who_gets_email_gets_no_letter_besides(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let (db, store, mail) = (harness.database.name, &harness.store, MailServer::start().await);
    let notifier = mail.notifier(store);
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    for (email, role) in [("owner@example.com", Role::Owner), ("member@example.com", Role::Member)] {
        let new = NewUser { email, password_hash: &Secret::new("hash"), org: None };
        let user = store.add_user(new).await.unwrap().user;
        store.add_member(&connected.org, &user, role).await.unwrap();
    }
    let contacts = ["member@example.com", "owner@example.com"];
    set_contacts(store, &connected, &connected.bindings[0], &contacts).await;
    end_at_xero(&harness, &connected).await;
    harness.advance(GATHERING);
    let to: Vec<String> = letters(&notifier, &mail).await.into_iter().map(|letter| letter.to).collect();
    assert_eq!(to, ["member@example.com"], "{db}: the owner is notified as a member");
}

#[apply(each_database!)]
async fn two_instances_send_one_letter_and_a_crash_repeats_it_at_most_once(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let (db, store, mail) = (harness.database.name, &harness.store, MailServer::start().await);
    let (one, other) = (mail.notifier(store), mail.notifier(&harness.second_store().await));
    let connected = connect_with_contact(&harness, &["harbour"]).await;
    end_at_xero(&harness, &connected).await;
    harness.advance(GATHERING);

    // An instance stops after it has stored the links, before or after it sends them.
    let claimed = store.claim_reconnect_letters("stopped", 9).await.unwrap().remove(0);
    let broken = store.broken_connections(&claimed.id).await.unwrap();
    let links: Vec<_> = broken.into_iter().map(|connection| (connection, "hash".to_owned())).collect();
    let opened = store.open_letter(&claimed, "stopped", "unsubscribe", &links).await.unwrap();
    assert_eq!(opened.map(|ids| ids.len()), Some(1), "{db}");
    harness.advance(CLAIM - 1);
    assert_eq!(letters(&one, &mail).await.len(), 0, "{db}: it may still be sending");
    harness.advance(1);
    let (a, b) = tokio::join!(one.send_reconnect_letters(), other.send_reconnect_letters());
    assert_eq!(a.unwrap().delivered + b.unwrap().delivered, 1, "{db}");
    assert_eq!(mail.take_messages().len(), 1, "{db}");
    let late = store.open_letter(&claimed, "stopped", "late", &links).await.unwrap();
    assert_eq!(late, None, "{db}: the claim was lost");
    assert_eq!(letters(&other, &mail).await.len(), 0, "{db}");
}

#[apply(each_database!)]
async fn only_a_refused_address_ends_the_letters(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let (db, store, mail) = (harness.database.name, &harness.store, MailServer::start().await);
    let notifier = mail.notifier(store);
    let connected = connect_with_contact(&harness, &["harbour"]).await;
    end_at_xero(&harness, &connected).await;
    harness.advance(GATHERING);
    let refused_at = async || {
        let contacts = store.contacts_of_org(&connected.org).await.unwrap();
        contacts[0].1.refused_at
    };
    for (command, reply) in [("RCPT", "451 later"), ("MAIL", "550 not from you"), (".", "554 looks like spam")] {
        mail.queue_reply(command, reply);
        let report = notifier.send_reconnect_letters().await.unwrap();
        assert_eq!((report.retrying, report.given_up), (1, 0), "{db}: {reply}");
        assert_eq!(letters(&notifier, &mail).await.len(), 0, "{db}: it waits");
        harness.advance(10 * MINUTE);
    }
    assert_eq!((letters(&notifier, &mail).await.len(), refused_at().await), (1, None), "{db}");

    mail.queue_reply("RCPT", "550 nobody here");
    harness.advance(DAY);
    assert_eq!(notifier.send_reconnect_letters().await.unwrap().given_up, 1, "{db}");
    assert_eq!(refused_at().await, Some(harness.clock.now()), "{db}");
    harness.advance(2 * DAY);
    assert_eq!(letters(&notifier, &mail).await.len(), 0, "{db}: no reminder to a mailbox that does not exist");
}

#[apply(each_database!)]
async fn server_without_a_mail_server_queues_no_letter(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let (db, mail) = (harness.database.name, MailServer::start().await);
    let connected = connect_with_contact(&harness, &["harbour"]).await;
    end_at_xero(&harness, &connected).await;
    harness.advance(GATHERING);
    let report = notifier(&harness.store).send_reconnect_letters().await.unwrap();
    assert!(!report.has_more && report.delivered == 0, "{db}");
    // One is set up a week later. What happened long ago is not mailed then.
    harness.advance(7 * DAY);
    assert_eq!(letters(&mail.notifier(&harness.store), &mail).await.len(), 0, "{db}");
}

#[apply(each_database!)]
async fn contact_that_is_removed_and_added_again_fills_no_mailbox(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let (db, mail) = (harness.database.name, MailServer::start().await);
    let notifier = mail.notifier(&harness.store);
    let connected = connect_with_contact(&harness, &["harbour"]).await;
    end_at_xero(&harness, &connected).await;
    harness.advance(GATHERING);
    let mut sent = 0;
    for _ in 0..9 {
        sent += letters(&notifier, &mail).await.len();
        set_contacts(&harness.store, &connected, &connected.bindings[0], &[]).await;
        set_contacts(&harness.store, &connected, &connected.bindings[0], &[BOOKS]).await;
    }
    assert_eq!(sent, 5, "{db}");
    assert_eq!(letters(&notifier, &mail).await.len(), 0, "{db}");
    harness.advance(30 * MINUTE);
    assert_eq!(letters(&notifier, &mail).await.len(), 1, "{db}: it is delayed, and not lost");
}
