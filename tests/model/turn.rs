//! One step of one process: what it reads, sends, commits or loses.

use super::provider::{FOREIGN, RotateResponse};
use super::rules::Rules;
use super::state::{NONE, ORPHANED, Phase, Process, State, Violation};

/// A step of one process.
pub struct Turn {
    pub state: State,
    pub rules: Rules,
    pub who: usize,
    pub owner_id: u8,
}

impl Turn {
    pub fn process(&self) -> Process {
        self.state.processes[self.who]
    }

    pub fn process_mut(&mut self) -> &mut Process {
        &mut self.state.processes[self.who]
    }

    pub fn set_phase(&mut self, phase: Phase) {
        self.process_mut().phase = phase;
    }

    pub fn read_row(&mut self) {
        let row = self.state.row;
        if !row.dead {
            *self.process_mut() =
                Process { phase: Phase::RowRead, generation: row.generation, token: row.token, ..self.process() };
        }
    }

    /// Takes the lease and reads the row in one statement, as a sweep's claim does.
    pub fn claim(&mut self) {
        let row = self.state.row;
        if !row.dead && self.lease_is_free() {
            let read = Process { generation: row.generation, token: row.token, ..self.process() };
            *self.process_mut() = read;
            self.set_leased();
        }
    }

    /// Takes the row's lease for an operator's token, whether the grant is dead or not.
    pub fn start_rescue(&mut self) {
        if self.lease_is_free() {
            let generation = self.state.row.generation;
            *self.process_mut() = Process { generation, token: FOREIGN, is_rescue: true, ..self.process() };
            self.set_leased();
        }
    }

    pub fn lease_is_free(&self) -> bool {
        let row = self.state.row;
        !self.rules.lease || row.owner == NONE || !row.lease_valid
    }

    pub fn set_leased(&mut self) {
        (self.state.row.owner, self.state.row.lease_valid) = (self.owner_id, true);
        self.process_mut().believes_leased = true;
        self.set_phase(Phase::Leased);
    }

    pub fn acquire_lease(&mut self) {
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

    pub fn journal(&mut self) {
        if self.rules.journal_first {
            self.state.journal |= 1 << self.process().generation;
        }
        if !self.rules.keep_old_token && !self.process().is_rescue {
            self.state.row.token = NONE;
        }
        self.set_phase(Phase::Journaled);
    }

    pub fn send(&mut self) {
        let row = self.state.row;
        let held = row.owner == self.owner_id && row.lease_valid;
        if held && row.generation != self.process().generation && !self.process().is_rescue {
            self.state.violation = Some(Violation::SentSpent);
        }
        self.set_phase(Phase::Sent);
    }

    pub fn provider_answers(&mut self) {
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

    pub fn renew(&mut self) {
        if self.passes_fence() {
            self.state.row.lease_valid = true;
            self.process_mut().believes_leased = true;
        }
    }

    /// Returns whether the row still has the generation and owner that this exchange started with.
    pub fn passes_fence(&self) -> bool {
        let (row, me) = (self.state.row, self.process());
        let generation = !self.rules.generation_fence || row.generation == me.generation;
        let owner = !self.rules.owner_fence || row.owner == self.owner_id;
        generation && owner
    }

    pub fn commit(&mut self) {
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
    pub fn write_tokens(&mut self, token: u8, from_generation: u8) {
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
    pub fn spool_and_end(&mut self) {
        self.spool_answer();
        self.end_without_release();
    }

    pub fn spool_answer(&mut self) {
        let me = self.process();
        if self.rules.spool && me.answer != NONE {
            (self.process_mut().spool, self.process_mut().spool_generation) = (me.answer, me.generation);
        }
    }

    pub fn commit_spooled(&mut self) {
        let me = self.process();
        let current = !self.rules.generation_fence || self.state.row.generation == me.spool_generation;
        if current && (self.rules.revive || !self.state.row.dead) {
            self.write_tokens(me.spool, me.spool_generation);
        }
    }

    pub fn await_other_holder(&mut self) {
        let (row, me) = (self.state.row, self.process());
        if row.generation != me.generation {
            self.end();
        } else if row.owner == NONE || !row.lease_valid {
            self.spool_and_end();
        }
    }

    pub fn fail_grant(&mut self) {
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

    pub fn record_failure(&mut self) {
        if self.passes_fence() && (self.process().is_rescue || !self.state.row.dead) {
            self.state.row.owner = NONE;
        }
        self.end();
    }

    pub fn lose_reply(&mut self) {
        let answer = self.process().answer;
        self.process_mut().answer = NONE;
        self.set_phase(Phase::Failing);
        self.mark_lost(answer);
    }

    pub fn crash(&mut self) {
        let answer = self.process().answer;
        self.end_without_release();
        self.mark_lost(answer);
    }

    /// Marks a token as lost to the network or a crash, if it is in no other place.
    pub fn mark_lost(&mut self, token: u8) {
        if token != NONE && !self.state.is_held(token) {
            self.state.tokens.set_lost(token, true);
        }
    }

    /// Ends the exchange without updating the row.
    pub fn end_without_release(&mut self) {
        if self.state.row.owner == self.owner_id {
            self.state.row.owner = ORPHANED;
        }
        self.end();
    }

    pub fn end(&mut self) {
        let me = self.process();
        let (phase, generation) = (Phase::Idle, 0);
        *self.process_mut() =
            Process { phase, generation, token: NONE, answer: NONE, believes_leased: false, is_rescue: false, ..me };
    }
}
