//! For how long a server wants to be left alone.

use std::time::Duration;

use chrono::DateTime;

/// The longest wait that is believed, in seconds: Xero's daily limit ends within a day.
const LONGEST: u64 = 24 * 60 * 60;

/// A `Retry-After` in seconds or as an HTTP date (RFC 9110, 10.2.3), which `now`, in unix seconds, is compared with. A
/// day at most; `None` where it is neither.
pub fn retry_after(text: &str, now: i64) -> Option<Duration> {
    let text = text.trim();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = if digits {
        // Too many digits for a number is still a long time.
        text.parse().unwrap_or(LONGEST)
    } else {
        let until = DateTime::parse_from_rfc2822(text).ok()?.timestamp();
        u64::try_from(until.saturating_sub(now)).unwrap_or(0)
    };
    Some(Duration::from_secs(seconds.min(LONGEST)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_in_both_forms_and_bounded_to_a_day() {
        // RFC 9110's own example date.
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
            assert_eq!(retry_after(text, now), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
