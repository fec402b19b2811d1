//! The provider's refresh tokens, by the sandbox's rules (`src/sandbox/tokens.rs`): rotation, the grace of a spent
//! token, both replay modes, and the end of the predecessor once its successor is used.

use super::state::NONE;

/// Room for this many tokens in a state.
const ROOM: usize = 6;
/// The token of another consent, which an operator has in hand.
pub const FOREIGN: u8 = 1;

/// How the provider behaves, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    pub replay: Replay,
    /// How many tokens it gives out, the first included, up to `ROOM`. Then it answers nothing that needs another.
    pub tokens: u8,
}

/// What a spent token is answered within its grace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Replay {
    /// The successor again.
    Same,
    /// A new successor beside the first.
    Sibling,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Tokens {
    minted: u8,
    each: [Token; ROOM],
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Token {
    life: Life,
    /// How many rotations lie before it.
    depth: u8,
    predecessor: u8,
    /// The first it was rotated into.
    successor: u8,
    /// Its only copy went down with a lost reply or a crash.
    lost: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Life {
    Unused,
    InGrace,
    Over,
}

/// What the provider says to a refresh token.
pub enum Said {
    Token(u8),
    InvalidGrant,
    /// The run has used its tokens up: the exploration ends here.
    Nothing,
}

impl Tokens {
    /// The row's first token and, where operators act, theirs.
    pub fn first(and_foreign: bool) -> Self {
        let unborn = Token { life: Life::Over, depth: 0, predecessor: NONE, successor: NONE, lost: false };
        let mut each = [unborn; ROOM];
        let minted = 1 + u8::from(and_foreign);
        each[..usize::from(minted)].iter_mut().for_each(|token| token.life = Life::Unused);
        Self { minted, each }
    }

    /// A person at Xero ends the consent that the row's first token comes from. `false` when it has ended.
    pub fn revoke(&mut self) -> bool {
        let mut ended = false;
        for token in 0..self.minted {
            if !self.is_foreign(token) && self.works(token) {
                self.each[usize::from(token)].life = Life::Over;
                ended = true;
            }
        }
        ended
    }

    /// Whether it comes from the operator's token.
    pub fn is_foreign(&self, token: u8) -> bool {
        token == FOREIGN && self.each[usize::from(FOREIGN)].predecessor == NONE
            || token != NONE
                && self.each[usize::from(token)].predecessor != NONE
                && self.is_foreign(self.each[usize::from(token)].predecessor)
    }

    /// The token takes its place in a row's history.
    pub fn set_depth(&mut self, token: u8, depth: u8) {
        self.each[usize::from(token)].depth = depth;
    }

    pub fn rotate(&mut self, presented: u8, manner: Manner) -> Said {
        let token = self.each[usize::from(presented)];
        match token.life {
            Life::Over => Said::InvalidGrant,
            Life::InGrace if manner.replay == Replay::Same => Said::Token(token.successor),
            Life::InGrace => self.mint(presented, manner.tokens).map_or(Said::Nothing, Said::Token),
            Life::Unused => {
                let Some(successor) = self.mint(presented, manner.tokens) else { return Said::Nothing };
                if token.predecessor != NONE {
                    self.each[usize::from(token.predecessor)].life = Life::Over;
                }
                self.each[usize::from(presented)].life = Life::InGrace;
                self.each[usize::from(presented)].successor = successor;
                Said::Token(successor)
            }
        }
    }

    fn mint(&mut self, predecessor: u8, most: u8) -> Option<u8> {
        let new = self.minted;
        if new == most {
            return None;
        }
        let depth = self.each[usize::from(predecessor)].depth + 1;
        self.each[usize::from(new)] = Token { life: Life::Unused, depth, predecessor, successor: NONE, lost: false };
        self.minted += 1;
        Some(new)
    }

    /// Thirty minutes go by. `false` when no spent token was in its grace.
    pub fn end_grace(&mut self) -> bool {
        let mut ended = false;
        for token in self.each.iter_mut().filter(|token| token.life == Life::InGrace) {
            token.life = Life::Over;
            ended = true;
        }
        ended
    }

    pub fn works(&self, token: u8) -> bool {
        token != NONE && self.each[usize::from(token)].life != Life::Over
    }

    pub fn working(&self) -> impl Iterator<Item = u8> {
        (0..self.minted).filter(|token| self.works(*token))
    }

    pub fn depth(&self, token: u8) -> u8 {
        self.each[usize::from(token)].depth
    }

    pub fn follows(&self, token: u8, predecessor: u8) -> bool {
        self.each[usize::from(token)].predecessor == predecessor
    }

    pub fn is_lost(&self, token: u8) -> bool {
        self.each[usize::from(token)].lost
    }

    pub fn set_lost(&mut self, token: u8, lost: bool) {
        self.each[usize::from(token)].lost = lost;
    }
}
