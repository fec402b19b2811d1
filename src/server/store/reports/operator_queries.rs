//! Queries for operators, across organizations: grants, attempts and counts. No member's request may use them.
//!
//! They are methods of `Database` and open no secret, so that they work even if the key ring does not fit.

use std::collections::HashMap;

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::model::{GrantId, OrgId, Outcome};
use crate::server::domain::{AppIdentity, Grant, GrantCounts, OutboxCounts};
use crate::server::store::column_lists::{columns, grant_columns};
use crate::server::store::grants::stored_grant_from;
use crate::server::store::{Database, StoreError};

/// A grant that is not revoked, with its organization, tenants and last failure.
pub struct GrantSummary {
    /// The grant; its tokens stay sealed.
    pub grant: Grant,
    /// Name of the organization that owns the grant.
    pub org_name: String,
    /// The names of the tenants that it is bound to.
    pub tenants: Vec<String>,
    /// Unix seconds of the last failed exchange, if none has succeeded since.
    pub last_failure_at: Option<i64>,
    /// The error code of that failure in the journal.
    pub last_failure_code: Option<String>,
}

/// An attempt that never finished, on its grant's current generation. Xero may have acted on it.
#[derive(Clone, Debug, PartialEq)]
pub struct DanglingAttempt {
    /// Grant that the attempt tried to refresh.
    pub grant_id: GrantId,
    /// When the attempt started, in unix seconds.
    pub started_at: i64,
}

impl Database {
    /// Returns every grant that is not revoked, of one organization or all: latest failure first, then by organization.
    pub async fn grant_summaries(&self, org: Option<&OrgId>) -> Result<Vec<GrantSummary>, StoreError> {
        let [reconnect, operator, transient] = Outcome::FAILURES;
        let rows = sqlx::query(concat!(
            "SELECT ",
            grant_columns!("g."),
            ", o.name AS org_name, CASE WHEN g.failure_count > 0 OR g.status = 'refresh_failed' THEN \
             (SELECT MAX(a.finished_at) FROM refresh_attempts a \
             WHERE a.grant_id = g.id AND a.outcome IN ($2, $3, $4)) END AS last_failure_at, \
             CASE WHEN g.failure_count > 0 OR g.status = 'refresh_failed' THEN (SELECT a.error_code \
             FROM refresh_attempts a WHERE a.grant_id = g.id AND a.outcome IN ($2, $3, $4) \
             ORDER BY a.finished_at DESC, a.id LIMIT 1) END AS last_failure_code \
             FROM integration_grants g JOIN organizations o ON o.id = g.org_id \
             WHERE g.status <> 'revoked' AND ($1 = '' OR g.org_id = $1) ORDER BY o.name, g.expires_at, g.id"
        ))
        .bind(org.map_or("", OrgId::as_str))
        .bind(reconnect.as_str())
        .bind(operator.as_str())
        .bind(transient.as_str())
        .fetch_all(self.pool())
        .await?;
        let mut tenants = self.tenants_by_grant().await?;
        let mut listed = Vec::with_capacity(rows.len());
        for row in &rows {
            let grant = stored_grant_from(row)?;
            let tenants = tenants.remove(&grant.id).unwrap_or_default();
            let (org_name, last_failure_at) = (row.try_get("org_name")?, row.try_get("last_failure_at")?);
            let last_failure_code = row.try_get("last_failure_code")?;
            listed.push(GrantSummary { grant, org_name, tenants, last_failure_at, last_failure_code });
        }
        // Sorted here, because the two databases order NULL differently.
        listed.sort_by_key(|listed| std::cmp::Reverse(listed.last_failure_at));
        Ok(listed)
    }

    /// Returns unfinished attempts that started before `before`, on their grant's current generation and without a
    /// lease at `now` (both unix seconds). Oldest first.
    pub async fn dangling_attempts(&self, before: i64, now: i64) -> Result<Vec<DanglingAttempt>, StoreError> {
        let rows = sqlx::query(
            "SELECT a.grant_id, a.started_at FROM refresh_attempts a JOIN integration_grants g ON g.id = a.grant_id \
             WHERE a.finished_at IS NULL AND a.started_at < $1 AND a.generation = g.generation \
             AND g.status = 'active' AND (g.lease_until IS NULL OR g.lease_until <= $2) \
             ORDER BY a.started_at, a.id",
        )
        .bind(before)
        .bind(now)
        .fetch_all(self.pool())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(DanglingAttempt {
                    grant_id: GrantId(row.try_get("grant_id")?),
                    started_at: row.try_get("started_at")?,
                })
            })
            .collect()
    }

    /// Counts grants by state and finds the oldest refresh token in use. Scans the table once.
    pub async fn count_grants(&self) -> Result<GrantCounts, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(CASE WHEN status = 'active' AND failure_count = 0 THEN 1 END), \
             COUNT(CASE WHEN status = 'active' AND failure_count > 0 THEN 1 END), \
             COUNT(CASE WHEN status = 'refresh_failed' AND exported_at IS NULL THEN 1 END), \
             MIN(CASE WHEN status = 'active' THEN refresh_token_issued_at END), \
             COUNT(CASE WHEN status = 'active' AND refused_at IS NOT NULL THEN 1 END) FROM integration_grants",
        )
        .fetch_one(self.pool())
        .await?;
        Ok(GrantCounts {
            active: row.try_get(0)?,
            failing: row.try_get(1)?,
            needs_reauth: row.try_get(2)?,
            oldest_issued_at: row.try_get(3)?,
            refused: row.try_get(4)?,
        })
    }

    /// Returns whether the database has this grant, whatever its status.
    pub async fn has_grant(&self, id: &GrantId) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT id FROM integration_grants WHERE id = $1").bind(id.as_str());
        Ok(row.fetch_optional(self.pool()).await?.is_some())
    }

    /// Counts the grants that are not revoked by the app that issued their tokens.
    pub async fn count_grants_by_app(&self) -> Result<Vec<(AppIdentity, i64)>, StoreError> {
        let rows = sqlx::query(
            "SELECT client_id, issuer, COUNT(*) FROM integration_grants WHERE status <> 'revoked' \
             GROUP BY client_id, issuer ORDER BY issuer, client_id",
        )
        .fetch_all(self.pool())
        .await?;
        let read =
            |row: &AnyRow| Ok((AppIdentity { client_id: row.try_get(0)?, issuer: row.try_get(1)? }, row.try_get(2)?));
        rows.iter().map(read).collect()
    }

    /// Counts what the outbox still has to deliver. Reads two partial indexes.
    pub async fn count_outbox(&self) -> Result<OutboxCounts, StoreError> {
        let events = sqlx::query("SELECT COUNT(*) FROM outbox WHERE fanned_out_at IS NULL").fetch_one(self.pool());
        let deliveries = sqlx::query("SELECT COUNT(*), MIN(next_attempt_at) FROM deliveries WHERE status = 'pending'");
        let (events, deliveries) = (events.await?, deliveries.fetch_one(self.pool()).await?);
        Ok(OutboxCounts {
            undispatched: events.try_get(0)?,
            pending: deliveries.try_get(0)?,
            due_since: deliveries.try_get(1)?,
        })
    }

    async fn tenants_by_grant(&self) -> Result<HashMap<GrantId, Vec<String>>, StoreError> {
        let rows = sqlx::query(
            "SELECT active_grant_id, tenant_name FROM integration_tenant_bindings \
             WHERE active_grant_id IS NOT NULL AND status <> 'disconnected' ORDER BY tenant_name, id",
        )
        .fetch_all(self.pool())
        .await?;
        let mut tenants: HashMap<GrantId, Vec<String>> = HashMap::new();
        for row in &rows {
            tenants.entry(GrantId(row.try_get("active_grant_id")?)).or_default().push(row.try_get("tenant_name")?);
        }
        Ok(tenants)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FailureCause, GrantStatus, Trigger};
    use crate::server::domain::{AttemptEnd, FailureClass};
    use crate::server::store::testing::grants::{REFRESHED, TestGrant, tenant, tokens};
    use crate::server::store::testing::{START, each_store};
    use crate::server::store::{AttemptFailure, Fenced, NewAttempt, Store};

    async fn fail(store: &Store, id: &GrantId, for_good: bool) {
        let lease = store.acquire_lease(id, "owner", store.clock().now() + 60).await.unwrap().unwrap();
        let lease = store.start_attempt(&lease, NewAttempt::by(Trigger::Cli)).await.unwrap();
        let outcome = if for_good { Outcome::Reconnect } else { Outcome::Transient };
        let end = AttemptEnd::failed(outcome, &format!("code of {}", outcome.as_str()), FailureClass::ANSWERED);
        let failure = AttemptFailure {
            cause: FailureCause::NotAnswering,
            error: "Xero isn't answering.",
            next_attempt_at: store.clock().now() + 7,
            reply_lost_at: None,
        };
        let fenced = if for_good {
            store.fail_grant(&lease, "Reconnect.", &end).await
        } else {
            store.record_failure(&lease, &failure, &end).await
        };
        assert_eq!(fenced.unwrap(), Fenced::Applied);
    }

    #[apply(each_store!)]
    async fn grants_are_listed_by_latest_failure_without_revoked_ones(store: Store) {
        let (ours, theirs) = (store.add_org("Ours").await.unwrap(), store.add_org("Theirs").await.unwrap());
        let (well, failing, dead, gone) = (
            TestGrant::of(&store, &ours).insert().await,
            TestGrant::of(&store, &ours).insert().await,
            TestGrant::of(&store, &theirs).insert().await,
            TestGrant::of(&store, &ours).insert().await,
        );
        let bound = store.bind(&ours, &well, &[tenant("Shop"), tenant("Café"), tenant("Old")], None).await.unwrap();
        store.disconnect_binding(&ours, &bound[2].binding_id).await.unwrap();
        fail(&store, &dead, true).await;
        store.clock().advance(60);
        fail(&store, &failing, false).await;
        store.mark_grant_revoked(&gone).await.unwrap();

        let listed = store.database().grant_summaries(None).await.unwrap();
        let seen: Vec<_> =
            listed.iter().map(|one| (&one.grant.id, one.org_name.as_str(), one.last_failure_at)).collect();
        let wanted = [(&failing, "Ours", Some(START + 60)), (&dead, "Theirs", Some(START)), (&well, "Ours", None)];
        assert_eq!(seen, wanted);
        let codes: Vec<_> = listed.iter().map(|one| one.last_failure_code.as_deref()).collect();
        assert_eq!(codes, [Some("code of transient"), Some("code of reconnect"), None]);
        assert_eq!(listed[2].tenants, ["Café", "Shop"]);
        assert!(listed[0].tenants.is_empty() && listed[1].grant.status == GrantStatus::RefreshFailed);

        let counts = store.database().count_grants().await.unwrap();
        let wanted = GrantCounts { active: 1, failing: 1, needs_reauth: 1, refused: 0, oldest_issued_at: Some(START) };
        assert_eq!(counts, wanted, "a revoked grant is not counted");

        let listed = store.database().grant_summaries(Some(&theirs)).await.unwrap();
        assert_eq!(listed.iter().map(|one| &one.grant.id).collect::<Vec<_>>(), [&dead]);

        store.fan_out(10).await.unwrap();
        let outbox = async || store.database().count_outbox().await.unwrap();
        assert_eq!(outbox().await, OutboxCounts::default(), "no connection broke");
        fail(&store, &well, true).await;
        assert_eq!(outbox().await, OutboxCounts { undispatched: 2, ..OutboxCounts::default() });
        store.fan_out(10).await.unwrap();
        assert_eq!(outbox().await, OutboxCounts::default(), "nothing to deliver it to");
    }

    #[apply(each_store!)]
    async fn attempt_dangles_if_its_lease_expired_without_later_success(store: Store) {
        let org = store.add_org("Ours").await.unwrap();
        let id = TestGrant::of(&store, &org).insert().await;
        let lease = store.acquire_lease(&id, "dies", START + 60).await.unwrap().unwrap();
        store.start_attempt(&lease, NewAttempt::by(Trigger::Cli)).await.unwrap();
        let unfinished = async |before, now| store.database().dangling_attempts(before, now).await.unwrap();
        let wanted = [DanglingAttempt { grant_id: id.clone(), started_at: START }];
        assert_eq!(unfinished(START + 1, START + 59).await, [], "the lease is held");
        assert_eq!(unfinished(START, START + 60).await, [], "not old enough");
        assert_eq!(unfinished(START + 1, START + 60).await, wanted);

        // The next attempt succeeds.
        store.clock().advance(60);
        let lease = store.acquire_lease(&id, "next", START + 120).await.unwrap().unwrap();
        let lease = store.start_attempt(&lease, NewAttempt::by(Trigger::Cli)).await.unwrap();
        let rotation = store.seal_rotation(&lease, &tokens("next")).unwrap();
        assert_eq!(store.commit_rotation(&lease, &rotation, &REFRESHED).await.unwrap(), Fenced::Applied);
        assert_eq!(unfinished(START + 1000, START + 1000).await, [], "settled");
    }
}
