//! A circuit breaker per endpoint.
//!
//! - It opens after consecutive provider failures, or at once if Xero refuses or rate-limits the app as a whole. A
//!   failure of one grant or tenant, such as `invalid_grant`, counts as a success and closes it.
//! - While it is open, only probes are sent: the first request after the open period, or at times a person's request.
//! - A successful probe closes it. A failed probe doubles the next open period.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::error::{FaultScope, XeroError};
use crate::server::clock::Clock;

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
}

enum State {
    /// Consecutive failures.
    Closed(u32),
    Open(Open),
}

struct Open {
    until: i64,
    cause: XeroError,
    /// Consecutive open periods, including this one.
    open_periods: u32,
    /// Whether a probe is in flight.
    probe_in_flight: bool,
    /// Unix seconds at which a person's probe started during the open period.
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
        Self(Arc::new(Inner { endpoint, clock, state: Mutex::new(State::Closed(0)) }))
    }

    /// Returns a permit for one request, or the open circuit.
    pub fn acquire(&self, priority: Priority) -> Result<BreakerPermit, OpenCircuit> {
        let now = self.0.clock.now();
        let mut state = self.0.state.lock();
        let is_probe = match &mut *state {
            State::Open(open) => {
                let admission = open.admission(priority, now)?;
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
            State::Open(open) => open.admission(priority, self.0.clock.now()).map(|_| ()),
            State::Closed(_) => Ok(()),
        }
    }

    /// Returns whether the open period is over and no probe is in flight.
    pub fn is_probe_due(&self) -> bool {
        let now = self.0.clock.now();
        matches!(&*self.0.state.lock(), State::Open(open) if !open.probe_in_flight && now >= open.until)
    }

    /// Updates the state with a request's result.
    fn report(&self, failed: Option<&XeroError>, was_probe: bool) {
        let now = self.0.clock.now();
        let mut state = self.0.state.lock();
        let bearing = failed.map_or(FaultScope::Request, |error| error.fault_scope(self.0.endpoint));
        match (&mut *state, bearing, failed) {
            (State::Closed(run), FaultScope::Request, _) => *run = 0,
            (State::Open(_), FaultScope::Request, _) => {
                tracing::info!(endpoint = self.0.endpoint.name(), "circuit breaker closed");
                *state = State::Closed(0);
            }
            (State::Closed(run), _, Some(cause)) => {
                *run += 1;
                if bearing == FaultScope::App || *run >= FAILURE_THRESHOLD {
                    *state = State::Open(self.next_open(now, 1, cause));
                }
            }
            // A person's probe must not extend the open period, or such probes could extend it forever.
            (State::Open(open), ..) if was_probe && now < open.until => open.probe_in_flight = false,
            (State::Open(open), _, Some(cause)) if was_probe => {
                *open =
                    Open { manual_probe_at: open.manual_probe_at, ..self.next_open(now, open.open_periods + 1, cause) };
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
            tracing::warn!(endpoint = endpoint.name(), code = cause.evidence_code(), until, "circuit breaker opened");
        }
        Open { until, cause: cause.clone(), open_periods: rests, probe_in_flight: false, manual_probe_at: None }
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
    fn admission(&self, priority: Priority, now: i64) -> Result<Admission, OpenCircuit> {
        let period_over = now >= self.until;
        let may_probe_manually = priority == Priority::Interactive
            && self.manual_probe_at.is_none_or(|last| now - last >= MANUAL_PROBE_INTERVAL);
        match priority {
            _ if !self.probe_in_flight && (period_over || may_probe_manually) => Ok(Admission::Probe),
            Priority::MustNotWait => Ok(Admission::Bypass),
            // If a probe is in flight, its result decides, so the retry is at least a second away.
            _ => Err(OpenCircuit { until: self.until.max(now + 1), cause: self.cause.clone() }),
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
mod tests {
    use super::super::error::{ErrorKind, Transient};
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn breaker() -> (Breaker, Clock) {
        let clock = Clock::manual(NOW);
        (Breaker::new(Endpoint::Token, clock.clone()), clock)
    }

    fn error(kind: ErrorKind, code: &str) -> XeroError {
        XeroError::without_response(kind, code)
    }

    fn down() -> XeroError {
        error(ErrorKind::Transient(Transient::ServerError), "http_503")
    }

    fn send(breaker: &Breaker, failed: Option<&XeroError>) {
        breaker.acquire(Priority::MustNotWait).ok().unwrap().report(failed);
    }

    fn opened() -> (Breaker, Clock, i64) {
        let (breaker, clock) = breaker();
        (0..FAILURE_THRESHOLD).for_each(|_| send(&breaker, Some(&down())));
        let until = breaker.check(Priority::Automatic).unwrap_err().until;
        (breaker, clock, until)
    }

    #[test]
    fn consecutive_failures_open_it_and_a_response_resets_the_count() {
        let answers = [
            None,
            Some(error(ErrorKind::Reconnect, "invalid_grant")),
            Some(error(ErrorKind::Operator, "invalid_request")),
            Some(error(ErrorKind::Refused, "http_400")),
        ];
        for answer in answers {
            let (breaker, _) = breaker();
            for _ in 0..3 {
                (1..FAILURE_THRESHOLD).for_each(|_| send(&breaker, Some(&down())));
                send(&breaker, answer.as_ref());
            }
            assert_eq!(breaker.check(Priority::Automatic), Ok(()), "{answer:?}");
            (0..FAILURE_THRESHOLD).for_each(|_| send(&breaker, Some(&down())));
            let resting = breaker.check(Priority::Automatic).unwrap_err();
            assert!((NOW + 5..=NOW + 10).contains(&resting.until), "{resting:?}");
            assert_eq!(resting.cause, down());
        }
    }

    #[test]
    fn app_wide_failures_open_it_at_once() {
        let limited = |seconds| XeroError {
            retry_after: Some(Duration::from_secs(seconds)),
            ..error(ErrorKind::Transient(Transient::RateLimited), "rate_limited")
        };
        let cases = [
            (error(ErrorKind::Operator, "invalid_client"), 5..=10),
            (error(ErrorKind::Operator, "unauthorized_client"), 5..=10),
            (limited(120), 120..=120),
            (limited(86_400), 900..=900),
        ];
        for (failure, rest) in cases {
            let (breaker, _) = breaker();
            send(&breaker, Some(&failure));
            let until = breaker.check(Priority::Automatic).unwrap_err().until;
            assert!(rest.contains(&(until - NOW)), "{failure:?}: {}", until - NOW);
        }
    }

    #[test]
    fn app_rate_limit_opens_it_and_a_tenant_rate_limit_does_not() {
        let limited = |app_wide| XeroError {
            retry_after: Some(Duration::from_secs(30)),
            whole_app: app_wide,
            ..error(ErrorKind::Transient(Transient::RateLimited), "rate_limited")
        };
        let breaker = Breaker::new(Endpoint::Api, Clock::manual(NOW));
        (0..20).for_each(|_| send(&breaker, Some(&limited(false))));
        assert_eq!(breaker.check(Priority::Automatic), Ok(()));
        send(&breaker, Some(&limited(true)));
        assert_eq!(breaker.check(Priority::Automatic).unwrap_err().until, NOW + 30);
    }

    #[test]
    fn one_probe_is_sent_after_the_open_period_and_its_success_closes_it() {
        let (breaker, clock, until) = opened();
        clock.advance(until - NOW - 1);
        assert!(breaker.acquire(Priority::Automatic).is_err());
        clock.advance(1);
        let probe = breaker.acquire(Priority::Automatic).ok().unwrap();
        for asker in [Priority::Automatic, Priority::Interactive] {
            assert!(breaker.acquire(asker).is_err_and(|resting| resting.until > until), "{asker:?}: a second probe");
        }
        probe.report(None);
        assert!((0..9).all(|_| breaker.acquire(Priority::Automatic).is_ok()));
    }

    #[test]
    fn failed_probe_doubles_the_open_period_up_to_five_minutes() {
        let (breaker, clock, mut until) = opened();
        for longest in [20, 40, 80, 160, 300, 300, 300] {
            clock.advance(until - clock.now());
            breaker.acquire(Priority::Automatic).ok().unwrap().report(Some(&down()));
            until = breaker.check(Priority::Automatic).unwrap_err().until;
            let rest = until - clock.now();
            assert!((longest / 2..=longest).contains(&rest), "{rest} of {longest}");
        }
    }

    #[test]
    fn dropped_probe_permit_allows_another_probe() {
        let (breaker, clock, until) = opened();
        clock.advance(until - NOW);
        drop(breaker.acquire(Priority::Automatic));
        assert!(breaker.acquire(Priority::Automatic).is_ok());
    }

    #[test]
    fn person_may_probe_once_in_ten_seconds_during_the_open_period() {
        let (breaker, clock, _) = opened();
        // Longer than ten seconds.
        let until = loop {
            let until = breaker.check(Priority::Automatic).unwrap_err().until;
            if until - clock.now() > 30 {
                break until;
            }
            clock.advance(until - clock.now());
            breaker.acquire(Priority::Automatic).ok().unwrap().report(Some(&down()));
        };
        for _ in 0..2 {
            breaker.acquire(Priority::Interactive).ok().unwrap().report(Some(&down()));
            assert!(breaker.acquire(Priority::Interactive).is_err());
            assert_eq!(breaker.check(Priority::Automatic).unwrap_err().until, until, "the open period stays the same");
            clock.advance(MANUAL_PROBE_INTERVAL);
        }
        breaker.acquire(Priority::Interactive).ok().unwrap().report(None);
        assert!(breaker.acquire(Priority::Automatic).is_ok());
    }

    #[test]
    fn urgent_requests_bypass_it_and_earlier_requests_change_nothing() {
        let (breaker, clock) = breaker();
        let earlier_permits: Vec<BreakerPermit> =
            (0..FAILURE_THRESHOLD + 3).map(|_| breaker.acquire(Priority::Automatic).ok().unwrap()).collect();
        earlier_permits.into_iter().for_each(|pass| pass.report(Some(&down())));
        let until = breaker.check(Priority::Automatic).unwrap_err().until;
        assert!(until <= NOW + 10, "counted as a failed probe");
        send(&breaker, Some(&down()));
        assert_eq!(breaker.check(Priority::Automatic).unwrap_err().until, until);
        send(&breaker, None);
        assert_eq!(breaker.check(Priority::Automatic), Ok(()));
        clock.advance(1);
    }
}
