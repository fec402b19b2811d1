//! Makes grants due whose times no rule could have written: the clock that wrote them was wrong, or was set back since.

use crate::server::domain::{LONGEST_BACKOFF, MAX_LEASE, REFRESH_TOKEN_LIFETIME, latest_plausible};
use crate::server::store::{Store, StoreError};

/// Each search uses an index. A grant that was received in the future keeps its back-off if its exchange failed since.
const MAKE_DUE: &str = "UPDATE integration_grants SET due_at = $1, \
    lease_until = CASE WHEN lease_until > $3 THEN $1 ELSE lease_until END, \
    next_attempt_at = CASE WHEN next_attempt_at > $4 THEN $1 ELSE next_attempt_at END \
    WHERE status = 'active' AND id IN (\
    SELECT id FROM integration_grants WHERE status = 'active' AND issuer = $6 AND client_id = $7 \
    AND last_refreshed_at > $2 AND due_at > $1 AND failure_count = 0 AND lease_owner IS NULL \
    UNION SELECT id FROM integration_grants WHERE status = 'active' AND issuer = $6 AND client_id = $7 \
    AND (failure_count > 0 OR lease_owner IS NOT NULL OR reply_lost_at IS NOT NULL) \
    AND (due_at > $4 OR lease_until > $3) \
    UNION SELECT id FROM integration_grants WHERE status = 'active' AND issuer = $6 AND client_id = $7 \
    AND due_at > $5)";

impl Store {
    /// Makes this app's active grants due whose tokens were received in the future, or whose lease, back-off or due time is further
    /// ahead than any rule sets it. Returns how many.
    pub async fn make_implausible_grants_due(&self) -> Result<u64, StoreError> {
        let now = self.clock.now();
        let done = sqlx::query(MAKE_DUE)
            .bind(now)
            .bind(latest_plausible(0, now))
            .bind(latest_plausible(MAX_LEASE, now))
            .bind(latest_plausible(LONGEST_BACKOFF, now))
            .bind(latest_plausible(REFRESH_TOKEN_LIFETIME, now))
            .bind(&self.app.issuer)
            .bind(&self.app.client_id)
            .execute(self.pool())
            .await?;
        Ok(done.rows_affected())
    }
}
