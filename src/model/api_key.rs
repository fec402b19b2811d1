//! API keys as the pages and the API describe them. The key itself is never in here.

use serde::{Deserialize, Serialize};

use super::ApiKeyId;
use super::text_enum::str_enum;

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
    /// Whether the key is accepted now.
    pub status: ApiKeyStatus,
    /// Email address of the person who created it; absent if the command line did.
    pub created_by: Option<String>,
    /// Unix seconds at which the key was created.
    pub created_at: i64,
    /// Unix seconds at which the key expires; `None` if it never does.
    pub expires_at: Option<i64>,
    /// Unix seconds of the last use, accurate to a minute; `None` if it was never used.
    pub last_used_at: Option<i64>,
    /// Unix seconds at which the key was revoked; `None` if it was not.
    pub revoked_at: Option<i64>,
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
}
