//! Xero's limits on API calls: per tenant 5 at once, 60 a minute and 5,000 a day; 10,000 a minute for the app.

use std::collections::HashMap;

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;

use super::Sandbox;
use super::reply::problem;

const AT_ONCE: u32 = 5;
const A_MINUTE: u32 = 60;
const A_DAY: u32 = 5_000;
const APP_A_MINUTE: u32 = 10_000;

#[derive(Default)]
pub(super) struct Limits {
    app: Window,
    tenants: HashMap<String, Usage>,
}

#[derive(Default)]
struct Usage {
    at_once: u32,
    minute: Window,
    day: Window,
}

/// Counts from the first call until its length has passed, then anew.
#[derive(Default)]
struct Window {
    start: i64,
    count: u32,
}

impl Window {
    fn roll(&mut self, now: i64, length: i64) {
        if now - self.start >= length {
            *self = Self { start: now, count: 0 };
        }
    }
}

/// Which limit a call ran into; seconds to wait where Xero says them.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    Concurrent,
    Minute(i64),
    Day(i64),
}

/// What is left, for the headers.
#[derive(Debug, PartialEq, Eq)]
struct Left {
    minute: u32,
    day: u32,
    app_minute: u32,
}

impl Limits {
    /// Counts a call in, unless a limit refuses it.
    fn enter(&mut self, tenant_id: &str, now: i64) -> (Left, Option<Refusal>) {
        let usage = self.tenants.entry(tenant_id.to_owned()).or_default();
        self.app.roll(now, 60);
        usage.minute.roll(now, 60);
        usage.day.roll(now, 86_400);
        let until = |window: &Window, length: i64| window.start + length - now;
        let refusal = if usage.at_once >= AT_ONCE {
            Some(Refusal::Concurrent)
        } else if usage.day.count >= A_DAY {
            Some(Refusal::Day(until(&usage.day, 86_400)))
        } else if usage.minute.count >= A_MINUTE {
            Some(Refusal::Minute(until(&usage.minute, 60)))
        } else if self.app.count >= APP_A_MINUTE {
            Some(Refusal::Minute(until(&self.app, 60)))
        } else {
            usage.at_once += 1;
            usage.minute.count += 1;
            usage.day.count += 1;
            self.app.count += 1;
            None
        };
        let left = Left {
            minute: A_MINUTE - usage.minute.count,
            day: A_DAY - usage.day.count,
            app_minute: APP_A_MINUTE - self.app.count,
        };
        (left, refusal)
    }

    fn leave(&mut self, tenant_id: &str) {
        if let Some(usage) = self.tenants.get_mut(tenant_id) {
            usage.at_once = usage.at_once.saturating_sub(1);
        }
    }
}

/// A call that runs. Dropping it, also because the client went away, makes room for the next.
pub(super) struct Slot {
    sandbox: Sandbox,
    tenant_id: String,
    left: Left,
}

impl Slot {
    /// The error is the 429 to send.
    #[expect(clippy::result_large_err, reason = "the refusal is the whole answer, made once per request")]
    pub fn take(sandbox: &Sandbox, tenant_id: &str) -> Result<Self, Response> {
        let now = sandbox.now();
        let (left, refusal) = sandbox.live().limits.enter(tenant_id, now);
        let Some(refusal) = refusal else {
            return Ok(Self { sandbox: sandbox.clone(), tenant_id: tenant_id.to_owned(), left });
        };
        let (name, wait) = match refusal {
            Refusal::Concurrent => ("concurrent", None),
            Refusal::Minute(seconds) => ("minute", Some(seconds)),
            Refusal::Day(seconds) => ("day", Some(seconds)),
        };
        let mut response = problem(StatusCode::TOO_MANY_REQUESTS, "RateLimitExceeded");
        left.write(response.headers_mut());
        let headers = response.headers_mut();
        headers.insert(HeaderName::from_static("x-rate-limit-problem"), HeaderValue::from_static(name));
        if let Some(seconds) = wait {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        Err(response)
    }

    /// Puts what is left on an answer.
    pub fn mark(&self, mut response: Response) -> Response {
        self.left.write(response.headers_mut());
        response
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.sandbox.live().limits.leave(&self.tenant_id);
    }
}

impl Left {
    fn write(&self, headers: &mut HeaderMap) {
        headers.insert(HeaderName::from_static("x-minlimit-remaining"), HeaderValue::from(self.minute));
        headers.insert(HeaderName::from_static("x-daylimit-remaining"), HeaderValue::from(self.day));
        headers.insert(HeaderName::from_static("x-appminlimit-remaining"), HeaderValue::from(self.app_minute));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_700_000_000;

    fn call(limits: &mut Limits, tenant: &str, now: i64) -> Option<Refusal> {
        let (_, refusal) = limits.enter(tenant, now);
        if refusal.is_none() {
            limits.leave(tenant);
        }
        refusal
    }

    #[test]
    fn the_sixty_first_call_of_a_minute_waits_for_its_end() {
        let mut limits = Limits::default();
        for _ in 0..60 {
            assert_eq!(call(&mut limits, "a", START), None);
        }
        assert_eq!(call(&mut limits, "a", START + 20), Some(Refusal::Minute(40)));
        assert_eq!(call(&mut limits, "b", START + 20), None, "another tenant has its own");
        assert_eq!(call(&mut limits, "a", START + 60), None);
    }

    #[test]
    fn the_sixth_at_once_is_refused_until_one_leaves() {
        let mut limits = Limits::default();
        for _ in 0..5 {
            assert_eq!(limits.enter("a", START).1, None);
        }
        assert_eq!(limits.enter("a", START).1, Some(Refusal::Concurrent));
        limits.leave("a");
        assert_eq!(limits.enter("a", START).1, None);
    }

    #[test]
    fn a_day_holds_five_thousand() {
        let mut limits = Limits::default();
        let mut now = START;
        for count in 0..5_000 {
            now = START + count / 60 * 60;
            assert_eq!(call(&mut limits, "a", now), None);
        }
        now += 60;
        assert_eq!(call(&mut limits, "a", now), Some(Refusal::Day(START + 86_400 - now)));
        assert_eq!(call(&mut limits, "a", START + 86_400), None);
    }
}
