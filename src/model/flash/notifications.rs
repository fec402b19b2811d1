//! Results of the forms on `/settings/notifications`, and why a webhook address is refused.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::model::text_enum::str_enum;
use crate::model::{FlashMessage, Tone};

str_enum!(
    /// Result of a form on `/settings/notifications`.
    NotificationFlash {
        WebhookAdded = "webhook-added",
        WebhookRotated = "webhook-rotated",
        WebhookEnabled = "webhook-enabled",
        WebhookDisabled = "webhook-disabled",
        WebhookRemoved = "webhook-removed",
        TooManyWebhooks = "webhook-too-many",
        /// The webhook belongs to another organization, or was removed meanwhile.
        NoSuchWebhook = "webhook-missing",
        EventsChosen = "webhook-events",
        Resent = "delivery-resent",
        ResendFailed = "delivery-resend-failed",
        /// Too many deliveries were sent again within a minute.
        TooManyResends = "delivery-too-many",
        /// The delivery is being attempted right now.
        ResendInProgress = "delivery-in-progress",
        /// The delivery belongs to another organization, or is deleted.
        NoSuchDelivery = "delivery-missing",
        WebhookOff = "webhook-off",
        TestDelivered = "webhook-test-delivered",
        TestFailed = "webhook-test-failed",
        MailOn = "mail-on",
        MailOff = "mail-off",
        NotAllowed = "notifications-not-allowed",
    }
);

str_enum!(
    /// Why a webhook address is refused. `Display` is the sentence for the person who entered it.
    AddressProblem {
        Malformed = "address-malformed",
        NotHttps = "address-not-https",
        /// The URL contains a user name or password.
        Credentials = "address-credentials",
        /// The address is in a private network.
        Private = "address-private",
        /// Sandbox mode allows addresses of this machine only.
        OnlyThisMachine = "address-elsewhere",
    }
);

impl FlashMessage for NotificationFlash {
    fn tone(&self) -> Tone {
        match self {
            Self::TooManyWebhooks
            | Self::NoSuchWebhook
            | Self::TestFailed
            | Self::ResendFailed
            | Self::TooManyResends
            | Self::ResendInProgress
            | Self::NoSuchDelivery
            | Self::WebhookOff
            | Self::NotAllowed => Tone::Warn,
            _ => Tone::Good,
        }
    }

    fn text(&self) -> Cow<'static, str> {
        match self {
            Self::WebhookAdded => "Webhook added. Copy its secret now: it is shown only once.",
            Self::WebhookRotated => {
                "The webhook has a new secret. Copy it now: it is shown only once. The old one also signs for 24 hours."
            }
            Self::WebhookEnabled => "The webhook is on. It receives events from now on.",
            Self::WebhookDisabled => "The webhook is off. Its pending deliveries are cancelled.",
            Self::WebhookRemoved => "Webhook removed.",
            Self::TooManyWebhooks => "There are already 20 webhooks. Remove one first.",
            Self::NoSuchWebhook => "That webhook is no longer in this organisation.",
            Self::EventsChosen => "The webhook gets the events that you chose from now on.",
            Self::Resent => "The event was delivered again.",
            Self::ResendFailed => "The event was not delivered. The log says why.",
            Self::TooManyResends => "That is too often. Wait a minute, then try again.",
            Self::ResendInProgress => "That event is being delivered right now.",
            Self::NoSuchDelivery => "That delivery is no longer in this organisation.",
            Self::WebhookOff => "The webhook is off. Turn it on first.",
            Self::TestDelivered => "The test was delivered.",
            Self::TestFailed => "The test was not delivered. See the webhook's row for the reason.",
            Self::MailOn => "Email is on.",
            Self::MailOff => "Email is off.",
            Self::NotAllowed => "Only owners and admins can change this. Ask one of them.",
        }
        .into()
    }
}

impl FlashMessage for AddressProblem {
    fn tone(&self) -> Tone {
        Tone::Warn
    }

    fn text(&self) -> Cow<'static, str> {
        format!("No webhook was added. {self}").into()
    }
}

impl std::fmt::Display for AddressProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Malformed => "That isn't a web address. Enter a complete one, like https://example.com/hooks.",
            Self::NotHttps => "The address must start with https://.",
            Self::Credentials => {
                "The address contains a user name or password. Remove it: the signature shows who is sending."
            }
            Self::Private => "That address is in a private network, which webhooks can't reach.",
            Self::OnlyThisMachine => {
                "In sandbox mode nothing leaves this machine. Use an address on it, like http://localhost:9000/hooks."
            }
        })
    }
}

impl std::error::Error for AddressProblem {}
