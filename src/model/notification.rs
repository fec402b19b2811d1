//! What people are told of, and what `/settings/notifications` shows. Times are unix seconds, UTC.

use serde::{Deserialize, Serialize};

use super::status::spelt;
use super::{EndpointId, EventId, Role, UserId};

spelt!(
    /// A change of state that is told. The words are what webhooks call it.
    EventKind {
        /// The grant died, or the tenant was disconnected in Xero: a person has to connect again.
        NeedsReconnecting = "connection.needs_reconnecting",
        Recovered = "connection.recovered",
        /// The refresh token grows old and its renewal keeps failing.
        WillExpireSoon = "connection.will_expire_soon",
        /// Xero refuses Evergrant's own credentials: the operator has to act.
        CredentialsRefused = "app.credentials_refused",
        CredentialsAccepted = "app.credentials_accepted",
        /// Somebody pressed Send a test.
        Test = "notifications.test",
    }
);

spelt!(
    /// How an event reaches somebody.
    Channel {
        Webhook = "webhook",
        Email = "email",
    }
);

spelt!(
    /// How far a delivery has come.
    DeliveryStatus {
        Pending = "pending",
        Delivered = "delivered",
        /// Tried for three days without success, or refused for good.
        GivenUp = "given_up",
        /// Its receiver was disabled or removed meanwhile.
        Cancelled = "cancelled",
    }
);

spelt!(
    /// Why an endpoint gets nothing.
    DisabledBy {
        Person = "person",
        /// It answered 410, which says that it wants no more.
        Gone = "gone",
    }
);

impl EventKind {
    /// What happened, in a sentence. `tenant` is whom it happened to.
    pub fn sentence(self, tenant: Option<&str>) -> String {
        let tenant = tenant.unwrap_or("A connection");
        match self {
            Self::NeedsReconnecting => format!("{tenant} needs reconnecting to Xero."),
            Self::Recovered => format!("{tenant} is connected to Xero again."),
            Self::WillExpireSoon => format!("{tenant} will lose its connection to Xero soon."),
            Self::CredentialsRefused => "Xero refuses Evergrant's own credentials.".to_owned(),
            Self::CredentialsAccepted => "Xero accepts Evergrant's credentials again.".to_owned(),
            Self::Test => "This is a test. Nothing happened.".to_owned(),
        }
    }

    /// Whether data is safe, and what to do.
    pub fn advice(self) -> &'static str {
        match self {
            Self::NeedsReconnecting => {
                "Your data in Xero is untouched. An owner or admin reconnects it in the settings."
            }
            Self::WillExpireSoon => {
                "Its renewal keeps failing. It is tried on by itself; reconnect before it ends to be on the safe side."
            }
            Self::CredentialsRefused => {
                "Your connections are safe, but get no new tokens. Whoever runs Evergrant has to mend its Xero app's id and secret."
            }
            Self::Recovered | Self::CredentialsAccepted | Self::Test => "There is nothing to do.",
        }
    }

    /// Whether it is news: a test isn't.
    pub fn counts(self) -> bool {
        self != Self::Test
    }

    /// Whether somebody has to act.
    pub fn is_trouble(self) -> bool {
        matches!(self, Self::NeedsReconnecting | Self::WillExpireSoon | Self::CredentialsRefused)
    }
}

/// What `/settings/notifications` shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NotificationsView {
    pub may_manage: bool,
    pub ways: Ways,
    /// The organisation's people: all of them for who manages, oneself otherwise.
    pub recipients: Vec<RecipientView>,
    pub endpoints: Vec<EndpointView>,
    /// Newest first.
    pub events: Vec<EventView>,
    /// Events that the person hasn't marked as read.
    pub unread: u32,
    pub as_of: i64,
}

/// What the operator's settings allow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ways {
    /// Whether there is a mail server.
    pub mail: bool,
    /// Webhooks reach this machine alone, as in the sandbox.
    pub only_this_machine: bool,
}

/// A person, and whether mail goes to them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecipientView {
    pub user_id: UserId,
    pub email: String,
    pub role: Role,
    pub gets_mail: bool,
    pub is_you: bool,
}

/// A webhook endpoint as its row shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndpointView {
    pub id: EndpointId,
    /// Whole for who manages; without path and query otherwise, which may carry somebody's key.
    pub url: String,
    pub created_at: i64,
    pub disabled_at: Option<i64>,
    pub disabled_by: Option<DisabledBy>,
    /// Until when the secret before this one signs as well.
    pub previous_until: Option<i64>,
    pub last: Option<DeliveryView>,
}

/// Where an event's delivery to one receiver stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeliveryView {
    pub channel: Channel,
    /// The endpoint's address or the person's; absent when it is gone.
    pub receiver: Option<String>,
    pub status: DeliveryStatus,
    pub attempts: i64,
    pub last_attempt_at: Option<i64>,
    pub next_attempt_at: Option<i64>,
    pub http_status: Option<i64>,
    pub error: Option<String>,
}

/// Something that happened, and who was told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventView {
    pub id: EventId,
    pub kind: EventKind,
    pub tenant_name: Option<String>,
    pub ends_at: Option<i64>,
    pub occurred_at: i64,
    /// Whether the person hasn't marked it as read.
    pub is_new: bool,
    pub deliveries: Vec<DeliveryView>,
}
