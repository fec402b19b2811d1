//! Refreshes due grants in the background: `sweep_once` is one pass, `run` the loop.

use std::num::NonZeroU32;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::jitter::sleep_with_jitter;
use crate::server::store::StoreError;
use crate::server::tokens::{RefreshOutcome, TokenService};

/// The next batch is claimed as soon as this fraction of the concurrency limit (one sixth) is free. A larger fraction
/// leaves more of the limit idle; a smaller one claims only a few grants per statement.
const REFILL_DIVISOR: usize = 6;

/// How often and how fast the sweeper works.
#[derive(Clone, Debug)]
pub struct SweeperOptions {
    /// The average pause between two passes.
    pub interval: Duration,
    /// The most exchanges that run concurrently. Manual refreshes do not count and are not delayed.
    pub concurrency: usize,
    /// The most exchanges that this instance starts per minute.
    pub per_minute: NonZeroU32,
}

/// What a sweep did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Number of grants that got a new token set.
    pub refreshed: usize,
    /// Number of grants whose exchange failed.
    pub failed: usize,
    /// Grants that another holder refreshed first, or that were already being refreshed.
    pub handled_elsewhere: usize,
}

type ExchangeObserver = Box<dyn Fn(Duration) + Send + Sync>;

/// Finds due grants and refreshes them.
pub struct Sweeper {
    tokens: TokenService,
    options: SweeperOptions,
    rate_limiter: DefaultDirectRateLimiter,
    observer: Option<ExchangeObserver>,
    /// The exchanges that run. They outlive a pass if they take longer than the interval.
    in_flight: Mutex<FuturesUnordered<BoxFuture<'static, (RefreshOutcome, Duration)>>>,
    /// Canceled at shutdown: running exchanges finish, no new one starts.
    stopping: CancellationToken,
}

impl Sweeper {
    /// Creates a sweeper that stops when `stopping` is canceled.
    pub fn new(tokens: TokenService, options: SweeperOptions, stopping: CancellationToken) -> Self {
        let burst = u32::try_from(options.concurrency).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
        let rate_limiter = RateLimiter::direct(Quota::per_minute(options.per_minute).allow_burst(burst));
        Self { tokens, options, rate_limiter, observer: None, in_flight: Mutex::default(), stopping }
    }

    /// Calls `watch` with the duration of each exchange, measured from its claim.
    pub fn with_observer(self, watch: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        Self { observer: Some(Box::new(watch)), ..self }
    }

    /// Sweeps periodically until shutdown begins.
    pub async fn run(self) {
        let mut planned = false;
        loop {
            if !planned {
                planned = self.recompute_due_times().await;
            }
            if !sleep_with_jitter(self.options.interval, &self.stopping).await {
                return;
            }
            match self.sweep_once().await {
                Ok(swept) if swept == SweepReport::default() => {}
                Ok(SweepReport { refreshed, failed, handled_elsewhere: left_to_others }) => {
                    tracing::info!(refreshed, failed, left_to_others, "sweep finished");
                }
                Err(error) => tracing::error!(%error, "sweep failed"),
            }
        }
    }

    /// Recomputes when grants are due, because the settings may have changed since. Returns whether it succeeded.
    async fn recompute_due_times(&self) -> bool {
        match self.tokens.plan_all().await {
            Ok(0) => true,
            Ok(grants) => {
                tracing::info!(grants, "recomputed due times from the current settings");
                true
            }
            Err(error) => {
                tracing::error!(%error, "failed to recompute due times, retrying at the next sweep");
                false
            }
        }
    }

    /// Refreshes due grants until none is left, the circuit breaker is open or shutdown begins.
    ///
    /// Ends although exchanges run, if none of them ends within the sweep interval: they count toward the limit of the
    /// next pass, which reports them.
    pub async fn sweep_once(&self) -> Result<SweepReport, StoreError> {
        self.tokens.heal_wrong_times().await?;
        let mut in_flight = self.in_flight.lock().await;
        let (mut swept, mut more, mut first) = (SweepReport::default(), true, true);
        loop {
            // Grants are claimed in batches, because one statement per grant would dominate the cost.
            let room = self.options.concurrency - in_flight.len();
            if more && room > 0 && (first || room >= self.options.concurrency.div_ceil(REFILL_DIVISOR)) {
                first = false;
                more = !self.stopping.is_cancelled();
                let allowed = if more { self.acquire_permits(room).await } else { 0 };
                if allowed > 0 {
                    let (claimed, started) = self.tokens.start_due(allowed).await?;
                    more = claimed > 0;
                    swept.handled_elsewhere += claimed - started.len();
                    let begun = Instant::now();
                    in_flight.extend(
                        started.into_iter().map(|flight| flight.map(move |outcome| (outcome, begun.elapsed())).boxed()),
                    );
                }
            }
            match tokio::time::timeout(self.options.interval, in_flight.next()).await {
                Ok(Some((outcome, took))) => {
                    swept.add(&outcome);
                    self.observer.as_ref().inspect(|watch| watch(took));
                }
                Ok(None) if more => {}
                Ok(None) => return Ok(swept),
                Err(_) => {
                    tracing::warn!(running = in_flight.len(), "sweep goes on without exchanges that take long");
                    return Ok(swept);
                }
            }
        }
    }

    /// Returns how many of `room` exchanges the rate limit permits now. Waits until it permits at least one. Returns 0
    /// at shutdown.
    async fn acquire_permits(&self, room: usize) -> usize {
        loop {
            let allowed = (0..room).take_while(|_| self.rate_limiter.check().is_ok()).count();
            if allowed > 0 {
                return allowed;
            }
            tokio::select! {
                () = self.stopping.cancelled() => return 0,
                () = tokio::time::sleep(Duration::from_millis(50)) => {}
            }
        }
    }
}

impl SweepReport {
    fn add(&mut self, outcome: &RefreshOutcome) {
        match outcome {
            RefreshOutcome::Refreshed => self.refreshed += 1,
            RefreshOutcome::RefreshedElsewhere | RefreshOutcome::NotDue => self.handled_elsewhere += 1,
            RefreshOutcome::Failed(_) => self.failed += 1,
        }
    }
}
