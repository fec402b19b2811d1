//! The time that the days of a time zone span.

use chrono::{NaiveDate, NaiveDateTime, TimeDelta, TimeZone as _};
use chrono_tz::Tz;

use crate::model::{ActivityRange, RangeProblem, Span};

/// Names the zone of the days where the range names none that is known: the one that the person chose, or else UTC.
pub fn in_zone(range: ActivityRange, chosen: Option<&str>) -> ActivityRange {
    let known = |name: &&str| name.parse::<Tz>().is_ok();
    let zone = Some(range.zone.as_str()).filter(known).or(chosen.filter(known)).unwrap_or("UTC").to_owned();
    ActivityRange { zone, ..range }
}

/// Returns the time from the beginning of the first day to the end of the last.
pub fn span(range: &ActivityRange) -> Result<Span, RangeProblem> {
    let day = |text: &str, problem| match text {
        "" => Ok(None),
        text => NaiveDate::parse_from_str(text, "%Y-%m-%d").map(Some).map_err(|_| problem),
    };
    let (from, to) = (day(&range.from, RangeProblem::From)?, day(&range.to, RangeProblem::To)?);
    if from.zip(to).is_some_and(|(from, to)| to < from) {
        return Err(RangeProblem::Reversed);
    }
    let zone = range.zone.parse().unwrap_or(Tz::UTC);
    let (all, after) = (Span::default(), to.and_then(|to| to.succ_opt()));
    Ok(Span {
        from: from.map_or(all.from, |day| start_of(day, zone)),
        until: after.map_or(all.until, |day| start_of(day, zone)),
    })
}

/// Returns the first second of a day, in unix seconds. Where clocks are put forward at midnight, that is later; a day that
/// a zone skipped is taken as UTC's.
fn start_of(day: NaiveDate, zone: Tz) -> i64 {
    let midnight = NaiveDateTime::from(day);
    let quarters = (0..24 * 4).map(|quarter| midnight + TimeDelta::minutes(quarter * 15));
    let first = quarters.filter_map(|at| zone.from_local_datetime(&at).earliest()).next();
    first.map_or_else(|| midnight.and_utc().timestamp(), |at| at.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn range(from: &str, to: &str, zone: &str) -> ActivityRange {
        ActivityRange { from: from.into(), to: to.into(), zone: zone.into(), person: String::new() }
    }

    #[test]
    fn span_has_both_days_and_a_wrong_one_is_named() {
        let span = |from, to| span(&range(from, to, "UTC"));
        assert_eq!(span("", ""), Ok(Span::default()));
        assert_eq!(span("1970-01-02", "1970-01-02"), Ok(Span { from: DAY, until: 2 * DAY }));
        assert_eq!(span("", "1970-01-01"), Ok(Span { until: DAY, ..Span::default() }));
        for wrong in ["soon", "2026-02-29", "2026-13-01", "23.11.2026", "2026-1-15x", "2026-11-2é"] {
            assert_eq!(span(wrong, "1970-01-01"), Err(RangeProblem::From), "{wrong}");
            assert_eq!(span("1970-01-02", wrong), Err(RangeProblem::To), "{wrong}");
        }
        assert_eq!(span("1970-01-02", "1970-01-01"), Err(RangeProblem::Reversed));
    }

    #[test]
    fn days_are_those_of_the_zone() {
        let starts_and_hours = |zone, from, to| {
            let Span { from, until } = span(&range(from, to, zone)).unwrap();
            (from.rem_euclid(DAY) / 3_600, (until - from) / 3_600)
        };
        assert_eq!(starts_and_hours("Pacific/Auckland", "2026-11-30", "2026-11-30"), (11, 24));
        assert_eq!(
            starts_and_hours("Pacific/Auckland", "2026-09-27", "2026-09-27"),
            (12, 23),
            "clocks are put forward"
        );
        assert_eq!(starts_and_hours("Pacific/Auckland", "2026-04-05", "2026-04-05"), (11, 25), "clocks are put back");
        assert_eq!(starts_and_hours("America/Santiago", "2026-09-06", "2026-09-06"), (4, 23), "there is no midnight");
        assert_eq!(starts_and_hours("Pacific/Apia", "2011-12-30", "2011-12-30"), (0, 10), "there was no such day");
    }

    #[test]
    fn zone_that_is_not_known_is_the_persons_or_utc() {
        let zone = |named, chosen| in_zone(range("", "", named), chosen).zone;
        assert_eq!(zone("Pacific/Auckland", Some("Europe/Berlin")), "Pacific/Auckland");
        assert_eq!(zone("", Some("Europe/Berlin")), "Europe/Berlin");
        assert_eq!(zone("Atlantis/Capital", Some("Europe/Berlin")), "Europe/Berlin");
        assert_eq!(zone("", None), "UTC");
    }
}
