//! Draws from lists so that chance decides the order, and nothing is drawn twice as often as anything else.

/// A small pseudo-random number generator (xorshift64), so that a seed repeats a run.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        // Zero would stay zero.
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// Returns a number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % bound
    }

    /// Returns whether one in `times` came up.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// A list that is shuffled whenever all of it has been drawn.
pub struct Deck<T: 'static> {
    all: &'static [T],
    left: Vec<T>,
}

impl<T: Copy> Deck<T> {
    pub fn new(all: &'static [T]) -> Self {
        Self { all, left: Vec::new() }
    }

    pub fn draw(&mut self, dice: &mut Dice) -> T {
        if self.left.is_empty() {
            self.left.extend_from_slice(self.all);
        }
        let index = usize::try_from(dice.below(self.left.len() as u64)).unwrap();
        self.left.swap_remove(index)
    }
}
