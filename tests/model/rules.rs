//! What holds, and whose hands the model has beside the two processes'.

use super::provider::Manner;

/// What stands between a race and a lost token. Each can be taken away, to see what it was for.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub provider: Manner,
    /// A lease that somebody holds in time isn't given to another.
    pub lease: bool,
    /// The row is read again under the lease.
    pub reread: bool,
    /// A statement that ends an exchange names the generation it began with.
    pub generation_fence: bool,
    /// And the lease's owner.
    pub owner_fence: bool,
    /// The old token stays in the row until its successor is committed.
    pub old_token_stays: bool,
    /// An attempt is journalled before its request leaves.
    pub journal_first: bool,
    /// A successor that the database didn't take is kept on disk.
    pub spool: bool,
    /// What this process kept is put in place before it exchanges.
    pub replay_first: bool,
    /// A successor that the fence refused is let go only when the generation has moved.
    pub outlast: bool,
    /// A kept successor brings a grant back that was called dead meanwhile.
    pub revive: bool,
    /// A sweep gives a lease back whose grant this process keeps a successor of.
    pub claim_heeds_spool: bool,
    /// Operators rescue, and people end consents.
    pub rescues: bool,
    /// Operators rotate keys.
    pub reseals: bool,
    /// What a rescue brings is fenced as any rotation.
    pub rescue_fence: bool,
    /// What Xero says against an operator's token is no news of the grant's.
    pub rescue_leaves_alone: bool,
    /// A rescue whose token brought what the row has already changes nothing.
    pub rescue_sees_its_own: bool,
    /// A text that was sealed anew replaces only the one that was read.
    pub reseal_fence: bool,
}

impl Rules {
    pub fn all(provider: Manner) -> Self {
        Self {
            provider,
            lease: true,
            reread: true,
            generation_fence: true,
            owner_fence: true,
            old_token_stays: true,
            journal_first: true,
            spool: true,
            replay_first: true,
            outlast: true,
            revive: true,
            claim_heeds_spool: true,
            rescues: false,
            reseals: false,
            rescue_fence: true,
            rescue_leaves_alone: true,
            rescue_sees_its_own: true,
            reseal_fence: true,
        }
    }
}
