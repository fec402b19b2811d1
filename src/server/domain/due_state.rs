//! What decides whether a grant is due, without its tokens.

use serde::Deserialize;

use super::grant::Grant;
use super::token_times::TokenTimes;

/// The times of a grant and the state of its last exchange. Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct DueState {
    /// When the access token expires.
    pub expires_at: i64,
    /// When the refresh token was issued.
    pub refresh_token_issued_at: i64,
    /// When the last token set was received; `None` if that was not recorded.
    pub last_refreshed_at: Option<i64>,
    /// Consecutive failed exchanges.
    pub failure_count: i64,
    /// When the latest lease ends or ended; `None` if no exchange is claimed.
    pub lease_until: Option<i64>,
    /// When the refresh token of this generation was sent; `None` if its reply can't have been lost.
    pub reply_lost_at: Option<i64>,
    /// By when the current token has to be used, if another exchange may have ended it.
    pub prove_by: Option<i64>,
}

impl DueState {
    /// Returns when the tokens were received and when they end.
    pub fn token_times(&self) -> TokenTimes {
        TokenTimes {
            expires_at: self.expires_at,
            refresh_token_issued_at: self.refresh_token_issued_at,
            received_at: self.last_refreshed_at.unwrap_or(self.refresh_token_issued_at),
        }
    }
}

impl From<&Grant> for DueState {
    fn from(grant: &Grant) -> Self {
        Self {
            expires_at: grant.expires_at,
            refresh_token_issued_at: grant.refresh_token_issued_at,
            last_refreshed_at: grant.last_refreshed_at,
            failure_count: grant.failure_count,
            lease_until: grant.lease.as_ref().map(|lease| lease.until),
            reply_lost_at: grant.reply_lost_at,
            prove_by: grant.prove_by,
        }
    }
}
