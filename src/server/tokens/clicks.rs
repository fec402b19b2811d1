//! How often people's clicks may pass a grant's back-off: counted in the journal, so that every process and every
//! restart knows.

use crate::model::{GrantId, Trigger};
use crate::server::store::{Store, StoreError};

/// Enough for anybody who reads the answer in between: seconds, and how many exchanges in them.
const A_MINUTE: (i64, i64) = (60, 6);
const A_DAY: (i64, i64) = (24 * 60 * 60, 60);

/// Whether one more exchange may be set off by a click. Joining a flight, or finding nothing due, isn't counted; an
/// operator's commands are counted apart from people's clicks.
pub(super) async fn allow(store: &Store, grant: &GrantId, trigger: Trigger) -> Result<bool, StoreError> {
    let now = store.clock().now();
    for (span, most) in [A_MINUTE, A_DAY] {
        if store.tries_since(grant, trigger, now - span).await? >= most {
            return Ok(false);
        }
    }
    Ok(true)
}
