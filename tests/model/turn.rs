//! One step of one process: what it reads, sends, commits or loses.

use super::provider::{FOREIGN, RotateResponse};
use super::rules::Rules;
use super::state::{NONE, ORPHANED, Phase, Process, Row, State, Violation};

impl Process {
    fn having_read(self, row: Row) -> Self {
        Self { generation: row.generation, token: row.token, previous: row.previous, ..self }
    }
}

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
            *self.process_mut() = Process { phase: Phase::RowRead, ..self.process().having_read(row) };
        }
    }

    /// Takes the lease and reads the row in one statement, as a sweep's claim does.
    pub fn claim(&mut self) {
        let row = self.state.row;
        if !row.dead && self.lease_is_free() {
            *self.process_mut() = self.process().having_read(row);
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
        if self.rules.reread {
            if row.generation > self.process().generation {
                // The lease is taken and released again.
                self.state.row.owner = NONE;
                return self.end();
            }
            // A row that was restored has an earlier generation.
            *self.process_mut() = self.process().having_read(row);
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

    /// Renews the lease right before sending, or ends because another holder has it.
    pub fn look_before_send(&mut self) {
        if !self.rules.look_before_send || self.passes_fence() {
            return self.renew();
        }
        if self.state.row.owner == self.owner_id {
            self.state.row.owner = NONE;
        }
        self.end();
    }

    /// Sends the token if, by the process's own clock, its lease is not about to end.
    pub fn send(&mut self) {
        if self.rules.look_before_send && !self.process().believes_leased {
            return;
        }
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

    /// Returns whether the process holds back a refusal until it has sent the predecessor.
    pub fn may_send_predecessor(state: &State, rules: &Rules, me: &Process) -> bool {
        rules.predecessor && !me.is_rescue && !me.is_replay && state.tokens.is_valid(me.previous)
    }

    /// Renews the lease and sends the refused token's predecessor, or ends because another holder has it.
    pub fn send_predecessor(&mut self) {
        if !self.passes_fence() {
            return self.end();
        }
        self.renew();
        let me = self.process();
        *self.process_mut() = Process { token: me.previous, is_replay: true, phase: Phase::Sent, ..me };
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
            self.write_tokens(me.answer, me.generation, me.is_replay, me.token);
            return self.end();
        }
        if self.rules.await_successor && !self.has_moved() { self.set_phase(Phase::Superseded) } else { self.end() }
    }

    /// Returns whether the row has another generation, so that this exchange's successor is of no use.
    fn has_moved(&self) -> bool {
        let (row, me) = (self.state.row.generation, self.process().generation);
        if self.rules.outlives_restore { row > me } else { row != me }
    }

    /// Writes a token set to the row. A successor of the row's own token must follow it directly. A successor of the
    /// operator's token must find the generation at which the lease was taken.
    pub fn write_tokens(&mut self, token: u8, from_generation: u8, is_replay: bool, predecessor: u8) {
        let State { row, tokens, restored, .. } = &mut self.state;
        let follows = if is_replay {
            tokens.is_successor(token, predecessor) && row.generation <= from_generation
        } else if *restored {
            from_generation >= row.generation && tokens.depth(token) == from_generation + 1
        } else if self.rules.with_rescue && tokens.is_successor(token, FOREIGN) {
            row.generation == from_generation
        } else {
            let chain = row.token == NONE || tokens.is_successor(token, row.token);
            chain && tokens.depth(token) == row.generation + 1
        };
        if !follows {
            self.state.violation = Some(Violation::StaleCommit);
        }
        let row = &mut self.state.row;
        row.previous = if self.rules.predecessor { predecessor } else { NONE };
        (row.token, row.generation, row.dead, row.owner) = (token, from_generation + 1, false, NONE);
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
            *self.process_mut() = Process {
                spool: me.answer,
                spool_generation: me.generation,
                spool_is_replay: me.is_replay,
                spool_predecessor: me.token,
                ..me
            };
        }
    }

    pub fn clear_spool(&mut self) {
        let me = self.process();
        *self.process_mut() =
            Process { spool: NONE, spool_generation: 0, spool_is_replay: false, spool_predecessor: NONE, ..me };
    }

    /// Commits the spooled successor, unless the row has a later generation or another holder has the lease. Returns
    /// whether the spool has no more use for it.
    pub fn commit_spooled(&mut self) -> bool {
        let (me, row) = (self.process(), self.state.row);
        let older = self.rules.older_row_accepts_spool && row.generation < me.spool_generation;
        let current = !self.rules.generation_fence || older || row.generation == me.spool_generation;
        if !current || (row.dead && !self.rules.revive) {
            return true;
        }
        let is_own = row.owner == ORPHANED + self.owner_id;
        if self.rules.spool_awaits_lease && !is_own && !self.lease_is_free() {
            return false;
        }
        self.write_tokens(me.spool, me.spool_generation, me.spool_is_replay, me.spool_predecessor);
        true
    }

    pub fn await_other_holder(&mut self) {
        let row = self.state.row;
        if self.has_moved() {
            self.end();
        } else if row.owner == NONE || !row.lease_valid {
            self.spool_and_end();
        }
    }

    pub fn fail_grant(&mut self) {
        if self.passes_fence() && !self.state.row.dead {
            let (row, me) = (self.state.row, self.process());
            let kept = me.spool_generation >= row.generation && self.state.tokens.is_valid(me.spool);
            let replayable = self.rules.predecessor && !me.is_rescue && self.state.tokens.is_valid(row.previous);
            if self.state.tokens.is_valid(row.token) || kept || replayable {
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
            self.state.row.owner = ORPHANED + self.owner_id;
        }
        self.end();
    }

    pub fn end(&mut self) {
        let me = self.process();
        let (phase, generation) = (Phase::Idle, 0);
        *self.process_mut() = Process {
            phase,
            generation,
            token: NONE,
            previous: NONE,
            is_replay: false,
            answer: NONE,
            believes_leased: false,
            is_rescue: false,
            ..me
        };
    }
}
