//! Mail: who gets it, what it says, and what becomes of it where the mail server won't take it.

use std::sync::{Arc, Mutex};

use evergrant::model::{DeliveryStatus, OrgId, Role, UserId};
use evergrant::server::config::MailConfig;
use evergrant::server::domain::Secret;
use evergrant::server::notify::{Mailer, Notifier, WebhookClient};
use evergrant::server::store::{Added, NewUser, Store};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::{DAY, PUBLIC_URL, end, this_machine};
use crate::support::keeper::Keeper;

/// A mail server that keeps what it is given (RFC 5321, as much as a sender needs).
#[derive(Clone)]
struct Sink {
    port: u16,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    /// What recipients are answered, in this order; then 250.
    answers: Vec<&'static str>,
    letters: Vec<Letter>,
}

#[derive(Clone, Debug)]
struct Letter {
    to: String,
    text: String,
}

impl Sink {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sink = Self { port: listener.local_addr().unwrap().port(), shared: Arc::default() };
        let ours = sink.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(ours.clone().converse(stream));
            }
        });
        sink
    }

    async fn converse(self, stream: TcpStream) -> Option<()> {
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        write.write_all(b"220 sink\r\n").await.ok()?;
        let mut to = String::new();
        while let Some(line) = lines.next_line().await.ok()? {
            let answer = match line.split([' ', ':']).next()?.to_ascii_uppercase().as_str() {
                "EHLO" => "250 sink".to_owned(),
                "RCPT" => {
                    to = line.split(['<', '>']).nth(1)?.to_owned();
                    let mut shared = self.shared.lock().unwrap();
                    if shared.answers.is_empty() { "250 ok".to_owned() } else { shared.answers.remove(0).to_owned() }
                }
                "DATA" => {
                    write.write_all(b"354 go on\r\n").await.ok()?;
                    let mut text = String::new();
                    while let Some(line) = lines.next_line().await.ok()?.filter(|line| line != ".") {
                        text.push_str(&line);
                        text.push('\n');
                    }
                    // Long lines come folded (RFC 2045, 6.7).
                    let text = text.replace("=\n", "").replace("=3D", "=");
                    self.shared.lock().unwrap().letters.push(Letter { to: to.clone(), text });
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

    fn answer(&self, answers: &[&'static str]) {
        self.shared.lock().unwrap().answers.extend(answers);
    }

    /// Takes what has come, by recipient.
    fn letters(&self) -> Vec<Letter> {
        let mut letters = std::mem::take(&mut self.shared.lock().unwrap().letters);
        letters.sort_by(|a, b| a.to.cmp(&b.to));
        letters
    }

    fn notifier(&self, store: &Store) -> Notifier {
        let url = Secret::new(format!("smtp://127.0.0.1:{}", self.port));
        let mailer = Mailer::new(&MailConfig { url, from: "Evergrant <evergrant@example.com>".to_owned() }).unwrap();
        let webhooks = WebhookClient::new(this_machine()).unwrap();
        Notifier::new(store.clone(), webhooks, Some(mailer), PUBLIC_URL.to_owned(), 45 * DAY, Arc::new(|| None))
    }
}

async fn person(store: &Store, email: &str, org: &OrgId, role: Role) -> UserId {
    let hash = Secret::new("hash");
    let new = NewUser { email, password_hash: &hash, org: None };
    let Added { user, .. } = store.add_user(new).await.unwrap().unwrap();
    store.add_member(org, &user, role).await.unwrap();
    user
}

#[tokio::test]
async fn owners_and_admins_get_mail_and_whoever_chose_it_in_one_letter_each() {
    for keeper in Keeper::each().await {
        let (db, store, sink) = (keeper.database.name, &keeper.store, Sink::start().await);
        let connected = keeper.connect("Harbour", &["harbour", "kauri"], 60).await;
        person(store, "owner@example.com", &connected.org, Role::Owner).await;
        let admin = person(store, "admin@example.com", &connected.org, Role::Admin).await;
        person(store, "member@example.com", &connected.org, Role::Member).await;
        let keen = person(store, "keen@example.com", &connected.org, Role::Member).await;
        assert!(store.set_mail(&connected.org, &admin, false).await.unwrap());
        assert!(store.set_mail(&connected.org, &keen, true).await.unwrap());
        let elsewhere = store.add_org("Elsewhere").await.unwrap().unwrap();
        assert!(!store.set_mail(&elsewhere, &keen, false).await.unwrap(), "{db}: not theirs");

        end(&keeper, &connected).await;
        let stepped = sink.notifier(store).step().await.unwrap();
        assert_eq!((stepped.fanned_out, stepped.delivered), (2, 4), "{db}");
        let letters = sink.letters();
        let to: Vec<&str> = letters.iter().map(|letter| letter.to.as_str()).collect();
        assert_eq!(to, ["keen@example.com", "owner@example.com"], "{db}");
        for text in letters.iter().map(|letter| &letter.text) {
            for part in [
                "From: Evergrant <evergrant@example.com>",
                "Subject: 2 things happened to your Xero connections",
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
            assert!(!text.contains(&connected.minted.access_token), "{db}: a token left the house");
        }
        assert_eq!(sink.notifier(store).step().await.unwrap(), Default::default(), "{db}");
    }
}

#[tokio::test]
async fn a_letter_that_is_not_taken_is_sent_again_unless_it_never_will_be() {
    for keeper in Keeper::each().await {
        let (db, store, sink) = (keeper.database.name, &keeper.store, Sink::start().await);
        let connected = keeper.connect("Harbour", &["harbour"], 60).await;
        person(store, "owner@example.com", &connected.org, Role::Owner).await;
        let notifier = sink.notifier(store);
        sink.answer(&["451 later", "535 who are you", "250 ok", "550 nobody here"]);
        end(&keeper, &connected).await;
        let mut said = Vec::new();
        for _ in 0..3 {
            notifier.step().await.unwrap();
            let one = store.deliveries_of(&connected.org, 0).await.unwrap().remove(0).1;
            said.push(one.error.unwrap_or_default());
            keeper.advance(one.next_attempt_at.unwrap_or(0).saturating_sub(keeper.clock.now()).max(0));
        }
        assert_eq!(said, ["the mail server answered 451", "the mail server answered 535", ""], "{db}");
        assert_eq!(sink.letters().len(), 1, "{db}");

        end(&keeper, &keeper.connect_again(&connected, &["harbour"]).await).await;
        notifier.step().await.unwrap();
        let deliveries = store.deliveries_of(&connected.org, 0).await.unwrap();
        let given_up = deliveries.iter().filter(|(_, one)| one.status == DeliveryStatus::GivenUp).count();
        assert_eq!(given_up, 2, "{db}: a recovery and an end, to a mailbox that isn't there");
    }
}

#[tokio::test]
async fn the_apps_own_trouble_reaches_a_person_of_two_organisations_once() {
    for keeper in Keeper::each().await {
        let (db, store, sink) = (keeper.database.name, &keeper.store, Sink::start().await);
        let connected = keeper.connect("Harbour", &["harbour"], 60).await;
        let other = keeper.connect("Other", &["demo"], 60).await;
        let owner = person(store, "owner@example.com", &connected.org, Role::Owner).await;
        store.add_member(&other.org, &owner, Role::Owner).await.unwrap();
        assert!(store.credentials_refused("invalid_client").await.unwrap());
        assert_eq!(sink.notifier(store).step().await.unwrap().delivered, 1, "{db}");
        let letter = sink.letters().remove(0);
        assert!(letter.text.contains("Subject: Xero refuses Evergrant's own credentials"), "{db}: {}", letter.text);
    }
}
