//! What operators do beside the flights: a key's rotation that seals the row's text anew, and, at Xero, the end of a
//! consent, which is what a rescue is for. The rescue itself is a process's flight (`steps`).

use super::rules::Rules;
use super::state::{NONE, State};
use super::steps::Step;

/// Calls `found` with every state that can follow.
pub fn each_step(state: &State, rules: &Rules, found: &mut impl FnMut(Step, State)) {
    if rules.reseals && state.resealing == NONE && state.row.token != NONE {
        let mut next = *state;
        next.resealing = state.row.token;
        found(("a rotation reads the text", NONE), next);
    }
    if state.resealing != NONE {
        let mut next = *state;
        next.resealing = NONE;
        // The same token, sealed anew; where the fence asks and the text is another by now, it is that one's writer's.
        if !rules.reseal_fence {
            next.row.token = state.resealing;
        }
        found(("a rotation puts the text back", NONE), next);
    }
    let mut next = *state;
    if rules.rescues && next.tokens.revoke() {
        found(("a person ends the consent", NONE), next);
    }
}
