//! The provider's refresh tokens by the sandbox's rules (`crates/sandbox/src/rotation.rs`): rotation, the replay window
//! of a spent token, its replay modes, and the expiry of a token once its successor is used.

use super::state::NONE;

/// The number of tokens that fit in a state.
pub const MAX_TOKENS: u8 = 6;
/// The operator's token, which belongs to another consent.
pub const FOREIGN: u8 = 1;

/// The provider's replay mode and the number of tokens that it issues.
#[derive(Clone, Copy, Debug)]
pub struct ProviderBehavior {
    pub replay: Replay,
    /// The number of tokens including the first, up to `ROOM`. Requests that need another one get no response.
    pub max_tokens: u8,
}

/// The response to a spent token within its replay window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Replay {
    /// The same successor again.
    Same,
    /// A new successor in addition to the first.
    Sibling,
    /// A new successor, which ends the earlier ones.
    Newest,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Tokens {
    minted: u8,
    tokens: [Token; MAX_TOKENS as usize],
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Token {
    state: TokenState,
    /// The number of rotations before it.
    depth: u8,
    predecessor: u8,
    /// Its first successor.
    successor: u8,
    /// Its only copy was lost with a reply or in a crash.
    lost: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum TokenState {
    Unused,
    Replayable,
    Expired,
    /// A later replay of its predecessor ended it.
    Replaced,
}

/// The provider's response to a refresh token.
pub enum RotateResponse {
    Token(u8),
    InvalidGrant,
    /// No token is left: the exploration ends here.
    NoTokenLeft,
}

impl Tokens {
    /// Returns the row's first token and, if operators act, the operator's token.
    pub fn initial(with_foreign: bool) -> Self {
        let unborn = Token { state: TokenState::Expired, depth: 0, predecessor: NONE, successor: NONE, lost: false };
        let mut each = [unborn; MAX_TOKENS as usize];
        let minted = 1 + u8::from(with_foreign);
        each[..usize::from(minted)].iter_mut().for_each(|token| token.state = TokenState::Unused);
        Self { minted, tokens: each }
    }

    /// Revokes the consent of the row's first token. Returns `false` if it has no valid token.
    pub fn revoke(&mut self) -> bool {
        let mut ended = false;
        for token in 0..self.minted {
            if !self.is_foreign(token) && self.is_valid(token) {
                self.tokens[usize::from(token)].state = TokenState::Expired;
                ended = true;
            }
        }
        ended
    }

    /// Returns whether the token is the operator's or descends from it.
    pub fn is_foreign(&self, token: u8) -> bool {
        token == FOREIGN && self.tokens[usize::from(FOREIGN)].predecessor == NONE
            || token != NONE
                && self.tokens[usize::from(token)].predecessor != NONE
                && self.is_foreign(self.tokens[usize::from(token)].predecessor)
    }

    /// Sets the number of rotations before a token.
    pub fn set_depth(&mut self, token: u8, depth: u8) {
        self.tokens[usize::from(token)].depth = depth;
    }

    pub fn rotate(&mut self, presented: u8, behavior: ProviderBehavior) -> RotateResponse {
        let token = self.tokens[usize::from(presented)];
        match token.state {
            TokenState::Expired | TokenState::Replaced => RotateResponse::InvalidGrant,
            TokenState::Replayable if behavior.replay == Replay::Same => RotateResponse::Token(token.successor),
            TokenState::Replayable => {
                let Some(new) = self.mint(presented, behavior.max_tokens) else {
                    return RotateResponse::NoTokenLeft;
                };
                if behavior.replay == Replay::Newest {
                    self.replace_siblings(new);
                }
                RotateResponse::Token(new)
            }
            TokenState::Unused => {
                let Some(successor) = self.mint(presented, behavior.max_tokens) else {
                    return RotateResponse::NoTokenLeft;
                };
                if token.predecessor != NONE {
                    self.tokens[usize::from(token.predecessor)].state = TokenState::Expired;
                }
                self.tokens[usize::from(presented)].state = TokenState::Replayable;
                self.tokens[usize::from(presented)].successor = successor;
                RotateResponse::Token(successor)
            }
        }
    }

    fn mint(&mut self, predecessor: u8, max_tokens: u8) -> Option<u8> {
        let new = self.minted;
        if new == max_tokens {
            return None;
        }
        let depth = self.tokens[usize::from(predecessor)].depth + 1;
        self.tokens[usize::from(new)] =
            Token { state: TokenState::Unused, depth, predecessor, successor: NONE, lost: false };
        self.minted += 1;
        Some(new)
    }

    fn replace_siblings(&mut self, newest: u8) {
        let predecessor = self.tokens[usize::from(newest)].predecessor;
        for (number, token) in self.tokens.iter_mut().enumerate() {
            if token.predecessor == predecessor && number != usize::from(newest) && token.state != TokenState::Expired {
                token.state = TokenState::Replaced;
            }
        }
    }

    /// Ends every replay window. Returns `false` if no spent token was in one.
    pub fn end_replay_windows(&mut self) -> bool {
        let mut ended = false;
        for token in self.tokens.iter_mut().filter(|token| token.state == TokenState::Replayable) {
            token.state = TokenState::Expired;
            ended = true;
        }
        ended
    }

    pub fn is_unused(&self, token: u8) -> bool {
        self.tokens[usize::from(token)].state == TokenState::Unused
    }

    pub fn is_valid(&self, token: u8) -> bool {
        token != NONE && !matches!(self.tokens[usize::from(token)].state, TokenState::Expired | TokenState::Replaced)
    }

    pub fn is_replaced(&self, token: u8) -> bool {
        token != NONE && self.tokens[usize::from(token)].state == TokenState::Replaced
    }

    pub fn valid_tokens(&self) -> impl Iterator<Item = u8> {
        (0..self.minted).filter(|token| self.is_valid(*token))
    }

    pub fn depth(&self, token: u8) -> u8 {
        self.tokens[usize::from(token)].depth
    }

    pub fn is_successor(&self, token: u8, predecessor: u8) -> bool {
        self.tokens[usize::from(token)].predecessor == predecessor
    }

    pub fn is_lost(&self, token: u8) -> bool {
        self.tokens[usize::from(token)].lost
    }

    pub fn set_lost(&mut self, token: u8, lost: bool) {
        self.tokens[usize::from(token)].lost = lost;
    }
}
