//! One flight of one grant: lease, re-read, journal, open, exchange, seal, fenced commit, release.

mod rescue;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::clicks;
use super::outcome::{Ask, Failed, Landed};
use super::policy::{Wait, cannot_wait, grace_left, lost_after, lost_at, next_try};
use super::service::Shared;
use crate::model::{AttemptId, GrantId, GrantStatus, Trigger};
use crate::server::domain::{Grant, RefreshToken, SealedRotation, TokenSet};
use crate::server::store::{AttemptEnd, Failure, NewAttempt, StoreError};
use crate::server::xero::{Asker, ErrorKind, Exchanged, Pass, Resting, XeroError};

pub(super) use self::rescue::rescue;
pub use self::rescue::{RescueError, Rescued};

/// How often a loser of the lease looks whether the generation has moved.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How long a claimed grant that couldn't fly is left alone, in seconds.
pub(super) const COME_AGAIN: i64 = 10;
/// How long after a failed commit it is tried again, doubling from the first to the second.
const COMMIT_AGAIN: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// Brings one grant up to date, or finds out why not. Runs in a task of its own.
pub(super) async fn fly(shared: Arc<Shared>, id: GrantId, ask: Ask) -> Landed {
    // Never used twice, so that a late holder can't pass for a new one.
    let owner = uuid::Uuid::new_v4().to_string();
    let flight = Flight { shared, id, ask, owner };
    flight.landed(flight.run().await)
}

/// The same for a due grant whose lease was taken for us, as soon as the attempt is journalled.
pub(super) async fn fly_claimed(
    shared: Arc<Shared>,
    held: Grant,
    owner: String,
    pass: Pass,
    journalled: oneshot::Receiver<AttemptId>,
) -> Landed {
    let flight = Flight { shared, id: held.id.clone(), ask: Ask::automatic(Trigger::Sweep), owner };
    flight.landed(match journalled.await {
        Ok(attempt) => flight.exchange(&held, &attempt, pass).await,
        // The journal failed, and whoever wrote it has logged why.
        Err(_) => flight.give_back(&held).await,
    })
}

struct Flight {
    shared: Arc<Shared>,
    id: GrantId,
    ask: Ask,
    owner: String,
}

impl Flight {
    fn landed(&self, landed: Result<Landed, StoreError>) -> Landed {
        landed.unwrap_or_else(|error| {
            tracing::error!(grant = %self.id, %error, "a refresh failed on our side");
            Landed::Failed(Failed::internal())
        })
    }

    async fn run(&self) -> Result<Landed, StoreError> {
        let store = &self.shared.store;
        // A successor that a broken database kept us from committing is newer than any row.
        self.shared.spool.replay(&self.id, store).await?;
        let first = match self.look().await? {
            Ok(grant) => grant,
            Err(landed) => return Ok(landed),
        };
        let _place = self.shared.lanes.enter(&first.org_id).await;
        // It may have been a while until there was a place.
        let first = match self.look().await? {
            Ok(grant) => grant,
            Err(landed) => return Ok(landed),
        };
        let patience = tokio::time::Instant::now() + self.shared.policy.wait_limit;
        loop {
            let until = self.shared.policy.lease_until(store.clock().now());
            if let Some(held) = store.take_lease(&self.id, &self.owner, until).await? {
                // Somebody may have exchanged between our look and our lease.
                if let Some(landed) = self.settled(&first, &held) {
                    store.release_lease(&held, &self.owner).await?;
                    return Ok(landed);
                }
                // Others may have found out meanwhile that Xero doesn't answer.
                return match self.shared.xero.breaker().admit(self.asker(&held)) {
                    Ok(pass) => {
                        let attempt = self.begin(&held).await?;
                        self.exchange(&held, &attempt, pass).await
                    }
                    Err(resting) => {
                        store.release_lease(&held, &self.owner).await?;
                        Ok(Landed::Failed(self.resting(&held, &resting)))
                    }
                };
            }
            tokio::time::sleep(LOOK_AGAIN).await;
            let Some(now) = store.grant(&self.id).await? else { return Ok(Landed::Failed(Failed::gone())) };
            if let Some(landed) = self.settled(&first, &now) {
                return Ok(landed);
            }
            if tokio::time::Instant::now() >= patience {
                return Ok(Landed::Failed(Failed::busy()));
            }
        }
    }

    /// The row as it is, where it calls for an exchange now; else how that ends the flight.
    async fn look(&self) -> Result<Result<Grant, Landed>, StoreError> {
        let Some(grant) = self.shared.store.grant(&self.id).await? else {
            return Ok(Err(Landed::Failed(Failed::gone())));
        };
        if let Some(landed) = self.settled(&grant, &grant) {
            return Ok(Err(landed));
        }
        Ok(match self.kept_waiting(&grant).await? {
            Some(failed) => Err(Landed::Failed(failed)),
            None => Ok(grant),
        })
    }

    /// Why nothing is sent for now, where that is so: the grant's own back-off, a provider at rest, too many clicks.
    async fn kept_waiting(&self, grant: &Grant) -> Result<Option<Failed>, StoreError> {
        let store = &self.shared.store;
        let now = store.clock().now();
        let own = grant.next_attempt_at.filter(|next| *next > now && !self.ask.is_a_click());
        if let Some(next) = own {
            return Ok(Some(Failed::waiting(grant.last_error.as_deref(), next)));
        }
        if let Err(resting) = self.shared.xero.breaker().look(self.asker(grant)) {
            return Ok(Some(self.resting(grant, &resting)));
        }
        let too_many = self.ask.is_a_click() && !clicks::allow(store, &self.id, self.ask.trigger).await?;
        Ok(too_many.then(|| Failed::too_many_clicks(grant.next_attempt_at)))
    }

    /// With what right this flight asks the breaker.
    fn asker(&self, grant: &Grant) -> Asker {
        let now = self.shared.store.clock().now();
        if cannot_wait(lost_at(grant, self.shared.policy.lease_seconds(), now), now) {
            Asker::CannotWait
        } else if self.ask.is_a_click() {
            Asker::Person
        } else {
            Asker::Automatic
        }
    }

    fn resting(&self, grant: &Grant, resting: &Resting) -> Failed {
        let now = self.shared.store.clock().now();
        let lost_at = lost_at(grant, self.shared.policy.lease_seconds(), now);
        Failed::resting(resting, next_try(resting.until, lost_at, now))
    }

    /// Whether the row answers the ask without an exchange of ours; `first` is how we found it.
    fn settled(&self, first: &Grant, now: &Grant) -> Option<Landed> {
        match now.status {
            GrantStatus::RefreshFailed => return Some(Landed::Failed(Failed::reconnect())),
            GrantStatus::Revoked => return Some(Landed::Failed(Failed::gone())),
            GrantStatus::Active => {}
        }
        if now.generation > first.generation {
            return Some(Landed::Adopted);
        }
        // The one we waited for failed: its result is ours too.
        if now.failure_count > first.failure_count
            && let Some(next) = now.next_attempt_at
        {
            return Some(Landed::Failed(Failed::waiting(now.last_error.as_deref(), next)));
        }
        let clock = self.shared.store.clock().now();
        let too_short = now.expires_at - clock < self.ask.min_ttl;
        let due = self.ask.even_if_fresh || too_short || self.shared.policy.needs_refresh(now, clock);
        if due { None } else { Some(Landed::Fresh) }
    }

    async fn give_back(&self, held: &Grant) -> Result<Landed, StoreError> {
        let until = self.shared.store.clock().now() + COME_AGAIN;
        self.shared.store.postpone_lease(held, &self.owner, until).await?;
        Ok(Landed::Failed(Failed::internal()))
    }

    async fn begin(&self, held: &Grant) -> Result<AttemptId, StoreError> {
        let new = NewAttempt {
            grant_id: &held.id,
            generation: held.generation,
            trigger: self.ask.trigger,
            actor: self.ask.actor.as_deref(),
        };
        self.shared.store.begin_attempt(&new).await
    }

    async fn exchange(&self, held: &Grant, attempt: &AttemptId, pass: Pass) -> Result<Landed, StoreError> {
        let store = &self.shared.store;
        let (sent, lost_at) = (store.clock().now(), held.reply_lost_at);
        let token = match store.open_refresh(held) {
            Ok(token) => token,
            Err(error) => {
                tracing::error!(grant = %held.id, %error, "a refresh token doesn't open");
                let end = AttemptEnd {
                    outcome: "operator",
                    error_code: Some("sealed".to_owned()),
                    http_status: None,
                    trace_id: None,
                };
                let failed = Failed::internal();
                let next_attempt_at = self.next_attempt(held, None, lost_at);
                let failure = Failure { error: &failed.message, next_attempt_at, reply_lost_at: lost_at };
                store.record_failure(held, &self.owner, &failure, attempt, &end).await?;
                return Ok(Landed::Failed(failed));
            }
        };
        match self.ask_xero(held, &token, pass).await {
            Ok(exchanged) => self.commit(held, attempt, exchanged).await,
            Err(error) => self.note(held, attempt, &error, lost_after(error.reply(), lost_at, sent)).await,
        }
    }

    /// The exchange itself, with the lease renewed for as long as it runs. No connection is held meanwhile.
    async fn ask_xero(&self, held: &Grant, token: &RefreshToken, pass: Pass) -> Result<Exchanged, XeroError> {
        let exchange = self.shared.xero.refresh_tokens(token, pass);
        tokio::pin!(exchange);
        let pause = (self.shared.policy.lease_ttl / 3).max(Duration::from_millis(50));
        let mut ours = true;
        loop {
            tokio::select! {
                answer = &mut exchange => return answer,
                () = tokio::time::sleep(pause), if ours => {
                    let until = self.shared.policy.lease_until(self.shared.store.clock().now());
                    match self.shared.store.renew_lease(held, &self.owner, until).await {
                        Ok(still) => ours = still,
                        // The fence decides in the end; a lease we couldn't renew is only a lease at risk.
                        Err(error) => tracing::warn!(grant = %held.id, %error, "a lease could not be renewed"),
                    }
                }
            }
        }
    }

    async fn commit(&self, held: &Grant, attempt: &AttemptId, exchanged: Exchanged) -> Result<Landed, StoreError> {
        let Exchanged { tokens, correlation_id, status } = exchanged;
        let end =
            AttemptEnd { outcome: "refreshed", error_code: None, http_status: Some(status), trace_id: correlation_id };
        let rotation = self.seal(held, &tokens).await;
        match self.shared.store.commit_rotation(&rotation, &self.owner, attempt, &end).await {
            Ok(true) => {
                tracing::info!(grant = %held.id, generation = held.generation + 1, trigger = self.ask.trigger.as_str(), "refreshed");
                Ok(Landed::Exchanged)
            }
            Ok(false) => self.outlast(held, &rotation).await,
            Err(error) => Ok(self.keep(&rotation, &error)),
        }
    }

    /// The lease went to another holder, so that one's exchange counts, and ours is let go once the generation has
    /// moved. Until then ours may be the only successor in anybody's hands: the other may die before it has sent the
    /// spent token again, or send it past its grace. Where its lease ends without a new generation, ours is put in
    /// place.
    async fn outlast(&self, held: &Grant, rotation: &SealedRotation) -> Result<Landed, StoreError> {
        let store = &self.shared.store;
        loop {
            let row = match store.grant(&held.id).await {
                Ok(row) => row,
                Err(error) => return Ok(self.keep(rotation, &error)),
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
                    self.spool(rotation);
                    return Ok(Landed::Failed(Failed::busy()));
                }
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
        self.spool(rotation);
        match self.shared.spool.replay(&held.id, store).await {
            Ok(true) => Ok(Landed::Exchanged),
            Ok(false) => Ok(Landed::Adopted),
            Err(error) => Ok(self.keep(rotation, &error)),
        }
    }

    /// The database didn't take a token set: it goes to the spool, and is tried again for as long as we live.
    fn keep(&self, rotation: &SealedRotation, error: &StoreError) -> Landed {
        tracing::error!(grant = %self.id, %error, "a token set couldn't be committed; it is kept and tried again");
        self.spool(rotation);
        self.shared.tasks.spawn(commit_later(Arc::clone(&self.shared), self.id.clone()));
        Landed::Failed(Failed::internal())
    }

    fn spool(&self, rotation: &SealedRotation) {
        if let Err(error) = self.shared.spool.keep(rotation) {
            tracing::error!(grant = %self.id, %error, "the token set is kept in memory alone");
        }
    }

    /// Sealing needs nothing but random bytes; should the system give none, it is asked until it does, for the
    /// token in hand is the only one that counts.
    async fn seal(&self, held: &Grant, tokens: &TokenSet) -> SealedRotation {
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

    async fn note(
        &self,
        held: &Grant,
        attempt: &AttemptId,
        error: &XeroError,
        reply_lost_at: Option<i64>,
    ) -> Result<Landed, StoreError> {
        let store = &self.shared.store;
        let end = |outcome| AttemptEnd {
            outcome,
            error_code: Some(error.evidence_code().to_owned()),
            http_status: error.status,
            trace_id: error.correlation_id.clone(),
        };
        if error.kind == ErrorKind::Reconnect {
            let failed = Failed::reconnect();
            let counted = store.fail_grant(held, &self.owner, &failed.message, attempt, &end("reconnect")).await?;
            if !counted {
                tracing::info!(grant = %held.id, generation = held.generation, "an invalid_grant came for a generation that had moved on");
                return Ok(Landed::Adopted);
            }
            tracing::warn!(grant = %held.id, generation = held.generation, trace_id = error.correlation_id.as_deref(), "Xero ended a grant");
            return Ok(Landed::Failed(failed));
        }
        let outcome = if error.kind == ErrorKind::Operator { "operator" } else { "transient" };
        let failed = Failed::by_xero(error, self.next_attempt(held, error.retry_after, reply_lost_at));
        tracing::warn!(
            grant = %held.id, code = error.evidence_code(), status = error.status,
            trace_id = error.correlation_id.as_deref(), next_attempt_at = failed.next_attempt_at, "a refresh failed"
        );
        let failure = Failure {
            error: &failed.message,
            next_attempt_at: failed.next_attempt_at.unwrap_or(store.clock().now()),
            reply_lost_at,
        };
        if store.record_failure(held, &self.owner, &failure, attempt, &end(outcome)).await? {
            Ok(Landed::Failed(failed))
        } else {
            Ok(Landed::Adopted)
        }
    }

    fn next_attempt(&self, held: &Grant, retry_after: Option<Duration>, lost_at: Option<i64>) -> i64 {
        let now = self.shared.store.clock().now();
        let grace_left = grace_left(lost_at, now);
        Wait { failures: held.failure_count, retry_after, grace_left, chance: rand::random() }.until(now)
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
