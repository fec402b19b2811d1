//! Counts the tests of a connection that people click. Each takes one of the calls that Xero allows for the tenant.

use sqlx::Row;

use crate::model::{Action, BindingId, OrgId};
use crate::server::domain::AuditEvent;
use crate::server::store::accounts::members::rows::lock_org;
use crate::server::store::{Store, StoreError};

/// The span in seconds over which tests are counted.
const SPAN: i64 = 60;
/// The most tests of one connection within the span, and of all connections of an organization.
const MAX_PER_CONNECTION: i64 = 6;
const MAX_PER_ORG: i64 = 30;

/// Whether a test may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum TestAllowance {
    /// It may, and is in the audit log.
    Granted,
    /// There were too many within a minute.
    TooMany,
}

impl Store {
    /// Records a test in the audit log, unless there were too many. Holds for all instances and for restarts.
    pub async fn begin_connection_test(
        &self,
        org: &OrgId,
        binding: &BindingId,
        tenant_name: &str,
    ) -> Result<TestAllowance, StoreError> {
        let now = self.clock().now();
        let mut transaction = self.begin_change_tx().await?;
        // Of two tests at once, the later counts the earlier.
        lock_org(&mut transaction, org).await?;
        let row = sqlx::query(
            "SELECT COUNT(*), COUNT(CASE WHEN subject_id = $1 THEN 1 END) FROM audit_events \
             WHERE org_id = $2 AND action = $3 AND at > $4 AND at <= $5",
        )
        .bind(binding.as_str())
        .bind(org.as_str())
        .bind(Action::ConnectionTested.as_str())
        .bind(now - SPAN)
        .bind(now)
        .fetch_one(&mut *transaction)
        .await?;
        if row.try_get::<i64, _>(0)? >= MAX_PER_ORG || row.try_get::<i64, _>(1)? >= MAX_PER_CONNECTION {
            return Ok(TestAllowance::TooMany);
        }
        let event = AuditEvent::new(self.actor(), Action::ConnectionTested).in_org(org).subject("binding", binding);
        self.record(&mut transaction, &event.detail("connection", tenant_name)).await?;
        transaction.commit().await?;
        Ok(TestAllowance::Granted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::AuditFilter;
    use crate::server::store::testing::each_store;

    #[apply(each_store!)]
    async fn tests_are_limited_by_connection_and_organization_and_recorded(store: Store) {
        let (org, other) = (store.add_org("Harbour").await.unwrap(), store.add_org("Southerly").await.unwrap());
        let test = async |org: &OrgId, binding: &str| {
            store.begin_connection_test(org, &binding.into(), "Harbour Coffee").await.unwrap()
        };
        for _ in 0..MAX_PER_CONNECTION {
            assert_eq!(test(&org, "b-1").await, TestAllowance::Granted);
        }
        assert_eq!(test(&org, "b-1").await, TestAllowance::TooMany);
        assert_eq!(test(&org, "b-2").await, TestAllowance::Granted, "another connection has its own limit");
        for n in MAX_PER_CONNECTION + 1..MAX_PER_ORG {
            assert_eq!(test(&org, &format!("b-{n}-x")).await, TestAllowance::Granted);
        }
        assert_eq!(test(&org, "b-3").await, TestAllowance::TooMany, "the organization has one, too");
        assert_eq!(test(&other, "b-9").await, TestAllowance::Granted);
        let filter = AuditFilter { action: "connection.tested", ..AuditFilter::default() };
        let recorded = store.audit_events(Some(&org), filter, None, 99).await.unwrap();
        assert_eq!(i64::try_from(recorded.len()).unwrap(), MAX_PER_ORG);
        store.clock().advance(SPAN);
        assert_eq!(test(&org, "b-1").await, TestAllowance::Granted);
    }
}
