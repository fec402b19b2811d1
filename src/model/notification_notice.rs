//! What the notifications' forms have to say, and why an address isn't taken.

use serde::{Deserialize, Serialize};

use super::status::spelt;

spelt!(
    /// What came of a form on `/settings/notifications`.
    NotificationNotice {
        WebhookAdded = "webhook-added",
        WebhookRotated = "webhook-rotated",
        WebhookEnabled = "webhook-enabled",
        WebhookDisabled = "webhook-disabled",
        WebhookRemoved = "webhook-removed",
        TooManyWebhooks = "webhook-too-many",
        /// Another organisation's, or removed meanwhile.
        NoSuchWebhook = "webhook-missing",
        TestDelivered = "webhook-test-delivered",
        TestFailed = "webhook-test-failed",
        MailOn = "mail-on",
        MailOff = "mail-off",
        NotAllowed = "notifications-not-allowed",
    }
);

spelt!(
    /// Why events can't be posted to an address. Said to the person who typed it.
    AddressProblem {
        Malformed = "address-malformed",
        NotHttps = "address-not-https",
        Credentials = "address-credentials",
        Private = "address-private",
        OnlyThisMachine = "address-elsewhere",
    }
);

impl NotificationNotice {
    pub fn is_good(self) -> bool {
        !matches!(self, Self::TooManyWebhooks | Self::NoSuchWebhook | Self::TestFailed | Self::NotAllowed)
    }

    pub fn text(self) -> &'static str {
        match self {
            Self::WebhookAdded => "The webhook is added. Copy its secret now: it is shown this once.",
            Self::WebhookRotated => {
                "The webhook has a new secret. Copy it now: it is shown this once. For 24 hours the old one signs as well."
            }
            Self::WebhookEnabled => "The webhook is on. It gets what happens from now on.",
            Self::WebhookDisabled => "The webhook is off. What was on its way to it is cancelled.",
            Self::WebhookRemoved => "The webhook is removed.",
            Self::TooManyWebhooks => "There are twenty webhooks already. Remove one first.",
            Self::NoSuchWebhook => "That webhook isn't in this organisation any more.",
            Self::TestDelivered => "The test was delivered.",
            Self::TestFailed => "The test was not delivered. The webhook's row says why.",
            Self::MailOn => "Mail is on.",
            Self::MailOff => "Mail is off.",
            Self::NotAllowed => "Only owners and admins can change this. Ask one of them.",
        }
    }
}

impl std::fmt::Display for AddressProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Malformed => "That isn't a web address. Write it whole, like https://example.com/hooks.",
            Self::NotHttps => "The address has to begin with https://.",
            Self::Credentials => {
                "The address holds a user name or password. Leave it out: the signature says who is sending."
            }
            Self::Private => "That address is in a private network, which webhooks can't reach from here.",
            Self::OnlyThisMachine => {
                "In the sandbox nothing leaves this machine. Use an address of it, like http://localhost:9000/hooks."
            }
        })
    }
}

impl std::error::Error for AddressProblem {}
