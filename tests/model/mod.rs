//! A model checker for the protocol of lease, fence, journal and spool. It explores every interleaving of two
//! processes, crashes, lost replies, database failures and passing time, and shows two things:
//!
//! - No interleaving loses the newest token or commits a stale one. This covers refreshes on request, claims of a
//!   sweep, an operator's rescue and the resealing of a key rotation.
//! - Without any one of the protections, some interleaving does.
//!
//! `steps` and `turn` follow `src/server/tokens/exchange/mod.rs` and the statements of `src/server/store/grants/leases.rs`;
//! `provider` follows `crates/sandbox/src/rotation.rs`. Simplifications:
//!
//! - Time has no length. A lease or a replay window may end between any two steps, so a process may be suspended for
//!   longer than either, and a possible step may never be taken. A token that was lost with a reply or in a crash is
//!   therefore excused once its predecessor's replay window has ended: resending the stored token in time is the
//!   callers' responsibility.
//! - There is one grant, always due. Reconnects and the expiry after sixty days are left out. A person revokes the
//!   consent only in the model with a rescue, since afterwards no token works. The operator has one token of another
//!   consent.
//! - A statement runs completely, or not at all, or completely without its caller receiving the result. Each process
//!   has its own durable disk.
//! - Each process runs one exchange at a time (`tokens/single_flight.rs`). Lease owners are never reused.
//! - There is at most one late request at a time, and the provider issues only a few tokens.

mod explore;
mod operators;
mod provider;
mod rules;
mod state;
mod steps;
mod turn;

use explore::{Exploration, explore};
use provider::{ProviderBehavior, Replay};
use rules::Rules;
use state::{NONE, Phase, State, Violation};

const MODES: [Replay; 2] = [Replay::Same, Replay::Sibling];

#[test]
fn no_violation_if_a_replay_returns_the_same_successor() {
    check_all_rules(ProviderBehavior { replay: Replay::Same, max_tokens: 4 });
}

#[test]
fn no_violation_if_a_replay_returns_a_sibling() {
    check_all_rules(ProviderBehavior { replay: Replay::Sibling, max_tokens: 4 });
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

fn rules_with_reseal(provider: ProviderBehavior) -> Rules {
    Rules { with_reseal: true, ..Rules::all(provider) }
}

type Landmark = (&'static str, fn(&State) -> bool);

/// States that an exploration has to reach; otherwise it has proved nothing.
const LANDMARKS: [Landmark; 7] = [
    ("two rotations are committed", |state| state.row.generation == 2),
    ("a grant is dead", |state| state.row.dead),
    ("a dead grant's successor is spooled", |state| state.row.dead && state.processes.iter().any(|p| p.spool != NONE)),
    ("both processes have spooled a token", |state| state.processes.iter().all(|p| p.spool != NONE)),
    ("an exchange is superseded", |state| state.processes.iter().any(|p| p.phase == Phase::Superseded)),
    ("both processes have sent, one of them too late", |state| state.processes.iter().all(|p| p.phase == Phase::Sent)),
    ("a late request is in flight", |state| state.late_request != NONE),
];

const RESCUE_LANDMARKS: [Landmark; 5] = [
    ("a rescued token is refreshed", |state| state.row.generation == 2 && state.tokens.is_foreign(state.row.token)),
    ("a rescued token is committed", |state| state.tokens.is_foreign(state.row.token)),
    ("a rescued token is spooled", |state| state.processes.iter().any(|p| state.tokens.is_foreign(p.spool))),
    ("a rescue runs on a dead grant", |state| state.row.dead && state.processes.iter().any(|p| p.is_rescue)),
    ("a rescue is superseded", |state| state.processes.iter().any(|p| p.is_rescue && p.phase == Phase::Superseded)),
];

const RESEALED_VALUE_REPLACED: Landmark = ("a value that is being resealed was replaced", |state| {
    state.resealing != NONE && state.resealing != state.row.token
});

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

/// The removed protection, the resulting violation, and the least number of steps to it.
type Case = (&'static str, fn(Rules) -> Rules, Violation, usize);

#[test]
fn removing_any_one_protection_causes_a_violation() {
    let cases: [Case; 11] = [
        ("the lease", |all| Rules { lease: false, ..all }, Violation::TwoHolders, 6),
        ("the second read under the lease", |all| Rules { reread: false, ..all }, Violation::SentSpent, 9),
        ("the generation fence", |all| Rules { generation_fence: false, ..all }, Violation::StaleCommit, 7),
        ("the owner fence", |all| Rules { owner_fence: false, ..all }, Violation::TwoHolders, 8),
        ("keeping the old token", |all| Rules { keep_old_token: false, ..all }, Violation::TokenLost, 2),
        ("journaling before sending", |all| Rules { journal_first: false, ..all }, Violation::Unjournaled, 4),
        ("the spool", |all| Rules { spool: false, ..all }, Violation::TokenLost, 6),
        (
            "the spool's replay before an exchange",
            |all| Rules { replay_first: false, ..all },
            Violation::FalselyDead,
            13,
        ),
        ("the claim's spool check", |all| Rules { claim_checks_spool: false, ..all }, Violation::FalselyDead, 12),
        ("waiting for the other holder", |all| Rules { await_successor: false, ..all }, Violation::TokenLost, 8),
        ("reviving a grant that was marked dead", |all| Rules { revive: false, ..all }, Violation::TokenLost, 13),
    ];
    for replay in MODES {
        for (missing, without, breaks, steps) in cases {
            let seen = explore(&without(Rules::all(ProviderBehavior { replay, max_tokens: 4 })), |_| {});
            let found = seen.counterexample.unwrap_or_else(|| panic!("{replay:?}: no violation without {missing}"));
            assert_eq!(
                (found.violation, found.steps.len()),
                (breaks, steps),
                "{replay:?}, {missing}: {:?}",
                found.steps
            );
        }
    }
}

/// A case whose rules depend on the provider's behavior.
type OperatorCase = (&'static str, fn(ProviderBehavior) -> Rules, Violation, usize);

#[test]
fn removing_any_one_operator_protection_causes_a_violation() {
    let cases: [OperatorCase; 4] = [
        (
            "the rescue's fence",
            |xero| Rules { rescue_fence: false, ..rules_with_rescue(xero) },
            Violation::StaleCommit,
            11,
        ),
        (
            "leaving a grant alone whose own token was not refused",
            |xero| Rules { rescue_refusal_keeps_grant: false, ..rules_with_rescue(xero) },
            Violation::FalselyDead,
            11,
        ),
        (
            "detecting that the row already has the token",
            |xero| Rules {
                rescue_detects_no_change: false,
                ..rules_with_rescue(ProviderBehavior { replay: Replay::Same, ..xero })
            },
            Violation::TokenLost,
            16,
        ),
        (
            "the reseal fence",
            |xero| Rules { reseal_fence: false, ..rules_with_reseal(xero) },
            Violation::StaleCommit,
            12,
        ),
    ];
    for replay in MODES {
        for (missing, without, breaks, steps) in cases {
            let seen = explore(&without(ProviderBehavior { replay, max_tokens: 4 }), |_| {});
            let found = seen.counterexample.unwrap_or_else(|| panic!("{replay:?}: no violation without {missing}"));
            assert_eq!(
                (found.violation, found.steps.len()),
                (breaks, steps),
                "{replay:?}, {missing}: {:?}",
                found.steps
            );
        }
    }
}

#[test]
fn counterexample_lists_the_steps_in_order() {
    let all = Rules::all(ProviderBehavior { replay: Replay::Same, max_tokens: 4 });
    let found = explore(&Rules { await_successor: false, ..all }, |_| {}).counterexample.unwrap();
    let story = [
        "A claims",
        "A journals",
        "A sends",
        "A receives the response",
        "the lease expires",
        "B claims",
        "A commits",
        "the replay window ends",
    ];
    assert_eq!(found.steps, story, "A's successor is dropped while B, which has sent no request, holds a spent token");
}
