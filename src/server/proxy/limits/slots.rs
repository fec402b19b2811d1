//! The slots of one tenant that this instance holds: each makes one call at a time, within its share of the limits.

use std::time::Duration;

use tokio::time::Instant;

use super::rolling_count::{DAY, MINUTE, RollingCount};
use super::{Blocked, CallLimits};
use crate::model::CallLimit;
use crate::server::store::RequestSlot;

/// How long a slot rests after a call that was abandoned: Xero may still be working on it.
const ABANDONED_CALL_REST: Duration = Duration::from_secs(5);
/// How long a slot that is not needed is kept for the next call.
const IDLE_TIME: Duration = Duration::from_secs(1);

/// A slot that this instance holds.
pub(super) struct HeldSlot {
    pub number: u32,
    /// Until when, in unix seconds, other instances respect the hold.
    pub held_until: i64,
    pub minute: RollingCount,
    pub day: RollingCount,
    state: SlotState,
}

enum SlotState {
    Busy,
    Resting(Instant),
    Idle { since: Instant },
}

/// What this instance knows of one tenant.
#[derive(Default)]
pub(super) struct TenantSlots {
    pub held: Vec<HeldSlot>,
    /// The limit that Xero said is reached, and until when, in unix seconds.
    pub pause: Option<(CallLimit, i64)>,
    /// How many calls may begin because Xero said that few are left, for which limit, and until when that holds.
    left: Option<(u32, CallLimit, i64)>,
}

impl HeldSlot {
    /// Takes over a row. If its holder died, what it did is unknown, so the slot's minute counts as used up.
    pub fn claimed(row: &RequestSlot, held_until: i64, limits: &CallLimits, now: i64) -> Self {
        let mut minute = RollingCount::decode(MINUTE, &row.minute_calls, now);
        if row.owner.is_some() {
            minute.add(row.held_until.min(now), limits.share_of_minute(row.number));
        }
        let day = RollingCount::decode(DAY, &row.day_calls, now);
        let state = SlotState::Idle { since: Instant::now() };
        Self { number: row.number, held_until, minute, day, state }
    }

    /// Returns the limit that a call in this slot would exceed, or `None`.
    fn exhausted(&self, limits: &CallLimits, now: i64) -> Option<Blocked> {
        exhausted(&self.minute, &self.day, self.number, limits, now)
    }

    fn is_idle(&self) -> bool {
        match self.state {
            SlotState::Busy => false,
            SlotState::Resting(until) => until <= Instant::now(),
            SlotState::Idle { .. } => true,
        }
    }

    fn is_unused(&self) -> bool {
        match self.state {
            SlotState::Busy => false,
            SlotState::Resting(until) => until <= Instant::now(),
            SlotState::Idle { since } => since.elapsed() >= IDLE_TIME,
        }
    }
}

/// Returns the limit that a call in a slot with these counts would exceed, or `None`.
pub(super) fn exhausted(
    minute: &RollingCount,
    day: &RollingCount,
    slot: u32,
    limits: &CallLimits,
    now: i64,
) -> Option<Blocked> {
    let by_day = day.free_at(now, limits.share_of_day(slot));
    if by_day > now {
        return Some(Blocked::until(CallLimit::Day, by_day));
    }
    let by_minute = minute.free_at(now, limits.share_of_minute(slot));
    (by_minute > now).then_some(Blocked::until(CallLimit::Minute, by_minute))
}

impl TenantSlots {
    /// Takes a slot for a call at `now` and returns its number, or says what is in the way.
    pub fn take(&mut self, limits: &CallLimits, now: i64) -> Result<u32, Blocked> {
        let slot = self.next_free(limits, now)?;
        slot.state = SlotState::Busy;
        Ok(slot.number)
    }

    /// Returns the slot for a call at `now`, or what is in the way.
    pub fn next_free(&mut self, limits: &CallLimits, now: i64) -> Result<&mut HeldSlot, Blocked> {
        if let Some((limit, until)) = self.pause {
            if until > now {
                return Err(Blocked::until(limit, until));
            }
            self.pause = None;
        }
        self.drop_lost(now);
        let is_any_busy = self.held.iter().any(|slot| !slot.is_idle());
        if let Some((limit, until)) = self.none_left(now) {
            return Err(Blocked { may_end_sooner: true, ..Blocked::until(limit, until) });
        }
        let mut blocked = if is_any_busy { Blocked::BY_OTHER_CALLS } else { Blocked::WITHOUT_SLOT };
        for slot in self.held.iter_mut().filter(|slot| slot.is_idle() && slot.held_until > now) {
            match slot.exhausted(limits, now) {
                None => return Ok(slot),
                Some(reached) => blocked = blocked.or_sooner(reached),
            }
        }
        Err(blocked)
    }

    /// Returns whether calls wait because of what Xero said: further slots are of no use then.
    pub fn is_limited_by_xero(&self, now: i64) -> bool {
        self.pause.is_some() || self.none_left(now).is_some()
    }

    /// Returns the limit of which Xero left no call, and until when, while calls are running whose responses say it anew.
    fn none_left(&self, now: i64) -> Option<(CallLimit, i64)> {
        let (left, limit, until) = self.left?;
        let is_any_busy = self.held.iter().any(|slot| !slot.is_idle());
        (left == 0 && until > now && is_any_busy).then_some((limit, until))
    }

    /// Notes that Xero says that `left` calls are left until the unix second `until`, in the response to the call in
    /// `slot`. If they are enough for every slot, they limit nothing. Calls that are running may not be counted yet.
    pub fn observe_left(&mut self, (left, limit, until): (u32, CallLimit, i64), slot: u32, limits: &CallLimits) {
        let others = self.held.iter().filter(|other| other.number != slot && matches!(other.state, SlotState::Busy));
        let begin = left.saturating_sub(u32::try_from(others.count()).unwrap_or(u32::MAX));
        self.left = (left < limits.slots()).then_some((begin, limit, until));
    }

    /// Lets calls wait until the unix second `until`, or longer if they already have to.
    pub fn pause_until(&mut self, limit: CallLimit, until: i64) {
        if self.pause.is_none_or(|(_, already)| already < until) {
            self.pause = Some((limit, until));
        }
    }

    /// Removes the slots whose hold has ended, which another instance may have claimed: this process did not run for a
    /// while.
    pub fn drop_lost(&mut self, now: i64) {
        self.held.retain(|slot| slot.held_until > now || matches!(slot.state, SlotState::Busy));
    }

    /// Counts a call in a slot.
    pub fn count(&mut self, number: u32, now: i64) {
        if let Some((left, ..)) = &mut self.left {
            *left = left.saturating_sub(1);
        }
        if let Some(slot) = self.slot(number) {
            slot.minute.add(now, 1);
            slot.day.add(now, 1);
        }
    }

    /// Makes a slot free for the next call: at once if Xero has ended the call, else after a rest.
    pub fn free(&mut self, number: u32, call_ended: bool) {
        if let Some(slot) = self.slot(number) {
            let now = Instant::now();
            slot.state =
                if call_ended { SlotState::Idle { since: now } } else { SlotState::Resting(now + ABANDONED_CALL_REST) };
        }
    }

    /// Removes the slots that are to be given back: those without a call for a while, and those whose limits allow none;
    /// at a stop all that are not busy.
    pub fn remove_unused(&mut self, limits: &CallLimits, now: i64, stopping: bool) -> Vec<HeldSlot> {
        let is_unused = |slot: &mut HeldSlot| {
            slot.is_idle() && (stopping || slot.is_unused() || slot.exhausted(limits, now).is_some())
        };
        self.held.extract_if(.., is_unused).collect()
    }

    /// Returns when the oldest call that counts for the minute was made.
    pub fn oldest_call(&self) -> Option<i64> {
        self.held.iter().filter_map(|slot| slot.minute.oldest()).min()
    }

    fn slot(&mut self, number: u32) -> Option<&mut HeldSlot> {
        self.held.iter_mut().find(|slot| slot.number == number)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const NOW: i64 = 1_800_000_000;
    const LIMITS: CallLimits =
        CallLimits { concurrent: 1, per_minute: 60, per_day: 5_000, app_per_minute: 10_000, wait: Duration::ZERO };

    fn one_slot() -> TenantSlots {
        let slot = HeldSlot::claimed(&RequestSlot::unused(0), NOW + 30, &LIMITS, NOW);
        TenantSlots { held: vec![slot], ..TenantSlots::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn slot_without_a_call_is_kept_for_a_second() {
        let mut slots = one_slot();
        advance(IDLE_TIME - Duration::from_millis(1)).await;
        assert!(slots.remove_unused(&LIMITS, NOW, false).is_empty());
        advance(Duration::from_millis(1)).await;
        assert_eq!(slots.remove_unused(&LIMITS, NOW, false).len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn slot_of_an_abandoned_call_is_given_back_once_it_has_rested() {
        let mut slots = one_slot();
        slots.take(&LIMITS, NOW).unwrap();
        assert!(slots.remove_unused(&LIMITS, NOW, true).is_empty(), "its call is running");
        slots.free(0, false);
        advance(ABANDONED_CALL_REST - Duration::from_millis(1)).await;
        assert!(slots.remove_unused(&LIMITS, NOW, true).is_empty());
        advance(Duration::from_millis(1)).await;
        assert_eq!(slots.remove_unused(&LIMITS, NOW, false).len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn no_call_begins_that_xero_left_none_for_while_another_may_say_otherwise() {
        let mut slots = one_slot();
        slots.take(&LIMITS, NOW).unwrap();
        slots.observe_left((1, CallLimit::Minute, NOW + 60), 0, &LIMITS);
        slots.count(0, NOW);
        assert!(!slots.is_limited_by_xero(NOW), "one call for the one slot limits nothing");
        slots.observe_left((0, CallLimit::Minute, NOW + 60), 0, &LIMITS);
        assert!(slots.is_limited_by_xero(NOW + 59) && !slots.is_limited_by_xero(NOW + 60));
        let blocked = slots.take(&LIMITS, NOW).unwrap_err();
        assert_eq!((blocked.limit, blocked.free_at, blocked.may_end_sooner), (CallLimit::Minute, Some(NOW + 60), true));
        slots.free(0, true);
        assert!(!slots.is_limited_by_xero(NOW));
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_later_pause_replaces_a_pause() {
        let mut slots = one_slot();
        slots.pause_until(CallLimit::Minute, NOW + 5);
        slots.pause_until(CallLimit::Day, NOW + 10);
        slots.pause_until(CallLimit::Minute, NOW + 10);
        assert_eq!(slots.pause, Some((CallLimit::Day, NOW + 10)));
        assert!(slots.is_limited_by_xero(NOW));
    }

    #[tokio::test(start_paused = true)]
    async fn slot_is_lost_in_the_second_in_which_its_hold_ends() {
        let mut slots = one_slot();
        slots.drop_lost(NOW + 29);
        assert_eq!(slots.held.len(), 1);
        slots.drop_lost(NOW + 30);
        assert!(slots.held.is_empty());
    }
}
