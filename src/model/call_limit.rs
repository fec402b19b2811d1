//! Xero's limits on calls to its API.

use serde::{Deserialize, Serialize};

use super::text_enum::str_enum;

str_enum!(
    /// A limit that Xero sets. The first three are per tenant.
    CallLimit {
        Concurrent = "concurrent",
        Minute = "minute",
        Day = "day",
        AppMinute = "app-minute",
    }
);

impl CallLimit {
    /// Says what the limit counts.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Concurrent => "calls at once to this connection",
            Self::Minute => "calls a minute to this connection",
            Self::Day => "calls a day to this connection",
            Self::AppMinute => "calls a minute of the whole app",
        }
    }
}
