//! One flight of one grant: lease, re-read, journal, open, exchange, seal, fenced commit, release.

mod rescue;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::clicks;
use super::outcome::{Ask, Failed, Landed};
use super::policy::{Wait, cannot_wait, grace_left, lost_after, lost_at, next_try, unanswered_since};
use super::service::Shared;
use crate::model::{AttemptId, GrantId, GrantStatus, Trigger};
use crate::server::domain::{Ended, Grant, RefreshToken};
use crate::server::metrics::Metrics;
use crate::server::store::{AttemptEnd, Failure, NewAttempt, StoreError};
use crate::server::traces;
use crate::server::xero::{Asker, ErrorKind, Exchanged, Pass, Resting, XeroError};

pub(super) use self::rescue::rescue;
pub use self::rescue::{RescueError, Rescued};

/// How often a loser of the lease looks whether the generation has moved.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How long a claimed grant that couldn't fly is left alone, in seconds.
pub(super) const COME_AGAIN: i64 = 10;

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

/// How long a lease of somebody else's was waited for, counted when that ends.
struct Waited<'a> {
    since: Instant,
    metrics: &'a Metrics,
}

impl Drop for Waited<'_> {
    fn drop(&mut self) {
        self.metrics.waited_for_a_lease(self.since.elapsed());
    }
}

pub(super) struct Flight {
    pub(super) shared: Arc<Shared>,
    pub(super) id: GrantId,
    pub(super) ask: Ask,
    pub(super) owner: String,
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
        let patience = Instant::now() + self.shared.policy.wait_limit;
        let mut waited = None;
        loop {
            let until = self.shared.policy.lease_until(store.clock().now());
            if let Some(held) = store.take_lease(&self.id, &self.owner, until).await? {
                // Somebody may have exchanged between our look and our lease.
                if let Some(landed) = self.settled(&first, &held) {
                    store.release_lease(&held, &self.owner).await?;
                    return Ok(landed);
                }
                drop(waited);
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
            waited.get_or_insert_with(|| Waited { since: Instant::now(), metrics: &self.shared.metrics });
            tokio::time::sleep(LOOK_AGAIN).await;
            let Some(now) = store.grant(&self.id).await? else { return Ok(Landed::Failed(Failed::gone())) };
            if let Some(landed) = self.settled(&first, &now) {
                return Ok(landed);
            }
            if Instant::now() >= patience {
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
            GrantStatus::RefreshFailed => return Some(Landed::Failed(Failed::reconnect(now.last_error.as_deref()))),
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
        let trace_id = traces::current_id();
        let new = NewAttempt {
            grant_id: &held.id,
            generation: held.generation,
            trigger: self.ask.trigger,
            actor: self.ask.actor.as_deref(),
            trace_id: trace_id.as_deref(),
        };
        let begun = self.shared.store.begin_attempt(&new).await;
        if begun.is_err() {
            // Nothing was sent, so nobody has to wait. Where this fails too, the lease ends by itself.
            _ = self.give_back(held).await;
        }
        begun
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
                    correlation_id: None,
                };
                let failed = Failed::internal();
                let next_attempt_at = self.next_attempt(held, None, lost_at);
                let failure = Failure { error: &failed.message, next_attempt_at, reply_lost_at: lost_at };
                store.record_failure(held, &self.owner, &failure, attempt, &end).await?;
                return Ok(Landed::Failed(failed));
            }
        };
        let asked = Instant::now();
        let answer = self.ask_xero(held, &token, pass).await;
        self.shared.metrics.answered_after(asked.elapsed());
        match answer {
            Ok(exchanged) => self.commit(held, attempt, exchanged).await,
            Err(error) => self.note(held, attempt, &error, sent, lost_after(error.reply(), lost_at, sent)).await,
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

    pub(super) fn count(&self, outcome: &'static str) {
        self.shared.metrics.exchanged(self.ask.trigger, outcome);
    }

    /// The fence refused what an exchange brought.
    pub(super) fn fenced(&self) {
        self.count("superseded");
        self.shared.metrics.fenced();
    }

    async fn note(
        &self,
        held: &Grant,
        attempt: &AttemptId,
        error: &XeroError,
        sent_at: i64,
        reply_lost_at: Option<i64>,
    ) -> Result<Landed, StoreError> {
        let store = &self.shared.store;
        let end = |outcome| AttemptEnd {
            outcome,
            error_code: Some(error.evidence_code().to_owned()),
            http_status: error.status,
            correlation_id: error.correlation_id.clone(),
        };
        if error.kind == ErrorKind::Reconnect {
            let since = unanswered_since(&store.earlier_tries(held, attempt).await?);
            let ended = Ended::judge(held, sent_at, since);
            let failed = Failed::reconnect(Some(ended.sentence()));
            let end = AttemptEnd { error_code: Some(ended.code().to_owned()), ..end("reconnect") };
            let counted = store.fail_grant(held, &self.owner, &failed.message, attempt, &end).await?;
            if !counted {
                self.fenced();
                tracing::info!(grant = %held.id, generation = held.generation, "an invalid_grant came for a generation that had moved on");
                return Ok(Landed::Adopted);
            }
            self.count("reconnect");
            tracing::warn!(grant = %held.id, generation = held.generation, code = ended.code(), correlation_id = error.correlation_id.as_deref(), "Xero ended a grant");
            return Ok(Landed::Failed(failed));
        }
        let outcome = if error.kind == ErrorKind::Operator { "operator" } else { "transient" };
        let failed = Failed::by_xero(error, self.next_attempt(held, error.retry_after, reply_lost_at));
        tracing::warn!(
            grant = %held.id, code = error.evidence_code(), status = error.status,
            correlation_id = error.correlation_id.as_deref(), next_attempt_at = failed.next_attempt_at, "a refresh failed"
        );
        let failure = Failure {
            error: &failed.message,
            next_attempt_at: failed.next_attempt_at.unwrap_or(store.clock().now()),
            reply_lost_at,
        };
        if store.record_failure(held, &self.owner, &failure, attempt, &end(outcome)).await? {
            self.count(outcome);
            Ok(Landed::Failed(failed))
        } else {
            self.fenced();
            Ok(Landed::Adopted)
        }
    }

    fn next_attempt(&self, held: &Grant, retry_after: Option<Duration>, lost_at: Option<i64>) -> i64 {
        let now = self.shared.store.clock().now();
        let grace_left = grace_left(lost_at, now);
        Wait { failures: held.failure_count, retry_after, grace_left, chance: rand::random() }.until(now)
    }
}
