//! A model checker for the protocol of lease, fence, journal and spool. It explores every interleaving of two
//! processes, crashes, lost replies, database failures and passing time, and shows two things:
//!
//! - No interleaving loses the newest token or commits a stale one. This covers refreshes on request, claims of a
//!   sweep, an operator's rescue, the resealing of a key rotation, and the restore of a backup while all else goes on.
//! - Without any one of the protections, some interleaving does.
//!
//! `trace` shows a third: what real processes logged in the crash torture is a run of this model.
//!
//! `steps` and `turn` follow `src/server/tokens/exchange/`, `src/server/tokens/spool/mod.rs` and the statements of
//! `src/server/store/grants/`; `provider` follows `crates/sandbox/src/rotation.rs`. Simplifications:
//!
//! - Time has no length. A lease or a replay window may end between any two steps, so a process may be suspended for
//!   longer than either, and a possible step may never be taken. A token that was lost with a reply or in a crash is
//!   therefore excused once its predecessor's replay window has ended: resending the stored token in time is the
//!   callers' responsibility.
//! - If a sibling ended the row's token, the loss is excused once the replay window of their predecessor has ended: using
//!   the token in time is the sweep's responsibility (`prove_by`).
//! - A backup has the first generation, with or without a lease, and is restored once.
//! - There is one grant, always due. Reconnects and the expiry after sixty days are left out. A person revokes the
//!   consent only in the model with a rescue, since afterwards no token works. The operator has one token of another
//!   consent.
//! - A statement runs completely, or not at all, or completely without its caller receiving the result. Each process
//!   has its own durable disk.
//! - Each process runs one exchange at a time (`tokens/single_flight.rs`). Lease owners are never reused.
//! - There is at most one late request at a time, and the provider issues only a few tokens.

mod explore;
mod landmarks;
mod operators;
pub mod provider;
mod removal;
mod rules;
mod state;
mod steps;
pub mod trace;
mod turn;

use explore::{Exploration, explore};
use landmarks::{LANDMARKS, Landmark, NEWEST_LANDMARKS, RESCUE_LANDMARKS, RESEALED_VALUE_REPLACED, RESTORE_LANDMARKS};
use provider::{ProviderBehavior, Replay};
use rules::Rules;

const MODES: [Replay; 3] = [Replay::Same, Replay::Sibling, Replay::Newest];

#[test]
fn no_violation_if_a_replay_returns_the_same_successor() {
    check_all_rules(ProviderBehavior { replay: Replay::Same, max_tokens: 4 });
}

#[test]
fn no_violation_if_a_replay_returns_a_sibling() {
    check_all_rules(ProviderBehavior { replay: Replay::Sibling, max_tokens: 4 });
}

#[test]
fn no_violation_if_the_newest_replay_ends_its_siblings() {
    let provider = ProviderBehavior { replay: Replay::Newest, max_tokens: 4 };
    check_all_rules(provider);
    assert_no_violation(&Rules::all(provider), &NEWEST_LANDMARKS);
}

#[test]
fn no_violation_with_a_restored_backup() {
    for replay in MODES {
        let rules = rules_with_restore(ProviderBehavior { replay, max_tokens: 3 });
        let seen = assert_no_violation(&rules, &RESTORE_LANDMARKS);
        println!("with a restore, {replay:?}: {} states, the deepest at {} steps", seen.states, seen.max_depth);
    }
}

#[test]
#[ignore = "takes half a minute; `make torture` runs it"]
fn no_violation_with_a_restored_backup_and_later_refreshes() {
    for replay in MODES {
        assert_no_violation(&rules_with_restore(ProviderBehavior { replay, max_tokens: 4 }), &RESTORE_LANDMARKS);
    }
}

#[test]
#[ignore = "takes half a minute; `make torture` runs it"]
fn no_violation_with_five_tokens() {
    MODES.into_iter().for_each(|replay| check_all_rules(ProviderBehavior { replay, max_tokens: 5 }));
}

#[test]
fn no_violation_with_a_rescue() {
    check_with_rescue(3, &RESCUE_LANDMARKS[1..]);
}

#[test]
#[ignore = "takes fifteen seconds; `make torture` runs it"]
fn no_violation_with_a_rescue_and_later_refreshes() {
    check_with_rescue(4, &RESCUE_LANDMARKS);
}

fn check_with_rescue(tokens: u8, landmarks: &[Landmark]) {
    for replay in MODES {
        let seen = assert_no_violation(&rules_with_rescue(ProviderBehavior { replay, max_tokens: tokens }), landmarks);
        println!("with a rescue, {replay:?}: {} states, the deepest at {} steps", seen.states, seen.max_depth);
    }
}

#[test]
fn no_violation_with_a_key_rotation() {
    for replay in MODES {
        let seen = assert_no_violation(
            &rules_with_reseal(ProviderBehavior { replay, max_tokens: 3 }),
            &[RESEALED_VALUE_REPLACED],
        );
        println!("with a key rotation, {replay:?}: {} states, the deepest at {} steps", seen.states, seen.max_depth);
    }
}

fn rules_with_rescue(provider: ProviderBehavior) -> Rules {
    Rules { with_rescue: true, ..Rules::all(provider) }
}

fn rules_with_restore(provider: ProviderBehavior) -> Rules {
    Rules { with_restore: true, ..Rules::all(provider) }
}

fn rules_with_reseal(provider: ProviderBehavior) -> Rules {
    Rules { with_reseal: true, ..Rules::all(provider) }
}

fn check_all_rules(provider: ProviderBehavior) {
    let seen = assert_no_violation(&Rules::all(provider), &LANDMARKS);
    println!("{provider:?}: {} states, the deepest at {} steps", seen.states, seen.max_depth);
}

fn assert_no_violation(rules: &Rules, landmarks: &[Landmark]) -> Exploration {
    let mut reached = vec![false; landmarks.len()];
    let seen = explore(rules, |state| {
        for (passed, (_, is_here)) in reached.iter_mut().zip(landmarks) {
            *passed = *passed || is_here(state);
        }
    });
    if let Some(found) = &seen.counterexample {
        panic!("{rules:?}: {:?} after: {}", found.violation, found.steps.join("; "));
    }
    for (passed, (landmark, _)) in reached.iter().zip(landmarks) {
        assert!(passed, "{rules:?}: never reached a state in which {landmark}");
    }
    seen
}
