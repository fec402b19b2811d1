//! Claims due grants for the sweeper and lets them fly.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::oneshot;
use tracing::Instrument as _;

use super::exchange::{COME_AGAIN, fly_claimed};
use super::outcome::{Failed, Landed};
use super::policy::{cannot_wait, next_try};
use super::service::TokenService;
use crate::model::{AttemptId, Trigger};
use crate::server::domain::Grant;
use crate::server::store::{NewAttempt, StoreError, Wanted};
use crate::server::traces;
use crate::server::xero::Asker;

/// A flight that waits for its attempt: the grant, its trace, and where to tell.
type Begun = (Grant, Option<String>, oneshot::Sender<AttemptId>);

impl TokenService {
    /// Plans every grant by the settings as they are now. Returns how many were planned otherwise.
    pub async fn plan_all(&self) -> Result<u64, StoreError> {
        self.shared.store.plan_all().await
    }

    /// Claims at most so many due grants, lost replies before all others, and starts their flights. Whoever asks for
    /// one of them meanwhile joins its flight; one that somebody's flight is about already is given back. The number
    /// is how many were claimed: none means that nothing is due. While Xero rests, only what can't wait is come for.
    pub async fn start_due(&self, limit: usize) -> Result<(usize, Vec<BoxFuture<'static, Landed>>), StoreError> {
        let store = &self.shared.store;
        // One for the batch: no lease of another claim has it, which is what the fence asks.
        let owner = uuid::Uuid::new_v4().to_string();
        let until = self.shared.policy.lease_until(store.clock().now());
        // Grants that fail by themselves would keep a provider at rest that is well: the probe is one that didn't.
        let mut claimed = match self.shared.xero.breaker().wants_probe() {
            true => store.claim_due(Wanted::Well, 1, &owner, until).await?,
            false => Vec::new(),
        };
        claimed.extend(store.claim_due(Wanted::Lost, limit - claimed.len(), &owner, until).await?);
        if claimed.len() < limit && self.provider_rests_until().is_none() {
            claimed.extend(store.claim_due(Wanted::Any, limit - claimed.len(), &owner, until).await?);
        }
        let (mut flights, mut started) = (Vec::new(), Vec::new());
        let number = claimed.len();
        for held in claimed {
            let now = store.clock().now();
            let asker = if cannot_wait(held.reply_lost_at, now) { Asker::CannotWait } else { Asker::Automatic };
            let pass = match self.shared.xero.breaker().admit(asker) {
                Ok(pass) => pass,
                Err(resting) => {
                    let until = next_try(resting.until, held.reply_lost_at, now);
                    store.postpone_lease(&held, &owner, until).await?;
                    continue;
                }
            };
            let (tell, told) = oneshot::channel();
            let mut trace_id = None;
            let flight = if self.shared.spool.keeps(&held.id) {
                None
            } else {
                self.flights.start(&held.id, || {
                    let span = traces::exchange(&held.id, Trigger::Sweep);
                    trace_id = traces::id_of(&span);
                    fly_claimed(Arc::clone(&self.shared), held.clone(), owner.clone(), pass, told).instrument(span)
                })
            };
            match flight {
                Some(flight) => {
                    let died = || Landed::Failed(Failed::internal());
                    flights.push(flight.map(move |landed| landed.unwrap_or_else(died)).boxed());
                    started.push((held, trace_id, tell));
                }
                None => store.postpone_lease(&held, &owner, store.clock().now() + COME_AGAIN).await?,
            }
        }
        self.journal(started).await;
        Ok((number, flights))
    }

    /// Tells each flight its attempt. Where the journal can't be written they give their leases back.
    async fn journal(&self, started: Vec<Begun>) {
        let new: Vec<NewAttempt<'_>> = started
            .iter()
            .map(|(held, trace_id, _)| NewAttempt {
                grant_id: &held.id,
                generation: held.generation,
                trigger: Trigger::Sweep,
                actor: None,
                trace_id: trace_id.as_deref(),
            })
            .collect();
        match self.shared.store.begin_attempts(&new).await {
            Ok(attempts) => {
                for ((.., tell), attempt) in started.into_iter().zip(attempts) {
                    // A flight that has died by now has been logged.
                    _ = tell.send(attempt);
                }
            }
            Err(error) => tracing::error!(%error, "a sweep's attempts couldn't be journalled"),
        }
    }
}
