//! The connections whose last refresh failed, and which wait for Xero.

use sqlx::Row;

use crate::model::{FailureCause, OrgId};
use crate::server::store::{Store, StoreError};

/// An organization's connections that wait for Xero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetryingConnections {
    /// How many there are.
    pub count: i64,
    /// How many of them Xero refuses without being believed yet.
    pub held: i64,
    /// How many of them wait because Xero limits the app's requests.
    pub limited: i64,
    /// How many of them wait because Xero refused the app's credentials.
    pub app_refused: i64,
    /// How many of them an operator has to look at for another reason.
    pub for_operator: i64,
    /// How many more connections have tokens of another app, which are not sent.
    pub of_another_app: i64,
    /// How many connections are active.
    pub active: i64,
    /// When the first of their failing attempts since the last success started; `None` if the journal doesn't say.
    pub since: Option<i64>,
    /// When the next one is tried.
    pub next_attempt_at: Option<i64>,
}

impl Store {
    /// Counts the organization's active connections, and those of this app that wait for Xero.
    pub async fn retrying_connections(&self, org: &OrgId) -> Result<RetryingConnections, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(is_retrying) AS retrying, COUNT(CASE WHEN is_retrying = 1 THEN refused_at END) AS held, \
             COUNT(CASE WHEN is_retrying = 1 AND last_failure = $4 THEN 1 END) AS limited, \
             COUNT(CASE WHEN is_retrying = 1 AND last_failure = $7 THEN 1 END) AS app_refused, \
             COUNT(CASE WHEN is_retrying = 1 AND last_failure IN ($5, $6) THEN 1 END) AS for_operator, \
             COUNT(is_foreign) AS of_another_app, COUNT(id) AS active, MIN(CASE WHEN is_retrying = 1 THEN next_attempt_at END) AS next_attempt_at, \
             MIN(CASE WHEN is_retrying = 1 THEN (SELECT MIN(a.started_at) FROM refresh_attempts a \
             WHERE a.grant_id = failing.grant_id AND a.started_at >= failing.refreshed_at \
             AND a.outcome IN ('transient', 'operator', 'reconnect')) END) AS since \
             FROM (SELECT b.id, g.id AS grant_id, g.refused_at, g.next_attempt_at, g.last_failure, \
             COALESCE(g.last_refreshed_at, 0) AS refreshed_at, \
             CASE WHEN g.failure_count > 0 AND g.client_id = $2 AND g.issuer = $3 THEN 1 END AS is_retrying, \
             CASE WHEN g.client_id <> $2 OR g.issuer <> $3 THEN 1 END AS is_foreign \
             FROM integration_tenant_bindings b JOIN integration_grants g ON g.id = b.active_grant_id \
             WHERE b.org_id = $1 AND b.status = 'active' AND g.status = 'active') AS failing",
        )
        .bind(org.as_str())
        .bind(&self.app.client_id)
        .bind(&self.app.issuer)
        .bind(FailureCause::Limited.as_str())
        .bind(FailureCause::Operator.as_str())
        .bind(FailureCause::Internal.as_str())
        .bind(FailureCause::AppRefused.as_str())
        .fetch_one(self.pool())
        .await?;
        Ok(RetryingConnections {
            count: row.try_get("retrying")?,
            held: row.try_get("held")?,
            limited: row.try_get("limited")?,
            app_refused: row.try_get("app_refused")?,
            for_operator: row.try_get("for_operator")?,
            of_another_app: row.try_get("of_another_app")?,
            active: row.try_get("active")?,
            since: row.try_get("since")?,
            next_attempt_at: row.try_get("next_attempt_at")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Outcome;
    use crate::server::domain::{AttemptEnd, FailureClass};
    use crate::server::store::testing::grants::{TestGrant, lease_with_attempt};
    use crate::server::store::testing::{START, each_store};
    use crate::server::store::{AttemptFailure, Fenced};

    #[apply(each_store!)]
    async fn connections_wait_for_xero_since_their_first_failed_attempt(store: Store) {
        let org = store.add_org("Harbour").await.unwrap();
        let fails = TestGrant::of(&store, &org).bound_to(&["Harbour Coffee", "Kauri Joinery"]).insert().await;
        TestGrant::of(&store, &org).xero_user("other").bound_to(&["Cycles"]).insert().await;
        let works = RetryingConnections { active: 3, ..RetryingConnections::default() };
        assert_eq!(store.retrying_connections(&org).await.unwrap(), works);
        for next in [60, 120] {
            store.clock().advance(60);
            let lease = lease_with_attempt(&store, &fails, "test").await;
            let next_attempt_at = store.clock().now() + next;
            let failure = AttemptFailure {
                cause: FailureCause::NotAnswering,
                error: "down",
                next_attempt_at,
                reply_lost_at: None,
            };
            let end = AttemptEnd::failed(Outcome::Transient, "timeout", FailureClass::DISCARDED_TOKEN_SET);
            assert_eq!(store.record_failure(&lease, &failure, &end).await.unwrap(), Fenced::Applied);
        }
        let waiting =
            RetryingConnections { count: 2, since: Some(START + 60), next_attempt_at: Some(START + 240), ..works };
        assert_eq!(store.retrying_connections(&org).await.unwrap(), waiting);
        assert_eq!(store.retrying_connections(&"other".into()).await.unwrap(), RetryingConnections::default());
        sqlx::query("UPDATE integration_grants SET refused_at = 1 WHERE id = $1")
            .bind(fails.as_str())
            .execute(store.pool())
            .await
            .unwrap();
        assert_eq!(store.retrying_connections(&org).await.unwrap().held, 2);
        for (cause, counts) in [
            (FailureCause::Limited, (2, 0, 0)),
            (FailureCause::AppRefused, (0, 2, 0)),
            (FailureCause::Operator, (0, 0, 2)),
            (FailureCause::Internal, (0, 0, 2)),
        ] {
            sqlx::query("UPDATE integration_grants SET last_failure = $1 WHERE id = $2")
                .bind(cause.as_str())
                .bind(fails.as_str())
                .execute(store.pool())
                .await
                .unwrap();
            let found = store.retrying_connections(&org).await.unwrap();
            assert_eq!((found.limited, found.app_refused, found.for_operator), counts, "{cause:?}");
        }
        sqlx::query("UPDATE integration_grants SET client_id = 'another'").execute(store.pool()).await.unwrap();
        let found = store.retrying_connections(&org).await.unwrap();
        assert_eq!((found.count, found.of_another_app), (0, 3));
    }
}
