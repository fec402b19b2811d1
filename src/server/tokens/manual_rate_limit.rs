//! Limits how often manual refreshes may bypass a grant's back-off. Counts attempts in the journal, so that the limit
//! holds across processes and restarts.

use crate::model::{GrantId, Trigger};
use crate::server::store::{Store, StoreError};

/// A span in seconds and the exchanges allowed within it.
const PER_MINUTE: (i64, i64) = (60, 6);
const PER_DAY: (i64, i64) = (24 * 60 * 60, 60);

/// Returns whether `trigger` may start one more exchange. Requests that join an exchange or find nothing due are not
/// counted. Manual and command-line refreshes are counted separately.
pub(super) async fn allow(store: &Store, grant: &GrantId, trigger: Trigger) -> Result<bool, StoreError> {
    let now = store.clock().now();
    for (span, most) in [PER_MINUTE, PER_DAY] {
        if store.count_attempts_since(grant, trigger, now - span).await? >= most {
            return Ok(false);
        }
    }
    Ok(true)
}
