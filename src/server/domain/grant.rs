//! A grant as its row says it, without its tokens in the clear.

use serde::{Deserialize, Serialize};

use crate::model::{GrantId, GrantStatus, OrgId};

/// One Xero user's consent: the token set that a refresh rotates.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    pub id: GrantId,
    pub org_id: OrgId,
    /// Empty where Xero's access token carried no such claim.
    pub xero_user_id: String,
    pub auth_event_id: String,
    pub scopes: String,
    pub sealed: SealedTokens,
    /// Unix seconds at which the access token ends.
    pub expires_at: i64,
    /// Unix seconds at which the refresh token came; it lives sixty days from then if unused (Xero's FAQ).
    pub refresh_token_issued_at: i64,
    pub status: GrantStatus,
    /// Committed rotations so far. Part of what the tokens are sealed with, and of every fence.
    pub generation: i64,
    pub lease: Option<Lease>,
    /// Failed exchanges since the last one that worked.
    pub failure_count: i64,
    /// Before this, automatic triggers leave the grant alone.
    pub next_attempt_at: Option<i64>,
    pub last_error: Option<String>,
    pub last_refreshed_at: Option<i64>,
    /// When somebody's work last needed it; within a minute.
    pub last_used_at: Option<i64>,
    /// When the last request for this generation left whose reply may have been lost.
    pub reply_lost_at: Option<i64>,
}

/// Grants that haven't been given up, by how they do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GrantCounts {
    pub active: i64,
    /// Active too, but the last exchange failed.
    pub failing: i64,
    pub needs_reauth: i64,
    /// Unix seconds at which the oldest refresh token of an active one was issued.
    pub oldest_issued_at: Option<i64>,
}

/// What waits to be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxCounts {
    /// Events whose receivers haven't been looked for.
    pub untold: i64,
    /// Deliveries that wait for a try.
    pub pending: i64,
    /// Unix seconds at which the first of those is to be tried.
    pub due_since: Option<i64>,
}

/// Both tokens as the database keeps them. `Debug` shows ciphertext only by its presence.
#[derive(Clone, PartialEq)]
pub struct SealedTokens {
    pub access: String,
    pub refresh: String,
}

impl std::fmt::Debug for SealedTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealedTokens")
    }
}

/// A successor that Xero has handed out, sealed for the generation it will be, until its row says so.
#[derive(Clone, Debug, PartialEq)]
pub struct SealedRotation {
    pub grant_id: GrantId,
    /// The generation whose refresh token was exchanged; the successor is sealed for the next one.
    pub from_generation: i64,
    pub sealed: SealedTokens,
    pub scopes: String,
    pub expires_at: i64,
    pub refresh_token_issued_at: i64,
    /// Whose consent it is, where that may be another than the row says.
    pub consent: Option<Consent>,
}

/// Whose consent a token set comes from, by its access token's claims.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Consent {
    pub xero_user_id: String,
    pub auth_event_id: String,
}

/// The right to exchange one grant's refresh token.
#[derive(Clone, Debug, PartialEq)]
pub struct Lease {
    /// One flight in one process: never reused, so that a late holder can't pass for a new one.
    pub owner: String,
    /// Unix seconds.
    pub until: i64,
}

impl Lease {
    pub fn is_held(&self, now: i64) -> bool {
        self.until > now
    }
}

/// How long Xero honours a refresh token after it has been exchanged, for a client that got no reply (Xero's FAQ).
pub const GRACE: i64 = 30 * 60;

/// Xero ends an unused refresh token after sixty days (Xero's OAuth FAQ).
pub const REFRESH_TOKEN_LIFE: i64 = 60 * 24 * 60 * 60;
