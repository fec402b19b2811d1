//! Email settings, and where webhooks may be sent.

use std::sync::Arc;

use clap::Args;

use super::{ConfigError, Networks, non_blank, secret};
use crate::server::domain::Secret;

/// The settings as given.
#[derive(Args, Clone)]
pub struct NotifySettings {
    /// The mail server: smtp://user:password@host:port (with STARTTLS), or smtps://… (TLS from the first byte). Without
    /// it no email is sent.
    #[arg(long, env = "EVERGRANT_SMTP_URL", value_name = "URL", hide_env_values = true, value_parser = secret)]
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
    pub url: Secret,
    pub from: String,
}

impl NotifySettings {
    pub(super) fn check(self) -> Result<NotifyConfig, ConfigError> {
        let from = self.smtp_from.filter(|from| !from.trim().is_empty());
        let mail = match (non_blank(self.smtp_url), from) {
            (Some(url), Some(from)) => Some(MailConfig { url, from }),
            (None, None) => None,
            (Some(_), None) => return Err(ConfigError::IncompleteMailer { missing: "EVERGRANT_SMTP_FROM" }),
            (None, Some(_)) => return Err(ConfigError::IncompleteMailer { missing: "EVERGRANT_SMTP_URL" }),
        };
        Ok(NotifyConfig { mail, private_webhooks: self.private_webhooks })
    }
}
