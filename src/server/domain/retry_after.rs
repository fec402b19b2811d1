//! Parses `Retry-After`.

use std::time::Duration;

use chrono::DateTime;

/// The longest wait that is accepted, in seconds. Xero's daily limit resets within a day.
const MAX_RETRY_AFTER: u64 = 24 * 60 * 60;

/// Parses a `Retry-After` in seconds or as an HTTP date (RFC 9110, 10.2.3). `now` is in unix seconds. Returns at most a
/// day, or `None` if `text` is neither.
pub fn parse_retry_after(text: &str, now: i64) -> Option<Duration> {
    let text = text.trim();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = if digits {
        // A number that overflows is the maximum.
        text.parse().unwrap_or(MAX_RETRY_AFTER)
    } else {
        let until = DateTime::parse_from_rfc2822(text).ok()?.timestamp();
        u64::try_from(until.saturating_sub(now)).unwrap_or(0)
    };
    Some(Duration::from_secs(seconds.min(MAX_RETRY_AFTER)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_parsed_and_capped_at_a_day() {
        // The example date of RFC 9110.
        let now = 784_111_777;
        let cases = [
            ("0", Some(0)),
            ("17", Some(17)),
            (" 17 ", Some(17)),
            ("86400", Some(86_400)),
            ("86401", Some(86_400)),
            ("99999999999999999999999", Some(86_400)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:48:37 GMT", Some(0)),
            ("Wed, 06 Nov 2024 08:49:37 GMT", Some(86_400)),
            ("", None),
            ("-5", None),
            ("1.5", None),
            ("soon", None),
        ];
        for (text, seconds) in cases {
            assert_eq!(parse_retry_after(text, now), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
