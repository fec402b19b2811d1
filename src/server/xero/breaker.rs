//! A breaker per endpoint: when it stops answering, nobody asks for a while; then one does.
//!
//! It opens after a run of failures that speak of the provider, or at once where Xero refuses the app itself or says
//! that the app asks too much. What one grant or tenant runs into, `invalid_grant` above all, is an answer and closes
//! it. While it is open, nothing is sent but a probe: the first that asks when the rest is over, or, now and then, a
//! person's click. A probe's success closes the breaker, its failure makes the next rest longer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::error::{Bearing, XeroError};
use crate::server::clock::Clock;

/// So many failures in a row open it.
const RUN: u32 = 5;
/// The first rest; each one after a failed probe is twice as long. Seconds, as all here.
const FIRST_REST: i64 = 10;
/// The longest that Xero's own `Retry-After` keeps an endpoint at rest.
const LONGEST_ASKED: i64 = 15 * 60;
/// How long after a person's probe the next person's may go.
const BETWEEN_CLICKS: i64 = 10;

/// Which endpoint a breaker stands before.
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

    /// A call of the API has somebody waiting before it, and no back-off of its own.
    fn longest_rest(self) -> i64 {
        match self {
            Self::Token => 5 * 60,
            Self::Api => 60,
        }
    }
}

/// Who wants to send a request, and with what right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// A trigger of our own: waits for the rest's end.
    Automatic,
    /// A person: may probe before, once in ten seconds over all of them.
    Person,
    /// What can't wait for the provider to be well: a token whose reply may have been lost, inside its grace; a
    /// consent's code, which lives five minutes.
    CannotWait,
}

/// Why nothing may be sent just now.
#[derive(Clone, Debug, PartialEq)]
pub struct Resting {
    /// Unix seconds of the next try.
    pub until: i64,
    /// The failure that began the rest.
    pub cause: XeroError,
}

/// Lets requests through, or not. Cheap to clone; clones share their state.
#[derive(Clone)]
pub struct Breaker(Arc<Inner>);

struct Inner {
    endpoint: Endpoint,
    clock: Clock,
    state: Mutex<State>,
}

enum State {
    /// Failures in a row.
    Closed(u32),
    Open(Open),
}

struct Open {
    until: i64,
    cause: XeroError,
    /// Rests in a row, this one included.
    rests: u32,
    /// A request that was let through to see.
    probing: bool,
    /// When a person's probe was let through before the rest's end.
    clicked_at: Option<i64>,
}

/// The right to send one request. What came of it must be told; dropped without, it counts for nothing.
pub struct Pass {
    breaker: Breaker,
    is_probe: bool,
}

impl Breaker {
    pub fn new(endpoint: Endpoint, clock: Clock) -> Self {
        Self(Arc::new(Inner { endpoint, clock, state: Mutex::new(State::Closed(0)) }))
    }

    /// Lets a request through, or says why not and until when.
    pub fn admit(&self, asker: Asker) -> Result<Pass, Resting> {
        let now = self.0.clock.now();
        let mut state = self.lock();
        let is_probe = match &mut *state {
            State::Open(open) => {
                let right = open.right(asker, now)?;
                open.probing |= right == Right::Probe;
                if right == Right::Probe && now < open.until {
                    open.clicked_at = Some(now);
                }
                right == Right::Probe
            }
            State::Closed(_) => false,
        };
        Ok(Pass { breaker: self.clone(), is_probe })
    }

    /// What `admit` would say, without taking anything.
    pub fn look(&self, asker: Asker) -> Result<(), Resting> {
        match &*self.lock() {
            State::Open(open) => open.right(asker, self.0.clock.now()).map(|_| ()),
            State::Closed(_) => Ok(()),
        }
    }

    /// Whether a rest is over and nobody has tried yet whether the provider is well.
    pub fn wants_probe(&self) -> bool {
        let now = self.0.clock.now();
        matches!(&*self.lock(), State::Open(open) if !open.probing && now >= open.until)
    }

    fn tell(&self, failed: Option<&XeroError>, was_probe: bool) {
        let now = self.0.clock.now();
        let mut state = self.lock();
        let bearing = failed.map_or(Bearing::Answer, |error| error.bearing(self.0.endpoint));
        match (&mut *state, bearing, failed) {
            (State::Closed(run), Bearing::Answer, _) => *run = 0,
            (State::Open(_), Bearing::Answer, _) => {
                tracing::info!(endpoint = self.0.endpoint.name(), "Xero answers again");
                *state = State::Closed(0);
            }
            (State::Closed(run), _, Some(cause)) => {
                *run += 1;
                if bearing == Bearing::App || *run >= RUN {
                    *state = State::Open(self.open(now, 1, cause));
                }
            }
            // A click's probe: clicks must not put off the one at the rest's end for ever.
            (State::Open(open), ..) if was_probe && now < open.until => open.probing = false,
            (State::Open(open), _, Some(cause)) if was_probe => {
                *open = Open { clicked_at: open.clicked_at, ..self.open(now, open.rests + 1, cause) };
            }
            // One that left before the breaker opened says nothing new.
            (State::Open(_), ..) | (State::Closed(_), _, None) => {}
        }
    }

    fn open(&self, now: i64, rests: u32, cause: &XeroError) -> Open {
        let endpoint = self.0.endpoint;
        let span = FIRST_REST.saturating_mul(1 << rests.saturating_sub(1).min(10)).min(endpoint.longest_rest());
        // Half of it is drawn, so that several processes don't all come back at once.
        let rest = span / 2 + rand::random_range(0..=span / 2);
        let asked = cause.retry_after.map_or(0, |wait| seconds(wait).min(LONGEST_ASKED));
        let until = now + rest.max(asked);
        if rests == 1 {
            tracing::warn!(endpoint = endpoint.name(), code = cause.evidence_code(), until, "Xero isn't asked for now");
        }
        Open { until, cause: cause.clone(), rests, probing: false, clicked_at: None }
    }

    fn give_back(&self) {
        if let State::Open(open) = &mut *self.lock() {
            open.probing = false;
        }
    }

    /// The state stays whole whatever its holders did.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Right {
    Probe,
    /// Past the breaker: a failure of it changes nothing.
    Past,
}

impl Open {
    fn right(&self, asker: Asker, now: i64) -> Result<Right, Resting> {
        let rested = now >= self.until;
        let may_click = asker == Asker::Person && self.clicked_at.is_none_or(|last| now - last >= BETWEEN_CLICKS);
        match asker {
            _ if !self.probing && (rested || may_click) => Ok(Right::Probe),
            Asker::CannotWait => Ok(Right::Past),
            // Where one is under way its answer tells: by then there is something to try again for.
            _ => Err(Resting { until: self.until.max(now + 1), cause: self.cause.clone() }),
        }
    }
}

impl Pass {
    /// What came of the request: `None` where it worked.
    pub fn tell(mut self, failed: Option<&XeroError>) {
        self.breaker.tell(failed, self.is_probe);
        self.is_probe = false;
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.is_probe {
            self.breaker.give_back();
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
        XeroError::without_answer(kind, code)
    }

    fn down() -> XeroError {
        error(ErrorKind::Transient(Transient::ServerError), "http_503")
    }

    fn send(breaker: &Breaker, failed: Option<&XeroError>) {
        breaker.admit(Asker::CannotWait).ok().unwrap().tell(failed);
    }

    fn opened() -> (Breaker, Clock, i64) {
        let (breaker, clock) = breaker();
        (0..RUN).for_each(|_| send(&breaker, Some(&down())));
        let until = breaker.look(Asker::Automatic).unwrap_err().until;
        (breaker, clock, until)
    }

    #[test]
    fn it_opens_after_a_run_of_failures_and_an_answer_breaks_the_run() {
        let answers = [
            None,
            Some(error(ErrorKind::Reconnect, "invalid_grant")),
            Some(error(ErrorKind::Operator, "invalid_request")),
            Some(error(ErrorKind::Refused, "http_400")),
        ];
        for answer in answers {
            let (breaker, _) = breaker();
            for _ in 0..3 {
                (1..RUN).for_each(|_| send(&breaker, Some(&down())));
                send(&breaker, answer.as_ref());
            }
            assert_eq!(breaker.look(Asker::Automatic), Ok(()), "{answer:?}");
            (0..RUN).for_each(|_| send(&breaker, Some(&down())));
            let resting = breaker.look(Asker::Automatic).unwrap_err();
            assert!((NOW + 5..=NOW + 10).contains(&resting.until), "{resting:?}");
            assert_eq!(resting.cause, down());
        }
    }

    #[test]
    fn what_every_request_would_hear_opens_it_at_once() {
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
            let until = breaker.look(Asker::Automatic).unwrap_err().until;
            assert!(rest.contains(&(until - NOW)), "{failure:?}: {}", until - NOW);
        }
    }

    #[test]
    fn one_tenants_limit_leaves_the_api_open_and_the_apps_does_not() {
        let limited = |whole_app| XeroError {
            retry_after: Some(Duration::from_secs(30)),
            whole_app,
            ..error(ErrorKind::Transient(Transient::RateLimited), "rate_limited")
        };
        let breaker = Breaker::new(Endpoint::Api, Clock::manual(NOW));
        (0..20).for_each(|_| send(&breaker, Some(&limited(false))));
        assert_eq!(breaker.look(Asker::Automatic), Ok(()));
        send(&breaker, Some(&limited(true)));
        assert_eq!(breaker.look(Asker::Automatic).unwrap_err().until, NOW + 30);
    }

    #[test]
    fn when_the_rest_is_over_one_probe_goes_and_its_success_closes_it() {
        let (breaker, clock, until) = opened();
        clock.advance(until - NOW - 1);
        assert!(breaker.admit(Asker::Automatic).is_err());
        clock.advance(1);
        let probe = breaker.admit(Asker::Automatic).ok().unwrap();
        for asker in [Asker::Automatic, Asker::Person] {
            assert!(breaker.admit(asker).is_err_and(|resting| resting.until > until), "{asker:?}: a second one");
        }
        probe.tell(None);
        assert!((0..9).all(|_| breaker.admit(Asker::Automatic).is_ok()));
    }

    #[test]
    fn a_failed_probe_makes_the_next_rest_longer_up_to_five_minutes() {
        let (breaker, clock, mut until) = opened();
        for longest in [20, 40, 80, 160, 300, 300, 300] {
            clock.advance(until - clock.now());
            breaker.admit(Asker::Automatic).ok().unwrap().tell(Some(&down()));
            until = breaker.look(Asker::Automatic).unwrap_err().until;
            let rest = until - clock.now();
            assert!((longest / 2..=longest).contains(&rest), "{rest} of {longest}");
        }
    }

    #[test]
    fn a_probe_that_never_left_makes_room_for_the_next() {
        let (breaker, clock, until) = opened();
        clock.advance(until - NOW);
        drop(breaker.admit(Asker::Automatic));
        assert!(breaker.admit(Asker::Automatic).is_ok());
    }

    #[test]
    fn a_persons_click_probes_before_the_rests_end_once_in_ten_seconds() {
        let (breaker, clock, _) = opened();
        // Longer than ten seconds.
        let until = loop {
            let until = breaker.look(Asker::Automatic).unwrap_err().until;
            if until - clock.now() > 30 {
                break until;
            }
            clock.advance(until - clock.now());
            breaker.admit(Asker::Automatic).ok().unwrap().tell(Some(&down()));
        };
        for _ in 0..2 {
            breaker.admit(Asker::Person).ok().unwrap().tell(Some(&down()));
            assert!(breaker.admit(Asker::Person).is_err());
            assert_eq!(breaker.look(Asker::Automatic).unwrap_err().until, until, "the rest's end stays");
            clock.advance(BETWEEN_CLICKS);
        }
        breaker.admit(Asker::Person).ok().unwrap().tell(None);
        assert!(breaker.admit(Asker::Automatic).is_ok());
    }

    #[test]
    fn what_cannot_wait_goes_past_it_and_what_left_before_says_nothing_new() {
        let (breaker, clock) = breaker();
        let left_before: Vec<Pass> = (0..RUN + 3).map(|_| breaker.admit(Asker::Automatic).ok().unwrap()).collect();
        left_before.into_iter().for_each(|pass| pass.tell(Some(&down())));
        let until = breaker.look(Asker::Automatic).unwrap_err().until;
        assert!(until <= NOW + 10, "counted as a failed probe");
        send(&breaker, Some(&down()));
        assert_eq!(breaker.look(Asker::Automatic).unwrap_err().until, until);
        send(&breaker, None);
        assert_eq!(breaker.look(Asker::Automatic), Ok(()));
        clock.advance(1);
    }
}
