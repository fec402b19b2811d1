//! Times and durations as text for people, in UTC.
//!
//! Written by hand because a date library would be larger than the page's own code.

use std::fmt::{Display, from_fn};

/// `2026-11-23T14:05:09Z`, for `<time datetime>`.
pub fn iso(unix: i64) -> impl Display {
    let ((year, month, day), (hour, minute)) = (civil_from_days(unix.div_euclid(DAY)), hour_minute(unix));
    let second = unix.rem_euclid(MINUTE);
    from_fn(move |f| write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"))
}

/// `23 Nov 2026, 14:05`.
pub fn absolute(unix: i64) -> impl Display {
    from_fn(move |f| write!(f, "{}, {}", date(unix), time_of_day(unix)))
}

/// `23 Nov 2026`.
pub fn date(unix: i64) -> impl Display {
    let (year, month, day) = civil_from_days(unix.div_euclid(DAY));
    from_fn(move |f| write!(f, "{day} {} {year}", name_of(month)))
}

/// `14:05`.
pub fn time_of_day(unix: i64) -> impl Display {
    let (hour, minute) = hour_minute(unix);
    from_fn(move |f| write!(f, "{hour:02}:{minute:02}"))
}

/// How long ago, in words: `just now`, `4 minutes ago`, `3 hours ago`, `12 days ago`.
pub fn age(seconds: i64) -> String {
    let (count, unit) = match seconds {
        ..MINUTE => return "just now".to_owned(),
        MINUTE..HOUR => (seconds / MINUTE, "minute"),
        HOUR..DAY => (seconds / HOUR, "hour"),
        _ => (seconds / DAY, "day"),
    };
    format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" })
}

/// The time left of an access token, in minutes, and in seconds during the last two minutes.
pub fn time_left(seconds: i64) -> String {
    match seconds {
        ..=0 => "Expired, renewed before its next use".to_owned(),
        1..120 => format!("{seconds} s left"),
        _ => format!("{} min left", seconds / MINUTE),
    }
}

/// A duration, rounded down to a useful precision: `420 ms`, `1.4 s`, `31 s`.
pub fn duration(milliseconds: i64) -> String {
    match milliseconds {
        ..1_000 => format!("{} ms", milliseconds.max(0)),
        1_000..10_000 => format!("{}.{} s", milliseconds / 1_000, milliseconds % 1_000 / 100),
        _ => format!("{} s", milliseconds / 1_000),
    }
}

/// Seconds in a day.
pub const DAY: i64 = 86_400;
const HOUR: i64 = 3_600;
const MINUTE: i64 = 60;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Returns the name of a month, from 1 to 12.
fn name_of(month: i64) -> &'static str {
    MONTHS[month as usize - 1]
}

fn hour_minute(unix: i64) -> (i64, i64) {
    let second = unix.rem_euclid(DAY);
    (second / HOUR, second % HOUR / MINUTE)
}

/// Converts days since 1 January 1970 to year, month and day of the Gregorian calendar.
///
/// Counts from 1 March of year 0: the leap day is then the last day of a year, and every five months have 153 days.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let since = days + 719_468;
    let era = since.div_euclid(146_097);
    let of_era = since.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_gregorian_and_utc() {
        for (unix, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (1_795_442_709, "2026-11-23T14:05:09Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_800, "10000-01-01T00:00:00Z"),
        ] {
            assert_eq!(iso(unix).to_string(), text);
        }
        assert_eq!(absolute(1_795_442_709).to_string(), "23 Nov 2026, 14:05");
    }

    #[test]
    fn every_day_of_400_years_follows_the_previous_one() {
        let mut before = civil_from_days(-1);
        for day in 0..146_097 {
            let (year, month, date) = civil_from_days(day);
            let next_day = (year, month) == (before.0, before.1) && date == before.2 + 1;
            let next_month = date == 1
                && (28..=31).contains(&before.2)
                && (year, month) == if before.1 == 12 { (before.0 + 1, 1) } else { (before.0, before.1 + 1) };
            assert!(next_day || next_month, "{before:?} then {:?}", (year, month, date));
            before = (year, month, date);
        }
        assert_eq!(civil_from_days(146_096), (2369, 12, 31));
    }

    #[test]
    fn age_uses_its_largest_unit() {
        for (seconds, text) in [
            (-5, "just now"),
            (59, "just now"),
            (60, "1 minute ago"),
            (3_599, "59 minutes ago"),
            (7_200, "2 hours ago"),
            (86_400, "1 day ago"),
            (45 * 86_400, "45 days ago"),
        ] {
            assert_eq!(age(seconds), text);
        }
    }

    #[test]
    fn duration_has_a_useful_precision() {
        for (milliseconds, text) in
            [(-3, "0 ms"), (420, "420 ms"), (1_449, "1.4 s"), (9_999, "9.9 s"), (31_900, "31 s")]
        {
            assert_eq!(duration(milliseconds), text);
        }
    }

    #[test]
    fn last_two_minutes_are_shown_in_seconds() {
        assert_eq!(time_left(1_799), "29 min left");
        assert_eq!(time_left(120), "2 min left");
        assert_eq!(time_left(119), "119 s left");
        assert_eq!(time_left(1), "1 s left");
        assert_eq!(time_left(0), "Expired, renewed before its next use");
    }
}
