//! Reads what Xero lists of each grant's connections, and gives up what nothing stands on any more. Quiet work: it
//! waits for whatever else there is.

use futures::{StreamExt, stream};

use super::policy::is_still_valid;
use super::service::TokenService;
use crate::server::domain::{Grant, Seen, Tenant};
use crate::server::store::{Drift, StoreError};
use crate::server::xero::{Connection, ErrorKind, Transient, XeroError};

/// How many lists are read at a time, and in one go.
const AT_ONCE: usize = 4;
const LISTS: usize = 200;
/// How long a list that couldn't be read is left alone, in seconds.
const READ_AGAIN: i64 = 15 * 60;
/// How many grants are given up in one go.
const ORPHANS: i64 = 100;

/// What reading lists came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListsRead {
    pub read: usize,
    pub unread: usize,
    pub drift: Drift,
}

impl TokenService {
    /// Reads the lists that are due, where the grant's access token still opens them; the others wait for its next
    /// refresh.
    pub async fn read_due_connections(&self) -> Result<ListsRead, StoreError> {
        let now = self.shared.store.clock().now();
        let claimed = self.shared.store.claim_unread(LISTS, now + READ_AGAIN).await?;
        let mut read = stream::iter(claimed)
            .map(|grant| async move { self.read_connections(&grant).await })
            .buffer_unordered(AT_ONCE);
        let mut sum = ListsRead::default();
        while let Some(drift) = read.next().await {
            match drift? {
                Some(Drift { disconnected, recovered, renamed }) => {
                    sum.read += 1;
                    sum.drift.disconnected += disconnected;
                    sum.drift.recovered += recovered;
                    sum.drift.renamed += renamed;
                }
                None => sum.unread += 1,
            }
        }
        Ok(sum)
    }

    async fn read_connections(&self, grant: &Grant) -> Result<Option<Drift>, StoreError> {
        let store = &self.shared.store;
        let read_at = store.clock().now();
        // What probes there are go to people who wait.
        if self.shared.stopping.is_cancelled() || self.shared.xero.api_rests() {
            return Ok(None);
        }
        if !is_still_valid(grant, read_at) {
            store.read_connections_at(grant, None).await?;
            return Ok(None);
        }
        let access = match store.open_access(grant) {
            Ok(access) => access,
            Err(error) => {
                tracing::error!(grant = %grant.id, %error, "an access token doesn't open");
                store.read_connections_at(grant, None).await?;
                return Ok(None);
            }
        };
        match self.shared.xero.connections(&access, None).await {
            Ok(list) => {
                let list: Vec<Seen> = list.into_iter().map(seen).collect();
                let drift = store.note_connections(grant, &list, read_at).await?;
                if drift != Drift::default() {
                    tracing::info!(grant = %grant.id, ?drift, "Xero's connections differed from ours");
                }
                Ok(Some(drift))
            }
            // Whatever it was, it says nothing about any tenant.
            Err(error) => {
                tracing::warn!(grant = %grant.id, code = error.evidence_code(), status = error.status, "connections could not be read");
                store.read_connections_at(grant, again_at(&error, read_at)).await?;
                Ok(None)
            }
        }
    }

    /// Clears away what nobody will come back for.
    pub async fn tidy(&self) -> Result<(), StoreError> {
        self.shared.store.delete_leftovers().await?;
        self.give_up_orphans().await?;
        Ok(())
    }

    /// Gives up grants that nothing has stood on for a week. Their tokens are revoked at Xero where the same Xero user
    /// has no other live grant here, because a revocation takes all of that user's connections down. Returns how many.
    pub async fn give_up_orphans(&self) -> Result<usize, StoreError> {
        let store = &self.shared.store;
        let mut given_up = 0;
        for grant in store.orphans(ORPHANS).await? {
            // A token that can't be revoked now is given up when it can: there is no hurry, and nobody waits for it.
            if self.shared.stopping.is_cancelled() || self.provider_rests_until().is_some() {
                break;
            }
            let alone = !store.xero_user_has_another_grant(&grant).await?;
            if !store.give_up_orphan(&grant).await? {
                continue;
            }
            given_up += 1;
            tracing::info!(grant = %grant.id, revoked = alone, "a grant was given up that nothing stood on");
            if alone
                && let Ok(refresh) = store.open_refresh(&grant)
                && let Err(error) = self.shared.xero.revoke(&refresh).await
            {
                // It opens nothing of ours and ends in sixty days by itself.
                tracing::warn!(grant = %grant.id, code = error.evidence_code(), "its token could not be revoked");
                if matches!(error.kind, ErrorKind::Transient(_)) {
                    break;
                }
            }
        }
        Ok(given_up)
    }
}

/// When a list that couldn't be read is read again; `None` for after the next refresh.
fn again_at(error: &XeroError, now: i64) -> Option<i64> {
    let asked = error.retry_after.map_or(0, |wait| i64::try_from(wait.as_secs()).unwrap_or(READ_AGAIN));
    match error.kind {
        ErrorKind::Transient(Transient::RateLimited) => Some(now + asked.max(READ_AGAIN)),
        ErrorKind::Transient(_) => Some(now + READ_AGAIN),
        _ => None,
    }
}

fn seen(connection: Connection) -> Seen {
    Seen {
        auth_event_id: connection.auth_event_id,
        tenant: Tenant {
            connection_id: connection.id,
            tenant_id: connection.tenant_id,
            tenant_name: connection.tenant_name,
            tenant_type: connection.tenant_type,
        },
    }
}
