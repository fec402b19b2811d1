//! Keeps grants fresh: what Evergrant exists for.
//!
//! `service` is what everybody else calls; `flight` makes one exchange of many callers in a process; `exchange`
//! is the protocol across processes (lease, journal, fence), `commit` what becomes of its answer; `policy` says when
//! and how long, `clicks` how often a person may pass it, `lanes` how many of an organisation's at once; `spool` keeps
//! what a broken database would not take; `connections` disconnects and tests; `sweep` claims what is due;
//! `drift` reads what Xero lists; `vend` hands tokens out.

mod clicks;
mod commit;
mod connections;
mod drift;
mod exchange;
mod flight;
mod lanes;
mod outcome;
mod policy;
mod service;
mod spool;
mod sweep;
mod vend;

pub use connections::{ConnectionError, Disconnected};
pub use drift::ListsRead;
pub use exchange::{RescueError, Rescued};
pub use outcome::{Ask, Failed, Landed, Why};
pub use policy::{Policy, Wait};
pub use service::{TokenError, TokenService};
pub use spool::{Kept, Spool, SpoolError, Waiting};
pub use vend::{Client, LONGEST_TTL, Token};
