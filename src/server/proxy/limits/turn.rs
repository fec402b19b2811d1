//! What a call's turn learns from Xero's response.

use super::Turn;
use crate::model::CallLimit;
use crate::server::store::StoreError;

/// How long, in seconds, a tenant rests whose calls of the day are used up, if Xero does not say for how long.
const DAY_PAUSE: i64 = 10 * 60;
/// How long, in seconds, the app rests whose calls of the minute are used up, if Xero does not say for how long: Xero's
/// minute began at an unknown time, so a call tries it soon.
const APP_PAUSE: i64 = 10;
/// How long a tenant or the app rests after a 429 without `Retry-After`, as those for concurrent calls are.
const DEFAULT_PAUSE: i64 = 1;
/// The longest pause that is accepted.
const MAX_PAUSE: i64 = 24 * 60 * 60;

/// How many calls Xero says may still be made, as far as it says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemainingCalls {
    /// For the tenant in this minute.
    pub minute: Option<u32>,
    /// For the tenant on this day.
    pub day: Option<u32>,
    /// For all tenants of the app in this minute.
    pub app_minute: Option<u32>,
}

/// Returns the limit for which Xero refused a call. `named` is its `X-Rate-Limit-Problem`, which is seen in several
/// spellings, and does not always tell the app's minute from the tenant's.
fn refused_limit(named: Option<&str>, remaining: RemainingCalls) -> CallLimit {
    let named = named.unwrap_or_default().to_ascii_lowercase();
    let is_app = named.contains("app") || (remaining.app_minute == Some(0) && remaining.minute != Some(0));
    if named.contains("concurrent") {
        CallLimit::Concurrent
    } else if named.contains("day") || named.contains("dai") {
        CallLimit::Day
    } else if is_app {
        CallLimit::AppMinute
    } else {
        CallLimit::Minute
    }
}

impl Turn {
    /// Counts a further request of the same call.
    pub fn count(&self) {
        self.tenant.slots.lock().count(self.slot, self.limiter.now());
    }

    /// Notes that Xero has ended the call.
    pub fn finish(mut self) {
        self.call_ended = true;
    }

    /// Notes how many calls Xero says are left, because other programs of the same app may have used them. If none is,
    /// calls wait, the tenant's or the app's. If few are, as many begin.
    pub async fn observe_remaining(&self, remaining: RemainingCalls) -> Result<(), StoreError> {
        let now = self.limiter.now();
        if remaining.app_minute == Some(0) {
            self.limiter.pause_app(now + APP_PAUSE).await?;
        }
        // Xero's minute has begun with our oldest call, or earlier. Without one, nothing is known.
        let oldest = self.tenant.slots.lock().oldest_call();
        let minute_ends_at = oldest.unwrap_or(now).max(now - 60) + 61;
        let limits =
            [(remaining.day, CallLimit::Day, now + DAY_PAUSE), (remaining.minute, CallLimit::Minute, minute_ends_at)];
        let said = limits.into_iter().filter_map(|(left, limit, until)| Some((left?, limit, until)));
        let Some((left, limit, until)) = said.min_by_key(|(left, ..)| *left) else { return Ok(()) };
        if left == 0 {
            return self.pause(limit, until).await;
        }
        self.tenant.slots.lock().observe_left((left, limit, until), self.slot, &self.limiter.0.limits);
        self.tenant.freed.notify_one();
        Ok(())
    }

    /// Lets calls wait because Xero has refused one: the tenant's or the app's, for as long as `retry_after` says, in
    /// seconds.
    pub async fn refused(
        &self,
        named: Option<&str>,
        remaining: RemainingCalls,
        retry_after: Option<i64>,
    ) -> Result<(), StoreError> {
        let wait = retry_after.unwrap_or(DEFAULT_PAUSE).clamp(1, MAX_PAUSE);
        self.pause(refused_limit(named, remaining), self.limiter.now() + wait).await
    }

    /// Lets calls wait until the unix second `until`.
    pub(super) async fn pause(&self, limit: CallLimit, until: i64) -> Result<(), StoreError> {
        if limit == CallLimit::AppMinute {
            return self.limiter.pause_app(until).await;
        }
        self.tenant.slots.lock().pause_until(limit, until);
        self.limiter.0.store.pause_tenant(&self.tenant.id, limit, until).await
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.tenant.slots.lock().free(self.slot, self.call_ended);
        self.tenant.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_names_its_limit_in_whatever_spelling() {
        let (none, app) = (RemainingCalls::default(), Some(0));
        let app_used_up = RemainingCalls { minute: Some(40), app_minute: app, ..none };
        let both_used_up = RemainingCalls { minute: Some(0), app_minute: app, ..none };
        for (named, remaining, limit) in [
            (Some("minute"), none, CallLimit::Minute),
            (Some("Minute limit"), none, CallLimit::Minute),
            (Some("minute"), both_used_up, CallLimit::Minute),
            (Some("minute"), app_used_up, CallLimit::AppMinute),
            (Some("appminute"), none, CallLimit::AppMinute),
            (Some("day"), app_used_up, CallLimit::Day),
            (Some("DayLimit"), none, CallLimit::Day),
            (Some("concurrent"), app_used_up, CallLimit::Concurrent),
            (None, none, CallLimit::Minute),
        ] {
            assert_eq!(refused_limit(named, remaining), limit, "{named:?} {remaining:?}");
        }
    }
}
