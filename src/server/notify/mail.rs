//! Email digests of events, as plain text and HTML, sent through the operator's mail server.

use std::time::{Duration, UNIX_EPOCH};

use lettre::Message;
use lettre::message::MessageBuilder;
use lettre::message::header::ContentType;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};

use super::mail_times::MailZone;
use super::payload::action_url;
use super::smtp::{Finality, SmtpError, SmtpServer};
use crate::model::{OrgId, paths};
use crate::server::config::MailConfig;
use crate::server::store::Event;

/// Sends digests through a mail server.
#[derive(Clone)]
pub struct Mailer {
    server: SmtpServer,
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
    pub org: &'a OrgId,
    pub org_name: &'a str,
    /// Oldest first, at least one.
    pub events: &'a [Event],
    pub public_url: &'a str,
    /// The zone of the times in it.
    pub zone: MailZone,
    /// Unix seconds.
    pub now: i64,
}

/// A message to one person, in plain text.
pub struct PlainMessage<'a> {
    /// Tells messages apart.
    pub id: &'a str,
    pub to: &'a str,
    pub subject: &'a str,
    pub text: &'a str,
    /// Where mail programs post a one-click unsubscription (RFC 8058): an ASCII URL. `None` for other messages.
    pub unsubscribe_url: Option<&'a str>,
    /// Unix seconds.
    pub now: i64,
}

impl Mailer {
    /// Builds a mailer from the settings. Does not connect yet.
    pub fn new(config: &MailConfig) -> Result<Self, MailSettingsError> {
        let server = SmtpServer::parse(config.url.expose()).ok_or(MailSettingsError::Url)?;
        Ok(Self { server, from: config.from.parse().map_err(|_| MailSettingsError::From)? })
    }

    /// Sends a digest and waits for the mail server to accept it.
    pub async fn send(&self, digest: &Digest<'_>) -> Result<(), SmtpError> {
        self.hand_over(self.build_message(digest)).await
    }

    /// Sends a message and waits for the mail server to accept it.
    pub async fn send_plain(&self, message: &PlainMessage<'_>) -> Result<(), SmtpError> {
        let body = SinglePart::builder().header(ContentType::TEXT_PLAIN).body(message.text.to_owned());
        let mut envelope = self.envelope(message.id, message.to, message.now);
        if let Some(url) = message.unsubscribe_url {
            envelope = envelope.map(|envelope| with_unsubscribe_headers(envelope, url));
        }
        self.hand_over(envelope.and_then(|envelope| envelope.subject(message.subject).singlepart(body).ok())).await
    }

    async fn hand_over(&self, message: Option<Message>) -> Result<(), SmtpError> {
        let Some(message) = message else {
            let message = "the email address is invalid".to_owned();
            return Err(SmtpError { message, finality: Finality::RecipientRefused });
        };
        self.server.send(&message).await
    }

    /// Starts a message that auto-responders don't reply to (RFC 3834). `None` if the address is invalid.
    fn envelope(&self, id: &str, to: &str, now: i64) -> Option<MessageBuilder> {
        let id = format!("<{id}@{}>", self.from.email.domain());
        let sent = UNIX_EPOCH + Duration::from_secs(now.unsigned_abs());
        let automatic = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
        let message = Message::builder().from(self.from.clone()).to(Mailbox::new(None, to.parse().ok()?)).date(sent);
        Some(message.message_id(Some(id)).raw_header(automatic))
    }

    fn build_message(&self, digest: &Digest<'_>) -> Option<Message> {
        let first = digest.events.first()?;
        let id = format!("{}.{}", first.id, digest.events.len());
        self.envelope(&id, digest.to, digest.now)?
            .subject(subject(digest))
            .multipart(
                MultiPart::alternative()
                    .singlepart(SinglePart::builder().header(ContentType::TEXT_PLAIN).body(text_body(digest)))
                    .singlepart(SinglePart::builder().header(ContentType::TEXT_HTML).body(html_body(digest))),
            )
            .ok()
    }
}

/// Adds the headers by which a mail program unsubscribes without opening a page.
fn with_unsubscribe_headers(envelope: MessageBuilder, url: &str) -> MessageBuilder {
    let header = |name, value: String| {
        // Encoded already: a folded URL is one that some programs don't read.
        HeaderValue::dangerous_new_pre_encoded(HeaderName::new_from_ascii_str(name), value.clone(), value)
    };
    envelope
        .raw_header(header("List-Unsubscribe", format!("<{url}>")))
        .raw_header(header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned()))
}

fn subject(digest: &Digest<'_>) -> String {
    match digest.events {
        [one] => single_line(&one.kind.sentence(one.about.tenant_name.as_deref())).trim_end_matches('.').to_owned(),
        many => format!("{} updates about your Xero connections", many.len()),
    }
}

fn text_body(digest: &Digest<'_>) -> String {
    let mut text = String::new();
    for event in digest.events {
        text.push_str(&event_text(event, &digest.zone));
        text.push_str(&format!("\n{}\n\n", action_url(event, digest.org, digest.public_url)));
    }
    text.push_str(&format!(
        "-- \nEvergrant, for {}. Change your email settings: {}\n",
        single_line(digest.org_name),
        settings_url(digest)
    ));
    text
}

fn html_body(digest: &Digest<'_>) -> String {
    let mut html = String::from("<!DOCTYPE html><html lang=\"en\"><body>");
    for event in digest.events {
        let link = action_url(event, digest.org, digest.public_url);
        let link = escape_html(&link);
        html.push_str(&format!(
            "<p>{}<br><a href=\"{link}\">{link}</a></p>",
            escape_html(&event_text(event, &digest.zone))
        ));
    }
    let (org, choices) = (escape_html(&single_line(digest.org_name)), escape_html(&settings_url(digest)));
    html.push_str(&format!(
        "<p><small>Evergrant, for {org}. <a href=\"{choices}\">Change your email settings</a></small></p>"
    ));
    html.push_str("</body></html>");
    html
}

/// One event as text: what happened and when, whether data is safe, and what to do.
fn event_text(event: &Event, zone: &MailZone) -> String {
    let what = single_line(&event.kind.sentence(event.about.tenant_name.as_deref()));
    let ends = event.ends_at.map(|at| format!(" It ends on {}.", zone.date(at))).unwrap_or_default();
    format!("{what}{ends} {} ({})", event.kind.advice(), zone.time(event.occurred_at))
}

fn settings_url(digest: &Digest<'_>) -> String {
    format!("{}{}", digest.public_url, paths::page_in(paths::NOTIFICATIONS, digest.org))
}

/// Replaces line breaks and other control characters with spaces.
pub(super) fn single_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::model::EventKind;
    use crate::server::domain::Secret;
    use crate::server::store::EventSubject;

    static ORG: LazyLock<OrgId> = LazyLock::new(|| "o".into());

    fn event(kind: EventKind, tenant: &str) -> Event {
        Event {
            id: "e1".into(),
            org: Some("o".into()),
            kind,
            about: EventSubject { tenant_name: Some(tenant.into()), ..EventSubject::default() },
            external_id: None,
            tags: Vec::new(),
            reason: None,
            ends_at: None,
            occurred_at: 1_800_000_000,
        }
    }

    fn digest<'a>(events: &'a [Event]) -> Digest<'a> {
        Digest {
            to: "ann@example.com",
            org: &ORG,
            org_name: "Harbour",
            events,
            public_url: "https://e.example",
            zone: MailZone::of(None),
            now: 0,
        }
    }

    #[test]
    fn digest_describes_events_in_text_and_html() {
        let events = [event(EventKind::NeedsReconnecting, "Fish & \"Chips\" <Ltd>\r\nBcc: eve@example.com")];
        let letter = digest(&events);
        let one_line = "Fish & \"Chips\" <Ltd>  Bcc: eve@example.com needs reconnecting to Xero";
        assert_eq!(subject(&letter), one_line);
        assert!(text_body(&letter).starts_with(&format!("{one_line}. Your Xero data is safe.")));
        assert!(
            text_body(&letter).contains("(15 Jan 2027, 08:00 UTC)\nhttps://e.example/settings/integrations?org=o\n")
        );
        let there = Digest { zone: MailZone::of(Some("Pacific/Auckland")), ..digest(&events) };
        assert!(text_body(&there).contains("(15 Jan 2027, 21:00 Pacific/Auckland)"));
        assert!(html_body(&letter).contains("Fish &amp; &quot;Chips&quot; &lt;Ltd&gt;"));
        let both = [event(EventKind::Recovered, "A"), event(EventKind::Recovered, "B")];
        assert_eq!(subject(&super::tests::digest(&both)), "2 updates about your Xero connections");
    }

    #[test]
    fn invalid_mail_settings_are_rejected_without_showing_the_password() {
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
