//! Email settings, and where webhooks may be sent.

use std::sync::Arc;

use clap::Args;

use super::checks::both_or_neither;
use super::error::ConfigError;
use super::network::Networks;
use super::parse::{non_blank, parse_secret};
use crate::server::domain::Secret;

/// The settings as given.
#[derive(Args, Clone)]
pub struct NotifySettings {
    /// The mail server: smtp://user:password@host:port (with STARTTLS), or smtps://… (TLS from the first byte). Without
    /// it no email is sent.
    #[arg(long, env = "EVERGRANT_SMTP_URL", value_name = "URL", hide_env_values = true, value_parser = parse_secret)]
    smtp_url: Option<Arc<Secret>>,

    /// The sender of email: an address, or "Evergrant <evergrant@example.com>".
    #[arg(long, env = "EVERGRANT_SMTP_FROM", value_name = "ADDRESS")]
    smtp_from: Option<String>,

    /// Private networks that webhooks may reach, also over plain http: addresses or networks such as 10.0.0.0/8,
    /// separated by commas.
    #[arg(
        long,
        env = "EVERGRANT_PRIVATE_WEBHOOKS",
        value_name = "NETWORKS",
        default_value = "",
        hide_default_value = true
    )]
    private_webhooks: Networks,
}

/// The validated settings.
#[derive(Default)]
pub struct NotifyConfig {
    /// `None`: no email is sent.
    pub mail: Option<MailConfig>,
    /// Private networks that webhooks may reach.
    pub private_webhooks: Networks,
}

/// The mail server and the sender.
pub struct MailConfig {
    /// URL of the mail server, which may contain a password.
    pub url: Secret,
    /// Sender: an address, with or without a display name.
    pub from: String,
}

impl NotifySettings {
    pub(super) fn check(self) -> Result<NotifyConfig, ConfigError> {
        let from = self.smtp_from.filter(|from| !from.trim().is_empty());
        let url = ("EVERGRANT_SMTP_URL", non_blank(self.smtp_url));
        let mail = both_or_neither(url, ("EVERGRANT_SMTP_FROM", from), "send no email")?;
        let mail = mail.map(|(url, from)| MailConfig { url, from });
        Ok(NotifyConfig { mail, private_webhooks: self.private_webhooks })
    }
}
