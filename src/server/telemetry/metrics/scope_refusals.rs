//! Counts consents whose scopes Xero refused.

use metrics::counter;

use super::Metrics;
use super::names::SCOPE_REFUSALS;
use crate::model::ScopeRefusalCause;

impl Metrics {
    /// Counts a refusal.
    pub fn count_scope_refusal(&self, cause: ScopeRefusalCause) {
        self.with_recorder(|| counter!(SCOPE_REFUSALS, "cause" => cause.as_str()).increment(1));
    }

    /// Makes every cause present from the start, so that alert rules see the first increment.
    pub(super) fn init_scope_refusals(&self) {
        for cause in ScopeRefusalCause::ALL {
            self.with_recorder(|| counter!(SCOPE_REFUSALS, "cause" => cause.as_str()).absolute(0));
        }
    }
}
