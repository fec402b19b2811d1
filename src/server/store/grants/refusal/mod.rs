//! Ends a grant that Xero refuses, or holds the refusal back while it may not be news of the grant.

use sqlx::Row;

use super::commit::{finish_and_commit, publish_binding_statuses};
use super::lease_guard::{Fenced, JournaledLease};
use super::protocol::ProtocolStep;
use crate::model::{BindingId, BindingStatus, FailureCause};
use crate::server::domain::refusal::{BELIEVED_COUNTS_FOR, GrantTally, RefusalEvidence};
use crate::server::domain::{AppIdentity, AttemptEnd, Grant, latest_plausible};
use crate::server::store::notifications::connection_events;
use crate::server::store::{Database, Store, StoreError};

/// Matches a grant that is active, or that a refusal later than `$since` ended.
macro_rules! counts_sql {
    ($since:literal) => {
        concat!(
            "(status = 'active' OR (status = 'refresh_failed' AND exported_at IS NULL AND refused_at > ",
            $since,
            "))"
        )
    };
}

/// A refusal that is not believed yet, as the grant's row records it.
pub struct PendingRefusal<'a> {
    /// A message for people, without secrets.
    pub error: &'a str,
    /// Unix seconds at which the token is sent again.
    pub next_attempt_at: i64,
}

impl Store {
    /// Reads what speaks for a refusal of this grant's current token. Rows are not locked: a refusal that another
    /// instance records at the same time is seen by the next check. A consent is no success: it says nothing of refresh
    /// tokens, and somebody connects all the time.
    pub async fn refusal_evidence(&self, grant: &Grant) -> Result<RefusalEvidence, StoreError> {
        let now = self.clock.now();
        let row = sqlx::query(concat!(
            "SELECT COUNT(CASE WHEN ",
            counts_sql!("$5"),
            " THEN 1 END), COUNT(DISTINCT CASE WHEN ",
            counts_sql!("$5"),
            " THEN org_id END), \
             MAX(CASE WHEN id <> $3 AND generation > 0 AND last_refreshed_at <= $4 THEN last_refreshed_at END), \
             MAX(CASE WHEN generation > 0 AND last_refreshed_at <= $4 THEN last_refreshed_at END) \
             FROM integration_grants WHERE client_id = $1 AND issuer = $2"
        ))
        .bind(&self.app.client_id)
        .bind(&self.app.issuer)
        .bind(grant.id.as_str())
        // A success that a wrong clock dated in the future would hide every refusal until then.
        .bind(latest_plausible(0, now))
        .bind(now - BELIEVED_COUNTS_FOR)
        .fetch_one(self.pool())
        .await?;
        let fleet = GrantTally { grants: row.try_get(0)?, orgs: row.try_get(1)? };
        // This grant's own last success counts for what was refused before it, not for its own refusal.
        let (last_success, last_of_any): (Option<i64>, Option<i64>) = (row.try_get(2)?, row.try_get(3)?);
        let row = sqlx::query(concat!(
            "SELECT COUNT(*), COUNT(CASE WHEN org_id = $3 THEN 1 END), COUNT(DISTINCT org_id) FROM integration_grants \
             WHERE client_id = $1 AND issuer = $2 AND id <> $4 AND refused_at >= $5 AND ",
            counts_sql!("$6")
        ))
        .bind(&self.app.client_id)
        .bind(&self.app.issuer)
        .bind(grant.org_id.as_str())
        .bind(grant.id.as_str())
        .bind(last_of_any.unwrap_or(0))
        .bind(now - BELIEVED_COUNTS_FOR)
        .fetch_one(self.pool())
        .await?;
        let (others, same_org, orgs): (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let refused = GrantTally { grants: others + 1, orgs: orgs + i64::from(same_org == 0) };
        Ok(RefusalEvidence { refused_before: grant.refused_at, last_success, refused, fleet })
    }

    /// Makes one grant of another organization due that was not refused: its exchange says whether the refusal of this
    /// grant is news of it. Each call chooses the same one until that has failed or was refused, too. Changes nothing if
    /// that one was refreshed since the refusal.
    pub async fn call_witness(&self, grant: &Grant) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE integration_grants SET due_at = $1 WHERE id = (SELECT id FROM integration_grants \
             WHERE client_id = $2 AND issuer = $3 AND org_id <> $4 AND status = 'active' AND refused_at IS NULL \
             AND failure_count = 0 AND reply_lost_at IS NULL ORDER BY id LIMIT 1) \
             AND status = 'active' AND lease_owner IS NULL AND due_at > $1 \
             AND (generation = 0 OR last_refreshed_at <= $5)",
        )
        .bind(self.clock.now())
        .bind(&self.app.client_id)
        .bind(&self.app.issuer)
        .bind(grant.org_id.as_str())
        .bind(grant.refused_at.unwrap_or(self.clock.now()))
        .execute(self.pool())
        .await?;
        Ok(())
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
            "UPDATE integration_grants SET refused_at = CASE WHEN refused_at <= $7 THEN refused_at ELSE $1 END, \
             failure_count = failure_count + 1, \
             next_attempt_at = $2, due_at = $2, last_error = $3, last_failure = $8, lease_owner = NULL, lease_until = NULL \
             WHERE id = $4 AND generation = $5 AND lease_owner = $6 AND status = 'active'",
        )
        .bind(now)
        .bind(refusal.next_attempt_at)
        .bind(refusal.error)
        .bind(lease.id.as_str())
        .bind(lease.generation)
        .bind(&lease.owner)
        .bind(latest_plausible(0, now))
        .bind(FailureCause::Unconfirmed.as_str())
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
    /// Returns how many grants of the app Xero refuses at `now` without a success since, and of how many organizations.
    /// Those that a refusal ended count for a while, too.
    pub async fn refused_grants(&self, app: &AppIdentity, now: i64) -> Result<GrantTally, StoreError> {
        let row = sqlx::query(concat!(
            "SELECT COUNT(*), COUNT(DISTINCT org_id) FROM integration_grants WHERE client_id = $1 AND issuer = $2 AND ",
            counts_sql!("$3"),
            " AND refused_at >= COALESCE((SELECT MAX(last_refreshed_at) FROM integration_grants \
             WHERE client_id = $1 AND issuer = $2 AND generation > 0 AND last_refreshed_at <= $4), 0)"
        ))
        .bind(&app.client_id)
        .bind(&app.issuer)
        .bind(now - BELIEVED_COUNTS_FOR)
        .bind(latest_plausible(0, now))
        .fetch_one(self.pool())
        .await?;
        Ok(GrantTally { grants: row.try_get(0)?, orgs: row.try_get(1)? })
    }
}

#[cfg(test)]
mod tests;
