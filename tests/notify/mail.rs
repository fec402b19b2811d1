//! Email: recipients, content, and what happens if the mail server rejects a message.

use crate::support::databases::TestDatabase;
use std::sync::{Arc, Mutex};

use evergrant::model::EmailChoice;
use evergrant::model::{DeliveryStatus, OrgId, Role, UserId};
use evergrant::server::config::MailConfig;
use evergrant::server::domain::Secret;
use evergrant::server::notify::{Mailer, Notifier, WebhookClient};
use evergrant::server::store::{CreatedUser, NewUser, RowChange, Store};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::{DAY, PUBLIC_URL, end_at_xero, loopback_policy};
use crate::support::test_service::TestService;

/// A mail server that stores messages. It implements as much of RFC 5321 as a client needs.
#[derive(Clone)]
struct MailServer {
    port: u16,
    state: Arc<Mutex<MailServerState>>,
}

#[derive(Default)]
struct MailServerState {
    /// Replies to the next `RCPT` commands, in this order; then 250.
    rcpt_replies: Vec<&'static str>,
    messages: Vec<ReceivedMessage>,
}

#[derive(Clone, Debug)]
struct ReceivedMessage {
    to: String,
    text: String,
}

impl MailServer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mail_server = Self { port: listener.local_addr().unwrap().port(), state: Arc::default() };
        let ours = mail_server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(ours.clone().serve_connection(stream));
            }
        });
        mail_server
    }

    async fn serve_connection(self, stream: TcpStream) -> Option<()> {
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        write.write_all(b"220 sink\r\n").await.ok()?;
        let mut to = String::new();
        while let Some(line) = lines.next_line().await.ok()? {
            let answer = match line.split([' ', ':']).next()?.to_ascii_uppercase().as_str() {
                "EHLO" => "250 sink".to_owned(),
                "RCPT" => {
                    to = line.split(['<', '>']).nth(1)?.to_owned();
                    let mut shared = self.state.lock().unwrap();
                    if shared.rcpt_replies.is_empty() {
                        "250 ok".to_owned()
                    } else {
                        shared.rcpt_replies.remove(0).to_owned()
                    }
                }
                "DATA" => {
                    write.write_all(b"354 go on\r\n").await.ok()?;
                    let mut text = String::new();
                    while let Some(line) = lines.next_line().await.ok()?.filter(|line| line != ".") {
                        text.push_str(&line);
                        text.push('\n');
                    }
                    // Long lines are folded by quoted-printable (RFC 2045, section 6.7).
                    let text = text.replace("=\n", "").replace("=3D", "=");
                    self.state.lock().unwrap().messages.push(ReceivedMessage { to: to.clone(), text });
                    "250 kept".to_owned()
                }
                "QUIT" => {
                    write.write_all(b"221 bye\r\n").await.ok()?;
                    return Some(());
                }
                _ => "250 ok".to_owned(),
            };
            write.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
        }
        Some(())
    }

    fn queue_rcpt_replies(&self, answers: &[&'static str]) {
        self.state.lock().unwrap().rcpt_replies.extend(answers);
    }

    /// Takes the received messages, sorted by recipient.
    fn take_messages(&self) -> Vec<ReceivedMessage> {
        let mut letters = std::mem::take(&mut self.state.lock().unwrap().messages);
        letters.sort_by(|a, b| a.to.cmp(&b.to));
        letters
    }

    fn notifier(&self, store: &Store) -> Notifier {
        let url = Secret::new(format!("smtp://127.0.0.1:{}", self.port));
        let mailer = Mailer::new(&MailConfig { url, from: "Evergrant <evergrant@example.com>".to_owned() }).unwrap();
        let webhooks = WebhookClient::new(loopback_policy()).unwrap();
        Notifier::new(store.clone(), webhooks, Some(mailer), PUBLIC_URL.to_owned(), 45 * DAY, Arc::new(|| None))
    }
}

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

    end_at_xero(&harness, &connected).await;
    let report = mail_server.notifier(store).tick().await.unwrap();
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
    assert_eq!(mail_server.notifier(store).tick().await.unwrap(), Default::default(), "{db}");
}

#[apply(each_database!)]
async fn rejected_message_is_retried_unless_the_rejection_is_permanent(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let (db, store, mail_server) = (harness.database.name, &harness.store, MailServer::start().await);
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    add_member(store, "owner@example.com", &connected.org, Role::Owner).await;
    let notifier = mail_server.notifier(store);
    mail_server.queue_rcpt_replies(&["451 later", "535 who are you", "250 ok", "550 nobody here"]);
    end_at_xero(&harness, &connected).await;
    let mut errors = Vec::new();
    for _ in 0..3 {
        notifier.tick().await.unwrap();
        let one = store.deliveries_since(&connected.org, 0).await.unwrap().remove(0).1;
        errors.push(one.error.unwrap_or_default());
        harness.advance(one.next_attempt_at.unwrap_or(0).saturating_sub(harness.clock.now()).max(0));
    }
    assert_eq!(errors, ["the mail server answered 451", "the mail server answered 535", ""], "{db}");
    assert_eq!(mail_server.take_messages().len(), 1, "{db}");

    end_at_xero(&harness, &harness.reconnect(&connected, &["harbour"]).await).await;
    notifier.tick().await.unwrap();
    let deliveries = store.deliveries_since(&connected.org, 0).await.unwrap();
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
    assert_eq!(mail_server.notifier(store).tick().await.unwrap().delivered, 1, "{db}");
    let letter = mail_server.take_messages().remove(0);
    assert!(letter.text.contains("Subject: Xero refuses Evergrant's app credentials"), "{db}: {}", letter.text);
}
