//! What becomes of an exchange's token set: committed, outlasted, or kept until the database takes it. Never dropped.

use std::sync::Arc;
use std::time::Duration;

use super::exchange::{Flight, LOOK_AGAIN};
use super::outcome::{Failed, Landed};
use super::service::Shared;
use super::spool::Kept;
use crate::model::{AttemptId, GrantId, GrantStatus};
use crate::server::domain::{Grant, SealedRotation, TokenSet};
use crate::server::store::{AttemptEnd, StoreError};
use crate::server::xero::Exchanged;

/// How long after a failed commit it is tried again, doubling from the first to the second.
const COMMIT_AGAIN: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

impl Flight {
    pub(super) async fn commit(
        &self,
        held: &Grant,
        attempt: &AttemptId,
        exchanged: Exchanged,
    ) -> Result<Landed, StoreError> {
        let Exchanged { tokens, correlation_id, status } = exchanged;
        let end = AttemptEnd { outcome: "refreshed", error_code: None, http_status: Some(status), correlation_id };
        let rotation = self.seal(held, &tokens).await;
        let kept = Kept { rotation, attempt: attempt.clone(), end };
        match self.shared.store.commit_rotation(&kept.rotation, &self.owner, attempt, &kept.end).await {
            Ok(true) => {
                self.count("refreshed");
                tracing::info!(grant = %held.id, generation = held.generation + 1, trigger = self.ask.trigger.as_str(), "refreshed");
                Ok(Landed::Exchanged)
            }
            Ok(false) => {
                self.fenced();
                self.outlast(held, &kept).await
            }
            Err(error) => {
                self.count("kept");
                Ok(self.keep(&kept, &error))
            }
        }
    }

    /// The lease went to another holder, so that one's exchange counts, and ours is let go once the generation has
    /// moved. Until then ours may be the only successor in anybody's hands: the other may die before it has sent the
    /// spent token again, or send it past its grace. Where its lease ends without a new generation, ours is put in
    /// place.
    pub(super) async fn outlast(&self, held: &Grant, kept: &Kept) -> Result<Landed, StoreError> {
        let store = &self.shared.store;
        loop {
            let row = match store.grant(&held.id).await {
                Ok(row) => row,
                Err(error) => return Ok(self.keep(kept, &error)),
            };
            let as_we_left_it = |row: &Grant| row.generation == held.generation && row.status != GrantStatus::Revoked;
            let Some(row) = row.filter(as_we_left_it) else {
                tracing::warn!(grant = %held.id, generation = held.generation, "an exchange was overtaken; its token set is let go");
                return Ok(Landed::Adopted);
            };
            if row.lease.is_none_or(|lease| lease.until <= store.clock().now()) {
                break;
            }
            tokio::select! {
                // The next start replays it, unless the other has moved the generation by then.
                () = self.shared.stopping.cancelled() => {
                    self.spool(kept);
                    return Ok(Landed::Failed(Failed::busy()));
                }
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
        self.spool(kept);
        match self.shared.spool.replay(&held.id, store).await {
            Ok(true) => Ok(Landed::Exchanged),
            Ok(false) => Ok(Landed::Adopted),
            Err(error) => Ok(self.keep(kept, &error)),
        }
    }

    /// The database didn't take a token set: it goes to the spool, and is tried again for as long as we live.
    pub(super) fn keep(&self, kept: &Kept, error: &StoreError) -> Landed {
        tracing::error!(grant = %self.id, %error, "a token set couldn't be committed; it is kept and tried again");
        self.shared.metrics.kept();
        self.spool(kept);
        self.shared.tasks.spawn(commit_later(Arc::clone(&self.shared), self.id.clone()));
        Landed::Failed(Failed::internal())
    }

    fn spool(&self, kept: &Kept) {
        if let Err(error) = self.shared.spool.keep(kept) {
            tracing::error!(grant = %self.id, %error, "the token set is kept in memory alone");
        }
    }

    /// Sealing needs nothing but random bytes; should the system give none, it is asked until it does, for the
    /// token in hand is the only one that counts.
    pub(super) async fn seal(&self, held: &Grant, tokens: &TokenSet) -> SealedRotation {
        loop {
            match self.shared.store.seal_rotation(held, tokens) {
                Ok(rotation) => return rotation,
                Err(error) => {
                    tracing::error!(grant = %held.id, %error, "a token set couldn't be sealed; trying again");
                    tokio::time::sleep(COMMIT_AGAIN.0).await;
                }
            }
        }
    }
}

/// Tries to put a kept successor in place until its row takes it or has moved on.
async fn commit_later(shared: Arc<Shared>, grant: GrantId) {
    let mut pause = COMMIT_AGAIN.0;
    loop {
        tokio::select! {
            // At shutdown the spool on disk has it, and the next start replays it.
            () = shared.stopping.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        if shared.spool.replay(&grant, &shared.store).await.is_ok() {
            return;
        }
        pause = (pause * 2).min(COMMIT_AGAIN.1);
    }
}
