//! Ends a grant that Xero refuses, or holds the refusal back while it may not be news of the grant.

use sqlx::Row;

use super::commit::{finish_and_commit, publish_binding_statuses};
use super::lease_guard::{Fenced, JournaledLease};
use super::protocol::ProtocolStep;
use crate::model::{BindingId, BindingStatus};
use crate::server::domain::refusal::{GrantTally, RefusalEvidence};
use crate::server::domain::{AppIdentity, AttemptEnd, Grant, latest_plausible};
use crate::server::store::notifications::connection_events;
use crate::server::store::{Database, Store, StoreError};

/// A refusal that is not believed yet, as the grant's row records it.
pub struct PendingRefusal<'a> {
    /// A message for people, without secrets.
    pub error: &'a str,
    /// Unix seconds at which the token is sent again.
    pub next_attempt_at: i64,
}

impl Store {
    /// Reads what speaks for a refusal of this grant's current token. Rows are not locked: a refusal that another
    /// instance records at the same time is seen by the next check.
    pub async fn refusal_evidence(&self, grant: &Grant) -> Result<RefusalEvidence, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(CASE WHEN status = 'active' THEN 1 END), \
             COUNT(DISTINCT CASE WHEN status = 'active' THEN org_id END), \
             MAX(CASE WHEN id <> $3 AND last_refreshed_at <= $4 THEN last_refreshed_at END) \
             FROM integration_grants WHERE client_id = $1 AND issuer = $2",
        )
        .bind(&self.app.client_id)
        .bind(&self.app.issuer)
        .bind(grant.id.as_str())
        // A success that a wrong clock dated in the future would hide every refusal until then.
        .bind(latest_plausible(0, self.clock.now()))
        .fetch_one(self.pool())
        .await?;
        let active = GrantTally { grants: row.try_get(0)?, orgs: row.try_get(1)? };
        let last_success: Option<i64> = row.try_get(2)?;
        let row = sqlx::query(
            "SELECT COUNT(*), COUNT(CASE WHEN org_id = $3 THEN 1 END), COUNT(DISTINCT org_id) FROM integration_grants \
             WHERE client_id = $1 AND issuer = $2 AND id <> $4 AND status = 'active' AND refused_at >= $5",
        )
        .bind(&self.app.client_id)
        .bind(&self.app.issuer)
        .bind(grant.org_id.as_str())
        .bind(grant.id.as_str())
        .bind(last_success.unwrap_or(0))
        .fetch_one(self.pool())
        .await?;
        let (others, same_org, orgs): (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let refused = GrantTally { grants: others + 1, orgs: orgs + i64::from(same_org == 0) };
        Ok(RefusalEvidence { refused_before: grant.refused_at, last_success, refused, active })
    }

    /// Records a refusal that is not believed yet. The grant stays active.
    pub async fn record_refusal(
        &self,
        lease: &JournaledLease,
        refusal: &PendingRefusal<'_>,
        end: &AttemptEnd,
    ) -> Result<Fenced, StoreError> {
        let now = self.clock.now();
        let mut transaction = self.begin_change_tx().await?;
        let done = sqlx::query(
            "UPDATE integration_grants SET refused_at = CASE WHEN refused_at <= $7 THEN refused_at ELSE $1 END, failure_count = failure_count + 1, \
             next_attempt_at = $2, due_at = $2, last_error = $3, lease_owner = NULL, lease_until = NULL \
             WHERE id = $4 AND generation = $5 AND lease_owner = $6 AND status = 'active'",
        )
        .bind(now)
        .bind(refusal.next_attempt_at)
        .bind(refusal.error)
        .bind(lease.id.as_str())
        .bind(lease.generation)
        .bind(&lease.owner)
        .bind(latest_plausible(0, now))
        .execute(&mut *transaction)
        .await?;
        finish_and_commit(transaction, Fenced::from_applied(done.rows_affected() == 1), lease, end, &self.clock).await
    }

    /// Marks the grant `refresh_failed` and its bindings `needs_reauth` in one transaction, after Xero answered
    /// `invalid_grant` to the current generation (rule 6). If the fence refuses it, only the attempt changes, to
    /// superseded.
    pub async fn fail_grant(
        &self,
        lease: &JournaledLease,
        error: &str,
        end: &AttemptEnd,
    ) -> Result<Fenced, StoreError> {
        let now = self.clock.now();
        let mut transaction = self.begin_change_tx().await?;
        let done = sqlx::query(
            "UPDATE integration_grants SET status = 'refresh_failed', failure_count = failure_count + 1, \
             next_attempt_at = NULL, last_error = $1, lease_owner = NULL, lease_until = NULL, connections_due_at = NULL \
             WHERE id = $2 AND generation = $3 AND lease_owner = $4 AND status = 'active'",
        )
        .bind(error)
        .bind(lease.id.as_str())
        .bind(lease.generation)
        .bind(&lease.owner)
        .execute(&mut *transaction)
        .await?;
        let fenced = Fenced::from_applied(done.rows_affected() == 1);
        if fenced == Fenced::Applied {
            let broken = sqlx::query(
                "UPDATE integration_tenant_bindings SET status = 'needs_reauth', updated_at = $1 \
                 WHERE active_grant_id = $2 AND status = 'active' RETURNING id",
            )
            .bind(now)
            .bind(lease.id.as_str())
            .fetch_all(&mut *transaction)
            .await?;
            for row in &broken {
                connection_events::binding_broken(
                    &mut transaction,
                    &BindingId(row.try_get("id")?),
                    "refused_by_xero",
                    now,
                )
                .await?;
            }
            publish_binding_statuses(&mut transaction, &lease.org_id, &broken, BindingStatus::NeedsReauth).await?;
        }
        let fenced = finish_and_commit(transaction, fenced, lease, end, &self.clock).await?;
        Ok(fenced.logged(ProtocolStep::Ended, lease))
    }
}

impl Database {
    /// Returns how many grants of the app Xero refuses without a success since, and of how many organizations.
    pub async fn refused_grants(&self, app: &AppIdentity) -> Result<GrantTally, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(*), COUNT(DISTINCT org_id) FROM integration_grants WHERE client_id = $1 AND issuer = $2 \
             AND status = 'active' AND refused_at >= COALESCE((SELECT MAX(last_refreshed_at) FROM integration_grants \
             WHERE client_id = $1 AND issuer = $2), 0)",
        )
        .bind(&app.client_id)
        .bind(&app.issuer)
        .fetch_one(self.pool())
        .await?;
        Ok(GrantTally { grants: row.try_get(0)?, orgs: row.try_get(1)? })
    }
}
