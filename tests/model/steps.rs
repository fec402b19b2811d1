//! Every step that can follow a state: those of an exchange (`src/server/tokens/exchange/`, rescues included), in which
//! each statement of the store (`src/server/store/grants/leases.rs`) is a single step, and those of the environment.
//! The steps of a key rotation (`src/server/store/sealed/reseal.rs`) are in `operators`.

use super::operators;
use super::provider::RotateResponse;
use super::rules::Rules;
use super::state::{BACKUP, NONE, Phase, State};
use super::turn::Turn;

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
            Phase::Journaled => {
                after("sends", &Turn::send);
                after("looks at its lease", &Turn::look_before_send);
            }
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
                    turn.spool_answer();
                    turn.commit();
                    turn.end_without_release();
                });
                after("renews its lease", &Turn::renew);
            }
            Phase::Refused => {
                after("loses the reply", &Turn::lose_reply);
                if me.is_rescue && rules.rescue_refusal_keeps_grant {
                    after("leaves the grant alone", &Turn::record_failure);
                } else if Turn::may_send_predecessor(state, rules, me) {
                    after("sends the predecessor", &Turn::send_predecessor);
                } else {
                    after("marks the grant dead", &Turn::fail_grant);
                    after("holds the refusal back", &Turn::record_failure);
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
                if turn.commit_spooled() {
                    turn.clear_spool();
                }
            });
            after("replays its spool without removing it", &|turn| _ = turn.commit_spooled());
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
    if rules.with_restore && !state.restored && state.row.generation > 0 {
        found(("a backup is restored", NONE), operators::restore(state, NONE));
        found(("a backup with a lease is restored", NONE), operators::restore(state, BACKUP));
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
