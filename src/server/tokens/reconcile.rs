//! Reconciles bindings with Xero's lists of connections, and revokes grants that no binding uses. Runs at low priority.

use futures::{StreamExt, stream};

use super::policy::is_still_valid;
use super::service::TokenService;
use crate::server::domain::Grant;
use crate::server::store::{OrphanRevocation, Reconciliation, StoreError};
use crate::server::xero::{ErrorKind, Transient, XeroError};

/// How many lists are read concurrently, and in one run.
const CONCURRENCY: usize = 4;
const MAX_LISTS: usize = 200;
/// How many seconds later a list that could not be read is due again.
const RETRY_READ_AFTER: i64 = 15 * 60;
/// How many grants are revoked in one run.
const MAX_ORPHANS: i64 = 100;

/// The result of a reconciliation run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReconcileReport {
    /// Lists that were read.
    pub read: usize,
    /// Lists that could not be read now.
    pub skipped: usize,
    /// The changes to bindings, over all lists.
    pub changes: Reconciliation,
}

impl TokenService {
    /// Reconciles the grants whose lists are due. A grant whose access token has expired waits for its next refresh, or is
    /// refreshed if a list lacked one of its connections.
    pub async fn reconcile_due(&self) -> Result<ReconcileReport, StoreError> {
        let now = self.shared.store.clock().now();
        let claimed = self.shared.store.claim_connection_reads(MAX_LISTS, now + RETRY_READ_AFTER).await?;
        let mut read =
            stream::iter(claimed).map(|grant| async move { self.reconcile(grant).await }).buffer_unordered(CONCURRENCY);
        let mut sum = ReconcileReport::default();
        while let Some(drift) = read.next().await {
            match drift? {
                Some(Reconciliation { missing, disconnected, recovered, renamed }) => {
                    sum.read += 1;
                    sum.changes.missing += missing;
                    sum.changes.disconnected += disconnected;
                    sum.changes.recovered += recovered;
                    sum.changes.renamed += renamed;
                }
                None => sum.skipped += 1,
            }
        }
        Ok(sum)
    }

    async fn reconcile(&self, grant: Grant) -> Result<Option<Reconciliation>, StoreError> {
        let store = &self.shared.store;
        // Leaves the probes to requests that a person waits for.
        if self.shared.lifecycle.stopping().is_cancelled() || self.shared.xero.is_api_circuit_open() {
            return Ok(None);
        }
        let read_at = store.clock().now();
        // A missing connection is to be confirmed soon. Any other list may wait for the next refresh.
        let retry = store.has_missing_connections(&grant).await?.then_some(read_at + RETRY_READ_AFTER);
        if !is_still_valid(&grant, read_at) && retry.is_none() {
            store.schedule_connection_read(&grant, None).await?;
            return Ok(None);
        }
        let grant = match self.with_valid_access_token(&grant).await {
            Ok(Some(valid)) => valid,
            // The grant has ended, or its refresh failed and logged why.
            ended_or_failed => {
                let retry = retry.filter(|_| ended_or_failed.is_err());
                store.schedule_connection_read(&grant, retry).await?;
                return Ok(None);
            }
        };
        let access = match store.open_access(&grant) {
            Ok(access) => access,
            Err(error) => {
                tracing::error!(grant = %grant.id, %error, "failed to open access token");
                store.schedule_connection_read(&grant, retry).await?;
                return Ok(None);
            }
        };
        match self.shared.xero.connections(&access, None).await {
            Ok(list) => {
                let drift = store.apply_connections(&grant, &list, read_at).await?;
                if drift != Reconciliation::default() {
                    tracing::info!(grant = %grant.id, ?drift, "reconciled bindings with Xero's connections");
                }
                Ok(Some(drift))
            }
            // No failure means that a tenant is disconnected.
            Err(error) => {
                tracing::warn!(grant = %grant.id, code = error.evidence_code(), status = error.status, "failed to list connections");
                store.schedule_connection_read(&grant, retry_at(&error, read_at).or(retry)).await?;
                Ok(None)
            }
        }
    }

    /// Deletes expired rows and revokes unused grants.
    pub async fn cleanup(&self) -> Result<(), StoreError> {
        self.shared.store.delete_expired().await?;
        self.shared.store.delete_old_call_counts().await?;
        self.revoke_orphans().await?;
        Ok(())
    }

    /// Revokes grants that no binding has used for a week. Returns how many.
    ///
    /// A token is revoked at Xero only if the same Xero user has no other active grant here, because a revocation ends
    /// all of that user's connections.
    pub async fn revoke_orphans(&self) -> Result<usize, StoreError> {
        let store = &self.shared.store;
        let mut revoked = 0;
        for grant in store.orphaned_grants(MAX_ORPHANS).await? {
            // Waits until Xero answers again: this is not urgent.
            if self.shared.lifecycle.stopping().is_cancelled() || self.circuit_open_until().is_some() {
                break;
            }
            let alone = grant.app == *store.app() && !store.xero_user_has_another_grant(&grant).await?;
            if store.mark_revoked_if_orphaned(&grant).await? == OrphanRevocation::InUse {
                continue;
            }
            revoked += 1;
            tracing::info!(grant = %grant.id, revoked = alone, "unused grant revoked");
            if alone
                && let Ok(refresh) = store.open_refresh(&grant)
                && let Err(error) = self.shared.xero.revoke(&refresh).await
            {
                // The token gives access to nothing here and expires after sixty days.
                tracing::warn!(grant = %grant.id, code = error.evidence_code(), "failed to revoke refresh token");
                if matches!(error.kind, ErrorKind::Transient(_)) {
                    break;
                }
            }
        }
        Ok(revoked)
    }
}

/// Returns when a list that could not be read is due again; `None` for after the next refresh.
fn retry_at(error: &XeroError, now: i64) -> Option<i64> {
    let asked = error.retry_after.map_or(0, |wait| i64::try_from(wait.as_secs()).unwrap_or(RETRY_READ_AFTER));
    match error.kind {
        ErrorKind::Transient(Transient::RateLimited) => Some(now + asked.max(RETRY_READ_AFTER)),
        ErrorKind::Transient(_) => Some(now + RETRY_READ_AFTER),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::server::domain::AccessToken;
    use crate::server::xero::{HttpResponse, parse};

    const NOW: i64 = 1_800_000_000;

    #[test]
    fn list_is_read_again_in_fifteen_minutes_or_when_xero_says() {
        for (status, retry_after, expected) in [
            (503, None, Some(NOW + 900)),
            (503, Some(7_200), Some(NOW + 900)),
            (429, None, Some(NOW + 900)),
            (429, Some(60), Some(NOW + 900)),
            (429, Some(7_200), Some(NOW + 7_200)),
            // A page of a proxy's is no answer of Xero's.
            (401, None, Some(NOW + 900)),
        ] {
            let response = HttpResponse::for_test(status, "text/html", b"");
            let error = parse::connections(&response, &AccessToken::new("sent")).unwrap_err();
            let error = XeroError { retry_after: retry_after.map(Duration::from_secs), ..error };
            assert_eq!(retry_at(&error, NOW), expected, "{status} {retry_after:?}");
        }
        let expired = HttpResponse::for_test(401, "application/json", br#"{"Detail":"TokenExpired: token expired"}"#);
        let error = parse::connections(&expired, &AccessToken::new("sent")).unwrap_err();
        assert_eq!(retry_at(&error, NOW), None, "it waits for the next refresh");
    }
}
