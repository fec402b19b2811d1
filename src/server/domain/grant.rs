//! A grant and its parts. The tokens are sealed.

use serde::{Deserialize, Serialize};

use super::app_identity::AppIdentity;
use super::due_state::DueState;
use super::grant_end::GrantEnd;
use super::token_times::TokenTimes;
use crate::model::{FailureCause, GrantId, GrantStatus, OrgId};

/// One Xero user's consent, with the token set that a refresh rotates.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// Id of the grant.
    pub id: GrantId,
    /// Organization that owns the grant.
    pub org_id: OrgId,
    /// The app and the provider that issued the tokens.
    pub app: AppIdentity,
    /// Empty if Xero's access token had no such claim.
    pub xero_user_id: String,
    /// Xero's `authentication_event_id`; empty if the access token had no such claim.
    pub auth_event_id: String,
    /// Granted scopes, separated by spaces; empty if Xero sent none.
    pub scopes: String,
    /// Current token set, sealed for `generation`.
    pub sealed: SealedTokens,
    /// Unix seconds at which the access token expires.
    pub expires_at: i64,
    /// Unix seconds at which the refresh token was issued. Unused, it lives sixty days (Xero's FAQ).
    pub refresh_token_issued_at: i64,
    /// Whether the grant is active, failed or revoked.
    pub status: GrantStatus,
    /// The number of committed rotations. Part of every fence and of the tokens' associated data.
    pub generation: i64,
    /// Latest lease, which may have expired; `None` if no exchange is claimed.
    pub lease: Option<Lease>,
    /// Consecutive failed exchanges.
    pub failure_count: i64,
    /// Unix seconds before which automatic triggers skip the grant.
    pub next_attempt_at: Option<i64>,
    /// Message of the last failed exchange; `None` once an exchange succeeded.
    pub last_error: Option<String>,
    /// Cause of the last failed exchange, if the grant is active and the row says it.
    pub last_failure: Option<FailureCause>,
    /// Unix seconds of the last new token set; `None` if none was recorded.
    pub last_refreshed_at: Option<i64>,
    /// Unix seconds of the last use, to within a minute.
    pub last_used_at: Option<i64>,
    /// Unix seconds at which the refresh token of this generation was sent; `None` if its reply can't have been lost.
    pub reply_lost_at: Option<i64>,
    /// Unix seconds at which Xero first refused the current generation, while that refusal is not believed yet.
    pub refused_at: Option<i64>,
    /// The refresh token that was exchanged for the current one.
    pub predecessor: Option<Predecessor>,
    /// Unix seconds by which the current token has to be used, because another exchange of its predecessor may have ended
    /// it. Later, the predecessor is of no help any more.
    pub prove_by: Option<i64>,
    /// Unix seconds at which the refresh token was exported to another system, which refreshes it since then.
    pub exported_at: Option<i64>,
}

/// A spent refresh token, which Xero exchanges again within its replay window. When that ends is not stored: the clock that
/// it would be reckoned with may be wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Predecessor {
    /// The sealed token.
    pub sealed: SealedToken,
    /// The generation that it is sealed for.
    pub generation: i64,
}

impl Grant {
    /// Returns when the tokens were received and when they end.
    pub fn token_times(&self) -> TokenTimes {
        DueState::from(self).token_times()
    }

    /// Returns the message for people why the grant has ended, if it has.
    pub fn end_message(&self) -> &str {
        GrantEnd::message_of(self.exported_at, self.last_error.as_deref())
    }

    /// Returns the current refresh token as the predecessor of the one that it was exchanged for.
    pub fn as_predecessor(&self) -> Predecessor {
        Predecessor { sealed: SealedToken(self.sealed.refresh.clone()), generation: self.generation }
    }
}

#[cfg(test)]
impl Grant {
    /// Returns an active grant without lease or failures.
    pub fn for_test(expires_at: i64, refresh_token_issued_at: i64) -> Self {
        Self {
            id: "g".into(),
            org_id: "o".into(),
            app: AppIdentity::sandbox(),
            xero_user_id: String::new(),
            auth_event_id: String::new(),
            scopes: String::new(),
            sealed: SealedTokens { access: String::new(), refresh: String::new() },
            expires_at,
            refresh_token_issued_at,
            status: GrantStatus::Active,
            generation: 0,
            lease: None,
            failure_count: 0,
            next_attempt_at: None,
            last_error: None,
            last_failure: None,
            last_refreshed_at: None,
            last_used_at: None,
            reply_lost_at: None,
            refused_at: None,
            predecessor: None,
            prove_by: None,
            exported_at: None,
        }
    }
}

/// The number of grants by state, without the revoked ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GrantCounts {
    /// Active, and the last exchange did not fail.
    pub active: i64,
    /// Active, but the last exchange failed.
    pub failing: i64,
    /// Refused by Xero; only a new consent helps. Without those that were exported.
    pub needs_reauth: i64,
    /// Active, and refused by Xero, but the refusal is not believed yet. Counted as failing, too.
    pub refused: i64,
    /// Unix seconds at which the oldest refresh token of an active grant was issued.
    pub oldest_issued_at: Option<i64>,
}

/// The number of undelivered notifications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxCounts {
    /// Events without deliveries yet.
    pub undispatched: i64,
    /// Deliveries that wait for an attempt.
    pub pending: i64,
    /// Unix seconds at which the first pending delivery is due.
    pub due_since: Option<i64>,
}

/// Both tokens as the database stores them. `Debug` does not show the ciphertext.
#[derive(Clone, PartialEq)]
pub struct SealedTokens {
    /// Sealed access token.
    pub access: String,
    /// Sealed refresh token.
    pub refresh: String,
}

impl std::fmt::Debug for SealedTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealedTokens")
    }
}

/// One token as the database stores it. `Debug` does not show the ciphertext.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct SealedToken(pub String);

impl std::fmt::Debug for SealedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealedToken")
    }
}

/// A new token set from Xero, sealed for the next generation, before it is committed.
#[derive(Clone, Debug, PartialEq)]
pub struct SealedRotation {
    /// Grant that the tokens belong to.
    pub grant_id: GrantId,
    /// The generation whose refresh token was exchanged. The tokens are sealed for the next one.
    pub from_generation: i64,
    /// Tokens sealed for the generation after `from_generation`.
    pub sealed: SealedTokens,
    /// Granted scopes, separated by spaces; empty if Xero sent none.
    pub scopes: String,
    /// Unix seconds at which the access token expires.
    pub expires_at: i64,
    /// Unix seconds at which the refresh token was issued. Earlier than `received_at` if Xero's response had none, so that
    /// the one that was sent is kept.
    pub refresh_token_issued_at: i64,
    /// Unix seconds at which the response was received.
    pub received_at: i64,
    /// The id of the database that has the grant; `None` if it is not known.
    pub database_id: Option<String>,
    /// The consent that the tokens come from, if it may differ from the row's.
    pub consent: Option<Consent>,
    /// The token that was exchanged; `None` if it is not known.
    pub predecessor: Option<Predecessor>,
}

/// The consent that a token set comes from, according to its access token's claims.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Consent {
    /// Xero's id of the user who consented.
    pub xero_user_id: String,
    /// Xero's `authentication_event_id` of the consent.
    pub auth_event_id: String,
}

/// The right to exchange one grant's refresh token.
#[derive(Clone, Debug, PartialEq)]
pub struct Lease {
    /// Identifies one exchange or one claim. Never reused, so that a late holder cannot be mistaken for a new one.
    pub owner: String,
    /// Unix seconds at which the lease expires.
    pub until: i64,
}

impl Lease {
    /// Returns whether the lease has not expired.
    pub fn is_held(&self, now: i64) -> bool {
        self.until > now
    }
}

/// How many seconds after an exchange Xero still accepts the old refresh token, for a client that got no reply (Xero's
/// FAQ).
pub const XERO_REPLAY_WINDOW: i64 = 30 * 60;
