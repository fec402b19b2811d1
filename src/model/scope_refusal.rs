//! What Xero said when it refused the scopes of a consent, as one of a few causes.

use serde::{Deserialize, Serialize};

use super::text_enum::str_enum;

str_enum!(
    /// Why Xero refused the scopes of a consent.
    ScopeRefusalCause {
        /// "Requested wrong apps scopes": they belong to apps of another generation.
        WrongAppScopes = "wrong_app_scopes",
        /// Xero knows no such scope.
        InvalidScope = "invalid_scope",
        /// The app may not ask for the scope.
        NotAllowed = "not_allowed",
        /// Xero named scopes, and no cause that is known.
        Other = "other",
    }
);

impl ScopeRefusalCause {
    /// Returns what Xero said, after "Xero said that".
    pub fn text(self) -> &'static str {
        match self {
            Self::WrongAppScopes => "these are scopes of another kind of app",
            Self::InvalidScope => "a scope is not valid",
            Self::NotAllowed => "the app is not allowed to ask for a scope",
            Self::Other => "something is wrong with the scopes",
        }
    }
}

/// Xero's last refusal of the configured scopes, as owners and admins see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScopeRefusalView {
    /// When Xero refused them, in unix seconds.
    pub at: i64,
    /// What Xero said.
    pub cause: ScopeRefusalCause,
    /// The scopes that it can be about: those that Xero named, otherwise all beyond the smallest set.
    pub scopes: Vec<String>,
    /// What a connection with the least access can't do, a sentence for each scope; `None` if none may begin with it.
    pub least_access_lacks: Option<Vec<String>>,
}
