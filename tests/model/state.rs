//! A state of the model: the grant's row, two processes and the provider's tokens. It is small and `Copy`, because the
//! exploration stores and compares hundreds of thousands of states.

use super::provider::Tokens;

/// No token or no owner.
pub const NONE: u8 = u8::MAX;
/// The owners of leases that processes 0 and 1 left when they crashed or ended without a release: 2 and 3.
pub const ORPHANED: u8 = 2;
/// The owner of a lease that a backup has.
pub const BACKUP: u8 = 4;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct State {
    pub row: Row,
    pub processes: [Process; 2],
    pub tokens: Tokens,
    /// The token of a request whose sender timed out or crashed, still in flight to the provider.
    pub late_request: u8,
    /// The token in the value that a key rotation has read and is about to write resealed.
    pub resealing: u8,
    /// The row was restored from a backup.
    pub restored: bool,
    /// One bit per generation that has a journal line.
    pub journal: u8,
    /// The violation of the step that led here.
    pub violation: Option<Violation>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Row {
    pub token: u8,
    /// The token that was exchanged for it, or `NONE`.
    pub previous: u8,
    pub generation: u8,
    pub dead: bool,
    /// A process, `ORPHANED` and its number, `BACKUP` or `NONE`.
    pub owner: u8,
    /// The lease has not expired.
    pub lease_valid: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Process {
    pub phase: Phase,
    /// The generation that the exchange read, and the token that it sends.
    pub generation: u8,
    pub token: u8,
    /// The row's previous token as it read it, and whether it sends that one, because the row's was refused.
    pub previous: u8,
    pub is_replay: bool,
    /// The token in the provider's response.
    pub answer: u8,
    /// The deadline that the process wrote has not passed, so it believes that it holds the lease.
    pub believes_leased: bool,
    /// The process exchanges an operator's token instead of the row's.
    pub is_rescue: bool,
    /// The spooled successor, and the generation that it replaces.
    pub spool: u8,
    pub spool_generation: u8,
    pub spool_is_replay: bool,
    pub spool_predecessor: u8,
}

/// The progress of a process's exchange.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Phase {
    Idle,
    /// Has read the row and requests the lease.
    RowRead,
    Leased,
    Journaled,
    Sent,
    /// A successor is in flight back or has arrived.
    Answered,
    /// `invalid_grant` is in flight back or has arrived.
    Refused,
    /// The attempt failed without a conclusive response.
    Failing,
    /// The fence rejected a successor, and the generation has not changed.
    Superseded,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Violation {
    /// No valid token is left in the row, a spool or a process, and neither the network nor a crash is the cause.
    TokenLost,
    /// A token set was committed that is not the successor of the one that it replaced.
    StaleCommit,
    /// A grant was marked dead while its stored token or the process's spooled token was valid.
    FalselyDead,
    /// Two processes exchange the same generation, and both believe that they hold the lease.
    TwoHolders,
    /// Under a valid lease, a token was sent that the row no longer has.
    SentSpent,
    /// The provider rotated a token without a journal line.
    Unjournaled,
}

impl State {
    pub fn start(rescues: bool) -> Self {
        let process = Process {
            phase: Phase::Idle,
            generation: 0,
            token: NONE,
            previous: NONE,
            is_replay: false,
            answer: NONE,
            believes_leased: false,
            is_rescue: false,
            spool: NONE,
            spool_generation: 0,
            spool_is_replay: false,
            spool_predecessor: NONE,
        };
        Self {
            row: Row { token: 0, previous: NONE, generation: 0, dead: false, owner: NONE, lease_valid: false },
            processes: [process; 2],
            tokens: Tokens::initial(rescues),
            late_request: NONE,
            resealing: NONE,
            restored: false,
            journal: 0,
            violation: None,
        }
    }

    /// Returns the canonical form of the state: the same for a state and its mirror image with the processes swapped.
    pub fn canonical(&self) -> Self {
        let [a, b] = self.processes;
        let mirrored = match self.row.owner {
            0 | 2 => self.row.owner + 1,
            1 | 3 => self.row.owner - 1,
            other => other,
        };
        let mirror = Self { row: Row { owner: mirrored, ..self.row }, processes: [b, a], ..*self };
        if (a, self.row.owner) <= (b, mirrored) { *self } else { mirror }
    }

    /// Returns whether the token can still be sent, now or once a running exchange has ended: it is in the row, or it
    /// is spooled or in a process's memory for the row's generation or, after a restore, a later one.
    pub fn is_held(&self, token: u8) -> bool {
        let held = |process: &Process| {
            let current = process.generation >= self.row.generation;
            let in_memory = matches!(process.phase, Phase::Answered | Phase::Superseded) && process.answer == token;
            let on_disk = process.spool == token && process.spool_generation >= self.row.generation;
            (in_memory && current) || on_disk
        };
        token != NONE && ([self.row.token, self.row.previous].contains(&token) || self.processes.iter().any(held))
    }

    /// Returns the violation of this state or of the step that led here.
    pub fn check(&self) -> Option<Violation> {
        if self.violation.is_some() {
            return self.violation;
        }
        let [a, b] = &self.processes;
        let exchanging = |p: &Process| p.phase == Phase::Sent && p.believes_leased;
        if exchanging(a) && exchanging(b) && a.generation == b.generation && !self.restored {
            return Some(Violation::TwoHolders);
        }
        (!self.has_valid_token() && !self.loss_is_excused()).then_some(Violation::TokenLost)
    }

    fn has_valid_token(&self) -> bool {
        self.tokens.valid_tokens().any(|token| self.is_held(token))
    }

    /// Returns whether the loss is excused: the row's token was sent, its replay window has ended, and every valid
    /// successor was lost with a reply or in a crash before it could be written. Or a sibling ended the row's token, and
    /// their predecessor, which could have been sent again, has expired.
    fn loss_is_excused(&self) -> bool {
        let spent = self.row.token != NONE && !self.tokens.is_valid(self.row.token);
        let replaced = u8::from(self.tokens.is_replaced(self.row.token));
        let is_sibling = |token: u8| self.row.previous != NONE && self.tokens.is_successor(token, self.row.previous);
        let newer = |token: &u8| self.tokens.depth(*token) + replaced > self.row.generation && !is_sibling(*token);
        spent && self.tokens.valid_tokens().filter(newer).all(|token| self.tokens.is_lost(token))
    }
}
