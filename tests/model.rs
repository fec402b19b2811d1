//! The protocol of lease, fence, journal and spool as a small state machine, explored exhaustively: no interleaving of
//! two processes, crashes, lost replies, a failing database and passing time loses the newest token or commits a stale
//! one. Without any one of the protections, some interleaving does.
//!
//! `steps` follows `src/server/tokens/exchange.rs` and the statements of `src/server/store/leases.rs`; `provider`
//! follows `src/sandbox/tokens.rs`. What it leaves out:
//!
//! - Time has no length. A lease's end and the end of a grace may come between any two steps, so a process may stand
//!   still for longer than either; nothing says that a step is ever taken. A token that went down with a lost reply
//!   or a crash is therefore excused once its predecessor's grace has passed: that somebody sends the stored token
//!   again in time is the callers' part.
//! - One grant, always due. A person's revocation, a reconnect and the sixty days are left out: then no token works.
//! - A statement happens whole, or not at all, or whole without its caller being told. Each process has a disk of its
//!   own that keeps what it is given.
//! - In each process one flight at a time, as `tokens/flight.rs` has it; owners are told apart as if never used twice.
//! - At most one late request at a time, and a handful of tokens: the provider stops there.

mod explore;
mod provider;
mod state;
mod steps;

use explore::explore;
use provider::{Manner, Replay};
use state::{Broken, NONE, Phase, State};
use steps::Rules;

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

fn nothing_breaks(provider: Manner) {
    let mut passed = [false; LANDMARKS.len()];
    let seen = explore(&Rules::all(provider), |state| {
        for (passed, (_, is_here)) in passed.iter_mut().zip(LANDMARKS) {
            *passed = *passed || is_here(state);
        }
    });
    if let Some(found) = seen.broken {
        panic!("{provider:?}: {:?}, when {}", found.breaks, found.steps.join("; "));
    }
    for (passed, (landmark, _)) in passed.iter().zip(LANDMARKS) {
        assert!(passed, "{provider:?}: never came by a state where {landmark}");
    }
    println!("{provider:?}: {} states, the furthest {} steps away", seen.states, seen.deepest);
}

/// What is taken away, what breaks then, and after how many steps at the soonest.
type Case = (&'static str, fn(Rules) -> Rules, Broken, usize);

#[test]
fn without_any_one_protection_something_breaks() {
    let cases: [Case; 10] = [
        ("the lease", |all| Rules { lease: false, ..all }, Broken::TwoHolders, 8),
        ("reading again under the lease", |all| Rules { reread: false, ..all }, Broken::SentSpent, 10),
        ("the generation's fence", |all| Rules { generation_fence: false, ..all }, Broken::Stale, 8),
        ("the owner's fence", |all| Rules { owner_fence: false, ..all }, Broken::TwoHolders, 10),
        ("the old token's stay", |all| Rules { old_token_stays: false, ..all }, Broken::Lost, 3),
        ("the journal's line first", |all| Rules { journal_first: false, ..all }, Broken::Unjournalled, 5),
        ("the spool", |all| Rules { spool: false, ..all }, Broken::Lost, 7),
        ("putting in place before exchanging", |all| Rules { replay_first: false, ..all }, Broken::CalledDead, 14),
        ("outlasting the other holder", |all| Rules { outlast: false, ..all }, Broken::Lost, 10),
        ("bringing back what was called dead", |all| Rules { revive: false, ..all }, Broken::Lost, 15),
    ];
    for replay in MODES {
        for (missing, without, breaks, steps) in cases {
            let seen = explore(&without(Rules::all(Manner { replay, tokens: 4 })), |_| {});
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
        "A looks",
        "A asks for the lease",
        "A journals",
        "A sends",
        "A is answered",
        "B looks",
        "the lease's time passes",
        "B asks for the lease",
        "A commits",
        "the grace passes",
    ];
    assert_eq!(found.steps, story, "A's successor is dropped while B, which has sent nothing, holds a spent token");
}
