//! Tests when the breaker opens, whom it admits, and when it closes.

use reqwest::header::{HeaderMap, HeaderName};

use super::*;
use crate::server::domain::AccessToken;
use crate::server::xero::HttpResponse;

const NOW: i64 = 1_800_000_000;

fn breaker() -> (Breaker, Clock) {
    let clock = Clock::manual(NOW);
    (Breaker::new(Endpoint::Token, clock.clone()), clock)
}

/// Returns a response of JSON with these headers.
fn response(status: u16, headers: &[(&'static str, &str)], body: &str) -> HttpResponse {
    let json = ("content-type", "application/json");
    let headers = headers.iter().chain([&json]).map(|(name, value)| (HeaderName::from_static(name), value.parse()));
    let headers: HeaderMap = headers.map(|(name, value)| (name, value.unwrap())).collect();
    HttpResponse::from_head(status, &headers, NOW).with_body(body.as_bytes().to_vec())
}

/// Returns the token endpoint's refusal with this OAuth error code.
fn refused(code: &str) -> XeroError {
    XeroError::from_identity(&response(400, &[], &format!(r#"{{"error":"{code}"}}"#)))
}

fn down() -> XeroError {
    XeroError::from_identity(&response(503, &[], ""))
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
        Some(refused("invalid_grant")),
        Some(refused("invalid_request")),
        Some(XeroError::from_api(&response(400, &[], r#"{"Title":"Bad request"}"#), &AccessToken::new("sent"))),
    ];
    for answer in answers {
        let (breaker, _) = breaker();
        for _ in 0..3 {
            (1..FAILURE_THRESHOLD).for_each(|_| send(&breaker, Some(&down())));
            send(&breaker, answer.as_ref());
        }
        assert_eq!(breaker.check(Priority::Automatic), Ok(()), "{answer:?}");
        (0..FAILURE_THRESHOLD).for_each(|_| send(&breaker, Some(&down())));
        let open_circuit = breaker.check(Priority::Automatic).unwrap_err();
        assert!((NOW + 5..=NOW + 10).contains(&open_circuit.until), "{open_circuit:?}");
        assert_eq!(open_circuit.cause, down());
    }
}

#[test]
fn app_wide_failures_open_it_at_once() {
    let limited = |seconds: u64| XeroError::from_identity(&response(429, &[("retry-after", &seconds.to_string())], ""));
    let cases = [
        (refused("invalid_client"), 5..=10),
        (refused("unauthorized_client"), 5..=10),
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
    let limited = |remaining: &str| {
        let headers = [("retry-after", "30"), ("x-appminlimit-remaining", remaining)];
        XeroError::from_api(&response(429, &headers, ""), &AccessToken::new("sent"))
    };
    let breaker = Breaker::new(Endpoint::Api, Clock::manual(NOW));
    (0..20).for_each(|_| send(&breaker, Some(&limited("59"))));
    assert_eq!(breaker.check(Priority::Automatic), Ok(()));
    send(&breaker, Some(&limited("0")));
    assert_eq!(breaker.check(Priority::Automatic).unwrap_err().until, NOW + 30);
}

#[test]
fn one_probe_is_sent_after_the_open_period_and_its_success_closes_it() {
    let (breaker, clock, until) = opened();
    clock.advance(until - NOW - 1);
    assert!(breaker.acquire(Priority::Automatic).is_err());
    clock.advance(1);
    let probe = breaker.acquire(Priority::Automatic).ok().unwrap();
    for priority in [Priority::Automatic, Priority::Interactive] {
        assert!(
            breaker.acquire(priority).is_err_and(|open_circuit| open_circuit.until > until),
            "{priority:?}: a second probe"
        );
    }
    probe.report(None);
    assert!((0..9).all(|_| breaker.acquire(Priority::Automatic).is_ok()));
}

#[test]
fn clock_that_is_set_back_does_not_prolong_the_open_period() {
    let (breaker, clock, until) = opened();
    clock.advance(-13 * 60 * 60);
    let open_circuit = breaker.check(Priority::Automatic).unwrap_err();
    assert_eq!(open_circuit.until - clock.now(), until - NOW, "what is left of it");
    clock.advance(until - NOW);
    assert!(breaker.is_probe_due() && breaker.acquire(Priority::Automatic).is_ok());
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

#[test]
fn pause_began_when_the_circuit_opened_however_many_probes_failed_since() {
    let (breaker, clock, until) = opened();
    let pause = breaker.pause().unwrap();
    assert_eq!((pause.since, pause.next_try_at, pause.code.as_str()), (NOW, until, "http_503"));
    clock.advance(until - NOW);
    send(&breaker, Some(&down()));
    let later = breaker.pause().unwrap();
    assert!(later.since == NOW && later.next_try_at > until, "{later:?}");
    clock.advance(later.next_try_at - clock.now());
    send(&breaker, None);
    assert_eq!(breaker.pause(), None);
}

#[test]
fn pauses_for_refusals_grow_until_one_request_succeeds() {
    let (breaker, clock) = breaker();
    let cause = refused("invalid_grant");
    let pause = || breaker.open_for_refusals(&cause) - clock.now();
    assert_eq!([pause(), pause(), pause(), pause()], [0, 10, 20, 40], "the first probe may start at once");
    // Neither failures nor further refusals are a success.
    send(&breaker, Some(&cause));
    send(&breaker, Some(&down()));
    assert_eq!(pause(), 80);
    (0..99).for_each(|_| _ = pause());
    assert_eq!(pause(), 5 * 60);
    send(&breaker, None);
    assert_eq!(pause(), 0);
}

#[test]
fn probe_is_due_from_the_end_of_the_open_period_while_none_is_in_flight() {
    let (breaker, clock, until) = opened();
    clock.advance(until - 1 - clock.now());
    assert!(!breaker.is_probe_due());
    clock.advance(1);
    assert!(breaker.is_probe_due());
    let probe = breaker.acquire(Priority::Automatic).ok().unwrap();
    assert!(!breaker.is_probe_due());
    drop(probe);
    assert!(breaker.is_probe_due());
}

#[test]
fn retry_after_is_honored_up_to_a_quarter_of_an_hour() {
    for (asked, most) in [("600", 600), ("86400", MAX_RETRY_AFTER)] {
        let (breaker, clock) = breaker();
        let refused = XeroError::from_identity(&response(503, &[("retry-after", asked)], ""));
        (0..FAILURE_THRESHOLD).for_each(|_| send(&breaker, Some(&refused)));
        assert_eq!(breaker.check(Priority::Automatic).unwrap_err().until - clock.now(), most);
    }
}

#[test]
fn refusals_open_it_for_one_probe_at_once_and_keep_the_time_since_it_is_open() {
    let (breaker, clock) = breaker();
    assert_eq!(breaker.open_for_refusals(&refused("invalid_grant")), NOW);
    assert!(breaker.is_probe_due());
    let probe = breaker.acquire(Priority::Automatic).ok().unwrap();
    assert!(breaker.acquire(Priority::Automatic).is_err(), "a second probe");
    clock.advance(7);
    assert_eq!(breaker.open_for_refusals(&refused("invalid_grant")), NOW + 17);
    let pause = breaker.pause().unwrap();
    assert_eq!((pause.since, pause.next_try_at, pause.code.as_str()), (NOW, NOW + 17, "invalid_grant"));
    probe.report(None);
    assert_eq!(breaker.pause(), None);
}

#[test]
fn pauses_of_the_api_are_a_minute_at_most_and_never_overflow() {
    let clock = Clock::manual(NOW);
    let breaker = Breaker::new(Endpoint::Api, clock.clone());
    (0..FAILURE_THRESHOLD).for_each(|_| send(&breaker, Some(&down())));
    for failed_probes in 1..99 {
        clock.advance(breaker.check(Priority::Automatic).unwrap_err().until - clock.now());
        breaker.acquire(Priority::Automatic).ok().unwrap().report(Some(&down()));
        let pause = breaker.check(Priority::Automatic).unwrap_err().until - clock.now();
        let longest = if failed_probes == 1 {
            20
        } else if failed_probes == 2 {
            40
        } else {
            60
        };
        assert!((longest / 2..=longest).contains(&pause), "{failed_probes}: {pause} of {longest}");
    }
    (0..9).for_each(|_| _ = breaker.open_for_refusals(&down()));
    assert_eq!(breaker.open_for_refusals(&down()) - clock.now(), 60);
}

#[test]
fn persons_probe_counts_for_ten_seconds_into_the_next_pause_and_one_after_a_pause_does_not() {
    let (breaker, clock, until) = opened();
    let fail = |priority| breaker.acquire(priority).ok().unwrap().report(Some(&down()));
    clock.advance(until - NOW - 1);
    fail(Priority::Interactive);
    clock.advance(1);
    fail(Priority::Automatic);
    clock.advance(MANUAL_PROBE_INTERVAL - 2);
    assert!(breaker.acquire(Priority::Interactive).is_err(), "nine seconds later");
    clock.advance(1);
    fail(Priority::Interactive);

    let (breaker, clock, until) = opened();
    clock.advance(until - NOW);
    breaker.acquire(Priority::Interactive).ok().unwrap().report(Some(&down()));
    assert!(breaker.acquire(Priority::Interactive).is_ok(), "the pause was over");
}

#[test]
fn pause_that_is_over_ends_now_for_people() {
    let (breaker, clock, until) = opened();
    clock.advance(until + 5 - NOW);
    assert_eq!(breaker.pause().map(|pause| pause.next_try_at), Some(clock.now()));
    assert_eq!(breaker.check(Priority::Automatic), Ok(()));
}

#[test]
fn breakers_that_open_together_probe_apart() {
    let pauses: Vec<i64> = (0..99).map(|_| opened().2 - NOW).collect();
    assert!(pauses.iter().any(|pause| *pause != pauses[0]), "{pauses:?}");
}
