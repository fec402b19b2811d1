//! Lifecycles and secrets: what the rest of the server speaks of. Never `Serialize`.

mod audit;
mod binding;
mod ended;
mod grant;
mod plan;
mod retry_after;
pub mod secret;

pub use audit::{Actor, AuditEvent};
pub use binding::{Binding, Seen, Tenant};
pub use ended::Ended;
pub use grant::{
    Consent, GRACE, Grant, GrantCounts, Lease, OutboxCounts, REFRESH_TOKEN_LIFE, SealedRotation, SealedTokens,
};
pub use plan::{Due, KeepHot, Plan};
pub use retry_after::retry_after;
pub use secret::{AccessToken, ApiKey, RefreshToken, Secret, TokenSet};
