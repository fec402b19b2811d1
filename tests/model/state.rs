//! One state of the model: the grant's row, two processes, the provider's tokens. Small and plain, so that hundreds
//! of thousands of them fit and compare quickly.

use super::provider::Tokens;

/// No token, no owner.
pub const NONE: u8 = u8::MAX;
/// A lease whose holder died or gave up without letting go of it.
pub const ORPHAN: u8 = 2;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct State {
    pub row: Row,
    pub processes: [Process; 2],
    pub tokens: Tokens,
    /// A request that its sender gave up on, still on its way to the provider.
    pub ghost: u8,
    /// The text that a key's rotation has read and is about to put back, sealed anew.
    pub resealing: u8,
    /// One bit for each generation that has a line in the journal.
    pub journal: u8,
    /// What the step that led here broke.
    pub broken: Option<Broken>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Row {
    pub token: u8,
    pub generation: u8,
    pub dead: bool,
    /// A process, `ORPHAN` or `NONE`.
    pub owner: u8,
    /// The lease's deadline lies ahead.
    pub in_time: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Process {
    pub phase: Phase,
    /// What the flight read, and sends.
    pub generation: u8,
    pub token: u8,
    /// What the provider answered.
    pub answer: u8,
    /// The deadline that the process wrote itself hasn't passed, so it takes the lease for its own.
    pub confident: bool,
    /// It exchanges an operator's token instead of the row's.
    pub rescues: bool,
    /// The successor on disk, and the generation it came from.
    pub spool: u8,
    pub spool_generation: u8,
}

/// Where a process's one flight of the grant stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Phase {
    Idle,
    /// Has seen the row, and wants the lease.
    Looked,
    Leased,
    Journalled,
    Sent,
    /// A successor is on its way back, or has come.
    Answered,
    /// `invalid_grant` is on its way back, or has come.
    Refused,
    /// The try failed without telling anything.
    Failing,
    /// The fence refused a successor, and the generation hasn't moved.
    Overtaken,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Broken {
    /// No token that works is left in anybody's hands, through no fault of the network or a crash.
    Lost,
    /// A token set was committed that doesn't follow the one it replaced.
    Stale,
    /// A grant was called dead while its stored or the process's own kept token worked.
    CalledDead,
    /// Two processes exchange one generation, both in the belief that the lease is theirs.
    TwoHolders,
    /// Under a valid lease, a token was sent that the row had moved on from.
    SentSpent,
    /// The provider rotated a token of which the journal knows nothing.
    Unjournalled,
}

impl State {
    pub fn start(rescues: bool) -> Self {
        let process = Process {
            phase: Phase::Idle,
            generation: 0,
            token: NONE,
            answer: NONE,
            confident: false,
            rescues: false,
            spool: NONE,
            spool_generation: 0,
        };
        Self {
            row: Row { token: 0, generation: 0, dead: false, owner: NONE, in_time: false },
            processes: [process; 2],
            tokens: Tokens::first(rescues),
            ghost: NONE,
            resealing: NONE,
            journal: 0,
            broken: None,
        }
    }

    /// The same state whichever process is called A: what is known of one is known of its mirror image.
    pub fn folded(&self) -> Self {
        let [a, b] = self.processes;
        let mirrored = match self.row.owner {
            0 => 1,
            1 => 0,
            other => other,
        };
        let mirror = Self { row: Row { owner: mirrored, ..self.row }, processes: [b, a], ..*self };
        if (a, self.row.owner) <= (b, mirrored) { *self } else { mirror }
    }

    /// Whether this token is where it can still be sent from, now or once what is under way has ended: in the row;
    /// kept, or in a living process's hands, for the row's own generation.
    pub fn in_hand(&self, token: u8) -> bool {
        let held = |process: &Process| {
            let current = process.generation == self.row.generation;
            let in_memory = matches!(process.phase, Phase::Answered | Phase::Overtaken) && process.answer == token;
            let on_disk = process.spool == token && process.spool_generation == self.row.generation;
            (in_memory && current) || on_disk
        };
        token != NONE && (self.row.token == token || self.processes.iter().any(held))
    }

    /// The invariant that this state, or the step that led here, breaks.
    pub fn verdict(&self) -> Option<Broken> {
        if self.broken.is_some() {
            return self.broken;
        }
        let [a, b] = &self.processes;
        let exchanging = |p: &Process| p.phase == Phase::Sent && p.confident;
        if exchanging(a) && exchanging(b) && a.generation == b.generation {
            return Some(Broken::TwoHolders);
        }
        (!self.keeps_a_working_token() && !self.loss_is_the_networks()).then_some(Broken::Lost)
    }

    fn keeps_a_working_token(&self) -> bool {
        self.tokens.working().any(|token| self.in_hand(token))
    }

    /// The row's token was sent, its grace has passed, and every successor of it that works went down with a lost
    /// reply or a crash before anybody could write it.
    fn loss_is_the_networks(&self) -> bool {
        let spent = self.row.token != NONE && !self.tokens.works(self.row.token);
        let newer = |token: &u8| self.tokens.depth(*token) > self.row.generation;
        spent && self.tokens.working().filter(newer).all(|token| self.tokens.is_lost(token))
    }
}
