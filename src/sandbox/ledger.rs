//! The ledger: every exchange that reached the token endpoint, so that a test can count them. Never a token.

use std::collections::VecDeque;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::faults::Kind;
use super::sign::hex;

/// Older entries are dropped.
const KEPT: usize = 10_000;

#[derive(Clone, Serialize)]
pub(super) struct Entry {
    pub n: u64,
    /// Unix seconds, by the sandbox's clock.
    pub at: i64,
    #[serde(flatten)]
    pub exchange: Exchange,
}

#[derive(Clone, Serialize)]
pub(super) struct Exchange {
    pub grant_type: Option<String>,
    pub xero_user_id: Option<String>,
    pub auth_event_id: Option<String>,
    /// Of the code or refresh token that was presented.
    pub token_fingerprint: Option<String>,
    pub outcome: Outcome,
    /// What the client was sent; none where the connection was held or cut.
    pub http_status: Option<u16>,
    pub fault: Option<Kind>,
}

/// What the endpoint did with the request, whatever a fault then made of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// A code was redeemed.
    Issued,
    Rotated,
    Replayed,
    /// The state could not be written; the answer was withheld.
    Failed,
    /// A fault answered in the endpoint's place.
    NotProcessed,
    #[serde(untagged)]
    Refused(Refusal),
}

/// The error codes of the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Refusal {
    InvalidGrant,
    InvalidClient,
    InvalidRequest,
    UnsupportedGrantType,
}

#[derive(Default)]
pub(super) struct Ledger {
    entries: VecDeque<Entry>,
    count: u64,
}

impl Ledger {
    pub fn record(&mut self, at: i64, exchange: Exchange) {
        self.count += 1;
        if self.entries.len() == KEPT {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry { n: self.count, at, exchange });
    }

    /// The entries after number `n`, oldest first.
    pub fn since(&self, n: u64) -> Vec<Entry> {
        let oldest = self.entries.front().map_or(0, |entry| entry.n);
        let skipped = usize::try_from((n + 1).saturating_sub(oldest)).unwrap_or(usize::MAX);
        self.entries.iter().skip(skipped).cloned().collect()
    }
}

/// The first 16 hex digits of a SHA-256: enough to tell tokens apart, of no use to anybody else.
pub(super) fn fingerprint(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes())[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ledger_is_bounded_and_read_from_a_number_on() {
        let exchange = Exchange {
            grant_type: None,
            xero_user_id: None,
            auth_event_id: None,
            token_fingerprint: Some(fingerprint("token")),
            outcome: Outcome::Rotated,
            http_status: Some(200),
            fault: None,
        };
        let mut ledger = Ledger::default();
        assert_eq!(ledger.since(0).len(), 0);
        for at in 0..10_005 {
            ledger.record(at, exchange.clone());
        }
        assert_eq!(ledger.since(0).len(), 10_000);
        assert_eq!(ledger.since(0)[0].n, 6);
        let last: Vec<u64> = ledger.since(10_003).iter().map(|entry| entry.n).collect();
        assert_eq!(last, [10_004, 10_005]);
        assert_eq!(ledger.since(20_000).len(), 0);
        assert_eq!(fingerprint("token").len(), 16);
    }
}
