//! What every exchange uses: the store, the client of Xero, the policy and the limits.

use std::sync::atomic::AtomicBool;

use super::notes::Notes;
use super::per_org_limiter::PerOrgLimiter;
use super::policy::Policy;
use super::spool::Spool;
use crate::server::lifecycle::Lifecycle;
use crate::server::store::Store;
use crate::server::telemetry::metrics::Metrics;
use crate::server::xero::XeroClient;

/// The services and limits that every exchange uses.
pub struct ServiceState {
    pub store: Store,
    pub xero: XeroClient,
    pub policy: Policy,
    pub spool: Spool,
    pub org_limiter: PerOrgLimiter,
    pub metrics: Metrics,
    pub notes: Notes,
    /// Whether refusals are held: set when one is, cleared by the next success.
    pub refusals_held: AtomicBool,
    /// Shutdown waits for exchanges. Commit retries stop when it begins, because the spool has the tokens.
    pub lifecycle: Lifecycle,
}
