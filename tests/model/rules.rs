//! The protections that are in force, and the actors besides the two processes.

use super::provider::ProviderBehavior;

/// The protections against lost tokens. Each can be turned off to show what it prevents.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub provider: ProviderBehavior,
    /// An unexpired lease is not given to another process.
    pub lease: bool,
    /// The row is read again under the lease.
    pub reread: bool,
    /// The statement that ends an exchange requires the generation that it started with.
    pub generation_fence: bool,
    /// The statement that ends an exchange requires the lease's owner.
    pub owner_fence: bool,
    /// The old token stays in the row until its successor is committed.
    pub keep_old_token: bool,
    /// An attempt is journaled before its request is sent.
    pub journal_first: bool,
    /// A successor that can't be committed is spooled to disk.
    pub spool: bool,
    /// A spooled successor waits while another holder has the lease.
    pub spool_awaits_lease: bool,
    /// A process looks at its lease right before it sends, and renews it or gives up if it may have expired.
    pub look_before_send: bool,
    /// A successor is kept if the row went back to an earlier generation.
    pub outlives_restore: bool,
    /// A row of an earlier generation accepts a spooled successor.
    pub older_row_accepts_spool: bool,
    /// A process replays its spool before an exchange.
    pub replay_first: bool,
    /// A successor that the fence rejected is dropped only after the generation has changed.
    pub await_successor: bool,
    /// A spooled successor revives a grant that was marked dead meanwhile.
    pub revive: bool,
    /// A sweep releases its claim on a grant for which this process has a spooled successor.
    pub claim_checks_spool: bool,
    /// A refused token's predecessor is sent again.
    pub predecessor: bool,
    /// The row is restored once from a backup of its first generation, while everything else goes on.
    pub with_restore: bool,
    /// Operators run rescues, and people revoke consents.
    pub with_rescue: bool,
    /// Operators rotate keys.
    pub with_reseal: bool,
    /// A rescue's commit is fenced like any rotation.
    pub rescue_fence: bool,
    /// A refusal of the operator's token does not change the grant.
    pub rescue_refusal_keeps_grant: bool,
    /// A rescue that returns the token that the row already has changes nothing.
    pub rescue_detects_no_change: bool,
    /// A resealed value replaces only the value that was read.
    pub reseal_fence: bool,
}

impl Rules {
    pub fn all(provider: ProviderBehavior) -> Self {
        Self {
            provider,
            lease: true,
            reread: true,
            generation_fence: true,
            owner_fence: true,
            keep_old_token: true,
            journal_first: true,
            spool: true,
            spool_awaits_lease: true,
            look_before_send: true,
            outlives_restore: true,
            older_row_accepts_spool: true,
            replay_first: true,
            await_successor: true,
            revive: true,
            claim_checks_spool: true,
            predecessor: true,
            with_restore: false,
            with_rescue: false,
            with_reseal: false,
            rescue_fence: true,
            rescue_refusal_keeps_grant: true,
            rescue_detects_no_change: true,
            reseal_fence: true,
        }
    }
}
