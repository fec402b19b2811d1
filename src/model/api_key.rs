//! An organisation's API keys, as pages and the API speak of them. The key itself is nowhere here.

use serde::{Deserialize, Serialize};

use super::ApiKeyId;
use super::status::spelt;

spelt!(
    /// What a key may do.
    Scope {
        /// List the organisation's connections.
        BindingsRead = "bindings:read",
        /// Have their access tokens.
        TokensRead = "tokens:read",
    }
);

spelt!(
    /// How long a new key is to count.
    #[derive(Default)]
    KeyLife {
        Month = "30d",
        #[default]
        Quarter = "90d",
        Year = "365d",
        Forever = "never",
    }
);

spelt!(
    /// Whether a key counts.
    KeyStatus {
        Active = "active",
        Expired = "expired",
        Revoked = "revoked",
    }
);

spelt!(
    /// What came of a form on `/settings/api-keys`.
    ApiKeyNotice {
        Created = "key-created",
        Revoked = "key-revoked",
        NoName = "key-no-name",
        NoScope = "key-no-scope",
        TooMany = "key-too-many",
        /// Another organisation's, or revoked meanwhile.
        NoSuchKey = "key-missing",
        NotAllowed = "keys-not-allowed",
    }
);

/// What `/settings/api-keys` shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApiKeysView {
    pub organisation: String,
    /// Newest first, those too that were revoked a short while ago.
    pub keys: Vec<ApiKeyView>,
    /// Where programs ask, as `https://evergrant.example.com`.
    pub origin: String,
    pub as_of: i64,
}

/// A key as its organisation's owners and admins see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeyView {
    pub id: ApiKeyId,
    pub name: String,
    /// Its first letters.
    pub prefix: String,
    pub scopes: Vec<Scope>,
    pub status: KeyStatus,
    /// The address of the person who made it; an operator's command has none.
    pub created_by: Option<String>,
    pub created_at: i64,
    pub expires_at: Option<i64>,
    pub last_used_at: Option<i64>,
    pub revoked_at: Option<i64>,
}

impl Scope {
    /// What a key of this scope may do, on a page.
    pub fn words(self) -> &'static str {
        match self {
            Self::BindingsRead => "List connections",
            Self::TokensRead => "Take access tokens",
        }
    }

    /// As rows and answers keep several.
    pub fn join(scopes: &[Self]) -> String {
        scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ")
    }

    /// The other way round; a word that is none of ours opens nothing.
    pub fn split(text: &str) -> Vec<Self> {
        text.split(' ').filter_map(Self::parse).collect()
    }
}

impl KeyLife {
    /// What it is called on a page.
    pub fn words(self) -> &'static str {
        match self {
            Self::Month => "30 days",
            Self::Quarter => "90 days",
            Self::Year => "365 days",
            Self::Forever => "No end",
        }
    }

    /// In seconds.
    pub fn seconds(self) -> Option<i64> {
        const DAY: i64 = 24 * 60 * 60;
        match self {
            Self::Month => Some(30 * DAY),
            Self::Quarter => Some(90 * DAY),
            Self::Year => Some(365 * DAY),
            Self::Forever => None,
        }
    }
}

impl KeyStatus {
    /// A key's at this moment.
    pub fn at(now: i64, expires_at: Option<i64>, revoked_at: Option<i64>) -> Self {
        match (revoked_at, expires_at) {
            (Some(_), _) => Self::Revoked,
            (None, Some(end)) if end <= now => Self::Expired,
            (None, _) => Self::Active,
        }
    }
}

impl ApiKeyNotice {
    pub fn is_good(self) -> bool {
        matches!(self, Self::Created | Self::Revoked)
    }

    pub fn text(self) -> &'static str {
        match self {
            Self::Created => "The API key is made. Copy it now: it is shown this once.",
            Self::Revoked => "The API key is revoked. Whatever asks with it is refused from now on.",
            Self::NoName => "Nothing was made: give the key a name of at most 100 letters.",
            Self::NoScope => "Nothing was made: choose at least one thing that the key may do.",
            Self::TooMany => "There are a hundred API keys already. Revoke one that isn't used any more first.",
            Self::NoSuchKey => "That API key isn't in this organisation, or was revoked already.",
            Self::NotAllowed => "Only owners and admins see and change API keys. Ask one of them.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_survive_their_row_and_an_unknown_one_opens_nothing() {
        assert_eq!(Scope::split(&Scope::join(Scope::ALL)), Scope::ALL);
        assert_eq!(Scope::split("tokens:read tokens:write"), [Scope::TokensRead]);
        assert_eq!(Scope::split(""), []);
    }

    #[test]
    fn a_key_counts_until_the_second_it_expires_at() {
        assert_eq!(KeyStatus::at(9, Some(10), None), KeyStatus::Active);
        assert_eq!(KeyStatus::at(10, Some(10), None), KeyStatus::Expired);
        assert_eq!(KeyStatus::at(10, None, None), KeyStatus::Active);
        assert_eq!(KeyStatus::at(10, Some(5), Some(3)), KeyStatus::Revoked);
    }
}
