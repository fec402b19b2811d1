//! Times as people read them. The server writes absolute UTC; only the browser makes it relative or local.
//!
//! Small on purpose: a date library would weigh more than the page's own code.

/// `2026-11-23T14:05:09Z`, for `<time datetime>`.
pub fn iso(unix: i64) -> String {
    let (year, month, day) = civil(unix.div_euclid(DAY));
    let (hour, minute) = hour_minute(unix);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}Z", unix.rem_euclid(MINUTE))
}

/// `23 Nov 2026, 14:05 UTC`.
pub fn absolute(unix: i64) -> String {
    format!("{}, {}", date(unix), clock(unix))
}

/// `23 Nov 2026`, in UTC.
pub fn date(unix: i64) -> String {
    let (year, month, day) = civil(unix.div_euclid(DAY));
    // `civil` gives months from 1 to 12.
    format!("{day} {} {year}", MONTHS[month as usize - 1])
}

/// `14:05 UTC`.
pub fn clock(unix: i64) -> String {
    let (hour, minute) = hour_minute(unix);
    format!("{hour:02}:{minute:02} UTC")
}

/// `15:05` where this machine stands. Only for the browser: the server renders UTC.
pub fn local(milliseconds: f64) -> String {
    let date = js_sys::Date::new(&milliseconds.into());
    format!("{:02}:{:02}", date.get_hours(), date.get_minutes())
}

/// How long ago, in words: `just now`, `4 minutes ago`, `3 hours ago`, `12 days ago`.
pub fn ago(seconds: i64) -> String {
    let (count, unit) = match seconds {
        ..MINUTE => return "just now".to_owned(),
        MINUTE..HOUR => (seconds / MINUTE, "minute"),
        HOUR..DAY => (seconds / HOUR, "hour"),
        _ => (seconds / DAY, "day"),
    };
    format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" })
}

/// What is left of an access token's half hour: minutes, and seconds in the last two of them.
pub fn left(seconds: i64) -> String {
    match seconds {
        ..=0 => "Ended, renewed before its next use".to_owned(),
        1..120 => format!("{seconds} s left"),
        _ => format!("{} min left", seconds / MINUTE),
    }
}

/// How long something took, as exact as it matters: `420 ms`, `1.4 s`, `31 s`.
pub fn took(milliseconds: i64) -> String {
    match milliseconds {
        ..1_000 => format!("{} ms", milliseconds.max(0)),
        1_000..10_000 => format!("{}.{} s", milliseconds / 1_000, milliseconds % 1_000 / 100),
        _ => format!("{} s", milliseconds / 1_000),
    }
}

pub const DAY: i64 = 86_400;
const HOUR: i64 = 3_600;
const MINUTE: i64 = 60;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn hour_minute(unix: i64) -> (i64, i64) {
    let second = unix.rem_euclid(DAY);
    (second / HOUR, second % HOUR / MINUTE)
}

/// Year, month and day of a day counted from 1 January 1970, in the Gregorian calendar.
///
/// Counts from 1 March of year 0, so that the leap day is a year's last and the months before it have a fixed
/// pattern of lengths: 153 days for every five.
fn civil(days: i64) -> (i64, i64, i64) {
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
    fn dates_are_civil_and_utc() {
        for (unix, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (1_795_442_709, "2026-11-23T14:05:09Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(iso(unix), text);
        }
        assert_eq!(absolute(1_795_442_709), "23 Nov 2026, 14:05 UTC");
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let mut before = civil(-1);
        for day in 0..146_097 {
            let (year, month, date) = civil(day);
            let next_day = (year, month) == (before.0, before.1) && date == before.2 + 1;
            let next_month = date == 1
                && (28..=31).contains(&before.2)
                && (year, month) == if before.1 == 12 { (before.0 + 1, 1) } else { (before.0, before.1 + 1) };
            assert!(next_day || next_month, "{before:?} then {:?}", (year, month, date));
            before = (year, month, date);
        }
        assert_eq!(civil(146_096), (2369, 12, 31));
    }

    #[test]
    fn an_age_is_said_in_its_largest_unit() {
        for (seconds, text) in [
            (-5, "just now"),
            (59, "just now"),
            (60, "1 minute ago"),
            (3_599, "59 minutes ago"),
            (7_200, "2 hours ago"),
            (86_400, "1 day ago"),
            (45 * 86_400, "45 days ago"),
        ] {
            assert_eq!(ago(seconds), text);
        }
    }

    #[test]
    fn a_duration_is_as_exact_as_it_matters() {
        for (milliseconds, text) in
            [(-3, "0 ms"), (420, "420 ms"), (1_449, "1.4 s"), (9_999, "9.9 s"), (31_900, "31 s")]
        {
            assert_eq!(took(milliseconds), text);
        }
    }

    #[test]
    fn the_last_two_minutes_count_in_seconds() {
        assert_eq!(left(1_799), "29 min left");
        assert_eq!(left(120), "2 min left");
        assert_eq!(left(119), "119 s left");
        assert_eq!(left(1), "1 s left");
        assert_eq!(left(0), "Ended, renewed before its next use");
    }
}
