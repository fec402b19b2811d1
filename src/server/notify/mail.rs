//! Email digests of events, as plain text and HTML, sent through the operator's mail server.

use std::net::IpAddr;
use std::time::{Duration, UNIX_EPOCH};

use chrono::DateTime;
use lettre::message::header::ContentType;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::PoolConfig;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use url::Url;

use super::payload::action_url;
use crate::server::config::MailConfig;
use crate::server::store::Event;

/// The timeout for each response of the mail server.
const SMTP_TIMEOUT: Duration = Duration::from_secs(15);

/// Sends digests through a mail server. Cheap to clone; clones share its connections.
#[derive(Clone)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

/// Why the mail settings are invalid. The messages never contain the password.
#[derive(Debug, thiserror::Error)]
pub enum MailSettingsError {
    /// The mail server's URL is invalid.
    #[error("EVERGRANT_SMTP_URL is invalid: use smtp://… or smtps://…, with user and password percent-encoded")]
    Url,
    /// The sender's address is invalid.
    #[error("EVERGRANT_SMTP_FROM is invalid: use evergrant@example.com or Evergrant <evergrant@example.com>")]
    From,
}

/// The events that one email reports to one person.
pub struct Digest<'a> {
    pub to: &'a str,
    pub org_name: &'a str,
    /// Oldest first, at least one.
    pub events: &'a [Event],
    pub public_url: &'a str,
    /// Unix seconds.
    pub now: i64,
}

/// Why a digest was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailError {
    pub message: String,
    /// Whether retrying is useless, as for a mailbox that does not exist.
    pub is_permanent: bool,
}

impl Mailer {
    /// Builds a mailer from the settings. Does not connect yet.
    pub fn new(config: &MailConfig) -> Result<Self, MailSettingsError> {
        let url = require_tls(config.url.expose()).ok_or(MailSettingsError::Url)?;
        let builder =
            AsyncSmtpTransport::<Tokio1Executor>::from_url(url.as_str()).map_err(|_| MailSettingsError::Url)?;
        // Email is rare, so connections are not kept for long.
        let pool = PoolConfig::new().max_size(4).idle_timeout(Duration::from_secs(10));
        let transport = builder.timeout(Some(SMTP_TIMEOUT)).pool_config(pool).build();
        Ok(Self { transport, from: config.from.parse().map_err(|_| MailSettingsError::From)? })
    }

    /// Sends a digest and waits for the mail server to accept it.
    pub async fn send(&self, letter: &Digest<'_>) -> Result<(), MailError> {
        let message = self
            .build_message(letter)
            .ok_or_else(|| MailError { message: "the email address is invalid".to_owned(), is_permanent: true })?;
        match self.transport.send(message).await {
            Ok(_) => Ok(()),
            Err(error) => {
                let code = error.status().map(u16::from);
                // A refused login (53x) is the operator's to fix and is retried; any other 5xx rejects this message.
                let for_good = error.is_permanent() && !matches!(code, Some(530..=539));
                let words = match code {
                    Some(code) => format!("the mail server answered {code}"),
                    None if error.is_timeout() => "the mail server did not answer in time".to_owned(),
                    None if error.is_tls() => "could not connect securely to the mail server".to_owned(),
                    None => "could not connect to the mail server".to_owned(),
                };
                Err(MailError { message: words, is_permanent: for_good })
            }
        }
    }

    fn build_message(&self, letter: &Digest<'_>) -> Option<Message> {
        let first = letter.events.first()?;
        let id = format!("<{}.{}@{}>", first.id, letter.events.len(), self.from.email.domain());
        let sent = UNIX_EPOCH + Duration::from_secs(letter.now.unsigned_abs());
        // Marks the message so that auto-responders don't reply to it (RFC 3834).
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
                    .singlepart(SinglePart::builder().header(ContentType::TEXT_PLAIN).body(text_body(letter)))
                    .singlepart(SinglePart::builder().header(ContentType::TEXT_HTML).body(html_body(letter))),
            )
            .ok()
    }
}

/// Parses the mail server's URL and requires TLS unless the server is on this machine. Returns `None` for other
/// schemes.
fn require_tls(text: &str) -> Option<Url> {
    let mut url = Url::parse(text).ok()?;
    // For a non-special scheme, `url` returns the host as text, with an IPv6 address in brackets.
    let host = url.host_str()?.trim_matches(['[', ']']);
    let own = host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    if url.scheme() == "smtp" && !own {
        url.set_query(Some("tls=required"));
    }
    matches!(url.scheme(), "smtp" | "smtps").then_some(url)
}

fn subject(letter: &Digest<'_>) -> String {
    match letter.events {
        [one] => single_line(&one.kind.sentence(one.about.tenant_name.as_deref())).trim_end_matches('.').to_owned(),
        many => format!("{} updates about your Xero connections", many.len()),
    }
}

fn text_body(letter: &Digest<'_>) -> String {
    let mut text = String::new();
    for event in letter.events {
        text.push_str(&event_text(event));
        text.push_str(&format!("\n{}\n\n", action_url(event.kind, letter.public_url)));
    }
    text.push_str(&format!(
        "-- \nEvergrant, for {}. Change your email settings: {}\n",
        single_line(letter.org_name),
        settings_url(letter)
    ));
    text
}

fn html_body(letter: &Digest<'_>) -> String {
    let mut html = String::from("<!DOCTYPE html><html lang=\"en\"><body>");
    for event in letter.events {
        let link = action_url(event.kind, letter.public_url);
        html.push_str(&format!("<p>{}<br><a href=\"{link}\">{link}</a></p>", escape_html(&event_text(event))));
    }
    let (org, choices) = (escape_html(&single_line(letter.org_name)), settings_url(letter));
    html.push_str(&format!(
        "<p><small>Evergrant, for {org}. <a href=\"{choices}\">Change your email settings</a></small></p>"
    ));
    html.push_str("</body></html>");
    html
}

/// One event as text: what happened and when, whether data is safe, and what to do.
fn event_text(event: &Event) -> String {
    let what = single_line(&event.kind.sentence(event.about.tenant_name.as_deref()));
    let ends = event.ends_at.map(|at| format!(" It ends on {}.", format_date(at))).unwrap_or_default();
    format!("{what}{ends} {} ({})", event.kind.advice(), format_time(event.occurred_at))
}

fn settings_url(letter: &Digest<'_>) -> String {
    format!("{}/settings/notifications", letter.public_url)
}

fn format_date(unix: i64) -> String {
    DateTime::from_timestamp(unix, 0).unwrap_or_default().format("%-d %b %Y").to_string()
}

fn format_time(unix: i64) -> String {
    DateTime::from_timestamp(unix, 0).unwrap_or_default().format("%-d %b %Y, %H:%M UTC").to_string()
}

/// Replaces control characters, so that a name from Xero stays on one line.
fn single_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EventKind;
    use crate::server::domain::Secret;
    use crate::server::store::EventSubject;

    fn event(kind: EventKind, tenant: &str) -> Event {
        Event {
            id: "e1".into(),
            org: Some("o".into()),
            kind,
            about: EventSubject { tenant_name: Some(tenant.into()), ..EventSubject::default() },
            reason: None,
            ends_at: None,
            occurred_at: 1_800_000_000,
        }
    }

    fn digest<'a>(events: &'a [Event]) -> Digest<'a> {
        Digest { to: "ann@example.com", org_name: "Harbour", events, public_url: "https://e.example", now: 0 }
    }

    #[test]
    fn digest_describes_events_in_text_and_html() {
        let events = [event(EventKind::NeedsReconnecting, "Fish & \"Chips\" <Ltd>\r\nBcc: eve@example.com")];
        let letter = digest(&events);
        let one_line = "Fish & \"Chips\" <Ltd>  Bcc: eve@example.com needs reconnecting to Xero";
        assert_eq!(subject(&letter), one_line);
        assert!(text_body(&letter).starts_with(&format!("{one_line}. Your Xero data is safe.")));
        assert!(text_body(&letter).contains("(15 Jan 2027, 08:00 UTC)\nhttps://e.example/settings/integrations\n"));
        assert!(html_body(&letter).contains("Fish &amp; &quot;Chips&quot; &lt;Ltd&gt;"));
        let both = [event(EventKind::Recovered, "A"), event(EventKind::Recovered, "B")];
        assert_eq!(subject(&super::tests::digest(&both)), "2 updates about your Xero connections");
    }

    #[test]
    fn tls_is_required_except_to_loopback() {
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
            assert_eq!(require_tls(text).map(String::from).as_deref(), made, "{text}");
        }
    }

    #[tokio::test]
    async fn invalid_mail_settings_are_rejected_without_showing_the_password() {
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
