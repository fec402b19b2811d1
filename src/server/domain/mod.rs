//! Domain types of the server: grants, bindings, secrets, planning, audit. They never leave the server as JSON.

mod app_identity;
mod attempt;
mod audit;
mod binding;
mod connection_list;
mod due_state;
mod grant;
mod grant_end;
mod import;
pub mod labels;
pub mod lost_reply;
pub mod name_order;
mod plan;
pub mod refusal;
mod retry_after;
pub mod return_url;
pub mod secret;
mod stored_time;
mod time_zone;
mod token_times;
mod xero_user;

pub use app_identity::{AppIdentity, SANDBOX_ISSUER};
pub use attempt::{AttemptEnd, FailureClass, FaultScope, PriorAttempt, RequestSent, RotationRisk, first_unanswered_at};
pub use audit::{Actor, AuditEvent, COMMAND_LINE};
pub use binding::{Binding, RemoteConnection, Tenant};
pub use connection_list::{BoundConnection, CONFIRM_MISSING_AFTER, ListedChange, ListedChangeKind, Listing};
pub use due_state::DueState;
pub use grant::{
    Consent, Grant, GrantCounts, Lease, OutboxCounts, Predecessor, SealedRotation, SealedToken, SealedTokens,
    XERO_REPLAY_WINDOW,
};
pub use grant_end::GrantEnd;
pub use import::{ImportReport, ImportRow};
pub use plan::{DueTimes, KeepHot, Plan};
pub use retry_after::parse_retry_after;
pub use secret::{AccessToken, ApiKey, RefreshToken, Secret, TokenSet};
pub use stored_time::{CLOCK_TOLERANCE, LONGEST_BACKOFF, MAX_LEASE, is_plausible, latest_plausible, plausible_or_now};
pub use time_zone::time_zone;
pub use token_times::{ACCESS_TOKEN_LIFETIME, REFRESH_TOKEN_LIFETIME, TokenTimes};
pub use xero_user::XeroUserName;
