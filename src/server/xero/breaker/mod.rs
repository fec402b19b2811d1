//! A circuit breaker per endpoint.
//!
//! - It opens after consecutive provider failures, or at once if Xero refuses or rate-limits the app as a whole. A
//!   failure of one grant or tenant, such as `invalid_grant`, counts as a success and closes it.
//! - It also opens if grants of several organizations are refused, so that none of the refusals is believed.
//! - While it is open, only probes are sent: the first request after the open period, or at times a person's request.
//! - A successful probe closes it. A failed probe doubles the next open period.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::error::XeroError;
use crate::model::XeroPauseView;
use crate::server::clock::Clock;
use crate::server::domain::FaultScope;

/// The number of consecutive failures that open the breaker.
const FAILURE_THRESHOLD: u32 = 5;
/// The first open period; each failed probe doubles it. Seconds, as all constants here.
const FIRST_OPEN_PERIOD: i64 = 10;
/// The longest `Retry-After` that is honored.
const MAX_RETRY_AFTER: i64 = 15 * 60;
/// The shortest time between two probes by people.
const MANUAL_PROBE_INTERVAL: i64 = 10;

/// The endpoint that a breaker protects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    Token,
    Api,
}

impl Endpoint {
    fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Api => "api",
        }
    }

    /// The longest open period. It is shorter for the API, because a person waits for each call and nothing retries it.
    fn max_open_period(self) -> i64 {
        match self {
            Self::Token => 5 * 60,
            Self::Api => 60,
        }
    }
}

/// A request's priority while the breaker is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// An automatic request: waits until the open period ends.
    Automatic,
    /// A person's request: may probe during the open period, once in ten seconds over all people.
    Interactive,
    /// Bypasses the breaker: a token whose replay window is about to end, or an authorization code, which lives five
    /// minutes.
    MustNotWait,
}

/// The breaker is open, so nothing may be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenCircuit {
    /// Unix seconds of the next probe.
    pub until: i64,
    /// The failure that opened the breaker.
    pub cause: XeroError,
}

/// Grants or denies permits for requests. Cheap to clone; clones share their state.
#[derive(Clone)]
pub struct Breaker(Arc<Inner>);

struct Inner {
    endpoint: Endpoint,
    clock: Clock,
    state: Mutex<State>,
    /// Consecutive calls of `open_for_refusals` without a success.
    refusals: Mutex<u32>,
}

enum State {
    /// Consecutive failures.
    Closed(u32),
    Open(Open),
}

/// Times are monotonic seconds: a wall clock that is set back must not prolong the open period.
struct Open {
    /// When the circuit opened, in unix seconds, for people.
    since: i64,
    until: i64,
    cause: XeroError,
    /// Consecutive open periods, including this one.
    open_periods: u32,
    /// Whether a probe is in flight.
    probe_in_flight: bool,
    /// When a person's probe started during the open period.
    manual_probe_at: Option<i64>,
}

/// The permit to send one request. Its holder must report the result; a permit that is only dropped has no effect.
pub struct BreakerPermit {
    breaker: Breaker,
    is_probe: bool,
}

impl Breaker {
    /// Returns a closed breaker.
    pub fn new(endpoint: Endpoint, clock: Clock) -> Self {
        Self(Arc::new(Inner { endpoint, clock, state: Mutex::new(State::Closed(0)), refusals: Mutex::new(0) }))
    }

    /// Returns a permit for one request, or the open circuit.
    pub fn acquire(&self, priority: Priority) -> Result<BreakerPermit, OpenCircuit> {
        let now = self.0.clock.monotonic_seconds();
        let mut state = self.0.state.lock();
        let is_probe = match &mut *state {
            State::Open(open) => {
                let admission = open.admission(priority, &self.0.clock)?;
                open.probe_in_flight |= admission == Admission::Probe;
                if admission == Admission::Probe && now < open.until {
                    open.manual_probe_at = Some(now);
                }
                admission == Admission::Probe
            }
            State::Closed(_) => false,
        };
        Ok(BreakerPermit { breaker: self.clone(), is_probe })
    }

    /// Checks what `acquire` would return, without taking a probe.
    pub fn check(&self, priority: Priority) -> Result<(), OpenCircuit> {
        match &*self.0.state.lock() {
            State::Open(open) => open.admission(priority, &self.0.clock).map(|_| ()),
            State::Closed(_) => Ok(()),
        }
    }

    /// Returns the pause in which only probes are sent, or `None` if the circuit is closed.
    pub fn pause(&self) -> Option<XeroPauseView> {
        let State::Open(open) = &*self.0.state.lock() else { return None };
        let clock = &self.0.clock;
        let next_try_at = clock.now().saturating_add((open.until - clock.monotonic_seconds()).max(0));
        Some(XeroPauseView { since: open.since, next_try_at, code: open.cause.evidence_code().to_owned() })
    }

    /// Returns whether the open period is over and no probe is in flight.
    pub fn is_probe_due(&self) -> bool {
        let now = self.0.clock.monotonic_seconds();
        matches!(&*self.0.state.lock(), State::Open(open) if !open.probe_in_flight && now >= open.until)
    }

    /// Opens the circuit because grants of several organizations are refused. The first probe may start at once, so that
    /// grants that work wait for nothing; each further call without a success doubles the pause. Returns the unix seconds
    /// of the next probe.
    pub fn open_for_refusals(&self, cause: &XeroError) -> i64 {
        let mut refusals = self.0.refusals.lock();
        let pause = match *refusals {
            0 => 0,
            times => FIRST_OPEN_PERIOD.saturating_mul(1 << (times - 1).min(10)).min(self.0.endpoint.max_open_period()),
        };
        *refusals = refusals.saturating_add(1);
        let mut state = self.0.state.lock();
        let since = match &*state {
            State::Open(open) => open.since,
            State::Closed(_) => self.0.clock.now(),
        };
        let open = Open {
            since,
            until: self.0.clock.monotonic_seconds() + pause,
            cause: cause.clone(),
            open_periods: 1,
            probe_in_flight: false,
            manual_probe_at: None,
        };
        *state = State::Open(open);
        self.0.clock.now() + pause
    }

    /// Updates the state with a request's result.
    fn report(&self, failed: Option<&XeroError>, was_probe: bool) {
        let now = self.0.clock.monotonic_seconds();
        if failed.is_none() {
            *self.0.refusals.lock() = 0;
        }
        let mut state = self.0.state.lock();
        let scope = failed.map_or(FaultScope::Request, |error| error.class.fault);
        match (&mut *state, scope, failed) {
            (State::Closed(run), FaultScope::Request, _) => *run = 0,
            (State::Open(_), FaultScope::Request, _) => {
                tracing::info!(endpoint = self.0.endpoint.name(), "circuit breaker closed");
                *state = State::Closed(0);
            }
            (State::Closed(run), _, Some(cause)) => {
                *run += 1;
                if scope == FaultScope::App || *run >= FAILURE_THRESHOLD {
                    *state = State::Open(self.next_open(now, 1, cause));
                }
            }
            // A person's probe must not extend the open period, or such probes could extend it forever.
            (State::Open(open), ..) if was_probe && now < open.until => open.probe_in_flight = false,
            (State::Open(open), _, Some(cause)) if was_probe => {
                let (since, manual_probe_at) = (open.since, open.manual_probe_at);
                *open = Open { since, manual_probe_at, ..self.next_open(now, open.open_periods + 1, cause) };
            }
            // Sent before the breaker opened, so it changes nothing.
            (State::Open(_), ..) | (State::Closed(_), _, None) => {}
        }
    }

    /// Returns the state for a new open period.
    fn next_open(&self, now: i64, rests: u32, cause: &XeroError) -> Open {
        let endpoint = self.0.endpoint;
        let span =
            FIRST_OPEN_PERIOD.saturating_mul(1 << rests.saturating_sub(1).min(10)).min(endpoint.max_open_period());
        // Half of it is random, so that several processes do not probe at once.
        let rest = span / 2 + rand::random_range(0..=span / 2);
        let asked = cause.retry_after.map_or(0, |wait| seconds(wait).min(MAX_RETRY_AFTER));
        let until = now + rest.max(asked);
        if rests == 1 {
            let open_seconds = until - now;
            tracing::warn!(
                endpoint = endpoint.name(),
                code = cause.evidence_code(),
                open_seconds,
                "circuit breaker opened"
            );
        }
        Open {
            since: self.0.clock.now(),
            until,
            cause: cause.clone(),
            open_periods: rests,
            probe_in_flight: false,
            manual_probe_at: None,
        }
    }

    /// Releases a probe that was not reported.
    fn release_probe(&self) {
        if let State::Open(open) = &mut *self.0.state.lock() {
            open.probe_in_flight = false;
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Admission {
    Probe,
    /// Bypasses the breaker: its failure changes nothing.
    Bypass,
}

impl Open {
    fn admission(&self, priority: Priority, clock: &Clock) -> Result<Admission, OpenCircuit> {
        let now = clock.monotonic_seconds();
        let period_over = now >= self.until;
        let may_probe_manually = priority == Priority::Interactive
            && self.manual_probe_at.is_none_or(|last| now - last >= MANUAL_PROBE_INTERVAL);
        match priority {
            _ if !self.probe_in_flight && (period_over || may_probe_manually) => Ok(Admission::Probe),
            Priority::MustNotWait => Ok(Admission::Bypass),
            // If a probe is in flight, its result decides, so the retry is at least a second away.
            _ => Err(OpenCircuit {
                until: clock.now().saturating_add((self.until - now).max(1)),
                cause: self.cause.clone(),
            }),
        }
    }
}

impl BreakerPermit {
    /// Reports the request's result: `None` if it succeeded.
    pub fn report(mut self, failed: Option<&XeroError>) {
        self.breaker.report(failed, self.is_probe);
        self.is_probe = false;
    }
}

impl Drop for BreakerPermit {
    fn drop(&mut self) {
        if self.is_probe {
            self.breaker.release_probe();
        }
    }
}

fn seconds(wait: Duration) -> i64 {
    i64::try_from(wait.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
