//! Steps of operators and people: a key rotation that reseals the row's value, and the revocation of the consent at
//! Xero, after which a rescue is needed. The rescue itself is an exchange of a process (`steps`).

use super::rules::Rules;
use super::state::{NONE, Row, State};
use super::steps::Step;

/// Calls `found` with every state that can follow.
pub fn each_step(state: &State, rules: &Rules, found: &mut impl FnMut(Step, State)) {
    if rules.with_reseal && state.resealing == NONE && state.row.token != NONE {
        let mut next = *state;
        next.resealing = state.row.token;
        found(("a key rotation reads the value", NONE), next);
    }
    if state.resealing != NONE {
        let mut next = *state;
        next.resealing = NONE;
        // With the fence, a resealed value replaces only the value that was read, so the token never changes.
        if !rules.reseal_fence {
            next.row.token = state.resealing;
        }
        found(("a key rotation writes the value", NONE), next);
    }
    let mut next = *state;
    if rules.with_rescue && next.tokens.revoke() {
        found(("a person revokes the consent", NONE), next);
    }
}

/// Returns the state after the row went back to its first generation. The lease that the backup may have is nobody's.
pub fn restore(state: &State, owner: u8) -> State {
    let row = Row { token: 0, previous: NONE, generation: 0, dead: false, owner, lease_valid: owner != NONE };
    let mut next = State { row, restored: true, ..*state };
    // Some of them were in the row, and the others were dropped for them.
    for token in state.tokens.valid_tokens() {
        if !next.is_held(token) {
            next.tokens.set_lost(token, true);
        }
    }
    next
}
