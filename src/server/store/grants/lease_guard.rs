//! A lease that was taken, with and without a journaled attempt, and the result of a fenced statement.

use std::ops::Deref;
use std::time::Duration;

use tokio::time::Instant;

use super::protocol::ProtocolStep;
use crate::model::AttemptId;
use crate::server::domain::Grant;

/// A lease that an exchange holds: the grant's row as it was when the lease was taken, and the owner that fences name.
///
/// Dropping it releases nothing: a lease that is not released expires.
#[derive(Clone, Debug, PartialEq)]
pub struct LeaseGuard {
    pub(in crate::server::store) grant: Grant,
    pub(in crate::server::store) owner: String,
    /// When the lease was asked for, by a clock that nobody sets.
    pub(in crate::server::store) asked_at: Instant,
}

impl LeaseGuard {
    /// Returns a lease that was just taken.
    pub(in crate::server::store) fn taken(grant: Grant, owner: &str, asked_at: Instant) -> Self {
        ProtocolStep::Leased.log(&grant.id, grant.generation);
        Self { grant, owner: owner.to_owned(), asked_at }
    }

    /// Returns the owner that fences name.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Returns for how long the lease has been held at most.
    pub fn age(&self) -> Duration {
        self.asked_at.elapsed()
    }
}

impl Deref for LeaseGuard {
    type Target = Grant;

    fn deref(&self) -> &Grant {
        &self.grant
    }
}

/// A lease whose attempt is journaled, so that its request may be sent (rule 3). Only the store makes one.
#[derive(Clone, Debug, PartialEq)]
pub struct JournaledLease {
    pub(in crate::server::store) lease: LeaseGuard,
    pub(in crate::server::store) attempt: AttemptId,
    pub(in crate::server::store) sent_at: i64,
}

impl JournaledLease {
    /// Returns the id of the journaled attempt.
    pub fn attempt(&self) -> &AttemptId {
        &self.attempt
    }

    /// Returns the unix seconds from which Xero's replay window counts, as the journal has them.
    pub fn sent_at(&self) -> i64 {
        self.sent_at
    }
}

impl Deref for JournaledLease {
    type Target = LeaseGuard;

    fn deref(&self) -> &LeaseGuard {
        &self.lease
    }
}

/// The result of a statement that names the generation it started from and the lease's owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Fenced {
    /// Both were still current: the row changed.
    Applied,
    /// One of them was not: the row is unchanged.
    Superseded,
}

/// What became of a rotation that waited in the spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum SpoolCommit {
    /// Its grant has it now.
    Applied,
    /// Its grant has a later generation or is revoked, so the rotation is of no use.
    Superseded,
    /// This database has no such grant, so the rotation may belong to another one or to a backup that is not restored
    /// yet. It must be kept.
    UnknownGrant,
    /// Another holder has the lease, whose request is under way: the rotation has to wait.
    LeaseHeld,
}

impl Fenced {
    /// Returns the result of a statement that changes the row if `applied`.
    pub(in crate::server::store) fn from_applied(applied: bool) -> Self {
        if applied { Self::Applied } else { Self::Superseded }
    }

    /// Logs the step that a committed statement took, if the row changed.
    pub(in crate::server::store) fn logged(self, step: ProtocolStep, lease: &LeaseGuard) -> Self {
        if self == Self::Applied {
            step.log(&lease.id, lease.generation);
        }
        self
    }
}
