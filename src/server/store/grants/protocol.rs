//! Logs each step of the protocol of lease, fence, journal and spool, for the test that replays them through its model
//! (`tests/model/trace.rs`). `RUST_LOG=info,evergrant::protocol=debug` shows them.

use crate::model::GrantId;

/// A step that a process has taken, or is about to take if it is `Sent`.
#[derive(Clone, Copy, Debug)]
pub enum ProtocolStep {
    /// It took the grant's lease.
    Leased,
    /// It journaled an attempt.
    Journaled,
    /// It sends the refresh token.
    Sent,
    /// It committed the token set that it received.
    Committed,
    /// It spooled the token set that it received.
    Spooled,
    /// It committed a spooled token set.
    Replayed,
    /// It ended the grant, whose token was refused.
    Ended,
}

impl ProtocolStep {
    /// Logs the step of an exchange of this generation's token.
    pub fn log(self, grant: &GrantId, generation: i64) {
        let step = match self {
            Self::Leased => "leased",
            Self::Journaled => "journaled",
            Self::Sent => "sent",
            Self::Committed => "committed",
            Self::Spooled => "spooled",
            Self::Replayed => "replayed",
            Self::Ended => "ended",
        };
        tracing::debug!(target: "evergrant::protocol", step, %grant, generation, "protocol step");
    }
}
