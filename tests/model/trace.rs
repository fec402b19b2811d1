//! Whether a recorded run of two real processes is a run of the model, so that the model and the code can't part.

use std::collections::HashSet;

use super::provider::{MAX_TOKENS, ProviderBehavior, Replay};
use super::rules::Rules;
use super::state::{NONE, Phase, State};
use super::steps::{Step, each_step};

/// What two processes did with one grant, from idle to idle. Generations count from the row's first.
#[derive(Clone, Debug)]
pub struct Trace {
    pub replay: Replay,
    /// The events of each process, in its order.
    pub processes: [Vec<Event>; 2],
    /// What the provider did with the requests that it processed, in its order.
    pub exchanges: Vec<Exchange>,
    /// The row's generation at the end.
    pub generation: u8,
    pub is_dead: bool,
}

/// What a process logged (`src/server/store/grants/protocol.rs`), or its end.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Step(String, u8),
    Killed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    Rotated,
    Replayed,
    Refused,
}

/// A state, and how much of the trace led to it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Position {
    state: State,
    events: [usize; 2],
    exchanges: usize,
    /// The process took a step and was killed before it could log it.
    is_unlogged: [bool; 2],
}

impl Trace {
    /// Returns the number of positions that were searched until some order of these events led to the row at the end,
    /// or `None` if no order does.
    pub fn validate(&self) -> Option<usize> {
        let rules = Rules::all(ProviderBehavior { replay: self.replay, max_tokens: MAX_TOKENS });
        let start = Position { state: State::start(false), events: [0; 2], exchanges: 0, is_unlogged: [false; 2] };
        let (mut seen, mut open) = (HashSet::from([start]), vec![start]);
        while let Some(position) = open.pop() {
            if self.is_end(&position) {
                return Some(seen.len());
            }
            let mut follow = |next: Position| {
                if next.state.check().is_none() && seen.insert(next) {
                    open.push(next);
                }
            };
            for who in 0..2 {
                // An idle process has nothing to lose.
                let is_idle = position.state.processes[who].phase == Phase::Idle;
                if is_idle && self.next_event(&position, who) == Some(&Event::Killed) {
                    follow(position.logged(who));
                }
            }
            each_step(&position.state, &rules, |step, after| {
                if let Some(next) = self.after(&position, step, after) {
                    follow(next);
                }
            });
        }
        None
    }

    fn is_end(&self, position: &Position) -> bool {
        let row = position.state.row;
        let is_row = (row.generation, row.dead) == (self.generation, self.is_dead);
        let is_read = (0..2).all(|who| position.events[who] == self.processes[who].len());
        is_row && is_read && position.exchanges == self.exchanges.len()
    }

    fn next_event(&self, position: &Position, who: usize) -> Option<&Event> {
        self.processes[who].get(position.events[who])
    }

    /// Returns the position after a step, or `None` if the trace does not have it next.
    fn after(&self, position: &Position, (name, who): Step, after: State) -> Option<Position> {
        let mut next = Position { state: after, ..*position };
        if let Some(exchange) = exchange_of(name, who, &position.state) {
            if self.exchanges.get(position.exchanges) != Some(&exchange) {
                return None;
            }
            next.exchanges += 1;
        }
        if who == NONE {
            return Some(next);
        }
        let who = usize::from(who);
        let Some(event) = event_of(name, who, &position.state, &after) else { return Some(next) };
        match self.next_event(position, who) {
            Some(logged) if *logged == event => Some(next.logged(who)),
            Some(Event::Killed) if !position.is_unlogged[who] => {
                next.is_unlogged[who] = true;
                Some(next)
            }
            _ => None,
        }
    }
}

impl Position {
    fn logged(mut self, who: usize) -> Self {
        self.events[who] += 1;
        self.is_unlogged[who] = false;
        self
    }
}

/// Returns what the provider does in this step, if it processes a request.
fn exchange_of(name: &str, who: u8, before: &State) -> Option<Exchange> {
    let token = match name {
        "receives the response" => before.processes[usize::from(who)].token,
        "a late request arrives" | "a late request is refused" => before.late_request,
        _ => return None,
    };
    Some(match (before.tokens.is_unused(token), before.tokens.is_valid(token)) {
        (true, _) => Exchange::Rotated,
        (false, true) => Exchange::Replayed,
        (false, false) => Exchange::Refused,
    })
}

/// Returns what the process logs about this step, if it does.
fn event_of(name: &str, who: usize, before: &State, after: &State) -> Option<Event> {
    let (was, is) = (before.processes[who], after.processes[who]);
    let (step, generation, is_logged) = match name {
        "claims" => ("leased", is.generation, true),
        "requests the lease" => {
            let is_free = before.row.owner == NONE || !before.row.lease_valid;
            // It is taken, and released again if another holder has refreshed the grant.
            ("leased", before.row.generation, is_free && !before.row.dead)
        }
        "journals" => ("journaled", was.generation, true),
        "sends" | "sends the predecessor" => ("sent", was.generation, is.phase == Phase::Sent),
        "commits" => ("committed", was.generation, after.row.generation > before.row.generation),
        "fails to commit" | "commits without the result" => ("spooled", was.generation, true),
        "waits for the other holder" => ("spooled", was.generation, is.spool != was.spool),
        "replays its spool" | "replays its spool without removing it" => {
            ("replayed", was.spool_generation, after.row.generation > before.row.generation)
        }
        "marks the grant dead" => ("ended", was.generation, after.row.dead && !before.row.dead),
        "crashes" | "crashes, its request in flight" => return Some(Event::Killed),
        _ => return None,
    };
    is_logged.then(|| Event::Step(step.to_owned(), generation))
}

fn step(name: &str, generation: u8) -> Event {
    Event::Step(name.to_owned(), generation)
}

/// A process is killed after it has spooled its token set, and another one sends the token again. Then the set of the
/// first is replayed, too late.
fn example() -> Trace {
    let started = |generation| ["leased", "journaled", "sent"].map(|name| step(name, generation));
    let first = [&started(0)[..], &[step("spooled", 0), Event::Killed]].concat();
    let second = [&started(0)[..], &[step("committed", 0)], &started(1), &[step("committed", 1)]].concat();
    let exchanges = vec![Exchange::Rotated, Exchange::Replayed, Exchange::Rotated];
    Trace { replay: Replay::Same, processes: [first, second], exchanges, generation: 2, is_dead: false }
}

#[test]
fn trace_of_the_protocol_is_accepted() {
    let trace = example();
    assert!(trace.validate().is_some(), "{trace:?}");
    // Its last step was not logged before the kill.
    let mut cut = trace;
    cut.processes[0].remove(3);
    assert!(cut.validate().is_some(), "{cut:?}");
}

#[test]
fn falsified_trace_is_rejected() {
    type Falsify = fn(&mut Trace);
    let cases: [(&str, Falsify); 8] = [
        ("a request without a journaled attempt", |trace| _ = trace.processes[1].remove(1)),
        ("a request without a lease", |trace| _ = trace.processes[1].remove(0)),
        ("a second commit of one generation", |trace| trace.processes[1][7] = step("committed", 0)),
        ("a commit of a generation that was not exchanged", |trace| trace.processes[1][3] = step("committed", 1)),
        ("a replay after a later commit", |trace| trace.processes[0].push(step("replayed", 0))),
        ("an exchange that nobody sent", |trace| trace.exchanges.push(Exchange::Rotated)),
        ("a token that the provider had rotated", |trace| trace.exchanges[1] = Exchange::Rotated),
        ("another row at the end", |trace| trace.generation = 3),
    ];
    for (what, falsify) in cases {
        let mut trace = example();
        falsify(&mut trace);
        assert!(trace.validate().is_none(), "{what} was accepted: {trace:?}");
    }
}
