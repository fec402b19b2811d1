//! Times in emails: in the zone that the receiver chose, or in UTC. Each names its zone.

use chrono::DateTime;

use crate::model::TimeZone;
use crate::server::domain::time_zone;

/// The zone in which a receiver reads times.
pub struct MailZone {
    name: String,
    zone: TimeZone,
}

impl MailZone {
    /// Returns the zone that the receiver chose; UTC if they chose none, or one that is unknown.
    pub fn of(chosen: Option<&str>) -> Self {
        let known = chosen.and_then(|name| Some((name.replace('_', " "), time_zone(name)?)));
        let (name, zone) = known.unwrap_or_else(|| ("UTC".to_owned(), TimeZone::new(|_| 0)));
        Self { name, zone }
    }

    /// Writes a day: `15 Jan 2027`.
    pub fn date(&self, at: i64) -> String {
        self.format(at, "%-d %b %Y")
    }

    /// Writes a time: `15 Jan 2027, 21:00 Pacific/Auckland`.
    pub fn time(&self, at: i64) -> String {
        format!("{} {}", self.format(at, "%-d %b %Y, %H:%M"), self.name)
    }

    fn format(&self, at: i64, pattern: &str) -> String {
        DateTime::from_timestamp(at + self.zone.offset_at(at), 0).unwrap_or_default().format(pattern).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_the_zone_that_the_receiver_chose_and_name_it() {
        for (chosen, time, date) in [
            (None, "15 Jan 2027, 20:00 UTC", "15 Jan 2027"),
            (Some("Atlantis/Capital"), "15 Jan 2027, 20:00 UTC", "15 Jan 2027"),
            (Some("Pacific/Auckland"), "16 Jan 2027, 09:00 Pacific/Auckland", "16 Jan 2027"),
            (Some("America/St_Johns"), "15 Jan 2027, 16:30 America/St Johns", "15 Jan 2027"),
        ] {
            let zone = MailZone::of(chosen);
            assert_eq!((zone.time(1_800_043_200).as_str(), zone.date(1_800_043_200).as_str()), (time, date));
        }
    }
}
