//! Waits for a call's turn within Xero's limits: per tenant so many at once, a minute and a day, and per app so many a
//! minute. All instances share them.
//!
//! A tenant's limits are divided into as many slots as calls may run at once. An instance holds slots in the database
//! (`request_slots`) and makes calls in them without asking it again; it gives a slot back, with what was counted in it,
//! when it has no use for it. So no instance makes a call that another would have to know of.

mod app_budget;
mod rolling_count;
mod slots;
mod turn;
mod upkeep;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};

use self::app_budget::AppBudget;
use self::slots::{HeldSlot, TenantSlots, exhausted};
pub use self::turn::RemainingCalls;
use self::upkeep::Unreleased;
use crate::model::CallLimit;
use crate::server::store::{RequestSlot, Store, StoreError, bounded};

/// How long, in seconds, other instances respect a slot whose holder does not renew it.
const HOLD_SECONDS: i64 = 30;
/// How often a waiting instance looks for slots that others have given back.
const SLOT_POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Xero's limits, and how long a call waits for its turn.
#[derive(Clone, Copy, Debug)]
pub struct CallLimits {
    /// Calls at once for one tenant.
    pub concurrent: u32,
    /// Calls a minute for one tenant.
    pub per_minute: u32,
    /// Calls a day for one tenant.
    pub per_day: u32,
    /// Calls a minute of the app, for all tenants.
    pub app_per_minute: u32,
    /// How long a call waits.
    pub wait: Duration,
}

impl CallLimits {
    /// Returns the number of slots: never more than calls a minute, so that each slot may make one.
    fn slots(&self) -> u32 {
        self.concurrent.min(self.per_minute).min(self.per_day).max(1)
    }

    fn share_of_minute(&self, slot: u32) -> u32 {
        share(self.per_minute, slot, self.slots())
    }

    fn share_of_day(&self, slot: u32) -> u32 {
        share(self.per_day, slot, self.slots())
    }
}

/// Returns the part of `limit` for one of `slots`; the parts add up to it.
fn share(limit: u32, slot: u32, slots: u32) -> u32 {
    limit / slots + u32::from(slot < limit % slots)
}

/// Why a call is not made.
#[derive(Debug, thiserror::Error)]
pub enum TurnError {
    /// Its turn did not come in time.
    #[error("the limit of Xero's calls is reached ({})", .0.limit.as_str())]
    LimitReached(LimitReached),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The limit that a call waited for in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitReached {
    /// Which limit it was.
    pub limit: CallLimit,
    /// After how many seconds a call may succeed, at least one.
    pub retry_after: u64,
}

/// What is in the way of a call.
#[derive(Clone, Copy, Debug)]
struct Blocked {
    limit: CallLimit,
    /// Unix seconds at which it is out of the way, if that is known.
    free_at: Option<i64>,
    /// Whether a running call that ends, at whichever instance, may be enough.
    may_end_sooner: bool,
}

impl Blocked {
    /// Other calls of the tenant are running or waiting.
    const BY_OTHER_CALLS: Self = Self { limit: CallLimit::Concurrent, free_at: None, may_end_sooner: true };
    /// There is no slot to make a call in.
    const WITHOUT_SLOT: Self = Self { may_end_sooner: false, ..Self::BY_OTHER_CALLS };

    /// Nothing helps before the unix second `free_at`.
    fn until(limit: CallLimit, free_at: i64) -> Self {
        Self { limit, free_at: Some(free_at), may_end_sooner: false }
    }

    /// Returns the one that is out of the way first; one with a known time before one without.
    fn or_sooner(self, other: Self) -> Self {
        let sooner = match (self.free_at, other.free_at) {
            (Some(mine), Some(theirs)) if mine <= theirs => self,
            (_, Some(_)) => other,
            _ => self,
        };
        Self { may_end_sooner: self.may_end_sooner || other.may_end_sooner, ..sooner }
    }
}

/// Hands out turns for calls to Xero. Cheap to clone; clones share the turns.
#[derive(Clone)]
pub struct TenantLimiter(Arc<Inner>);

struct Inner {
    store: Store,
    /// This run of the instance, in rows of `request_slots`.
    owner: String,
    limits: CallLimits,
    tenants: Mutex<HashMap<String, Arc<Tenant>>>,
    app: tokio::sync::Mutex<AppBudget>,
    renewed_at: Mutex<Instant>,
    /// Slots that are not used any more and still have to be given back.
    unreleased: Mutex<Vec<Unreleased>>,
    /// Held while slots are given back.
    releasing: tokio::sync::Mutex<()>,
}

struct Tenant {
    id: String,
    /// Held by the caller whose turn is next. Hands over in the order of arrival.
    queue: tokio::sync::Mutex<()>,
    slots: Mutex<TenantSlots>,
    /// A slot has become free.
    freed: Notify,
}

/// The right to make one call, until it is finished or dropped.
pub struct Turn {
    limiter: TenantLimiter,
    tenant: Arc<Tenant>,
    slot: u32,
    call_ended: bool,
}

impl TenantLimiter {
    /// Creates a limiter. `owner` identifies this run of the instance.
    pub fn new(store: Store, owner: String, limits: CallLimits) -> Self {
        let (app, renewed_at) = (tokio::sync::Mutex::default(), Mutex::new(Instant::now()));
        let (tenants, unreleased, releasing) = (Mutex::default(), Mutex::default(), tokio::sync::Mutex::default());
        Self(Arc::new(Inner { store, owner, limits, tenants, app, renewed_at, unreleased, releasing }))
    }

    /// Waits for a turn to call Xero for a tenant, in the order of arrival, for no longer than `CallLimits::wait`; not at
    /// all if it is known that the turn does not come by then. Fails if the database does not answer in time.
    pub async fn acquire(&self, tenant_id: &str) -> Result<Turn, TurnError> {
        let deadline = Instant::now() + self.0.limits.wait;
        let tenant = self.tenant(tenant_id);
        let Ok(_first) = timeout_at(deadline, tenant.queue.lock()).await else {
            let blocked = tenant.slots.lock().next_free(&self.0.limits, self.now()).err();
            return Err(self.limit_reached(blocked.unwrap_or(Blocked::BY_OTHER_CALLS)));
        };
        let mut look_again_at = Instant::now();
        loop {
            let taken = tenant.slots.lock().take(&self.0.limits, self.now());
            let mut blocked = match taken {
                Ok(slot) => match bounded(self.begin(&tenant, slot)).await? {
                    Ok(turn) => return Ok(turn),
                    Err(by_app) => by_app,
                },
                Err(by_tenant) => by_tenant,
            };
            let by_xero = blocked.limit == CallLimit::AppMinute || tenant.slots.lock().is_limited_by_xero(self.now());
            let looks = !by_xero && look_again_at <= Instant::now();
            if looks {
                match bounded(self.claim_slot(&tenant)).await? {
                    Claim::Claimed => continue,
                    Claim::Blocked(elsewhere) => blocked = blocked.or_sooner(elsewhere),
                }
                look_again_at = Instant::now() + SLOT_POLL_INTERVAL;
            }
            let is_certain = (by_xero || looks) && !blocked.may_end_sooner;
            let comes_too_late = is_certain && blocked.free_at.is_some_and(|at| self.instant_of(at) > deadline);
            if comes_too_late || Instant::now() >= deadline {
                return Err(self.limit_reached(blocked));
            }
            let next = if by_xero { deadline } else { look_again_at };
            let wake_at = blocked.free_at.map_or(next, |at| next.min(self.instant_of(at))).min(deadline);
            tokio::select! {
                () = sleep_until(wake_at) => {}
                () = tenant.freed.notified() => {}
            }
        }
    }

    /// Begins a call in a slot that was taken, within the app's limit.
    async fn begin(&self, tenant: &Arc<Tenant>, slot: u32) -> Result<Result<Turn, Blocked>, StoreError> {
        // Frees the slot if the call does not begin.
        let mut turn = Turn { limiter: self.clone(), tenant: Arc::clone(tenant), slot, call_ended: true };
        let taken = self.0.app.lock().await.take(&self.0.store, self.0.limits.app_per_minute).await?;
        if let Err(free_at) = taken {
            return Ok(Err(Blocked::until(CallLimit::AppMinute, free_at)));
        }
        turn.count();
        turn.call_ended = false;
        Ok(Ok(turn))
    }

    /// Claims one more slot of the tenant.
    async fn claim_slot(&self, tenant: &Tenant) -> Result<Claim, StoreError> {
        let Inner { store, owner, limits, .. } = &*self.0;
        let number_of_slots = limits.slots();
        if tenant.slots.lock().held.len() >= number_of_slots as usize {
            return Ok(Claim::Blocked(Blocked::WITHOUT_SLOT));
        }
        let (rows, pause) = store.request_slots(&tenant.id).await?;
        let now = self.now();
        if let Some((limit, until)) = pause.filter(|(_, until)| *until > now) {
            tenant.slots.lock().pause_until(limit, until);
            return Ok(Claim::Blocked(Blocked::until(limit, until)));
        }
        let mut blocked = Blocked::WITHOUT_SLOT;
        for number in 0..number_of_slots {
            if tenant.slots.lock().held.iter().any(|slot| slot.number == number) {
                continue;
            }
            let row = rows.iter().find(|row| row.number == number);
            let is_held = row.is_some_and(|row| row.owner.is_some() && row.held_until > now);
            if is_held || self.is_unreleased(&tenant.id, number) {
                blocked = blocked.or_sooner(Blocked::BY_OTHER_CALLS);
                continue;
            }
            if let Some(reached) = row.and_then(|row| exhausted_row(row, limits, now)) {
                blocked = blocked.or_sooner(reached);
                continue;
            }
            let held_until = now + HOLD_SECONDS;
            if store.claim_request_slot(&tenant.id, number, row, owner, held_until).await? {
                let unused = RequestSlot::unused(number);
                let slot = HeldSlot::claimed(row.unwrap_or(&unused), held_until, limits, now);
                tenant.slots.lock().held.push(slot);
                return Ok(Claim::Claimed);
            }
            blocked = blocked.or_sooner(Blocked::BY_OTHER_CALLS);
        }
        Ok(Claim::Blocked(blocked))
    }

    fn tenant(&self, id: &str) -> Arc<Tenant> {
        let new = || {
            let (queue, slots) = (tokio::sync::Mutex::new(()), Mutex::default());
            Arc::new(Tenant { id: id.to_owned(), queue, slots, freed: Notify::new() })
        };
        Arc::clone(self.0.tenants.lock().entry(id.to_owned()).or_insert_with(new))
    }

    /// Lets the calls of all tenants wait until the unix second `until`, at every instance.
    async fn pause_app(&self, until: i64) -> Result<(), StoreError> {
        self.0.app.lock().await.pause(&self.0.store, self.0.limits.app_per_minute, until).await
    }

    fn limit_reached(&self, blocked: Blocked) -> TurnError {
        let wait = blocked.free_at.map_or(1, |at| at - self.now());
        let retry_after = u64::try_from(wait).unwrap_or(1).max(1);
        TurnError::LimitReached(LimitReached { limit: blocked.limit, retry_after })
    }

    fn now(&self) -> i64 {
        self.0.store.clock().now()
    }

    fn instant_of(&self, unix_seconds: i64) -> Instant {
        let millis = unix_seconds.saturating_mul(1_000).saturating_sub(self.0.store.clock().now_millis());
        Instant::now() + Duration::from_millis(u64::try_from(millis).unwrap_or(0).max(1))
    }
}

enum Claim {
    Claimed,
    Blocked(Blocked),
}

fn exhausted_row(row: &RequestSlot, limits: &CallLimits, now: i64) -> Option<Blocked> {
    let slot = HeldSlot::claimed(row, now, limits, now);
    exhausted(&slot.minute, &slot.day, row.number, limits, now)
}

#[cfg(test)]
mod tests;
