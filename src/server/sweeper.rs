//! Keeps grants alive while nobody looks: `sweep_once` is one pass, `run` the loop around it, `tend` the quiet work
//! beside both.

use std::num::NonZeroU32;
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::store::StoreError;
use super::tokens::{Landed, TokenService};

/// A batch is claimed as soon as this part of what may be under way is free. Fewer would leave more of it idle while
/// Xero takes its time, more would make a statement of a few grants.
const REFILLS: usize = 6;
/// How often what is left over is cleared away.
const TIDY_EVERY: Duration = Duration::from_secs(60 * 60);

/// How fast, how much at a time, and how often.
#[derive(Clone, Debug)]
pub struct Pace {
    pub interval: Duration,
    /// How many exchanges are under way at a time. People's own are not among them and wait for none.
    pub at_once: usize,
    /// How many exchanges a minute this instance begins at most.
    pub a_minute: NonZeroU32,
}

/// What a pass did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    pub refreshed: usize,
    pub failed: usize,
    /// Another holder had been there first, or the grant was in flight for somebody else.
    pub left_to_others: usize,
}

type Watch = Box<dyn Fn(Duration) + Send + Sync>;

/// Finds what is due and has it refreshed.
pub struct Sweeper {
    tokens: TokenService,
    pace: Pace,
    budget: DefaultDirectRateLimiter,
    watch: Option<Watch>,
    /// Told when shutdown begins: what flies lands, nothing new starts.
    stopping: CancellationToken,
}

impl Sweeper {
    pub fn new(tokens: TokenService, pace: Pace, stopping: CancellationToken) -> Self {
        let burst = u32::try_from(pace.at_once).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
        let budget = RateLimiter::direct(Quota::per_minute(pace.a_minute).allow_burst(burst));
        Self { tokens, pace, budget, watch: None, stopping }
    }

    /// The same, telling how long each exchange took from its claim on.
    pub fn watched(self, watch: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        Self { watch: Some(Box::new(watch)), ..self }
    }

    /// Sweeps now and then until shutdown begins.
    pub async fn run(self) {
        let mut planned = false;
        loop {
            if !planned {
                planned = self.plan().await;
            }
            if !rested(self.pace.interval, &self.stopping).await {
                return;
            }
            match self.sweep_once().await {
                Ok(swept) if swept == Swept::default() => {}
                Ok(Swept { refreshed, failed, left_to_others }) => {
                    tracing::info!(refreshed, failed, left_to_others, "swept");
                }
                Err(error) => tracing::error!(%error, "a sweep broke off; the next one goes on"),
            }
        }
    }

    /// The settings may be others than those that the rows were planned by.
    async fn plan(&self) -> bool {
        match self.tokens.plan_all().await {
            Ok(0) => true,
            Ok(grants) => {
                tracing::info!(grants, "planned when grants are due, by the settings as they are now");
                true
            }
            Err(error) => {
                tracing::error!(%error, "grants could not be planned; trying again at the next sweep");
                false
            }
        }
    }

    /// Refreshes what is due until nothing is, the provider rests or shutdown begins.
    pub async fn sweep_once(&self) -> Result<Swept, StoreError> {
        let (mut swept, mut flying, mut more) = (Swept::default(), FuturesUnordered::new(), true);
        loop {
            // Claimed by the batch: a statement for each grant would be most of the work.
            let room = self.pace.at_once - flying.len();
            if more && (room >= self.pace.at_once.div_ceil(REFILLS) || flying.is_empty()) {
                more = !self.stopping.is_cancelled();
                let allowed = if more { self.allowed(room).await } else { 0 };
                if allowed > 0 {
                    let (claimed, started) = self.tokens.start_due(allowed).await?;
                    more = claimed > 0;
                    swept.left_to_others += claimed - started.len();
                    let begun = Instant::now();
                    flying
                        .extend(started.into_iter().map(|flight| flight.map(move |landed| (landed, begun.elapsed()))));
                }
            }
            match flying.next().await {
                Some((landed, took)) => {
                    swept.count(&landed);
                    self.watch.as_ref().inspect(|watch| watch(took));
                }
                None if more => {}
                None => return Ok(swept),
            }
        }
    }

    /// How many of so many exchanges the minute's budget has left; at least one, after a wait where it must be.
    async fn allowed(&self, room: usize) -> usize {
        loop {
            let allowed = (0..room).take_while(|_| self.budget.check().is_ok()).count();
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

/// The quiet work beside the sweep: reads lists of connections and clears away what is left over, until shutdown
/// begins. In a task of its own, because a provider that hangs would hold up lost replies, which have thirty minutes.
pub async fn tend(tokens: TokenService, interval: Duration, stopping: CancellationToken) {
    let mut tidied: Option<Instant> = None;
    while rested(interval, &stopping).await {
        if let Err(error) = tokens.read_due_connections().await {
            tracing::error!(%error, "reading connections broke off; the next round goes on");
        }
        if tidied.is_none_or(|at| at.elapsed() >= TIDY_EVERY) {
            tidied = Some(Instant::now());
            if let Err(error) = tokens.tidy().await {
                tracing::error!(%error, "what is left over could not be cleared away");
            }
        }
    }
}

/// Waits about so long, unevenly, so that instances which started together drift apart. `false` once shutdown begins.
async fn rested(interval: Duration, stopping: &CancellationToken) -> bool {
    let pause = interval.mul_f64(0.75 + rand::random::<f64>() / 2.0);
    stopping.run_until_cancelled(tokio::time::sleep(pause)).await.is_some()
}

impl Swept {
    fn count(&mut self, landed: &Landed) {
        match landed {
            Landed::Exchanged => self.refreshed += 1,
            Landed::Adopted | Landed::Fresh => self.left_to_others += 1,
            Landed::Failed(_) => self.failed += 1,
        }
    }
}
