//! Secrets: types without `Debug`, `Display`, `Serialize` and `Clone`, zeroed on drop, readable only by `expose`.

use secrecy::{ExposeSecret, SecretString};

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub struct $name(SecretString);

        impl $name {
            /// Wraps the text.
            pub fn new(text: impl Into<String>) -> Self {
                Self(SecretString::from(text.into()))
            }

            /// Returns the text. Call it only on the line that sends, seals or hashes it.
            pub fn expose(&self) -> &str {
                self.0.expose_secret()
            }
        }
    };
}

secret!(
    /// Gives access to Xero's API for thirty minutes.
    AccessToken
);
secret!(
    /// Is exchanged for the next token set, once.
    RefreshToken
);
secret!(
    /// Authenticates one of an organization's programs at Evergrant's API.
    ApiKey
);
secret!(
    /// Any other secret: the app's client secret, an authorization code, a PKCE verifier, a password.
    Secret
);

/// The tokens that Xero issues at a consent or a refresh.
pub struct TokenSet {
    /// The token that authorizes calls to Xero's API.
    pub access_token: AccessToken,
    /// The token that is exchanged for the next token set.
    pub refresh_token: RefreshToken,
    /// Unix seconds at which the access token expires.
    pub expires_at: i64,
    /// The granted scopes, separated by spaces.
    pub scopes: String,
}
