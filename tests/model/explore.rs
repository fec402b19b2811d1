//! Breadth-first search through every reachable state, with the shortest path to the first violation.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};

use super::rules::Rules;
use super::state::{NONE, State, Violation};
use super::steps::{Step, each_step};

/// The result of an exploration.
pub struct Exploration {
    pub states: usize,
    /// The length of the longest shortest path to a state.
    pub max_depth: usize,
    pub counterexample: Option<Counterexample>,
}

pub struct Counterexample {
    pub violation: Violation,
    /// The steps that lead to the violation, in order.
    pub steps: Vec<String>,
}

/// Explores every state, or stops at the first violation. Calls `visit` once per state; mirror images count as one.
pub fn explore(rules: &Rules, mut visit: impl FnMut(&State)) -> Exploration {
    let mut visited: HashMap<State, u32, BuildHasherDefault<StateHasher>> = HashMap::default();
    // A state's index is its number. Each entry has the state, its predecessor's number, the step and the depth.
    let start = State::start(rules.with_rescue);
    let mut order: Vec<(State, u32, Step, u16)> = vec![(start, 0, ("", NONE), 0)];
    visited.insert(start.canonical(), 0);
    let mut next = 0;
    let mut broken = None;
    while next < order.len() && broken.is_none() {
        let (state, _, _, depth) = order[next];
        visit(&state);
        let from = u32::try_from(next).expect("there are fewer than 2^32 states");
        each_step(&state, rules, |step, after| {
            if let Entry::Vacant(place) = visited.entry(after.canonical()) {
                let number = u32::try_from(order.len()).expect("there are fewer than 2^32 states");
                place.insert(number);
                order.push((after, from, step, depth + 1));
                if broken.is_none() {
                    broken = after.check().map(|breaks| (breaks, number));
                }
            }
        });
        next += 1;
    }
    let deepest = order.last().map_or(0, |last| usize::from(last.3));
    let broken = broken.map(|(breaks, number)| Counterexample { violation: breaks, steps: path_to(number, &order) });
    Exploration { states: order.len(), max_depth: deepest, counterexample: broken }
}

fn path_to(number: u32, order: &[(State, u32, Step, u16)]) -> Vec<String> {
    let mut steps = Vec::new();
    let mut at = number as usize;
    while at != 0 {
        let (_, from, (name, who), _) = order[at];
        steps.push(match who {
            0 => format!("A {name}"),
            1 => format!("B {name}"),
            _ => name.to_owned(),
        });
        at = from as usize;
    }
    steps.reverse();
    steps
}

/// A fast hash (multiplication as in FNV). It need not resist hostile input.
#[derive(Default)]
pub struct StateHasher(u64);

impl Hasher for StateHasher {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_isize(&mut self, value: isize) {
        self.write_u64(value as u64);
    }
}
