//! Every step that can follow a state: the flight's (`src/server/tokens/exchange.rs`) with the store's statements
//! (`src/server/store/leases.rs`) as single steps, and what the world does to it.

use super::provider::{Manner, Said};
use super::state::{Broken, NONE, ORPHAN, Phase, Process, State};

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
        }
    }
}

/// A step's name, and the process that takes it (`NONE`: the world).
pub type Step = (&'static str, u8);

/// Calls `found` with every state that can follow.
pub fn each_step(state: &State, rules: &Rules, mut found: impl FnMut(Step, State)) {
    for who in 0..2 {
        let mut after = |name, change: &dyn Fn(&mut Turn)| {
            let mut turn = Turn { state: *state, rules: *rules, who: usize::from(who), ours: who };
            change(&mut turn);
            if turn.state != *state {
                found((name, who), turn.state);
            }
        };
        let me = &state.processes[usize::from(who)];
        match me.phase {
            Phase::Idle if me.spool == NONE || !rules.replay_first => after("looks", &Turn::look),
            Phase::Idle => {}
            Phase::Looked => after("asks for the lease", &Turn::take_lease),
            Phase::Leased => {
                after("journals", &Turn::journal);
                after("can't journal", &Turn::give_up);
            }
            Phase::Journalled => after("sends", &Turn::send),
            Phase::Sent => {
                after("is answered", &Turn::provider_answers);
                after("times out, its request gone", &|turn| turn.to(Phase::Failing));
                after("times out, its request on its way", &|turn| {
                    turn.state.ghost = turn.me().token;
                    turn.to(Phase::Failing);
                });
                after("renews its lease", &Turn::renew);
            }
            Phase::Answered => {
                after("loses the reply", &Turn::lose_reply);
                after("commits", &Turn::commit);
                after("can't commit", &Turn::keep);
                after("commits without being told", &|turn| {
                    turn.commit();
                    turn.keep_answer();
                });
                after("renews its lease", &Turn::renew);
            }
            Phase::Refused => {
                after("loses the reply", &Turn::lose_reply);
                after("calls the grant dead", &Turn::fail_grant);
                after("can't call the grant dead", &Turn::give_up);
            }
            Phase::Failing => {
                after("records the failure", &Turn::record_failure);
                after("can't record the failure", &Turn::give_up);
            }
            Phase::Overtaken => after("looks whether it was outrun", &Turn::outlast),
        }
        if me.spool != NONE {
            after("replays its spool", &|turn| {
                turn.commit_kept();
                turn.mine().spool = NONE;
            });
            after("replays its spool and can't remove it", &Turn::commit_kept);
        }
        if me.phase != Phase::Idle {
            after("crashes", &Turn::crash);
            if me.phase == Phase::Sent {
                after("crashes, its request on its way", &|turn| {
                    turn.state.ghost = turn.me().token;
                    turn.crash();
                });
            }
        }
    }
    world(state, rules, found);
}

fn world(state: &State, rules: &Rules, mut found: impl FnMut(Step, State)) {
    if state.row.owner != NONE && state.row.in_time {
        let mut next = *state;
        next.row.in_time = false;
        // A process whose lease went to another knows its own deadline all the same.
        next.processes.iter_mut().for_each(|process| process.confident = false);
        found(("the lease's time passes", NONE), next);
    }
    let mut next = *state;
    if next.tokens.end_grace() {
        found(("the grace passes", NONE), next);
    }
    if state.ghost != NONE {
        let mut next = *state;
        next.ghost = NONE;
        let before = next.tokens;
        if let Said::Token(token) = next.tokens.rotate(state.ghost, rules.provider) {
            if next.tokens != before && !next.in_hand(token) {
                next.tokens.set_lost(token, true);
            }
            found(("a late request arrives", NONE), next);
        } else if next.tokens == before {
            found(("a late request is refused", NONE), next);
        }
    }
}

/// One process's step.
struct Turn {
    state: State,
    rules: Rules,
    who: usize,
    ours: u8,
}

impl Turn {
    fn me(&self) -> Process {
        self.state.processes[self.who]
    }

    fn mine(&mut self) -> &mut Process {
        &mut self.state.processes[self.who]
    }

    fn to(&mut self, phase: Phase) {
        self.mine().phase = phase;
    }

    fn look(&mut self) {
        let row = self.state.row;
        if !row.dead {
            *self.mine() = Process { phase: Phase::Looked, generation: row.generation, token: row.token, ..self.me() };
        }
    }

    fn take_lease(&mut self) {
        let row = self.state.row;
        if row.dead {
            return self.end();
        }
        if self.rules.lease && row.owner != NONE && row.in_time {
            // It looks again: what it waits for may have come.
            if row.generation > self.me().generation {
                self.end();
            }
            return;
        }
        if self.rules.reread && row.generation > self.me().generation {
            // The lease is taken and let go again.
            self.state.row.owner = NONE;
            return self.end();
        }
        (self.state.row.owner, self.state.row.in_time) = (self.ours, true);
        self.mine().confident = true;
        self.to(Phase::Leased);
    }

    fn journal(&mut self) {
        if self.rules.journal_first {
            self.state.journal |= 1 << self.me().generation;
        }
        if !self.rules.old_token_stays {
            self.state.row.token = NONE;
        }
        self.to(Phase::Journalled);
    }

    fn send(&mut self) {
        let row = self.state.row;
        if row.owner == self.ours && row.in_time && row.generation != self.me().generation {
            self.state.broken = Some(Broken::SentSpent);
        }
        self.to(Phase::Sent);
    }

    fn provider_answers(&mut self) {
        let me = self.me();
        match self.state.tokens.rotate(me.token, self.rules.provider) {
            Said::Nothing => {}
            Said::InvalidGrant => self.to(Phase::Refused),
            Said::Token(token) => {
                if self.state.journal & (1 << me.generation) == 0 {
                    self.state.broken = Some(Broken::Unjournalled);
                }
                self.state.tokens.set_lost(token, false);
                self.mine().answer = token;
                self.to(Phase::Answered);
            }
        }
    }

    fn renew(&mut self) {
        if self.is_fenced_in() {
            self.state.row.in_time = true;
            self.mine().confident = true;
        }
    }

    /// Whether the row still shows what this flight began with.
    fn is_fenced_in(&self) -> bool {
        let (row, me) = (self.state.row, self.me());
        let generation = !self.rules.generation_fence || row.generation == me.generation;
        let owner = !self.rules.owner_fence || row.owner == self.ours;
        generation && owner
    }

    fn commit(&mut self) {
        let me = self.me();
        if self.is_fenced_in() && !self.state.row.dead {
            self.put(me.answer);
            return self.end();
        }
        let moved = self.state.row.generation != me.generation;
        if self.rules.outlast && !moved { self.to(Phase::Overtaken) } else { self.end() }
    }

    /// A token set goes into the row.
    fn put(&mut self, token: u8) {
        let row = &mut self.state.row;
        let tokens = &self.state.tokens;
        let follows = row.token == NONE || tokens.follows(token, row.token);
        if !follows || tokens.depth(token) != row.generation + 1 {
            self.state.broken = Some(Broken::Stale);
        }
        (row.token, row.generation, row.dead, row.owner) = (token, row.generation + 1, false, NONE);
    }

    /// The database is gone: to the spool.
    fn keep(&mut self) {
        self.keep_answer();
        self.give_up();
    }

    fn keep_answer(&mut self) {
        let me = self.me();
        if self.rules.spool && me.answer != NONE {
            (self.mine().spool, self.mine().spool_generation) = (me.answer, me.generation);
        }
    }

    fn commit_kept(&mut self) {
        let me = self.me();
        let current = !self.rules.generation_fence || self.state.row.generation == me.spool_generation;
        if current && (self.rules.revive || !self.state.row.dead) {
            self.put(me.spool);
        }
    }

    fn outlast(&mut self) {
        let (row, me) = (self.state.row, self.me());
        if row.generation != me.generation {
            self.end();
        } else if row.owner == NONE || !row.in_time {
            self.keep();
        }
    }

    fn fail_grant(&mut self) {
        if self.is_fenced_in() && !self.state.row.dead {
            let (row, me) = (self.state.row, self.me());
            let kept = me.spool_generation == row.generation && self.state.tokens.works(me.spool);
            if self.state.tokens.works(row.token) || kept {
                self.state.broken = Some(Broken::CalledDead);
            }
            (self.state.row.dead, self.state.row.owner) = (true, NONE);
        }
        self.end();
    }

    fn record_failure(&mut self) {
        if self.is_fenced_in() && !self.state.row.dead {
            self.state.row.owner = NONE;
        }
        self.end();
    }

    fn lose_reply(&mut self) {
        let answer = self.me().answer;
        self.mine().answer = NONE;
        self.to(Phase::Failing);
        self.mourn(answer);
    }

    fn crash(&mut self) {
        let answer = self.me().answer;
        self.give_up();
        self.mourn(answer);
    }

    /// Nobody but the network, or a crash, is to blame for this one.
    fn mourn(&mut self, token: u8) {
        if token != NONE && !self.state.in_hand(token) {
            self.state.tokens.set_lost(token, true);
        }
    }

    /// The flight ends and can't say so in the row.
    fn give_up(&mut self) {
        if self.state.row.owner == self.ours {
            self.state.row.owner = ORPHAN;
        }
        self.end();
    }

    fn end(&mut self) {
        let me = self.me();
        *self.mine() = Process { phase: Phase::Idle, generation: 0, token: NONE, answer: NONE, confident: false, ..me };
    }
}
