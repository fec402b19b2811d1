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
    for asker in [Priority::Automatic, Priority::Interactive] {
        assert!(
            breaker.acquire(asker).is_err_and(|open_circuit| open_circuit.until > until),
            "{asker:?}: a second probe"
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
