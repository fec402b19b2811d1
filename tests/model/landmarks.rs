//! States that an exploration has to reach; otherwise it has proved nothing.

use super::state::{BACKUP, NONE, Phase, Process, State};

pub type Landmark = (&'static str, fn(&State) -> bool);

pub const LANDMARKS: [Landmark; 9] = [
    ("two rotations are committed", |state| state.row.generation == 2),
    ("a grant is dead", |state| state.row.dead),
    ("a dead grant's successor is spooled", |state| state.row.dead && state.processes.iter().any(|p| p.spool != NONE)),
    ("both processes have spooled a token", |state| state.processes.iter().all(|p| p.spool != NONE)),
    ("an exchange is superseded", |state| state.processes.iter().any(|p| p.phase == Phase::Superseded)),
    ("both processes have sent, one of them too late", |state| state.processes.iter().all(|p| p.phase == Phase::Sent)),
    ("a late request is in flight", |state| state.late_request != NONE),
    SPOOL_WAITS,
    LEASE_LOST_BEFORE_SENDING,
];

pub const SPOOL_WAITS: Landmark = ("a spooled token waits for another holder's lease", |state| {
    let waits = |spooled: &Process, holder: &Process| spooled.spool != NONE && holder.phase == Phase::Answered;
    let [a, b] = &state.processes;
    state.row.lease_valid && (state.row.owner == 1 && waits(a, b) || state.row.owner == 0 && waits(b, a))
});

pub const LEASE_LOST_BEFORE_SENDING: Landmark = ("a process has lost its lease before it sends", |state| {
    let [a, b] = &state.processes;
    let lost = |late: &Process, holder: &Process| late.phase == Phase::Journaled && holder.phase == Phase::Sent;
    state.row.lease_valid && (state.row.owner == 1 && lost(a, b) || state.row.owner == 0 && lost(b, a))
});

pub const NEWEST_LANDMARKS: [Landmark; 3] = [
    ("a later replay ended a spooled token", |state| state.processes.iter().any(|p| state.tokens.is_replaced(p.spool))),
    ("a later replay ended the row's token", |state| state.tokens.is_replaced(state.row.token)),
    ("a predecessor is sent again", |state| state.processes.iter().any(|p| p.is_replay && p.phase == Phase::Answered)),
];

pub const RESTORE_LANDMARKS: [Landmark; 4] = [
    ("a token was spooled for a generation that a restored row has not reached", |state| {
        state.restored && state.processes.iter().any(|p| p.spool != NONE && p.spool_generation > state.row.generation)
    }),
    ("an exchange ends after its row was restored", |state| {
        state.restored
            && state.processes.iter().any(|p| p.phase == Phase::Superseded && p.generation > state.row.generation)
    }),
    ("a restored row has a lease", |state| state.row.owner == BACKUP),
    ("a restored row has the newest token", |state| state.restored && state.row.generation == 2),
];

pub const RESCUE_LANDMARKS: [Landmark; 5] = [
    ("a rescued token is refreshed", |state| state.row.generation == 2 && state.tokens.is_foreign(state.row.token)),
    ("a rescued token is committed", |state| state.tokens.is_foreign(state.row.token)),
    ("a rescued token is spooled", |state| state.processes.iter().any(|p| state.tokens.is_foreign(p.spool))),
    ("a rescue runs on a dead grant", |state| state.row.dead && state.processes.iter().any(|p| p.is_rescue)),
    ("a rescue is superseded", |state| state.processes.iter().any(|p| p.is_rescue && p.phase == Phase::Superseded)),
];

pub const RESEALED_VALUE_REPLACED: Landmark = ("a value that is being resealed was replaced", |state| {
    state.resealing != NONE && state.resealing != state.row.token
});
