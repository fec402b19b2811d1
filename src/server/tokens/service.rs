//! `TokenService`: what pages, the API and programs call to have fresh tokens.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::exchange::{RescueError, Rescued, fly, rescue};
use super::flight::Flights;
use super::lanes::Lanes;
use super::outcome::{Ask, Failed, Landed};
use super::policy::{Policy, is_still_valid};
use super::spool::Spool;
use super::vend::LONGEST_TTL;
use crate::model::{BindingError, BindingId, BindingStatus, GrantId, OrgId, RefreshReport};
use crate::server::domain::{Grant, RefreshToken};
use crate::server::metrics::Metrics;
use crate::server::store::{Bound, Store, StoreError};
use crate::server::traces;
use crate::server::xero::{Asker, XeroClient};

/// How often a running server looks whether something waits in its spool's folder.
const TEND: Duration = Duration::from_secs(1);

/// Keeps grants fresh. Cheap to clone; clones share their flights.
#[derive(Clone)]
pub struct TokenService {
    pub(super) shared: Arc<Shared>,
    pub(super) flights: Arc<Flights<Landed>>,
}

/// What every flight needs.
pub(super) struct Shared {
    pub store: Store,
    pub xero: XeroClient,
    pub policy: Policy,
    pub spool: Spool,
    pub lanes: Lanes,
    pub metrics: Metrics,
    /// What shutdown waits for.
    pub tasks: TaskTracker,
    /// Told when shutdown begins: flights go on, retries of commits leave it to the spool.
    pub stopping: CancellationToken,
}

/// Why no token could be had.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// No such binding in this organisation.
    #[error("no such connection in this organisation")]
    NotFound,
    /// Disconnected, or waiting for a person to reconnect.
    #[error("{0}")]
    NotConnected(String),
    /// The grant is due and couldn't be refreshed, and its token has ended.
    #[error("{}", .0.message)]
    NotFresh(Failed),
    /// The token is valid, but not for as long as was asked, and couldn't be refreshed.
    #[error("{}The access token has {left} seconds left; {min_ttl} were asked for.", prefix(.failed.as_ref()))]
    TooShort {
        left: i64,
        min_ttl: i64,
        /// Absent where Xero has just given it and gives no longer ones.
        failed: Option<Failed>,
    },
    /// Longer than Xero's tokens live, or no time at all.
    #[error("min_ttl is {0} seconds; Xero's access tokens live 30 minutes, so it can be from 0 to {LONGEST_TTL}")]
    NoSuchTtl(i64),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl TokenError {
    /// Unix seconds of the next automatic try, where waiting for it can help.
    pub fn next_attempt_at(&self) -> Option<i64> {
        match self {
            Self::NotFresh(failed) | Self::TooShort { failed: Some(failed), .. } => failed.next_attempt_at,
            _ => None,
        }
    }
}

fn prefix(failed: Option<&Failed>) -> String {
    failed.map_or_else(String::new, |failed| format!("{} ", failed.message))
}

impl TokenService {
    pub fn new(
        store: Store,
        xero: XeroClient,
        policy: Policy,
        spool: Spool,
        tasks: TaskTracker,
        stopping: CancellationToken,
    ) -> Self {
        let flights = Arc::new(Flights::new(tasks.clone()));
        let (lanes, metrics) = (Lanes::new(policy.at_once), Metrics::default());
        Self { shared: Arc::new(Shared { store, xero, policy, spool, lanes, metrics, tasks, stopping }), flights }
    }

    /// Refreshes what is due among the organisation's active bindings, each grant once, a few at a time. What
    /// fails is said per binding; the rest goes on.
    pub async fn proactive_refresh_for_org(&self, org: &OrgId, ask: &Ask) -> Result<RefreshReport, TokenError> {
        let bound = self.shared.store.bindings_of_org(org).await?;
        self.refresh_bindings(&bound, ask).await
    }

    /// Refreshes one binding's grant, and says so in the same words as for all.
    pub async fn refresh_binding(
        &self,
        org: &OrgId,
        binding: &BindingId,
        ask: &Ask,
    ) -> Result<RefreshReport, TokenError> {
        let bound = self.shared.store.binding(org, binding).await?.ok_or(TokenError::NotFound)?;
        if let Some(why) = not_connected(&bound) {
            return Err(TokenError::NotConnected(why));
        }
        self.refresh_bindings(&[bound], ask).await
    }

    /// Joins the grant's flight if there is one; else starts it. The exchange outlives whoever asked.
    pub async fn refresh_grant_single_flight(&self, grant: &GrantId, ask: Ask) -> Landed {
        let shared = Arc::clone(&self.shared);
        let start = || {
            let span = traces::exchange(grant, ask.trigger);
            fly(shared, grant.clone(), ask).instrument(span)
        };
        let (flight, started) = self.flights.join_or_start(grant, start);
        if !started {
            self.shared.metrics.joined();
        }
        flight.await.unwrap_or_else(|| {
            tracing::error!(%grant, "a refresh's task died");
            Landed::Failed(Failed::internal())
        })
    }

    /// Puts a refresh token that an operator got elsewhere in a grant's place, by exchanging it at once. It must be of the
    /// grant's own Xero user unless `another_user` says that another's is meant.
    pub async fn rescue(&self, id: &GrantId, token: RefreshToken, another_user: bool) -> Result<Rescued, RescueError> {
        rescue(Arc::clone(&self.shared), id.clone(), token, another_user).await
    }

    /// Puts token sets in place that an earlier process, or a broken database, left behind.
    pub async fn replay_spool(&self) -> Result<usize, StoreError> {
        self.shared.spool.replay_all(&self.shared.store).await
    }

    /// What Xero calls its refusal of our own credentials, while that lasts.
    pub fn alarm(&self) -> Option<String> {
        self.shared.xero.alarm()
    }

    /// Until when Xero's token endpoint is left alone because it doesn't answer: an exchange that is asked for
    /// before ends at once and costs nothing. `None`: exchanges may start; where it has just been resting, the first
    /// of them is the probe and the others wait for what it finds.
    ///
    /// One kind of grant is to be asked for even so: a grant whose last reply may have been lost can't wait for Xero
    /// to be well, and passes by itself when it must.
    pub fn provider_rests_until(&self) -> Option<i64> {
        self.shared.xero.breaker().look(Asker::Automatic).err().map(|resting| resting.until)
    }

    /// Tends the spool until shutdown: takes in what other processes leave in its folder, and puts everything in place
    /// as soon as the database takes it.
    pub async fn tend_spool(self) {
        let Shared { spool, store, stopping, .. } = &*self.shared;
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(TEND) => {}
            }
            let before = spool.len();
            if let Err(error) = spool.gather() {
                tracing::warn!(%error, "what other processes left there isn't known");
            }
            if spool.len() > before {
                tracing::info!(waiting = spool.len(), "token sets of another process's wait in the spool");
            }
            // A refusal was logged when the token set was kept.
            _ = spool.replay_all(store).await;
        }
    }

    /// What this server counts: its exchanges, and whatever else is told to it.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// Token sets that wait for the database.
    pub fn spooled(&self) -> usize {
        self.shared.spool.len()
    }

    /// The keys that those were sealed with.
    pub fn spooled_kids(&self) -> Vec<String> {
        self.shared.spool.kids()
    }

    async fn refresh_bindings(&self, bound: &[Bound], ask: &Ask) -> Result<RefreshReport, TokenError> {
        // One entry a grant: several tenants of one consent share its tokens.
        let mut grants: HashMap<GrantId, (Grant, Vec<BindingId>)> = HashMap::new();
        let active = bound.iter().filter(|bound| bound.binding.status == BindingStatus::Active);
        for Bound { binding, grant, .. } in active {
            if let Some(grant) = grant {
                let entry = grants.entry(grant.id.clone()).or_insert_with(|| (grant.clone(), Vec::new()));
                entry.1.push(binding.id.clone());
            }
        }
        let has_active_bindings = !grants.is_empty();
        let now = self.shared.store.clock().now();
        let due =
            grants.into_values().filter(|(grant, _)| ask.even_if_fresh || self.shared.policy.needs_refresh(grant, now));
        let landed: Vec<((Grant, Vec<BindingId>), Landed)> = stream::iter(due)
            .map(|(grant, bindings)| async move {
                let landed = self.refresh_grant_single_flight(&grant.id, ask.clone()).await;
                ((grant, bindings), landed)
            })
            .buffer_unordered(self.shared.policy.at_once)
            .collect()
            .await;
        let mut report = RefreshReport { success: true, has_active_bindings, refreshed_count: 0, errors: Vec::new() };
        let now = self.shared.store.clock().now();
        for ((grant, bindings), landed) in landed {
            match landed {
                Landed::Exchanged | Landed::Adopted => report.refreshed_count += 1,
                Landed::Fresh => {}
                Landed::Failed(failed) => report.errors.extend(bindings.into_iter().map(|binding_id| BindingError {
                    binding_id,
                    error: failed.message.clone(),
                    next_attempt_at: failed.next_attempt_at,
                    // The token that it had is still served (rule 8): nobody has to do anything yet.
                    valid_until: (!failed.is_final() && is_still_valid(&grant, now)).then_some(grant.expires_at),
                })),
            }
        }
        report.errors.sort_by(|a, b| a.binding_id.cmp(&b.binding_id));
        report.success = report.errors.is_empty();
        Ok(report)
    }
}

/// Why a binding has no token to give, where it hasn't.
pub(super) fn not_connected(bound: &Bound) -> Option<String> {
    match bound.binding.status {
        BindingStatus::Active => None,
        BindingStatus::NeedsReauth => {
            let last_error = bound.grant.as_ref().and_then(|grant| grant.last_error.as_deref());
            Some(Failed::reconnect(last_error).message)
        }
        BindingStatus::Disconnected => Some(Failed::gone().message),
    }
}
