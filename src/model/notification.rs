//! Events that people are notified of, and what `/settings/notifications` shows. Times are unix seconds.

use serde::{Deserialize, Serialize};

use super::text_enum::str_enum;
use super::{DeliveryId, EndpointId, EventId, Role, UserId};

str_enum!(
    /// Whether a member wants email, if they have chosen.
    EmailChoice {
        /// The member gets email.
        On = "on",
        /// The member gets none.
        Off = "off",
    }
);

str_enum!(
    /// A change of state that people are notified of. The values are the webhooks' event types.
    EventKind {
        /// The grant ended, or the tenant was disconnected in Xero: a person has to reconnect.
        NeedsReconnecting = "connection.needs_reconnecting",
        Recovered = "connection.recovered",
        /// A tenant was connected for the first time.
        Created = "connection.created",
        /// A tenant that was connected before got a new consent.
        Reconnected = "connection.reconnected",
        /// A connection was ended in Evergrant.
        Disconnected = "connection.disconnected",
        /// The refresh token is close to its expiry and its renewal keeps failing.
        WillExpireSoon = "connection.will_expire_soon",
        /// Xero refuses the app's credentials: the operator has to act.
        CredentialsRefused = "app.credentials_refused",
        CredentialsAccepted = "app.credentials_accepted",
        /// A person pressed Send a test.
        Test = "notifications.test",
    }
);

str_enum!(
    /// How an event is delivered.
    Channel {
        Webhook = "webhook",
        Email = "email",
    }
);

str_enum!(
    /// State of a delivery.
    DeliveryStatus {
        Pending = "pending",
        Delivered = "delivered",
        /// Retried for three days without success, or permanently refused.
        GivenUp = "given_up",
        /// The receiver was disabled or removed before the delivery succeeded.
        Cancelled = "cancelled",
    }
);

str_enum!(
    /// What disabled an endpoint.
    DisabledBy {
        Person = "person",
        /// The endpoint responded 410 Gone.
        Gone = "gone",
    }
);

impl EventKind {
    /// The kinds that only programs are notified of, because a person has just made the change. The audit log has them,
    /// too.
    pub const FOR_PROGRAMS: [Self; 3] = [Self::Created, Self::Reconnected, Self::Disconnected];

    /// Returns the label of the events of this kind on a page.
    pub fn label(self) -> &'static str {
        match self {
            Self::NeedsReconnecting => "A connection needs reconnecting",
            Self::Recovered => "A connection works again",
            Self::Created => "Connected",
            Self::Reconnected => "Reconnected",
            Self::Disconnected => "Disconnected",
            Self::WillExpireSoon => "A connection will expire soon",
            Self::CredentialsRefused => "Xero refuses the app",
            Self::CredentialsAccepted => "Xero accepts the app again",
            Self::Test => "A test",
        }
    }

    /// Returns whether an endpoint's choice of events can name the kind. A test is always sent.
    pub fn can_be_chosen(self) -> bool {
        self != Self::Test
    }

    /// Describes the event in a sentence. `tenant` is the name of the tenant that it concerns.
    pub fn sentence(self, tenant: Option<&str>) -> String {
        let tenant = tenant.unwrap_or("A connection");
        match self {
            Self::NeedsReconnecting => format!("{tenant} needs reconnecting to Xero."),
            Self::Recovered => format!("{tenant} is connected to Xero again."),
            Self::Created => format!("{tenant} was connected to Xero."),
            Self::Reconnected => format!("{tenant} was reconnected to Xero."),
            Self::Disconnected => format!("{tenant} was disconnected from Xero."),
            Self::WillExpireSoon => format!("{tenant} will lose its connection to Xero soon."),
            Self::CredentialsRefused => "Xero refuses Evergrant's app credentials.".to_owned(),
            Self::CredentialsAccepted => "Xero accepts Evergrant's app credentials again.".to_owned(),
            Self::Test => "This is a test. Nothing happened.".to_owned(),
        }
    }

    /// Says whether data is safe and what to do.
    pub fn advice(self) -> &'static str {
        match self {
            Self::NeedsReconnecting => "Your Xero data is safe. An owner or admin can reconnect it in the settings.",
            Self::WillExpireSoon => {
                "Its renewal keeps failing. Evergrant keeps trying; to be safe, reconnect before it expires."
            }
            Self::CredentialsRefused => {
                "Your connections are safe, but get no new tokens. Your Evergrant administrator needs to fix the Xero app's client ID and secret."
            }
            Self::Disconnected => "It gets no more tokens. An owner or admin can connect it again in the settings.",
            Self::Recovered | Self::Created | Self::Reconnected | Self::CredentialsAccepted | Self::Test => {
                "You don't need to do anything."
            }
        }
    }

    /// Returns whether people are notified of the event, by email and on the page.
    pub fn is_for_people(self) -> bool {
        !Self::FOR_PROGRAMS.contains(&self)
    }

    /// Returns whether the event counts as unread news. A test doesn't.
    pub fn counts_as_unread(self) -> bool {
        self.is_for_people() && self != Self::Test
    }

    /// Returns whether a person has to act.
    pub fn needs_action(self) -> bool {
        matches!(self, Self::NeedsReconnecting | Self::WillExpireSoon | Self::CredentialsRefused)
    }
}

/// What `/settings/notifications` shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NotificationsView {
    /// Whether the viewer may manage notifications.
    pub may_manage: bool,
    /// Channels that the operator's settings allow.
    pub ways: Channels,
    /// All members if the viewer may manage notifications, otherwise the viewer alone.
    pub recipients: Vec<RecipientView>,
    /// Webhook endpoints of the organization, oldest first.
    pub endpoints: Vec<EndpointView>,
    /// Time at which the view was created.
    pub as_of: i64,
}

/// Which channels the operator's settings allow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channels {
    /// Whether a mail server is configured.
    pub mail: bool,
    /// Whether webhooks may only go to this machine, as in sandbox mode.
    pub only_this_machine: bool,
}

/// A member, and whether they get notification emails.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecipientView {
    /// The member's id.
    pub user_id: UserId,
    /// Email address of the member.
    pub email: String,
    /// The member's role in the organization.
    pub role: Role,
    /// Whether the member gets notification emails.
    pub gets_mail: bool,
    /// Whether the member is the viewer.
    pub is_you: bool,
}

/// A webhook endpoint as its row shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndpointView {
    /// The endpoint's id.
    pub id: EndpointId,
    /// Complete if the viewer may manage notifications; otherwise without path and query, which may contain a secret.
    pub url: String,
    /// When the endpoint was added.
    pub created_at: i64,
    /// When the endpoint was disabled; `None` if it is enabled.
    pub disabled_at: Option<i64>,
    /// What disabled the endpoint; `None` if it is enabled.
    pub disabled_by: Option<DisabledBy>,
    /// Until when the previous secret also signs.
    pub previous_until: Option<i64>,
    /// The kinds of events that it gets; `None` for all, also those of later versions.
    pub events: Option<Vec<EventKind>>,
    /// The latest delivery.
    pub last: Option<DeliveryView>,
}

/// The delivery of an event to one receiver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeliveryView {
    /// Channel that the event is delivered through.
    pub channel: Channel,
    /// The endpoint's URL or the person's email address; absent if it was removed.
    pub receiver: Option<String>,
    /// State of the delivery.
    pub status: DeliveryStatus,
    /// Number of attempts made so far.
    pub attempts: i64,
    /// When the latest attempt ended; `None` before the first one.
    pub last_attempt_at: Option<i64>,
    /// When the next attempt is due; `None` if no more are planned.
    pub next_attempt_at: Option<i64>,
    /// HTTP status of the latest response; `None` if there was none.
    pub http_status: Option<i64>,
    /// Short description of the latest failure; `None` if the latest attempt succeeded or none was made.
    pub error: Option<String>,
}

/// An event, and who was notified.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventView {
    /// The event's id.
    pub id: EventId,
    /// What happened.
    pub kind: EventKind,
    /// Name of the tenant that it concerns; `None` if it concerns no single connection.
    pub tenant_name: Option<String>,
    /// When the connection ends if nothing changes; `None` if no end is foreseen.
    pub ends_at: Option<i64>,
    /// When the event occurred.
    pub occurred_at: i64,
    /// Whether the person hasn't marked it as read.
    pub is_new: bool,
    /// The event's deliveries, one for each receiver.
    pub deliveries: Vec<DeliveryView>,
}

/// What `/settings/notifications/deliveries` shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DeliveryLogView {
    /// URL of the webhook that the log is narrowed to; `None` if it has the deliveries of all.
    pub webhook: Option<String>,
    /// Newest first.
    pub deliveries: Vec<LoggedDeliveryView>,
    /// Time at which the view was created.
    pub as_of: i64,
}

/// A delivery to a webhook, with its last attempts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoggedDeliveryView {
    /// The delivery's id.
    pub id: DeliveryId,
    /// The event's id, which the receiver gets in every attempt.
    pub event_id: String,
    /// What happened; `None` if another version of Evergrant wrote the event.
    pub kind: Option<EventKind>,
    /// Name of the tenant that the event concerns.
    pub tenant_name: Option<String>,
    /// When the event occurred.
    pub occurred_at: i64,
    /// The webhook.
    pub endpoint: EndpointId,
    /// The webhook's URL.
    pub url: String,
    /// State of the delivery.
    pub status: DeliveryStatus,
    /// When the next attempt is due; `None` if no more are planned.
    pub next_attempt_at: Option<i64>,
    /// The last attempts, newest first.
    pub attempts: Vec<AttemptLogView>,
}

/// One attempt to deliver an event to a webhook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptLogView {
    /// When it ended.
    pub at: i64,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
    /// HTTP status of the response; `None` if there was none.
    pub http_status: Option<i64>,
    /// What failed; `None` if the event was delivered.
    pub error: Option<String>,
}
