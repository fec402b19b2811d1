//! Letters: what happened, as plain text and as HTML, handed to the operator's mail server.

use std::net::IpAddr;
use std::time::{Duration, UNIX_EPOCH};

use chrono::DateTime;
use lettre::message::header::ContentType;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::PoolConfig;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use url::Url;

use super::payload::link;
use crate::server::config::MailConfig;
use crate::server::store::Event;

/// For each of the mail server's answers.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Hands letters to a mail server. Cheap to clone; clones share its connections.
#[derive(Clone)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

/// The settings name no mail server that could be used. Says nothing of the password in them.
#[derive(Debug, thiserror::Error)]
pub enum MailerError {
    #[error("EVERGRANT_SMTP_URL isn't smtp://… or smtps://…, with user and password percent-encoded")]
    Url,
    #[error("EVERGRANT_SMTP_FROM isn't an address like evergrant@example.com or Evergrant <evergrant@example.com>")]
    From,
}

/// What one person is told at a time.
pub struct Letter<'a> {
    pub to: &'a str,
    pub org_name: &'a str,
    /// Oldest first; at least one.
    pub events: &'a [Event],
    pub public_url: &'a str,
    /// Unix seconds.
    pub now: i64,
}

/// Why the mail server didn't take a letter, in a few words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Returned {
    pub words: String,
    /// Whether it would never take it: the mailbox isn't there.
    pub for_good: bool,
}

impl Mailer {
    pub fn new(config: &MailConfig) -> Result<Self, MailerError> {
        let url = with_tls(config.url.expose()).ok_or(MailerError::Url)?;
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.as_str()).map_err(|_| MailerError::Url)?;
        // A connection that waits for the next letter is more trouble than a new one: letters are rare.
        let pool = PoolConfig::new().max_size(4).idle_timeout(Duration::from_secs(10));
        let transport = builder.timeout(Some(TIMEOUT)).pool_config(pool).build();
        Ok(Self { transport, from: config.from.parse().map_err(|_| MailerError::From)? })
    }

    pub async fn send(&self, letter: &Letter<'_>) -> Result<(), Returned> {
        let message = self
            .write(letter)
            .ok_or_else(|| Returned { words: "the address can't be written to".to_owned(), for_good: true })?;
        match self.transport.send(message).await {
            Ok(_) => Ok(()),
            Err(error) => {
                let code = error.status().map(u16::from);
                // Refused logins (53x) are the operator's to mend; every other 5xx is about this letter.
                let for_good = error.is_permanent() && !matches!(code, Some(530..=539));
                let words = match code {
                    Some(code) => format!("the mail server answered {code}"),
                    None if error.is_timeout() => "no answer from the mail server in time".to_owned(),
                    None if error.is_tls() => "no safe connection to the mail server".to_owned(),
                    None => "no connection to the mail server".to_owned(),
                };
                Err(Returned { words, for_good })
            }
        }
    }

    fn write(&self, letter: &Letter<'_>) -> Option<Message> {
        let first = letter.events.first()?;
        let id = format!("<{}.{}@{}>", first.id, letter.events.len(), self.from.email.domain());
        let sent = UNIX_EPOCH + Duration::from_secs(letter.now.unsigned_abs());
        // Out-of-office replies and lists leave such letters alone (RFC 3834).
        let automatic = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
        Message::builder()
            .from(self.from.clone())
            .to(letter.to.parse().ok()?)
            .date(sent)
            .message_id(Some(id))
            .raw_header(automatic)
            .subject(subject(letter))
            .multipart(
                MultiPart::alternative()
                    .singlepart(SinglePart::builder().header(ContentType::TEXT_PLAIN).body(text(letter)))
                    .singlepart(SinglePart::builder().header(ContentType::TEXT_HTML).body(html(letter))),
            )
            .ok()
    }
}

/// Without TLS only to this machine: anywhere else the password and the letters would be read on the way.
fn with_tls(text: &str) -> Option<Url> {
    let mut url = Url::parse(text).ok()?;
    // Of an address in a scheme of its own kind nothing but the text is known.
    let host = url.host_str()?.trim_matches(['[', ']']);
    let own = host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    if url.scheme() == "smtp" && !own {
        url.set_query(Some("tls=required"));
    }
    matches!(url.scheme(), "smtp" | "smtps").then_some(url)
}

fn subject(letter: &Letter<'_>) -> String {
    match letter.events {
        [one] => plain(&one.kind.sentence(one.about.tenant_name.as_deref())).trim_end_matches('.').to_owned(),
        many => format!("{} things happened to your Xero connections", many.len()),
    }
}

fn text(letter: &Letter<'_>) -> String {
    let mut text = String::new();
    for event in letter.events {
        text.push_str(&sentences(event));
        text.push_str(&format!("\n{}\n\n", link(event.kind, letter.public_url)));
    }
    text.push_str(&format!("-- \nEvergrant, for {}. Mail on or off: {}\n", plain(letter.org_name), choices(letter)));
    text
}

fn html(letter: &Letter<'_>) -> String {
    let mut html = String::from("<!DOCTYPE html><html lang=\"en\"><body>");
    for event in letter.events {
        let link = link(event.kind, letter.public_url);
        html.push_str(&format!("<p>{}<br><a href=\"{link}\">{link}</a></p>", escaped(&sentences(event))));
    }
    let (org, choices) = (escaped(&plain(letter.org_name)), choices(letter));
    html.push_str(&format!("<p><small>Evergrant, for {org}. <a href=\"{choices}\">Mail on or off</a></small></p>"));
    html.push_str("</body></html>");
    html
}

/// What happened and when, whether data is safe, and what to do.
fn sentences(event: &Event) -> String {
    let what = plain(&event.kind.sentence(event.about.tenant_name.as_deref()));
    let ends = event.ends_at.map(|at| format!(" It ends on {}.", day(at))).unwrap_or_default();
    format!("{what}{ends} {} ({})", event.kind.advice(), moment(event.occurred_at))
}

fn choices(letter: &Letter<'_>) -> String {
    format!("{}/settings/notifications", letter.public_url)
}

fn day(unix: i64) -> String {
    DateTime::from_timestamp(unix, 0).unwrap_or_default().format("%-d %b %Y").to_string()
}

fn moment(unix: i64) -> String {
    DateTime::from_timestamp(unix, 0).unwrap_or_default().format("%-d %b %Y, %H:%M UTC").to_string()
}

/// A name that somebody typed at Xero, on one line.
fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EventKind;
    use crate::server::domain::Secret;
    use crate::server::store::About;

    fn event(kind: EventKind, tenant: &str) -> Event {
        Event {
            id: "e1".into(),
            org: Some("o".into()),
            kind,
            about: About { tenant_name: Some(tenant.into()), ..About::default() },
            reason: None,
            ends_at: None,
            occurred_at: 1_800_000_000,
        }
    }

    fn letter<'a>(events: &'a [Event]) -> Letter<'a> {
        Letter { to: "ann@example.com", org_name: "Harbour", events, public_url: "https://e.example", now: 0 }
    }

    #[test]
    fn a_letter_says_what_happened_in_text_and_html() {
        let events = [event(EventKind::NeedsReconnecting, "Fish & \"Chips\" <Ltd>\r\nBcc: eve@example.com")];
        let letter = letter(&events);
        let one_line = "Fish & \"Chips\" <Ltd>  Bcc: eve@example.com needs reconnecting to Xero";
        assert_eq!(subject(&letter), one_line);
        assert!(text(&letter).starts_with(&format!("{one_line}. Your data in Xero is untouched.")));
        assert!(text(&letter).contains("(15 Jan 2027, 08:00 UTC)\nhttps://e.example/settings/integrations\n"));
        assert!(html(&letter).contains("Fish &amp; &quot;Chips&quot; &lt;Ltd&gt;"));
        let both = [event(EventKind::Recovered, "A"), event(EventKind::Recovered, "B")];
        assert_eq!(subject(&super::tests::letter(&both)), "2 things happened to your Xero connections");
    }

    #[test]
    fn mail_goes_without_tls_to_this_machine_alone() {
        for (text, made) in [
            ("smtp://localhost:2525", Some("smtp://localhost:2525")),
            ("smtp://127.0.0.1", Some("smtp://127.0.0.1")),
            ("smtp://[::1]:25", Some("smtp://[::1]:25")),
            ("smtp://10.0.0.1", Some("smtp://10.0.0.1?tls=required")),
            ("smtp://a:b@mail.example.com:587", Some("smtp://a:b@mail.example.com:587?tls=required")),
            ("smtp://mail.example.com?tls=opportunistic", Some("smtp://mail.example.com?tls=required")),
            ("smtps://mail.example.com", Some("smtps://mail.example.com")),
            ("https://mail.example.com", None),
            ("mail.example.com", None),
        ] {
            assert_eq!(with_tls(text).map(String::from).as_deref(), made, "{text}");
        }
    }

    #[tokio::test]
    async fn settings_that_name_no_mail_server_are_refused_without_their_password() {
        let mailer = |url: &str, from: &str| {
            let made = Mailer::new(&MailConfig { url: Secret::new(url), from: from.to_owned() });
            made.err().map(|error| error.to_string())
        };
        assert_eq!(mailer("smtps://a:b%40c@mail.example.com", "Evergrant <e@example.com>"), None);
        let url = mailer("http://a:hidden@mail.example.com", "e@example.com").unwrap();
        assert!(url.contains("EVERGRANT_SMTP_URL") && !url.contains("hidden"));
        assert!(mailer("smtp://localhost", "nobody").unwrap().contains("EVERGRANT_SMTP_FROM"));
    }
}
