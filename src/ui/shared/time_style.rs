//! How a time is written, as the server and the browser agree on it.

/// The attribute `data-time` of a `<time>`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TimeStyle {
    /// `23 Nov 2026`.
    Date,
    /// `14:05`.
    TimeOfDay,
    /// `23 Nov 2026, 14:05`.
    DateAndTime,
    /// `6 minutes ago`.
    Age,
    /// `24 min left`.
    TimeLeft,
}

impl TimeStyle {
    const ALL: [Self; 5] = [Self::Date, Self::TimeOfDay, Self::DateAndTime, Self::Age, Self::TimeLeft];

    /// Returns the attribute's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Date => "date",
            Self::TimeOfDay => "time",
            Self::DateAndTime => "both",
            Self::Age => "age",
            Self::TimeLeft => "left",
        }
    }

    /// Reads the attribute's value.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == text)
    }

    /// Returns whether the text changes as time passes.
    pub fn is_relative(self) -> bool {
        matches!(self, Self::Age | Self::TimeLeft)
    }
}
