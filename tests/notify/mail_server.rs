//! A mail server that a test controls.

use std::sync::{Arc, Mutex};

use evergrant::server::config::MailConfig;
use evergrant::server::domain::Secret;
use evergrant::server::notify::{Mailer, Notifier, WebhookClient};
use evergrant::server::store::Store;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{DAY, PUBLIC_URL, loopback_policy};

/// A mail server that stores messages. It implements as much of RFC 5321 as a client needs.
#[derive(Clone)]
pub struct MailServer {
    port: u16,
    state: Arc<Mutex<MailServerState>>,
    released: Arc<Semaphore>,
}

#[derive(Default)]
struct MailServerState {
    /// Replies to the next of these commands, instead of the usual ones. `.` is the end of a message.
    replies: Vec<(&'static str, &'static str)>,
    /// How many of the next messages wait for `release` before they are answered.
    to_hold: usize,
    messages: Vec<ReceivedMessage>,
}

#[derive(Clone, Debug)]
pub struct ReceivedMessage {
    pub to: String,
    pub text: String,
}

impl MailServer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mail_server = Self {
            port: listener.local_addr().unwrap().port(),
            state: Arc::default(),
            released: Arc::new(Semaphore::new(0)),
        };
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
            let command = line.split([' ', ':']).next()?.to_ascii_uppercase();
            let mut answer = self.reply_to(&command);
            match command.as_str() {
                "RCPT" => to = line.split(['<', '>']).nth(1)?.to_owned(),
                "DATA" if answer.starts_with("354") => {
                    write.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
                    let mut text = String::new();
                    while let Some(line) = lines.next_line().await.ok()?.filter(|line| line != ".") {
                        text.push_str(&line);
                        text.push('\n');
                    }
                    answer = self.reply_to(".");
                    if answer.starts_with("250") {
                        self.store_message(&to, &text).await;
                    }
                }
                _ => {}
            }
            write.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
            if command == "QUIT" {
                break;
            }
        }
        Some(())
    }

    fn reply_to(&self, command: &str) -> &'static str {
        let mut shared = self.state.lock().unwrap();
        match shared.replies.iter().position(|(queued, _)| *queued == command) {
            Some(at) => shared.replies.remove(at).1,
            None if command == "DATA" => "354 go on",
            None if command == "QUIT" => "221 bye",
            None => "250 ok",
        }
    }

    async fn store_message(&self, to: &str, text: &str) {
        // Long lines are folded by quoted-printable (RFC 2045, section 6.7).
        let message = ReceivedMessage { to: to.to_owned(), text: text.replace("=\n", "").replace("=3D", "=") };
        let is_held = {
            let mut shared = self.state.lock().unwrap();
            shared.messages.push(message);
            let is_held = shared.to_hold > 0;
            shared.to_hold = shared.to_hold.saturating_sub(1);
            is_held
        };
        if is_held {
            _ = self.released.acquire().await.map(SemaphorePermit::forget);
        }
    }

    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// Queues the reply to the next such command.
    pub fn queue_reply(&self, command: &'static str, reply: &'static str) {
        self.state.lock().unwrap().replies.push((command, reply));
    }

    /// Makes the next `count` messages wait until `release`. They are received, but not answered.
    pub fn hold(&self, count: usize) {
        self.state.lock().unwrap().to_hold = count;
    }

    /// Answers the messages that wait.
    pub fn release(&self) {
        self.released.add_permits(100);
    }

    pub fn message_count(&self) -> usize {
        self.state.lock().unwrap().messages.len()
    }

    /// Takes the received messages, sorted by recipient.
    pub fn take_messages(&self) -> Vec<ReceivedMessage> {
        let mut letters = std::mem::take(&mut self.state.lock().unwrap().messages);
        letters.sort_by(|a, b| a.to.cmp(&b.to));
        letters
    }

    pub fn notifier(&self, store: &Store) -> Notifier {
        let url = Secret::new(self.url());
        let mailer = Mailer::new(&MailConfig { url, from: "Evergrant <evergrant@example.com>".to_owned() }).unwrap();
        let webhooks = WebhookClient::new(loopback_policy()).unwrap();
        Notifier::new(store.clone(), webhooks, Some(mailer), PUBLIC_URL.to_owned(), 45 * DAY, Arc::new(|| None))
    }
}
