//! Counts the calls of programs to Xero's API.

use metrics::counter;

use super::Metrics;
use super::names::{PROXIED_BYTES, PROXIED_CALLS};

/// How a program's call to Xero ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxiedCall {
    /// Xero answered, with whatever status.
    Answered,
    /// Its turn did not come in time, so nothing was sent.
    Limited,
    /// No connection could be made, so nothing was sent.
    Unreachable,
    /// It was sent, and no response arrived.
    NoAnswer,
}

impl ProxiedCall {
    const ALL: [Self; 4] = [Self::Answered, Self::Limited, Self::Unreachable, Self::NoAnswer];

    fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Limited => "limited",
            Self::Unreachable => "unreachable",
            Self::NoAnswer => "no_answer",
        }
    }
}

impl Metrics {
    /// Counts a call, with the bytes of its bodies.
    pub fn count_proxied_call(&self, outcome: ProxiedCall, sent: u64, received: u64) {
        self.with_recorder(|| {
            counter!(PROXIED_CALLS, "outcome" => outcome.as_str()).increment(1);
            counter!(PROXIED_BYTES, "direction" => "sent").increment(sent);
            counter!(PROXIED_BYTES, "direction" => "received").increment(received);
        });
    }

    /// Creates the counters, so that alert rules see the first increment.
    pub(super) fn create_proxied_calls(&self) {
        self.with_recorder(|| {
            for outcome in ProxiedCall::ALL {
                counter!(PROXIED_CALLS, "outcome" => outcome.as_str()).absolute(0);
            }
            for direction in ["sent", "received"] {
                counter!(PROXIED_BYTES, "direction" => direction).absolute(0);
            }
        });
    }
}
