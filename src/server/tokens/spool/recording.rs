//! Records in the audit log what was committed from the spool. The log never holds up a token set: an event that cannot be
//! written waits in memory, and is written with the next replay.

use super::{Spool, SpooledRotation};
use crate::server::store::{Store, bounded};

impl Spool {
    /// Records a committed rotation. Called before its file is removed, so that a crash in between records it at the next
    /// start.
    pub(super) async fn record_commit(&self, spooled: &SpooledRotation, store: &Store) {
        let (grant, attempt) = (&spooled.rotation.grant_id, &spooled.attempt);
        if let Err(error) = bounded(store.record_recovered_grant(grant, attempt)).await {
            tracing::error!(%grant, %attempt, %error, "failed to record a committed spooled rotation, will retry");
            self.state.lock().unrecorded.insert((grant.clone(), attempt.clone()));
        }
    }

    /// Records what could not be recorded earlier.
    pub(super) async fn record_earlier_commits(&self, store: &Store) {
        let waiting = self.state.lock().unrecorded.clone();
        for (grant, attempt) in waiting {
            // The error was logged when the rotation was committed.
            if bounded(store.record_recovered_grant(&grant, &attempt)).await.is_err() {
                return;
            }
            self.state.lock().unrecorded.remove(&(grant, attempt));
        }
    }
}
