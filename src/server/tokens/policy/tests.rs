//! Tests when a grant is due, and how long it backs off.

use super::*;
use crate::server::domain::{Grant, Lease, XERO_REPLAY_WINDOW};

const DAY: i64 = 24 * 60 * 60;
const NOW: i64 = 1_800_000_000;

fn policy() -> Policy {
    Policy {
        buffer: 600,
        roll_after: 45 * DAY,
        lease_ttl: Duration::from_secs(60),
        wait_limit: Duration::from_secs(25),
        concurrency: 4,
    }
}

#[test]
fn grant_is_due_within_the_buffer_or_past_the_roll_age() {
    let cases = [
        (NOW + 600, NOW, false),
        (NOW + 599, NOW, true),
        (NOW - 1, NOW, true),
        (NOW + 1800, NOW - 45 * DAY, false),
        (NOW + 1800, NOW - 45 * DAY - 1, true),
    ];
    for (expires_at, issued_at, due) in cases {
        assert_eq!(
            policy().needs_refresh(&Grant::for_test(expires_at, issued_at), NOW),
            due,
            "{expires_at} {issued_at}"
        );
    }
}

#[test]
fn grant_with_a_possibly_lost_reply_is_due() {
    let fresh = || Grant::for_test(NOW + 1800, NOW);
    let lease = |until| Some(Lease { owner: "x".into(), until });
    let cases = [
        (Grant { failure_count: 1, ..fresh() }, true),
        (Grant { reply_lost_at: Some(NOW - 60), ..fresh() }, true),
        (Grant { lease: lease(NOW), ..fresh() }, true),
        (Grant { lease: lease(NOW + 1), ..fresh() }, false),
        // Another exchange of its predecessor may have ended it.
        (Grant { prove_by: Some(NOW), ..fresh() }, true),
        (Grant { prove_by: Some(NOW + 1), ..fresh() }, false),
    ];
    for (grant, due) in cases {
        assert_eq!(policy().needs_refresh(&grant, NOW), due, "{grant:?}");
    }
}

#[test]
fn token_is_served_until_the_expiry_margin() {
    assert!(is_still_valid(&Grant::for_test(NOW + 16, NOW), NOW));
    assert!(!is_still_valid(&Grant::for_test(NOW + 15, NOW), NOW));
}

fn backoff(failures: i64, retry_after: Option<u64>, replay_window_left: i64, chance: f64) -> i64 {
    Backoff { failures, retry_after: retry_after.map(Duration::from_secs), replay_window_left, jitter: chance }
        .until(NOW)
        - NOW
}

#[test]
fn backoff_doubles_to_fifteen_minutes_then_is_about_an_hour() {
    for (failures, longest) in [(0, 1), (1, 2), (5, 32), (9, 512), (10, 900)] {
        assert_eq!(backoff(failures, None, 0, 1.0), longest, "{failures}");
        assert_eq!(backoff(failures, None, 0, 0.0), 1, "{failures}");
    }
    for failures in [11, 60, i64::MAX] {
        assert_eq!((backoff(failures, None, 0, 0.0), backoff(failures, None, 0, 1.0)), (3600, 4500));
        assert_eq!(
            (backoff(failures, None, XERO_REPLAY_WINDOW, 0.0), backoff(failures, None, XERO_REPLAY_WINDOW, 1.0)),
            (400, 600)
        );
    }
}

#[test]
fn retry_after_is_the_minimum_backoff_up_to_an_hour() {
    assert_eq!(backoff(0, Some(1800), 0, 1.0), 1800);
    assert_eq!(backoff(10, Some(7), 0, 1.0), 900);
    assert_eq!(backoff(0, Some(86_400), 0, 1.0), 3600);
    assert_eq!(backoff(0, Some(u64::MAX), 0, 1.0), 3600);
}

#[test]
fn backoff_leaves_time_for_five_retries_in_the_replay_window() {
    for (failures, retry_after) in [(0, Some(86_400)), (10, Some(3600)), (50, Some(86_400)), (50, None)] {
        // Five more attempts follow, whatever the provider's `Retry-After`.
        let (mut left, mut tries) = (XERO_REPLAY_WINDOW, 0);
        while left > 0 {
            left -= backoff(failures, retry_after, left, 1.0);
            tries += usize::from(left > 0);
        }
        assert!(tries >= 5, "{failures} {retry_after:?}: {tries}");
    }
    assert_eq!(backoff(50, Some(3600), 30, 1.0), 60, "not many retries in its last moments");
}

#[test]
fn failing_grant_costs_fewer_than_fifty_exchanges_a_day() {
    // For any jitter, and with a replay window after the first failure.
    for chance in [0.0, 0.5, 1.0] {
        let (mut at, mut exchanges) = (0, 0);
        while at < DAY {
            at += backoff(exchanges, None, (XERO_REPLAY_WINDOW - at).max(0), chance);
            exchanges += 1;
        }
        assert!(exchanges < 50, "{chance}: {exchanges}");
    }
}

#[test]
fn lease_lasts_a_second_at_least() {
    for (ttl, seconds) in [(Duration::from_secs(60), 60), (Duration::from_millis(500), 1)] {
        assert_eq!(Policy { lease_ttl: ttl, ..policy() }.lease_until(NOW), NOW + seconds);
    }
}
