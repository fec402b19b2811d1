//! API keys as the pages and the API describe them. The key itself is never in here.

use serde::{Deserialize, Serialize};

use super::text_enum::str_enum;
use super::{ApiKeyId, BindingId};

str_enum!(
    /// A permission of an API key.
    Scope {
        /// List the organization's connections.
        BindingsRead = "bindings:read",
        /// Label, refresh and disconnect connections.
        BindingsWrite = "bindings:write",
        /// Get the connections' access tokens.
        TokensRead = "tokens:read",
        /// Read the events of the connections.
        EventsRead = "events:read",
        /// Read from Xero through Evergrant: GET and HEAD.
        XeroRead = "xero:read",
        /// Change data in Xero through Evergrant: every other method.
        XeroWrite = "xero:write",
        /// Import refresh tokens from another system.
        ImportWrite = "import:write",
        /// Create, read and cancel connect links.
        LinksWrite = "links:write",
    }
);

str_enum!(
    /// Lifetime of a new key.
    #[derive(Default)]
    ApiKeyLifetime {
        Month = "30d",
        #[default]
        Quarter = "90d",
        Year = "365d",
        NoExpiry = "never",
    }
);

str_enum!(
    /// How long the old secret works after a rotation.
    #[derive(Default)]
    KeyOverlap {
        None = "0",
        Hour = "1h",
        #[default]
        Day = "24h",
        ThreeDays = "3d",
        Week = "7d",
    }
);

str_enum!(
    /// Whether a key opens all connections or chosen ones.
    #[derive(Default)]
    KeyReach {
        /// Those that are chosen. The default, so that a form without an answer widens nothing.
        #[default]
        Chosen = "chosen",
        /// All, also later ones.
        All = "all",
    }
);

str_enum!(
    /// Whether a key is accepted.
    ApiKeyStatus {
        Active = "active",
        Expired = "expired",
        Revoked = "revoked",
    }
);

/// What `/settings/api-keys` shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApiKeysView {
    /// The organization's name.
    pub organisation: String,
    /// Newest first, including those that were revoked recently.
    pub keys: Vec<ApiKeyView>,
    /// The connections that a key can be limited to.
    pub connections: Vec<KeyConnection>,
    /// Base URL for programs, such as `https://evergrant.example.com`.
    pub origin: String,
    /// Unix seconds at which this view was created.
    pub as_of: i64,
}

/// A key as its organization's owners and admins see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeyView {
    /// The key's id, by which it is revoked.
    pub id: ApiKeyId,
    /// The name that its creator gave the key.
    pub name: String,
    /// The key's first characters.
    pub prefix: String,
    /// What the key may do.
    pub scopes: Vec<Scope>,
    /// The only connections that the key opens; `None` if it opens all.
    pub connections: Option<Vec<KeyConnection>>,
    /// Whether the key is accepted now.
    pub status: ApiKeyStatus,
    /// Email address of the person who created it; absent if the command line did.
    pub created_by: Option<String>,
    /// Unix seconds at which the key was created.
    pub created_at: i64,
    /// Unix seconds at which its secret was last replaced; `None` if it never was.
    pub rotated_at: Option<i64>,
    /// Unix seconds at which the key expires; `None` if it never does.
    pub expires_at: Option<i64>,
    /// The last use of its secret.
    pub last_use: KeyUseView,
    /// The secret before the last rotation, while it still works.
    pub previous: Option<PreviousKeyView>,
    /// Unix seconds at which the key was revoked; `None` if it was not.
    pub revoked_at: Option<i64>,
}

/// The last use of a key's secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyUseView {
    /// Unix seconds, accurate to a minute; `None` if it was never used.
    pub at: Option<i64>,
    /// The address of the client.
    pub from: Option<String>,
    /// The first word of the client's user agent.
    pub agent: Option<String>,
}

/// The secret that a rotation replaced and that still works.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PreviousKeyView {
    /// Its first characters.
    pub prefix: String,
    /// Unix seconds at which it ends.
    pub ends_at: i64,
    /// Its last use.
    pub last_use: KeyUseView,
}

/// A connection that a key may be limited to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyConnection {
    /// The connection's id.
    pub id: BindingId,
    /// The tenant's name.
    pub name: String,
}

impl Scope {
    /// Returns the scope's label on a page.
    pub fn label(self) -> &'static str {
        match self {
            Self::BindingsRead => "List connections",
            Self::BindingsWrite => "Label, refresh and disconnect connections",
            Self::TokensRead => "Get access tokens",
            Self::EventsRead => "Read events",
            Self::XeroRead => "Read from Xero",
            Self::XeroWrite => "Change data in Xero",
            Self::ImportWrite => "Import connections",
            Self::LinksWrite => "Create connect links",
        }
    }

    /// Joins scopes with spaces, as rows and responses store them.
    pub fn join(scopes: &[Self]) -> String {
        scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ")
    }

    /// Parses joined scopes. Unknown ones are left out and so permit nothing.
    pub fn split(text: &str) -> Vec<Self> {
        text.split(' ').filter_map(Self::parse).collect()
    }
}

impl ApiKeyLifetime {
    /// Returns the lifetime's label on a page.
    pub fn label(self) -> &'static str {
        match self {
            Self::Month => "30 days",
            Self::Quarter => "90 days",
            Self::Year => "365 days",
            Self::NoExpiry => "Never",
        }
    }

    /// Returns the lifetime in seconds; `None` if the key never expires.
    pub fn seconds(self) -> Option<i64> {
        const DAY: i64 = 24 * 60 * 60;
        match self {
            Self::Month => Some(30 * DAY),
            Self::Quarter => Some(90 * DAY),
            Self::Year => Some(365 * DAY),
            Self::NoExpiry => None,
        }
    }
}

impl KeyOverlap {
    /// Returns the overlap's label on a page.
    pub fn label(self) -> &'static str {
        match self {
            Self::None => "Not at all: it ends at once",
            Self::Hour => "1 hour",
            Self::Day => "24 hours",
            Self::ThreeDays => "3 days",
            Self::Week => "7 days",
        }
    }

    /// Returns the overlap in seconds.
    pub fn seconds(self) -> i64 {
        const HOUR: i64 = 60 * 60;
        match self {
            Self::None => 0,
            Self::Hour => HOUR,
            Self::Day => 24 * HOUR,
            Self::ThreeDays => 3 * 24 * HOUR,
            Self::Week => 7 * 24 * HOUR,
        }
    }
}

impl KeyUseView {
    /// Returns who used the key, as "203.0.113.7, curl/8.5.0".
    pub fn by(&self) -> String {
        [self.from.as_deref(), self.agent.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

impl ApiKeyStatus {
    /// Returns a key's status at the time `now`, in unix seconds.
    pub fn at(now: i64, expires_at: Option<i64>, revoked_at: Option<i64>) -> Self {
        match (revoked_at, expires_at) {
            (Some(_), _) => Self::Revoked,
            (None, Some(end)) if end <= now => Self::Expired,
            (None, _) => Self::Active,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_survive_a_round_trip_and_unknown_ones_are_dropped() {
        assert_eq!(Scope::split(&Scope::join(Scope::ALL)), Scope::ALL);
        assert_eq!(Scope::split("tokens:read tokens:write"), [Scope::TokensRead]);
        assert_eq!(Scope::split(""), []);
    }

    #[test]
    fn key_is_active_until_the_second_it_expires() {
        assert_eq!(ApiKeyStatus::at(9, Some(10), None), ApiKeyStatus::Active);
        assert_eq!(ApiKeyStatus::at(10, Some(10), None), ApiKeyStatus::Expired);
        assert_eq!(ApiKeyStatus::at(10, None, None), ApiKeyStatus::Active);
        assert_eq!(ApiKeyStatus::at(10, Some(5), Some(3)), ApiKeyStatus::Revoked);
    }

    #[test]
    fn lifetimes_and_overlaps_last_as_long_as_their_labels_say() {
        let seconds = |label: &str| {
            let (number, unit) = label.split_once(' ').unwrap();
            let unit = if unit.starts_with("day") { 86_400 } else { 3_600 };
            number.parse::<i64>().ok().map(|number| number * unit)
        };
        for lifetime in [ApiKeyLifetime::Month, ApiKeyLifetime::Quarter, ApiKeyLifetime::Year] {
            assert_eq!(lifetime.seconds(), seconds(lifetime.label()), "{lifetime:?}");
        }
        assert_eq!(ApiKeyLifetime::NoExpiry.seconds(), None);
        for overlap in [KeyOverlap::Hour, KeyOverlap::Day, KeyOverlap::ThreeDays, KeyOverlap::Week] {
            assert_eq!(Some(overlap.seconds()), seconds(overlap.label()), "{overlap:?}");
        }
        assert_eq!(KeyOverlap::None.seconds(), 0);
    }
}
