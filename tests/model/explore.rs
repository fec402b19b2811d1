//! Breadth first through every state that can be reached, with the shortest way to the first broken one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};

use super::rules::Rules;
use super::state::{Broken, NONE, State};
use super::steps::{Step, each_step};

/// What an exploration saw.
pub struct Seen {
    pub states: usize,
    /// The longest of the shortest ways to a state.
    pub deepest: usize,
    pub broken: Option<Counterexample>,
}

pub struct Counterexample {
    pub breaks: Broken,
    /// Who does what, in order.
    pub steps: Vec<String>,
}

/// Explores everything, or as far as the first broken state. `visit` sees each state once, but for mirror images.
pub fn explore(rules: &Rules, mut visit: impl FnMut(&State)) -> Seen {
    let mut known: HashMap<State, u32, BuildHasherDefault<Mixer>> = HashMap::default();
    // A state's place in here is its number; beside it, whence and by which step it was first reached.
    let start = State::start(rules.rescues);
    let mut order: Vec<(State, u32, Step, u16)> = vec![(start, 0, ("", NONE), 0)];
    known.insert(start.folded(), 0);
    let mut next = 0;
    let mut broken = None;
    while next < order.len() && broken.is_none() {
        let (state, _, _, depth) = order[next];
        visit(&state);
        let from = u32::try_from(next).expect("fewer states than four thousand million");
        each_step(&state, rules, |step, after| {
            if let Entry::Vacant(place) = known.entry(after.folded()) {
                let number = u32::try_from(order.len()).expect("fewer states than four thousand million");
                place.insert(number);
                order.push((after, from, step, depth + 1));
                if broken.is_none() {
                    broken = after.verdict().map(|breaks| (breaks, number));
                }
            }
        });
        next += 1;
    }
    let deepest = order.last().map_or(0, |last| usize::from(last.3));
    let broken = broken.map(|(breaks, number)| Counterexample { breaks, steps: way_to(number, &order) });
    Seen { states: order.len(), deepest, broken }
}

fn way_to(number: u32, order: &[(State, u32, Step, u16)]) -> Vec<String> {
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

/// A quick hash (FNV's multiplication): nobody hostile chooses the states.
#[derive(Default)]
pub struct Mixer(u64);

impl Hasher for Mixer {
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
