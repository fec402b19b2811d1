//! The ledger: every request that reached the token endpoint, so that tests can count them. Holds no tokens.

use std::collections::VecDeque;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::faults::FaultKind;
use crate::signer::hex;

/// Older entries are dropped.
const MAX_ENTRIES: usize = 10_000;

#[derive(Clone, Serialize)]
pub(crate) struct Entry {
    /// Number of the entry, from 1.
    pub n: u64,
    /// Unix seconds by the sandbox's clock.
    pub at: i64,
    #[serde(flatten)]
    pub exchange: Exchange,
}

/// One request to the token endpoint.
#[derive(Clone, Serialize)]
pub(crate) struct Exchange {
    pub grant_type: Option<String>,
    pub xero_user_id: Option<String>,
    pub auth_event_id: Option<String>,
    /// Fingerprint of the code or refresh token that was presented.
    pub token_fingerprint: Option<String>,
    pub outcome: Outcome,
    /// The status that the client received; none if the connection was held or closed.
    pub http_status: Option<u16>,
    pub fault: Option<FaultKind>,
}

/// What the endpoint did with the request, whatever response a fault then sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// A code was redeemed.
    Issued,
    Rotated,
    Replayed,
    /// An oddity kept the presented token.
    Kept,
    /// The state could not be written, so no tokens were sent.
    Failed,
    /// A fault prevented the processing.
    NotProcessed,
    #[serde(untagged)]
    Refused(OAuthError),
}

/// The error codes of the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OAuthError {
    InvalidGrant,
    InvalidClient,
    InvalidRequest,
    UnsupportedGrantType,
}

#[derive(Default)]
pub(crate) struct Ledger {
    entries: VecDeque<Entry>,
    count: u64,
}

impl Ledger {
    pub fn record(&mut self, at: i64, exchange: Exchange) {
        self.count += 1;
        if self.entries.len() == MAX_ENTRIES {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry { n: self.count, at, exchange });
    }

    /// Returns the entries after number `n`, oldest first.
    pub fn entries_after(&self, n: u64) -> Vec<Entry> {
        let oldest = self.entries.front().map_or(0, |entry| entry.n);
        let skipped = usize::try_from((n + 1).saturating_sub(oldest)).unwrap_or(usize::MAX);
        self.entries.iter().skip(skipped).cloned().collect()
    }
}

/// Returns the first 16 hex digits of the token's SHA-256: enough to distinguish tokens, useless as a token.
pub(crate) fn fingerprint(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes())[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ledger_is_bounded_and_can_be_read_from_a_number() {
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
        assert_eq!(ledger.entries_after(0).len(), 0);
        for at in 0..10_005 {
            ledger.record(at, exchange.clone());
        }
        assert_eq!(ledger.entries_after(0).len(), 10_000);
        assert_eq!(ledger.entries_after(0)[0].n, 6);
        let last: Vec<u64> = ledger.entries_after(10_003).iter().map(|entry| entry.n).collect();
        assert_eq!(last, [10_004, 10_005]);
        assert_eq!(ledger.entries_after(20_000).len(), 0);
        assert_eq!(fingerprint("token").len(), 16);
    }
}
