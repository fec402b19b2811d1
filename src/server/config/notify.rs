//! How people are told: mail, and where webhooks may go.

use std::sync::Arc;

use clap::Args;

use super::{ConfigError, Networks, secret, set};
use crate::server::domain::Secret;

/// The settings as they are written down.
#[derive(Args, Clone)]
pub struct NotifySettings {
    /// The mail server that takes our mail: smtp://user:password@host:port (with STARTTLS), smtps://… (TLS from the
    /// first byte). Without it no mail is sent.
    #[arg(long, env = "EVERGRANT_SMTP_URL", value_name = "URL", hide_env_values = true, value_parser = secret)]
    smtp_url: Option<Arc<Secret>>,

    /// Whom mail is from: an address, or "Evergrant <evergrant@example.com>".
    #[arg(long, env = "EVERGRANT_SMTP_FROM", value_name = "ADDRESS")]
    smtp_from: Option<String>,

    /// Private networks that webhooks may reach, also without https: addresses or networks such as 10.0.0.0/8,
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

/// The same, checked.
#[derive(Default)]
pub struct NotifyConfig {
    /// Absent: no mail is sent.
    pub mail: Option<MailConfig>,
    /// Private networks that webhooks may reach.
    pub private_webhooks: Networks,
}

/// Where mail is handed in, and whom it is from.
pub struct MailConfig {
    pub url: Secret,
    pub from: String,
}

impl NotifySettings {
    pub(super) fn check(self) -> Result<NotifyConfig, ConfigError> {
        let from = self.smtp_from.filter(|from| !from.trim().is_empty());
        let mail = match (set(self.smtp_url), from) {
            (Some(url), Some(from)) => Some(MailConfig { url, from }),
            (None, None) => None,
            (Some(_), None) => return Err(ConfigError::HalfAMailer { missing: "EVERGRANT_SMTP_FROM" }),
            (None, Some(_)) => return Err(ConfigError::HalfAMailer { missing: "EVERGRANT_SMTP_URL" }),
        };
        Ok(NotifyConfig { mail, private_webhooks: self.private_webhooks })
    }
}
