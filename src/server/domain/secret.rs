//! Secrets: without `Debug`, `Display`, `Serialize` and `Clone`, zeroed when dropped, opened only by `expose`.

use secrecy::{ExposeSecret, SecretString};

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub struct $name(SecretString);

        impl $name {
            pub fn new(text: impl Into<String>) -> Self {
                Self(SecretString::from(text.into()))
            }

            /// The text itself. Call it only on the line that sends, seals or hashes it.
            pub fn expose(&self) -> &str {
                self.0.expose_secret()
            }
        }
    };
}

secret!(
    /// Opens Xero's API for thirty minutes.
    AccessToken
);
secret!(
    /// Buys the next token set, once.
    RefreshToken
);
secret!(
    /// Opens the API for one of an organisation's programs.
    ApiKey
);
secret!(
    /// Any other secret: the app's client secret, an authorization code, a PKCE verifier, a password.
    Secret
);

/// What Xero hands out at a consent or a refresh.
pub struct TokenSet {
    pub access_token: AccessToken,
    pub refresh_token: RefreshToken,
    /// Unix seconds at which the access token ends.
    pub expires_at: i64,
    /// Space separated, as granted.
    pub scopes: String,
}
