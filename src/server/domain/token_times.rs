//! How long tokens last, and when a grant's were received. Times are in seconds.

/// The lifetime of Xero's access tokens in seconds (Xero's OAuth documentation). None lives longer.
pub const ACCESS_TOKEN_LIFETIME: i64 = 30 * 60;
/// The lifetime of an unused refresh token in seconds (Xero's OAuth FAQ).
pub const REFRESH_TOKEN_LIFETIME: i64 = 60 * DAY;

const DAY: i64 = 24 * 60 * 60;
/// How many seconds later a refresh token is due again that is too old, but was kept at the last exchange.
const KEPT_TOKEN_RETRY: i64 = DAY;

/// When a grant's tokens were received and when they end. Unix seconds.
#[derive(Clone, Copy, Debug)]
pub struct TokenTimes {
    /// When the access token expires.
    pub expires_at: i64,
    /// When the refresh token was issued.
    pub refresh_token_issued_at: i64,
    /// When the access token was received. Later than `refresh_token_issued_at` if the response had no new refresh token.
    pub received_at: i64,
}

impl TokenTimes {
    /// Returns the times of two tokens that were received together.
    pub fn received(received_at: i64, expires_at: i64) -> Self {
        Self { expires_at, refresh_token_issued_at: received_at, received_at }
    }

    /// Returns when the refresh token is older than `roll_after` seconds, or is to be tried again because it was kept
    /// since.
    pub fn roll_at(&self, roll_after: i64) -> i64 {
        (self.refresh_token_issued_at + roll_after).max(self.received_at + KEPT_TOKEN_RETRY.min(roll_after))
    }
}
