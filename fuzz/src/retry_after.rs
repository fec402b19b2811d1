//! `Retry-After`: whatever Xero writes there, the wait that follows is one of hours at most and never in the past.

use std::time::Duration;

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderValue};
use evergrant::server::domain::AccessToken;
use evergrant::server::tokens::Wait;
use evergrant::server::xero::{Answer, reading};

const DAY: u64 = 24 * 60 * 60;
/// What the longest back-off of our own comes to, in seconds.
const LONGEST: i64 = 75 * 60;

/// When it is now: the epoch, RFC 9110's own example date, today, and past what 32 bits hold.
const NOWS: [i64; 4] = [0, 784_111_777, 1_800_000_000, 5_000_000_000];

/// The first byte says when it is and how often it failed before; the rest is the header.
pub fn hold(input: &[u8]) {
    let Some((first, text)) = input.split_first() else { return };
    let Ok(value) = HeaderValue::from_bytes(text) else { return };
    let (now, failures) = (NOWS[usize::from(*first) % NOWS.len()], i64::from(*first >> 2));
    let answer = Answer::headed(429, &HeaderMap::from_iter([(RETRY_AFTER, value)]), now);
    let asked = answer.retry_after;
    assert!(asked.is_none_or(|wait| wait <= Duration::from_secs(DAY)), "{asked:?}");
    if let Some(plain) = plain_seconds(text) {
        assert_eq!(asked, Some(Duration::from_secs(plain)), "{text:?}");
    }

    let Err(error) = reading::connections(&answer, &AccessToken::new("sent")) else { panic!("a 429 is no list") };
    assert!(error.retry_after == asked && error.summary().starts_with("Xero asks us to slow down. Try again in "));

    for (grace_left, chance) in [(0, 0.0), (0, 1.0), (1, 0.5), (1800, 1.0)] {
        let until = Wait { failures, retry_after: asked, grace_left, chance }.until(now);
        assert!((now + 1..=now + LONGEST).contains(&until), "{until} from {now}");
        if grace_left > 0 {
            assert!(until <= now + 600, "{until} from {now}, with {grace_left} s of grace left");
        }
    }
}

/// Seconds without anything around them, bounded as an answer's are.
fn plain_seconds(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    digits.then(|| text.iter().fold(0, |sum: u64, digit| (sum * 10 + u64::from(digit - b'0')).min(DAY)))
}
