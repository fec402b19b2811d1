//! The protocol of lease, fence, journal and spool as a small state machine, explored exhaustively: no interleaving of
//! two processes, crashes, lost replies, a failing database and passing time loses the newest token or commits a stale
//! one, be it that somebody asked, that a sweep claimed the lease in its batch, that an operator puts another consent's
//! token in place, or that a key's rotation seals the row's text anew. Without any one of the protections, some
//! interleaving does.
//!
//! `steps` follows `src/server/tokens/exchange.rs` and the statements of `src/server/store/leases.rs`; `provider`
//! follows `src/sandbox/tokens.rs`. What it leaves out:
//!
//! - Time has no length. A lease's end and the end of a grace may come between any two steps, so a process may stand
//!   still for longer than either; nothing says that a step is ever taken. A token that went down with a lost reply
//!   or a crash is therefore excused once its predecessor's grace has passed: that somebody sends the stored token
//!   again in time is the callers' part.
//! - One grant, always due. A reconnect and the sixty days are left out, and a person's revocation but beside a rescue:
//!   then no token works. The operator has one token of another consent.
//! - A statement happens whole, or not at all, or whole without its caller being told. Each process has a disk of its
//!   own that keeps what it is given.
//! - In each process one flight at a time, as `tokens/flight.rs` has it; owners are told apart as if never used twice.
//! - At most one late request at a time, and a handful of tokens: the provider stops there.

mod explore;
mod operators;
mod provider;
mod rules;
mod state;
mod steps;

use explore::{Seen, explore};
use provider::{Manner, Replay};
use rules::Rules;
use state::{Broken, NONE, Phase, State};

const MODES: [Replay; 2] = [Replay::Same, Replay::Sibling];

#[test]
fn no_interleaving_loses_or_spoils_a_grant_where_a_replay_brings_the_same_successor() {
    nothing_breaks(Manner { replay: Replay::Same, tokens: 4 });
}

#[test]
fn no_interleaving_loses_or_spoils_a_grant_where_a_replay_brings_a_sibling() {
    nothing_breaks(Manner { replay: Replay::Sibling, tokens: 4 });
}

#[test]
#[ignore = "takes half a minute: make torture runs it"]
fn nor_with_another_token() {
    MODES.into_iter().for_each(|replay| nothing_breaks(Manner { replay, tokens: 5 }));
}

#[test]
fn nor_beside_a_rescue() {
    beside_a_rescue(3, &RESCUE_LANDMARKS[1..]);
}

#[test]
#[ignore = "takes a quarter of a minute: make torture runs it"]
fn nor_beside_a_rescue_and_what_follows() {
    beside_a_rescue(4, &RESCUE_LANDMARKS);
}

fn beside_a_rescue(tokens: u8, landmarks: &[Landmark]) {
    for replay in MODES {
        let seen = clean(&rescuing(Manner { replay, tokens }), landmarks);
        println!("beside a rescue, {replay:?}: {} states, the furthest {} steps away", seen.states, seen.deepest);
    }
}

#[test]
fn nor_beside_a_keys_rotation() {
    for replay in MODES {
        let seen = clean(&resealing(Manner { replay, tokens: 3 }), &[GONE]);
        println!("beside a rotation, {replay:?}: {} states, the furthest {} steps away", seen.states, seen.deepest);
    }
}

fn rescuing(provider: Manner) -> Rules {
    Rules { rescues: true, ..Rules::all(provider) }
}

fn resealing(provider: Manner) -> Rules {
    Rules { reseals: true, ..Rules::all(provider) }
}

type Landmark = (&'static str, fn(&State) -> bool);

/// What an exploration has to come by, or it has proved nothing.
const LANDMARKS: [Landmark; 7] = [
    ("two rotations are committed", |state| state.row.generation == 2),
    ("a grant is dead", |state| state.row.dead),
    ("a dead grant's successor is kept", |state| state.row.dead && state.processes.iter().any(|p| p.spool != NONE)),
    ("both have kept something", |state| state.processes.iter().all(|p| p.spool != NONE)),
    ("an exchange is overtaken", |state| state.processes.iter().any(|p| p.phase == Phase::Overtaken)),
    ("two send, one of them too late", |state| state.processes.iter().all(|p| p.phase == Phase::Sent)),
    ("a request is late", |state| state.ghost != NONE),
];

const RESCUE_LANDMARKS: [Landmark; 5] = [
    ("what came of a rescue is refreshed", |state| {
        state.row.generation == 2 && state.tokens.is_foreign(state.row.token)
    }),
    ("a rescued token is in the row", |state| state.tokens.is_foreign(state.row.token)),
    ("a rescued token is kept", |state| state.processes.iter().any(|p| state.tokens.is_foreign(p.spool))),
    ("a rescue meets a dead grant", |state| state.row.dead && state.processes.iter().any(|p| p.rescues)),
    ("a rescue is overtaken", |state| state.processes.iter().any(|p| p.rescues && p.phase == Phase::Overtaken)),
];

const GONE: Landmark = ("a text that is being sealed anew has gone", |state| {
    state.resealing != NONE && state.resealing != state.row.token
});

fn nothing_breaks(provider: Manner) {
    let seen = clean(&Rules::all(provider), &LANDMARKS);
    println!("{provider:?}: {} states, the furthest {} steps away", seen.states, seen.deepest);
}

fn clean(rules: &Rules, landmarks: &[Landmark]) -> Seen {
    let mut passed = vec![false; landmarks.len()];
    let seen = explore(rules, |state| {
        for (passed, (_, is_here)) in passed.iter_mut().zip(landmarks) {
            *passed = *passed || is_here(state);
        }
    });
    if let Some(found) = &seen.broken {
        panic!("{rules:?}: {:?}, when {}", found.breaks, found.steps.join("; "));
    }
    for (passed, (landmark, _)) in passed.iter().zip(landmarks) {
        assert!(passed, "{rules:?}: never came by a state where {landmark}");
    }
    seen
}

/// What is taken away, what breaks then, and after how many steps at the soonest.
type Case = (&'static str, fn(Rules) -> Rules, Broken, usize);

#[test]
fn without_any_one_protection_something_breaks() {
    let cases: [Case; 11] = [
        ("the lease", |all| Rules { lease: false, ..all }, Broken::TwoHolders, 6),
        ("reading again under the lease", |all| Rules { reread: false, ..all }, Broken::SentSpent, 9),
        ("the generation's fence", |all| Rules { generation_fence: false, ..all }, Broken::Stale, 7),
        ("the owner's fence", |all| Rules { owner_fence: false, ..all }, Broken::TwoHolders, 8),
        ("the old token's stay", |all| Rules { old_token_stays: false, ..all }, Broken::Lost, 2),
        ("the journal's line first", |all| Rules { journal_first: false, ..all }, Broken::Unjournalled, 4),
        ("the spool", |all| Rules { spool: false, ..all }, Broken::Lost, 6),
        ("putting in place before exchanging", |all| Rules { replay_first: false, ..all }, Broken::CalledDead, 13),
        ("giving back what is kept", |all| Rules { claim_heeds_spool: false, ..all }, Broken::CalledDead, 12),
        ("outlasting the other holder", |all| Rules { outlast: false, ..all }, Broken::Lost, 8),
        ("bringing back what was called dead", |all| Rules { revive: false, ..all }, Broken::Lost, 13),
    ];
    for replay in MODES {
        for (missing, without, breaks, steps) in cases {
            let seen = explore(&without(Rules::all(Manner { replay, tokens: 4 })), |_| {});
            let found = seen.broken.unwrap_or_else(|| panic!("{replay:?}: nothing breaks without {missing}"));
            assert_eq!((found.breaks, found.steps.len()), (breaks, steps), "{replay:?}, {missing}: {:?}", found.steps);
        }
    }
}

/// The same with the rules made for a manner of the provider's.
type OperatorsCase = (&'static str, fn(Manner) -> Rules, Broken, usize);

#[test]
fn nor_without_any_one_protection_against_operators() {
    let cases: [OperatorsCase; 4] = [
        ("a rescue's fence", |xero| Rules { rescue_fence: false, ..rescuing(xero) }, Broken::Stale, 11),
        (
            "leaving alone what Xero said nothing about",
            |xero| Rules { rescue_leaves_alone: false, ..rescuing(xero) },
            Broken::CalledDead,
            11,
        ),
        (
            "seeing that the row has it already",
            |xero| Rules { rescue_sees_its_own: false, ..rescuing(Manner { replay: Replay::Same, ..xero }) },
            Broken::Lost,
            16,
        ),
        ("the fence of a text sealed anew", |xero| Rules { reseal_fence: false, ..resealing(xero) }, Broken::Stale, 12),
    ];
    for replay in MODES {
        for (missing, without, breaks, steps) in cases {
            let seen = explore(&without(Manner { replay, tokens: 4 }), |_| {});
            let found = seen.broken.unwrap_or_else(|| panic!("{replay:?}: nothing breaks without {missing}"));
            assert_eq!((found.breaks, found.steps.len()), (breaks, steps), "{replay:?}, {missing}: {:?}", found.steps);
        }
    }
}

#[test]
fn a_counterexample_reads_as_a_story() {
    let all = Rules::all(Manner { replay: Replay::Same, tokens: 4 });
    let found = explore(&Rules { outlast: false, ..all }, |_| {}).broken.unwrap();
    let story = [
        "A claims",
        "A journals",
        "A sends",
        "A is answered",
        "the lease's time passes",
        "B claims",
        "A commits",
        "the grace passes",
    ];
    assert_eq!(found.steps, story, "A's successor is dropped while B, which has sent nothing, holds a spent token");
}
