//! Email: recipients, content, and what happens if the mail server rejects a message.

use crate::support::databases::TestDatabase;
use crate::support::wait::{MAX_WAIT, eventually};

use evergrant::model::{Channel, DeliveryStatus, EmailChoice, OrgId, Role, UserId};
use evergrant::server::domain::Secret;
use evergrant::server::jobs::notifications;
use evergrant::server::lifecycle::Lifecycle;
use evergrant::server::store::{CreatedUser, NewUser, RowChange, Store};
use sqlx::Row as _;

use super::mail_server::MailServer;
use super::{DAY, connect_with_receiver, end_at_xero, notifier, tick};
use crate::support::test_service::TestService;

async fn add_member(store: &Store, email: &str, org: &OrgId, role: Role) -> UserId {
    let hash = Secret::new("hash");
    let new = NewUser { email, password_hash: &hash, org: None };
    let CreatedUser { user, .. } = store.add_user(new).await.unwrap();
    store.add_member(org, &user, role).await.unwrap();
    user
}

#[apply(each_database!)]
async fn owners_admins_and_members_who_opted_in_get_one_digest_each(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let (db, store, mail_server) = (harness.database.name, &harness.store, MailServer::start().await);
    let connected = harness.connect("Harbour", &["harbour", "kauri"], 60).await;
    add_member(store, "owner@example.com", &connected.org, Role::Owner).await;
    let admin = add_member(store, "admin@example.com", &connected.org, Role::Admin).await;
    add_member(store, "member@example.com", &connected.org, Role::Member).await;
    let keen = add_member(store, "keen@example.com", &connected.org, Role::Member).await;
    let choose = async |org, user, choice| store.set_email_notifications(org, user, choice).await.unwrap();
    assert_eq!(choose(&connected.org, &admin, EmailChoice::Off).await, RowChange::Applied);
    assert_eq!(choose(&connected.org, &keen, EmailChoice::On).await, RowChange::Applied);
    let elsewhere = store.add_org("Elsewhere").await.unwrap();
    assert_eq!(choose(&elsewhere, &keen, EmailChoice::Off).await, RowChange::NotFound, "{db}: not a member there");

    // What the connect itself caused is not of interest here.
    store.fan_out(10).await.unwrap();
    end_at_xero(&harness, &connected).await;
    let report = tick(&mail_server.notifier(store)).await;
    assert_eq!((report.fanned_out, report.delivered), (2, 4), "{db}");
    let letters = mail_server.take_messages();
    let to: Vec<&str> = letters.iter().map(|letter| letter.to.as_str()).collect();
    assert_eq!(to, ["keen@example.com", "owner@example.com"], "{db}");
    for text in letters.iter().map(|letter| &letter.text) {
        for part in [
            "From: Evergrant <evergrant@example.com>",
            "Subject: 2 updates about your Xero connections",
            "Auto-Submitted: auto-generated",
            "Content-Type: text/plain",
            "Content-Type: text/html",
            "Harbour Coffee needs reconnecting to Xero.",
            "Kauri Joinery needs reconnecting to Xero.",
            "https://evergrant.example/settings/integrations",
            "https://evergrant.example/settings/notifications",
        ] {
            assert!(text.contains(part), "{db}: no {part} in {text}");
        }
        assert!(!text.contains(&connected.minted.access_token), "{db}: the message contains a token");
    }
    assert_eq!(tick(&mail_server.notifier(store)).await, Default::default(), "{db}");
}

#[apply(each_database!)]
async fn only_a_refused_recipient_ends_the_retries(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let (db, store, mail_server) = (harness.database.name, &harness.store, MailServer::start().await);
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    add_member(store, "owner@example.com", &connected.org, Role::Owner).await;
    let notifier = mail_server.notifier(store);
    let refusals = [
        ("MAIL", "550 not from you", "the sender (MAIL FROM)"),
        ("RCPT", "451 later", "the recipient (RCPT TO)"),
        ("RCPT", "535 who are you", "the recipient (RCPT TO)"),
        ("RCPT", "554 5.7.1 relaying denied", "the recipient (RCPT TO)"),
        ("DATA", "554 not now", "the message (DATA)"),
        (".", "554 looks like spam", "the message (DATA)"),
    ];
    end_at_xero(&harness, &connected).await;
    for (command, reply, stage) in refusals {
        mail_server.queue_reply(command, reply);
        assert_eq!(tick(&notifier).await.retrying, 1, "{db}: {command} {reply}");
        let one = store.deliveries_of_events(&connected.org, 0, i64::MAX).await.unwrap().remove(0).1;
        assert_eq!(one.error, Some(format!("the mail server answered {} to {stage}", &reply[..3])), "{db}");
        harness.advance(one.next_attempt_at.unwrap() - harness.clock.now());
    }
    assert_eq!(tick(&notifier).await.delivered, 1, "{db}");
    assert_eq!(mail_server.take_messages().len(), 1, "{db}");

    mail_server.queue_reply("RCPT", "550 nobody here");
    end_at_xero(&harness, &harness.reconnect(&connected, &["harbour"]).await).await;
    tick(&notifier).await;
    let deliveries = store.deliveries_of_events(&connected.org, 0, i64::MAX).await.unwrap();
    let given_up = deliveries.iter().filter(|(_, one)| one.status == DeliveryStatus::GivenUp).count();
    assert_eq!(given_up, 2, "{db}: a recovery and an end, to a mailbox that does not exist");
}

#[apply(each_database!)]
async fn credentials_alarm_is_mailed_once_to_an_owner_of_two_organizations(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let (db, store, mail_server) = (harness.database.name, &harness.store, MailServer::start().await);
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    let other = harness.connect("Other", &["demo"], 60).await;
    let owner = add_member(store, "owner@example.com", &connected.org, Role::Owner).await;
    store.add_member(&other.org, &owner, Role::Owner).await.unwrap();
    store.raise_credentials_alarm("invalid_client").await.unwrap();
    assert_eq!(tick(&mail_server.notifier(store)).await.delivered, 1, "{db}");
    let letter = mail_server.take_messages().remove(0);
    assert!(letter.text.contains("Subject: Xero refuses Evergrant's app credentials"), "{db}: {}", letter.text);
}

#[apply(each_database!)]
async fn slow_mail_server_gets_each_message_once(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let (db, store, mail_server) = (harness.database.name, &harness.store, MailServer::start().await);
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    for number in 0..6 {
        add_member(store, &format!("owner{number}@example.com"), &connected.org, Role::Owner).await;
    }
    end_at_xero(&harness, &connected).await;
    let (slow, other) = (mail_server.notifier(store), mail_server.notifier(&harness.second_store().await));
    slow.prepare().await.unwrap();
    // The mail server takes minutes for the first four messages. Two wait for their turn.
    mail_server.hold(4);
    let sending = tokio::spawn(async move { slow.deliver(Channel::Email).await.unwrap() });
    eventually("four messages", MAX_WAIT, async || mail_server.message_count() == 4).await;
    for _ in 0..4 {
        harness.advance(50);
        let in_time = harness.clock.now() + 100;
        let renewed = "SELECT COUNT(*) FROM deliveries WHERE claimed_until > $1";
        let renewed = async || sqlx::query(renewed).bind(in_time).fetch_one(store.database().pool()).await.unwrap();
        eventually("four claims", MAX_WAIT, async || renewed().await.get::<i64, _>(0) == 4).await;
    }
    assert_eq!(
        other.deliver(Channel::Email).await.unwrap().delivered,
        2,
        "{db}: the claims on those that wait expired"
    );
    mail_server.release();
    assert_eq!(sending.await.unwrap().delivered, 4, "{db}");
    let to: Vec<String> = mail_server.take_messages().into_iter().map(|message| message.to).collect();
    let once: Vec<String> = (0..6).map(|number| format!("owner{number}@example.com")).collect();
    assert_eq!(to, once, "{db}");
}

#[apply(each_database!)]
async fn slow_mail_server_holds_up_no_webhook(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let (store, mail_server, lifecycle) = (&harness.store, MailServer::start().await, Lifecycle::default());
    let (connected, receiver, _) = connect_with_receiver(&harness).await;
    add_member(store, "owner@example.com", &connected.org, Role::Owner).await;
    mail_server.hold(1);
    notifications::spawn(&lifecycle, &mail_server.notifier(store), harness.service.metrics());
    end_at_xero(&harness, &connected).await;
    eventually("the message", MAX_WAIT, async || mail_server.message_count() == 1).await;
    // The mail server has not answered.
    end_at_xero(&harness, &harness.reconnect(&connected, &["harbour"]).await).await;
    eventually("four webhooks", MAX_WAIT, async || receiver.deliveries().len() == 4).await;
    mail_server.release();
    lifecycle.begin_stop();
    lifecycle.wait_for_tasks().await;
}

#[apply(each_database!)]
async fn instance_without_a_mail_server_leaves_email_to_those_that_have_one(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let (db, store, mail_server) = (harness.database.name, &harness.store, MailServer::start().await);
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    add_member(store, "owner@example.com", &connected.org, Role::Owner).await;
    let (without, with) = (notifier(store), mail_server.notifier(&harness.second_store().await));
    let statuses = async || {
        let deliveries = store.deliveries_of_events(&connected.org, 0, i64::MAX).await.unwrap();
        deliveries.into_iter().map(|(_, one)| one.status).collect::<Vec<_>>()
    };
    store.fan_out(10).await.unwrap();
    end_at_xero(&harness, &connected).await;
    assert_eq!(tick(&without).await.fanned_out, 1, "{db}");
    assert_eq!(statuses().await, [], "{db}: nobody can send email");
    assert!(!without.channels().await.unwrap().mail, "{db}");

    tick(&with).await;
    end_at_xero(&harness, &harness.reconnect(&connected, &["harbour"]).await).await;
    assert_eq!(tick(&without).await.fanned_out, 3, "{db}: the end, the recovery, and the reconnect");
    assert_eq!(statuses().await, [DeliveryStatus::Pending; 2], "{db}: a reconnect is not mailed");
    harness.advance(60);
    assert!(without.channels().await.unwrap().mail, "{db}: it looks again after a minute");
    assert_eq!(tick(&with).await.delivered, 2, "{db}");
    assert_eq!(mail_server.take_messages().len(), 1, "{db}");

    // The only instance with a mail server is gone. What waits for it is given up in the end, and then no more is made.
    end_at_xero(&harness, &harness.reconnect(&connected, &["harbour"]).await).await;
    tick(&without).await;
    harness.advance(3 * DAY);
    tick(&without).await;
    assert_eq!(statuses().await.iter().filter(|status| **status == DeliveryStatus::GivenUp).count(), 2, "{db}");
    end_at_xero(&harness, &harness.reconnect(&connected, &["harbour"]).await).await;
    tick(&without).await;
    assert_eq!(statuses().await.len(), 4, "{db}");
}
