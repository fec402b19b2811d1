//! Every step that can follow a state: those of an exchange (`src/server/tokens/exchange/`, rescues included), in which
//! each statement of the store (`src/server/store/grants/leases.rs`) is a single step, and those of the environment.
//! The steps of a key rotation (`src/server/store/sealed/reseal.rs`) are in `operators`.

use super::operators;
use super::provider::{FOREIGN, RotateResponse};
use super::rules::Rules;
use super::state::{NONE, ORPHANED, Phase, Process, State, Violation};

/// A step's name, and the process that takes it (`NONE` for the environment).
pub type Step = (&'static str, u8);

/// Calls `found` with every state that can follow.
pub fn each_step(state: &State, rules: &Rules, mut found: impl FnMut(Step, State)) {
    for who in 0..2 {
        let mut after = |name, change: &dyn Fn(&mut Turn)| {
            let mut turn = Turn { state: *state, rules: *rules, who: usize::from(who), owner_id: who };
            change(&mut turn);
            if turn.state != *state {
                found((name, who), turn.state);
            }
        };
        let me = &state.processes[usize::from(who)];
        match me.phase {
            Phase::Idle => {
                if me.spool == NONE || !rules.replay_first {
                    after("reads the row", &Turn::read_row);
                }
                if me.spool == NONE || !rules.claim_checks_spool {
                    after("claims", &Turn::claim);
                }
                if rules.with_rescue && (me.spool == NONE || !rules.replay_first) {
                    after("starts a rescue", &Turn::start_rescue);
                }
            }
            Phase::RowRead => after("requests the lease", &Turn::acquire_lease),
            Phase::Leased => {
                after("journals", &Turn::journal);
                after("fails to journal", &Turn::end_without_release);
                // The breaker is open, or the batch could not be journaled.
                after("releases the lease", &Turn::record_failure);
            }
            Phase::Journaled => after("sends", &Turn::send),
            Phase::Sent => {
                after("receives the response", &Turn::provider_answers);
                after("times out, its request lost", &|turn| turn.set_phase(Phase::Failing));
                after("times out, its request in flight", &|turn| {
                    turn.state.late_request = turn.process().token;
                    turn.set_phase(Phase::Failing);
                });
                after("renews its lease", &Turn::renew);
            }
            Phase::Answered => {
                after("loses the reply", &Turn::lose_reply);
                after("commits", &Turn::commit);
                after("fails to commit", &Turn::spool_and_end);
                after("commits without the result", &|turn| {
                    turn.commit();
                    turn.spool_answer();
                });
                after("renews its lease", &Turn::renew);
            }
            Phase::Refused => {
                after("loses the reply", &Turn::lose_reply);
                if me.is_rescue && rules.rescue_refusal_keeps_grant {
                    after("leaves the grant alone", &Turn::record_failure);
                } else {
                    after("marks the grant dead", &Turn::fail_grant);
                }
                after("fails to finish its attempt", &Turn::end_without_release);
            }
            Phase::Failing => {
                after("records the failure", &Turn::record_failure);
                after("fails to record the failure", &Turn::end_without_release);
            }
            Phase::Superseded => after("waits for the other holder", &Turn::await_other_holder),
        }
        if me.spool != NONE {
            after("replays its spool", &|turn| {
                turn.commit_spooled();
                turn.process_mut().spool = NONE;
            });
            after("replays its spool without removing it", &Turn::commit_spooled);
        }
        if me.phase != Phase::Idle {
            after("crashes", &Turn::crash);
            if me.phase == Phase::Sent {
                after("crashes, its request in flight", &|turn| {
                    turn.state.late_request = turn.process().token;
                    turn.crash();
                });
            }
        }
    }
    operators::each_step(state, rules, &mut found);
    environment_steps(state, rules, found);
}

fn environment_steps(state: &State, rules: &Rules, mut found: impl FnMut(Step, State)) {
    if state.row.owner != NONE && state.row.lease_valid {
        let mut next = *state;
        next.row.lease_valid = false;
        // A process that lost its lease to another one also observes its own deadline.
        next.processes.iter_mut().for_each(|process| process.believes_leased = false);
        found(("the lease expires", NONE), next);
    }
    let mut next = *state;
    if next.tokens.end_replay_windows() {
        found(("the replay window ends", NONE), next);
    }
    if state.late_request != NONE {
        let mut next = *state;
        next.late_request = NONE;
        let before = next.tokens;
        if let RotateResponse::Token(token) = next.tokens.rotate(state.late_request, rules.provider) {
            if next.tokens != before && !next.is_held(token) {
                next.tokens.set_lost(token, true);
            }
            found(("a late request arrives", NONE), next);
        } else if next.tokens == before {
            found(("a late request is refused", NONE), next);
        }
    }
}

/// A step of one process.
struct Turn {
    state: State,
    rules: Rules,
    who: usize,
    owner_id: u8,
}

impl Turn {
    fn process(&self) -> Process {
        self.state.processes[self.who]
    }

    fn process_mut(&mut self) -> &mut Process {
        &mut self.state.processes[self.who]
    }

    fn set_phase(&mut self, phase: Phase) {
        self.process_mut().phase = phase;
    }

    fn read_row(&mut self) {
        let row = self.state.row;
        if !row.dead {
            *self.process_mut() =
                Process { phase: Phase::RowRead, generation: row.generation, token: row.token, ..self.process() };
        }
    }

    /// Takes the lease and reads the row in one statement, as a sweep's claim does.
    fn claim(&mut self) {
        let row = self.state.row;
        if !row.dead && self.lease_is_free() {
            let read = Process { generation: row.generation, token: row.token, ..self.process() };
            *self.process_mut() = read;
            self.set_leased();
        }
    }

    /// Takes the row's lease for an operator's token, whether the grant is dead or not.
    fn start_rescue(&mut self) {
        if self.lease_is_free() {
            let generation = self.state.row.generation;
            *self.process_mut() = Process { generation, token: FOREIGN, is_rescue: true, ..self.process() };
            self.set_leased();
        }
    }

    fn lease_is_free(&self) -> bool {
        let row = self.state.row;
        !self.rules.lease || row.owner == NONE || !row.lease_valid
    }

    fn set_leased(&mut self) {
        (self.state.row.owner, self.state.row.lease_valid) = (self.owner_id, true);
        self.process_mut().believes_leased = true;
        self.set_phase(Phase::Leased);
    }

    fn acquire_lease(&mut self) {
        let row = self.state.row;
        if row.dead {
            return self.end();
        }
        if !self.lease_is_free() {
            // While it waits, the other holder may have committed.
            if row.generation > self.process().generation {
                self.end();
            }
            return;
        }
        if self.rules.reread && row.generation > self.process().generation {
            // The lease is taken and released again.
            self.state.row.owner = NONE;
            return self.end();
        }
        self.set_leased();
    }

    fn journal(&mut self) {
        if self.rules.journal_first {
            self.state.journal |= 1 << self.process().generation;
        }
        if !self.rules.keep_old_token && !self.process().is_rescue {
            self.state.row.token = NONE;
        }
        self.set_phase(Phase::Journaled);
    }

    fn send(&mut self) {
        let row = self.state.row;
        let held = row.owner == self.owner_id && row.lease_valid;
        if held && row.generation != self.process().generation && !self.process().is_rescue {
            self.state.violation = Some(Violation::SentSpent);
        }
        self.set_phase(Phase::Sent);
    }

    fn provider_answers(&mut self) {
        let me = self.process();
        match self.state.tokens.rotate(me.token, self.rules.provider) {
            RotateResponse::NoTokenLeft => {}
            RotateResponse::InvalidGrant => self.set_phase(Phase::Refused),
            RotateResponse::Token(token) => {
                if self.state.journal & (1 << me.generation) == 0 {
                    self.state.violation = Some(Violation::Unjournaled);
                }
                self.state.tokens.set_lost(token, false);
                let (row, own) = (self.state.row, self.rules.rescue_detects_no_change);
                if me.is_rescue && own && row.generation == me.generation && row.token == token {
                    return self.set_phase(Phase::Failing);
                }
                self.process_mut().answer = token;
                self.set_phase(Phase::Answered);
            }
        }
    }

    fn renew(&mut self) {
        if self.passes_fence() {
            self.state.row.lease_valid = true;
            self.process_mut().believes_leased = true;
        }
    }

    /// Returns whether the row still has the generation and owner that this exchange started with.
    fn passes_fence(&self) -> bool {
        let (row, me) = (self.state.row, self.process());
        let generation = !self.rules.generation_fence || row.generation == me.generation;
        let owner = !self.rules.owner_fence || row.owner == self.owner_id;
        generation && owner
    }

    fn commit(&mut self) {
        let me = self.process();
        let unfenced = me.is_rescue && !self.rules.rescue_fence;
        if (self.passes_fence() || unfenced) && (me.is_rescue || !self.state.row.dead) {
            self.write_tokens(me.answer, me.generation);
            return self.end();
        }
        let moved = self.state.row.generation != me.generation;
        if self.rules.await_successor && !moved { self.set_phase(Phase::Superseded) } else { self.end() }
    }

    /// Writes a token set to the row. A successor of the row's own token must follow it directly. A successor of the
    /// operator's token must find the generation at which the lease was taken.
    fn write_tokens(&mut self, token: u8, from_generation: u8) {
        let State { row, tokens, .. } = &mut self.state;
        let follows = if self.rules.with_rescue && tokens.is_successor(token, FOREIGN) {
            row.generation == from_generation
        } else {
            let chain = row.token == NONE || tokens.is_successor(token, row.token);
            chain && tokens.depth(token) == row.generation + 1
        };
        if !follows {
            self.state.violation = Some(Violation::StaleCommit);
        }
        let row = &mut self.state.row;
        (row.token, row.generation, row.dead, row.owner) = (token, row.generation + 1, false, NONE);
        self.state.tokens.set_depth(token, self.state.row.generation);
    }

    /// Spools the token set because the database is unavailable.
    fn spool_and_end(&mut self) {
        self.spool_answer();
        self.end_without_release();
    }

    fn spool_answer(&mut self) {
        let me = self.process();
        if self.rules.spool && me.answer != NONE {
            (self.process_mut().spool, self.process_mut().spool_generation) = (me.answer, me.generation);
        }
    }

    fn commit_spooled(&mut self) {
        let me = self.process();
        let current = !self.rules.generation_fence || self.state.row.generation == me.spool_generation;
        if current && (self.rules.revive || !self.state.row.dead) {
            self.write_tokens(me.spool, me.spool_generation);
        }
    }

    fn await_other_holder(&mut self) {
        let (row, me) = (self.state.row, self.process());
        if row.generation != me.generation {
            self.end();
        } else if row.owner == NONE || !row.lease_valid {
            self.spool_and_end();
        }
    }

    fn fail_grant(&mut self) {
        if self.passes_fence() && !self.state.row.dead {
            let (row, me) = (self.state.row, self.process());
            let kept = me.spool_generation == row.generation && self.state.tokens.is_valid(me.spool);
            if self.state.tokens.is_valid(row.token) || kept {
                self.state.violation = Some(Violation::FalselyDead);
            }
            (self.state.row.dead, self.state.row.owner) = (true, NONE);
        }
        self.end();
    }

    fn record_failure(&mut self) {
        if self.passes_fence() && (self.process().is_rescue || !self.state.row.dead) {
            self.state.row.owner = NONE;
        }
        self.end();
    }

    fn lose_reply(&mut self) {
        let answer = self.process().answer;
        self.process_mut().answer = NONE;
        self.set_phase(Phase::Failing);
        self.mark_lost(answer);
    }

    fn crash(&mut self) {
        let answer = self.process().answer;
        self.end_without_release();
        self.mark_lost(answer);
    }

    /// Marks a token as lost to the network or a crash, if it is in no other place.
    fn mark_lost(&mut self, token: u8) {
        if token != NONE && !self.state.is_held(token) {
            self.state.tokens.set_lost(token, true);
        }
    }

    /// Ends the exchange without updating the row.
    fn end_without_release(&mut self) {
        if self.state.row.owner == self.owner_id {
            self.state.row.owner = ORPHANED;
        }
        self.end();
    }

    fn end(&mut self) {
        let me = self.process();
        let (phase, generation) = (Phase::Idle, 0);
        *self.process_mut() =
            Process { phase, generation, token: NONE, answer: NONE, believes_leased: false, is_rescue: false, ..me };
    }
}
