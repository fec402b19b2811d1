//! Ends a grant that Xero refuses, or holds the refusal back while it may not be news of the grant.

use sqlx::Row;

use super::commit::{finish_and_commit, publish_binding_statuses};
use super::lease_guard::{Fenced, JournaledLease};
use super::protocol::ProtocolStep;
use crate::model::{BindingId, BindingStatus, FailureCause};
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
    /// instance records at the same time is seen by the next check. A consent is no success: it says nothing of refresh
    /// tokens, and somebody connects all the time.
    pub async fn refusal_evidence(&self, grant: &Grant) -> Result<RefusalEvidence, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(CASE WHEN status = 'active' THEN 1 END), \
             COUNT(DISTINCT CASE WHEN status = 'active' THEN org_id END), \
             MAX(CASE WHEN id <> $3 AND generation > 0 AND last_refreshed_at <= $4 THEN last_refreshed_at END) \
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
    /// Returns how many grants of the app Xero refuses without a success since, and of how many organizations.
    pub async fn refused_grants(&self, app: &AppIdentity) -> Result<GrantTally, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(*), COUNT(DISTINCT org_id) FROM integration_grants WHERE client_id = $1 AND issuer = $2 \
             AND status = 'active' AND refused_at >= COALESCE((SELECT MAX(last_refreshed_at) FROM integration_grants \
             WHERE client_id = $1 AND issuer = $2 AND generation > 0), 0)",
        )
        .bind(&app.client_id)
        .bind(&app.issuer)
        .fetch_one(self.pool())
        .await?;
        Ok(GrantTally { grants: row.try_get(0)?, orgs: row.try_get(1)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::GrantStatus;
    use crate::server::store::grants::commit::AttemptFailure;
    use crate::server::store::testing::grants::{REFRESHED, TestGrant, lease_with_attempt, set_row, tokens};
    use crate::server::store::testing::{START, each_store};

    #[apply(each_store!)]
    async fn each_part_of_the_fence_alone_refuses_what_an_exchange_writes(store: Store) {
        let org = store.add_org("Harbour").await.unwrap();
        for overtaken in [
            "UPDATE integration_grants SET generation = generation + 1 WHERE id = $1",
            "UPDATE integration_grants SET lease_owner = 'other' WHERE id = $1",
            "UPDATE integration_grants SET status = 'refresh_failed' WHERE id = $1",
        ] {
            let id = TestGrant::of(&store, &org).insert().await;
            let lease = lease_with_attempt(&store, &id, "slow").await;
            let rotation = store.seal_rotation(&lease, &tokens("late")).unwrap();
            sqlx::query(overtaken).bind(id.as_str()).execute(store.pool()).await.unwrap();
            let before = store.grant(&id).await.unwrap().unwrap();

            let next = store.clock().now() + 60;
            let failure = AttemptFailure {
                cause: FailureCause::NotAnswering,
                error: "late",
                next_attempt_at: next,
                reply_lost_at: None,
            };
            let refusal = PendingRefusal { error: "late", next_attempt_at: next };
            for written in [
                store.commit_rotation(&lease, &rotation, &REFRESHED).await.unwrap(),
                store.record_failure(&lease, &failure, &REFRESHED).await.unwrap(),
                store.record_refusal(&lease, &refusal, &REFRESHED).await.unwrap(),
                store.fail_grant(&lease, "late", &REFRESHED).await.unwrap(),
            ] {
                assert_eq!(written, Fenced::Superseded, "{overtaken}");
            }
            let after = store.grant(&id).await.unwrap().unwrap();
            let of =
                |row: &Grant| (row.status, row.generation, row.failure_count, row.refused_at, row.last_error.clone());
            assert_eq!(of(&after), of(&before), "{overtaken}");
            if before.status == GrantStatus::Active {
                assert_eq!(store.renew_lease(&lease, next).await.unwrap(), Fenced::Superseded, "{overtaken}");
                assert_eq!(store.commit_rescue(&lease, &rotation, &REFRESHED).await.unwrap(), Fenced::Superseded);
            }
        }
    }

    #[apply(each_store!)]
    async fn rescue_of_a_revoked_grant_changes_nothing_and_of_a_failed_one_that_grant_alone(store: Store) {
        let org = store.add_org("Harbour").await.unwrap();
        for (row, expected) in [
            ("status = 'revoked'", Fenced::Superseded),
            ("status = 'refresh_failed', exported_at = 1", Fenced::Applied),
            ("status = 'active'", Fenced::Applied),
        ] {
            let id = TestGrant::of(&store, &org).insert().await;
            let beside = TestGrant::of(&store, &org).insert().await;
            let lease = lease_with_attempt(&store, &id, "operator").await;
            let rotation = store.seal_rotation(&lease, &tokens("rescued")).unwrap();
            set_row(&store, &id, row).await;
            set_row(&store, &beside, "lease_owner = 'operator', lease_until = 1").await;
            let before = store.grant(&beside).await.unwrap();
            assert_eq!(store.commit_rescue(&lease, &rotation, &REFRESHED).await.unwrap(), expected, "{row}");
            assert_eq!(store.grant(&beside).await.unwrap(), before, "{row}");
            let after = store.grant(&id).await.unwrap().unwrap();
            let is_rescued =
                after.status == GrantStatus::Active && after.exported_at.is_none() && after.generation == 1;
            assert_eq!(is_rescued, expected == Fenced::Applied, "{row}");
        }
    }

    #[apply(each_store!)]
    async fn evidence_is_of_this_apps_other_grants_since_the_last_success(store: Store) {
        let (ours, theirs) = (store.add_org("Harbour").await.unwrap(), store.add_org("Southerly").await.unwrap());
        let add = async |org, refreshed: i64, refused: Option<i64>, change: &str| {
            let id = TestGrant::of(&store, org).insert().await;
            let refused = refused.map_or("NULL".to_owned(), |at| (START + at).to_string());
            let at = START + refreshed;
            let row = format!("generation = 1, last_refreshed_at = {at}, refused_at = {refused}{change}");
            set_row(&store, &id, &row).await;
            id
        };
        let id = add(&ours, -1, Some(-30), "").await;
        let same_org = add(&ours, -100, Some(-50), "").await;
        add(&theirs, -60, Some(-60), "").await;
        add(&theirs, -200, Some(-61), "").await;
        add(&theirs, -1, Some(0), ", client_id = 'another'").await;
        add(&theirs, -1, Some(0), ", issuer = 'another'").await;
        add(&theirs, -70, Some(0), ", status = 'refresh_failed'").await;
        let of_wrong_clock = add(&theirs, 16, None, "").await;
        let evidence = async || {
            let grant = store.grant(&id).await.unwrap().unwrap();
            store.refusal_evidence(&grant).await.unwrap()
        };

        let read = evidence().await;
        assert_eq!((read.refused_before, read.last_success), (Some(START - 30), Some(START - 60)));
        assert_eq!((read.active, read.refused), (GrantTally { grants: 5, orgs: 2 }, GrantTally { grants: 3, orgs: 2 }));
        set_row(&store, &same_org, "refused_at = NULL").await;
        assert_eq!(evidence().await.refused, GrantTally { grants: 2, orgs: 2 }, "its own organization counts");
        set_row(&store, &of_wrong_clock, &format!("last_refreshed_at = {}", START + 15)).await;
        let read = evidence().await;
        assert_eq!((read.last_success, read.refused), (Some(START + 15), GrantTally { grants: 1, orgs: 1 }));
    }

    #[apply(each_store!)]
    async fn first_refusal_stays_unless_a_wrong_clock_dated_it(store: Store) {
        let org = store.add_org("Harbour").await.unwrap();
        let id = TestGrant::of(&store, &org).insert().await;
        let last = latest_plausible(0, START);
        let (dated, wrong) = (last.to_string(), (last + 1).to_string());
        for (before, after) in [("NULL", START), ("7", 7), (dated.as_str(), last), (wrong.as_str(), START)] {
            let lease = lease_with_attempt(&store, &id, "one").await;
            set_row(&store, &id, &format!("refused_at = {before}")).await;
            let refusal = PendingRefusal { error: "refused", next_attempt_at: START + 60 };
            assert_eq!(store.record_refusal(&lease, &refusal, &REFRESHED).await.unwrap(), Fenced::Applied);
            let row = store.grant(&id).await.unwrap().unwrap();
            assert_eq!(row.failure_count, lease.failure_count + 1, "{before}");
            assert_eq!((row.refused_at, row.next_attempt_at), (Some(after), Some(START + 60)), "{before}");
            assert_eq!((row.last_error.as_deref(), row.lease), (Some("refused"), None), "{before}");
        }
    }
}
