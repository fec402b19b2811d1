//! Which app at which provider a grant's tokens belong to.

use evergrant_sandbox::SANDBOX_CLIENT_ID;

/// The issuer of every token of a sandbox, whatever its address.
pub const SANDBOX_ISSUER: &str = "sandbox";

/// An OAuth app at a provider. A grant's tokens are sent only to the app and the provider that issued them: any other
/// answers `invalid_grant` (RFC 6749, 5.2), as for a token that no longer works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppIdentity {
    /// The app's client id.
    pub client_id: String,
    /// The identity server's base URL without a trailing slash, or `SANDBOX_ISSUER`.
    pub issuer: String,
}

impl AppIdentity {
    /// Returns the app of the sandbox that is part of the server.
    pub fn sandbox() -> Self {
        Self { client_id: SANDBOX_CLIENT_ID.to_owned(), issuer: SANDBOX_ISSUER.to_owned() }
    }

    /// Returns whether it is the app with this client id at this provider.
    pub fn is(&self, client_id: &str, issuer: &str) -> bool {
        (self.client_id.as_str(), self.issuer.as_str()) == (client_id, issuer)
    }

    /// Returns the message for people about a grant whose tokens this app issued, if it is not the configured one.
    pub fn foreign_message(&self) -> String {
        format!(
            "This connection belongs to {self}, which isn't the app that Evergrant uses now. Your connection is safe. Your \
             Evergrant administrator needs to fix this, or reconnect to use the new app."
        )
    }

    /// Returns whether a sandbox issued the tokens.
    pub fn is_sandbox(&self) -> bool {
        self.issuer == SANDBOX_ISSUER
    }
}

impl std::fmt::Display for AppIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_sandbox() {
            write!(f, "the sandbox")
        } else {
            write!(f, "the Xero app {} at {}", self.client_id, self.issuer)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_names_the_app_that_issued_the_tokens() {
        let sandbox = AppIdentity::sandbox();
        assert!(sandbox.is_sandbox() && sandbox.foreign_message().contains("belongs to the sandbox,"));
        // A client id alone does not make a sandbox's tokens.
        let app = AppIdentity { issuer: "https://identity.xero.com".to_owned(), ..sandbox };
        let named = format!("belongs to the Xero app {SANDBOX_CLIENT_ID} at https://identity.xero.com,");
        assert!(!app.is_sandbox() && app.foreign_message().contains(&named), "{}", app.foreign_message());
    }
}
