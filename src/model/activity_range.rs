//! The days and the person that a list of activity is narrowed to.

use serde::{Deserialize, Serialize};

/// The days and the person as they were typed. What is empty narrows nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ActivityRange {
    /// The first day: `2026-11-23`.
    pub from: String,
    /// The last day.
    pub to: String,
    /// The time zone of the days, by its IANA name.
    pub zone: String,
    /// A part of an email address or of an API key's name. Case is ignored.
    pub person: String,
}

/// A span of time, in unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Its first second.
    pub from: i64,
    /// The second after its last.
    pub until: i64,
}

/// Why a range is no span. `Display` is the sentence for the person who typed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RangeProblem {
    /// The first day is no date.
    From,
    /// The last day is no date.
    To,
    /// The last day comes before the first.
    Reversed,
}

impl Default for Span {
    fn default() -> Self {
        Self { from: 0, until: i64::MAX }
    }
}

impl std::fmt::Display for RangeProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::From | Self::To => "Enter a day as year-month-day, such as 2026-11-23.",
            Self::Reversed => "The last day comes before the first.",
        })
    }
}

impl ActivityRange {
    /// Returns the range without spaces around what was typed. What is missing narrows nothing.
    pub fn typed(from: Option<String>, to: Option<String>, zone: Option<String>, person: Option<String>) -> Self {
        let text = |text: Option<String>| text.unwrap_or_default().trim().to_owned();
        Self { from: text(from), to: text(to), zone: text(zone), person: text(person) }
    }

    /// Returns whether anything is narrowed.
    pub fn narrows(&self) -> bool {
        self.has_days() || !self.person.is_empty()
    }

    /// Returns whether a first or last day is given.
    pub fn has_days(&self) -> bool {
        !self.from.is_empty() || !self.to.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_a_person_narrow_a_list_and_a_time_zone_alone_does_not() {
        let text = |text: &str| Some(text.to_owned());
        assert!(!ActivityRange::typed(text(" "), None, text("Pacific/Auckland"), None).narrows());
        assert!(ActivityRange::typed(text("2026-11-23"), None, None, None).narrows());
        assert!(ActivityRange::typed(None, text("2026-11-23"), None, None).narrows());
        assert!(ActivityRange::typed(None, None, None, text("ana@example.com")).narrows());
    }
}
