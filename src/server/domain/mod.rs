//! Lifecycles and secrets: what the rest of the server speaks of. Never `Serialize`.

pub mod secret;

pub use secret::{AccessToken, RefreshToken, Secret, TokenSet};
