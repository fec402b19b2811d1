//! `Retry-After`: for any header value, the next attempt is in the future and at most 75 minutes away.

use std::time::Duration;

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderValue};
use evergrant::server::domain::AccessToken;
use evergrant::server::tokens::Backoff;
use evergrant::server::xero::{HttpResponse, parse};

const DAY: u64 = 24 * 60 * 60;
/// The longest wait, in seconds.
const LONGEST: i64 = 75 * 60;

/// Current times: the epoch, the example date of RFC 9110, a present date, and one beyond 32 bits.
const NOWS: [i64; 4] = [0, 784_111_777, 1_800_000_000, 5_000_000_000];

/// The first byte selects the current time and the number of failures; the rest is the header's value.
pub fn hold(input: &[u8]) {
    let Some((first, text)) = input.split_first() else { return };
    let Ok(value) = HeaderValue::from_bytes(text) else { return };
    let (now, failures) = (NOWS[usize::from(*first) % NOWS.len()], i64::from(*first >> 2));
    let answer = HttpResponse::from_head(429, &HeaderMap::from_iter([(RETRY_AFTER, value)]), now);
    let asked = answer.retry_after;
    assert!(asked.is_none_or(|wait| wait <= Duration::from_secs(DAY)), "{asked:?}");
    if let Some(plain) = plain_seconds(text) {
        assert_eq!(asked, Some(Duration::from_secs(plain)), "{text:?}");
    }

    let Err(error) = parse::connections(&answer, &AccessToken::new("sent")) else { panic!("a 429 has no list") };
    assert!(
        error.retry_after == asked
            && error.summary().starts_with("Xero is limiting Evergrant's requests. Try again in ")
    );

    for (replay_window_left, jitter) in [(0, 0.0), (0, 1.0), (1, 0.5), (1800, 1.0)] {
        let until = Backoff { failures, retry_after: asked, replay_window_left, jitter }.until(now);
        assert!((now + 1..=now + LONGEST).contains(&until), "{until} from {now}");
        if replay_window_left > 0 {
            assert!(until <= now + 600, "{until} from {now}, with {replay_window_left} s left of the replay window");
        }
    }
}

/// Parses plain digits as seconds, up to the limit of a response's `retry_after`.
fn plain_seconds(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    digits.then(|| text.iter().fold(0, |sum: u64, digit| (sum * 10 + u64::from(digit - b'0')).min(DAY)))
}
