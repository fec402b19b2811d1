//! Compares this machine's clock with the database's.

use super::check::{Check, unreadable};
use crate::server::clock::{Clock, ClockReading, apart};
use crate::server::store::{Database, DatabaseKind};

const NAME: &str = "database clock";
/// A larger difference warns. Clocks that are kept by NTP differ by far less. Milliseconds.
const WARN: i64 = 5_000;

/// Checks how far the clocks are apart. Returns a clock that is corrected by the database's, as a server's is.
pub async fn check_clock(database: &Database, clock: &Clock) -> (Check, Clock) {
    let corrected = Clock::system();
    let check = match database.read_clock(clock).await {
        Ok(Some(reading)) => {
            corrected.set_offset(reading.offset);
            verdict(reading)
        }
        Ok(None) if database.kind() == DatabaseKind::Sqlite => {
            Check::ok(NAME, "SQLite has no clock of its own: this machine's counts.")
        }
        Ok(None) => Check::ok(NAME, "Not compared."),
        Err(error) => unreadable(NAME, &error),
    };
    (check, corrected)
}

fn verdict(reading: ClockReading) -> Check {
    let found = format!("This machine's clock is {} the database's.", apart(-reading.offset));
    let to_do = "Set both machines' clocks by NTP (chrony or systemd-timesyncd).";
    match reading.offset.saturating_abs() {
        0..=999 => Check::ok(NAME, "This machine's clock and the database's agree."),
        1_000..=WARN => Check::ok(NAME, found),
        _ if !reading.is_too_far_off() => {
            Check::warn(NAME, format!("{found} Servers correct their time by it."), to_do)
        }
        _ => Check::fail(NAME, format!("{found} No server starts with an hour or more."), to_do),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::check::Verdict;
    use super::*;

    #[test]
    fn verdict_follows_from_how_far_the_clocks_are_apart() {
        let cases = [
            (0, Verdict::Ok, "agree"),
            (-4_000, Verdict::Ok, "4 seconds ahead of the database's"),
            (120_000, Verdict::Warn, "2 minutes behind the database's"),
            (-3_600_000, Verdict::Warn, "60 minutes ahead"),
            (-13 * 3_600_000, Verdict::Fail, "13 hours ahead"),
        ];
        for (offset, expected, words) in cases {
            let check = verdict(ClockReading { offset, round_trip: Duration::from_millis(1) });
            assert_eq!(check.verdict, expected, "{offset}");
            assert!(check.found.contains(words), "{}", check.found);
        }
    }
}
