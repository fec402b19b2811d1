//! Every step that can follow a state: the flight's (`src/server/tokens/exchange.rs`) with the store's statements
//! (`src/server/store/leases.rs`) as single steps, and what the world does to it. What operators do beside that, a rescue
//! (`src/server/tokens/exchange/rescue.rs`) and a key's rotation (`src/server/store/resealing.rs`), is in `operators`.

use super::operators;
use super::provider::{FOREIGN, Said};
use super::rules::Rules;
use super::state::{Broken, NONE, ORPHAN, Phase, Process, State};

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
            Phase::Idle => {
                if me.spool == NONE || !rules.replay_first {
                    after("looks", &Turn::look);
                }
                if me.spool == NONE || !rules.claim_heeds_spool {
                    after("claims", &Turn::claim);
                }
                if rules.rescues && (me.spool == NONE || !rules.replay_first) {
                    after("begins a rescue", &Turn::begin_rescue);
                }
            }
            Phase::Looked => after("asks for the lease", &Turn::take_lease),
            Phase::Leased => {
                after("journals", &Turn::journal);
                after("can't journal", &Turn::give_up);
                // The provider is at rest, or the batch's journal failed.
                after("gives the lease back", &Turn::record_failure);
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
                if me.rescues && rules.rescue_leaves_alone {
                    after("leaves the grant alone", &Turn::record_failure);
                } else {
                    after("calls the grant dead", &Turn::fail_grant);
                }
                after("can't end its attempt", &Turn::give_up);
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
    operators::each_step(state, rules, &mut found);
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

    /// A sweep's claim takes the lease and reads the row in one statement.
    fn claim(&mut self) {
        let row = self.state.row;
        if !row.dead && self.lease_is_free() {
            let read = Process { generation: row.generation, token: row.token, ..self.me() };
            *self.mine() = read;
            self.hold();
        }
    }

    /// An operator's token under the row's lease, dead or not.
    fn begin_rescue(&mut self) {
        if self.lease_is_free() {
            let generation = self.state.row.generation;
            *self.mine() = Process { generation, token: FOREIGN, rescues: true, ..self.me() };
            self.hold();
        }
    }

    fn lease_is_free(&self) -> bool {
        let row = self.state.row;
        !self.rules.lease || row.owner == NONE || !row.in_time
    }

    fn hold(&mut self) {
        (self.state.row.owner, self.state.row.in_time) = (self.ours, true);
        self.mine().confident = true;
        self.to(Phase::Leased);
    }

    fn take_lease(&mut self) {
        let row = self.state.row;
        if row.dead {
            return self.end();
        }
        if !self.lease_is_free() {
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
        self.hold();
    }

    fn journal(&mut self) {
        if self.rules.journal_first {
            self.state.journal |= 1 << self.me().generation;
        }
        if !self.rules.old_token_stays && !self.me().rescues {
            self.state.row.token = NONE;
        }
        self.to(Phase::Journalled);
    }

    fn send(&mut self) {
        let row = self.state.row;
        let held = row.owner == self.ours && row.in_time;
        if held && row.generation != self.me().generation && !self.me().rescues {
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
                let (row, own) = (self.state.row, self.rules.rescue_sees_its_own);
                if me.rescues && own && row.generation == me.generation && row.token == token {
                    return self.to(Phase::Failing);
                }
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
        let unfenced = me.rescues && !self.rules.rescue_fence;
        if (self.is_fenced_in() || unfenced) && (me.rescues || !self.state.row.dead) {
            self.put(me.answer, me.generation);
            return self.end();
        }
        let moved = self.state.row.generation != me.generation;
        if self.rules.outlast && !moved { self.to(Phase::Overtaken) } else { self.end() }
    }

    /// A token set goes into the row. One that an exchange of the row's own token brought has to follow it; one that an
    /// operator's brought has to meet the row as it was when its lease was taken.
    fn put(&mut self, token: u8, from_generation: u8) {
        let State { row, tokens, .. } = &mut self.state;
        let follows = if self.rules.rescues && tokens.follows(token, FOREIGN) {
            row.generation == from_generation
        } else {
            let chain = row.token == NONE || tokens.follows(token, row.token);
            chain && tokens.depth(token) == row.generation + 1
        };
        if !follows {
            self.state.broken = Some(Broken::Stale);
        }
        let row = &mut self.state.row;
        (row.token, row.generation, row.dead, row.owner) = (token, row.generation + 1, false, NONE);
        self.state.tokens.set_depth(token, self.state.row.generation);
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
            self.put(me.spool, me.spool_generation);
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
        if self.is_fenced_in() && (self.me().rescues || !self.state.row.dead) {
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
        let (phase, generation) = (Phase::Idle, 0);
        *self.mine() = Process { phase, generation, token: NONE, answer: NONE, confident: false, rescues: false, ..me };
    }
}
