//! Looks up time zones in the tz database.

use chrono::{DateTime, Offset};
use chrono_tz::Tz;

use crate::model::TimeZone;

/// Returns the zone of this name, such as `Pacific/Auckland`.
pub fn time_zone(name: &str) -> Option<TimeZone> {
    let zone: Tz = name.parse().ok()?;
    Some(TimeZone::new(move |at| {
        let at = DateTime::from_timestamp(at, 0).unwrap_or_default();
        at.with_timezone(&zone).offset().fix().local_minus_utc().into()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time_zones;

    #[test]
    fn every_zone_that_can_be_chosen_is_known() {
        let unknown: Vec<_> = time_zones().filter(|name| time_zone(name).is_none()).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
        assert!(time_zone("Atlantis/Capital").is_none());
    }

    #[test]
    fn offset_follows_daylight_saving_time() {
        let (january, july) = (1_768_435_200, 1_784_073_600);
        let offsets = |name| {
            let zone = time_zone(name).unwrap();
            (zone.offset_at(january), zone.offset_at(july))
        };
        assert_eq!(offsets("Pacific/Auckland"), (13 * 3_600, 12 * 3_600));
        assert_eq!(offsets("America/St_Johns"), (-12_600, -9_000));
        assert_eq!(offsets("UTC"), (0, 0));
    }
}
