//! Organizations that require a second factor of their members, and from when on.

use sqlx::Row;

use super::members::MemberChangeError;
use super::members::rows::{find_role, lock_org};
use crate::model::{Action, MAX_FACTOR_DAYS, OrgId, Permission, UserId};
use crate::server::domain::{AuditEvent, latest_plausible};
use crate::server::store::live::changes::Change;
use crate::server::store::{Store, StoreError};

/// Seconds of a day.
const DAY: i64 = 24 * 60 * 60;

/// From when on an organization requires a second factor of a member.
#[derive(Clone, Debug, PartialEq)]
pub struct FactorDeadline {
    /// The organization.
    pub org: OrgId,
    /// Unix seconds. A time that no setting could have written is over.
    pub at: i64,
}

impl Store {
    /// Requires a second factor of the organization's members in so many days; `None` ends the requirement. Open pages
    /// of its members read themselves again.
    pub async fn set_factor_policy(
        &self,
        org: &OrgId,
        by: &UserId,
        days: Option<i64>,
    ) -> Result<(), MemberChangeError> {
        let mut transaction = self.begin_change_tx().await?;
        lock_org(&mut transaction, org).await?;
        let role = find_role(&mut transaction, org, by).await?;
        if !role.is_some_and(|role| role.may(Permission::ManageOwners)) {
            return Err(MemberChangeError::NotAllowed);
        }
        let from = days.map(|days| self.clock().now() + days.clamp(0, MAX_FACTOR_DAYS) * DAY);
        sqlx::query("UPDATE organizations SET factor_required_from = $1 WHERE id = $2")
            .bind(from)
            .bind(org.as_str())
            .execute(&mut *transaction)
            .await?;
        let event = AuditEvent::new(self.actor(), Action::FactorPolicyChanged).in_org(org);
        let event = event.subject("organization", org);
        let event = match days {
            Some(days) => event.detail("required", "yes").detail("days", days.to_string()),
            None => event.detail("required", "no"),
        };
        self.record(&mut transaction, &event).await?;
        let members = sqlx::query("SELECT user_id FROM memberships WHERE org_id = $1").bind(org.as_str());
        for row in members.fetch_all(&mut *transaction).await? {
            transaction.publish(Change::Person { user: UserId(row.try_get("user_id")?) }).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Returns from when on the organization requires a second factor; `None` if it doesn't.
    pub async fn factor_policy(&self, org: &OrgId) -> Result<Option<i64>, StoreError> {
        let row = sqlx::query("SELECT factor_required_from FROM organizations WHERE id = $1")
            .bind(org.as_str())
            .fetch_optional(self.pool())
            .await?;
        row.map_or(Ok(None), |row| Ok(row.try_get("factor_required_from")?))
    }

    /// Returns the deadline that an organization's setting stands for. A time that no setting could have written is over.
    pub(super) fn factor_deadline(&self, org: &OrgId, required_from: Option<i64>) -> Option<FactorDeadline> {
        let now = self.clock().now();
        let latest = latest_plausible(MAX_FACTOR_DAYS * DAY, now);
        required_from.map(|at| FactorDeadline { org: org.clone(), at: if at > latest { now } else { at } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Role;
    use crate::server::domain::Secret;
    use crate::server::store::testing::each_store;
    use crate::server::store::{NewSession, NewUser, UserOrg};

    #[apply(each_store!)]
    async fn only_an_owner_requires_a_factor_and_a_wrong_clock_delays_nothing(store: Store) {
        let hash = Secret::new("hash");
        let new = |email, org| NewUser { email, password_hash: &hash, org: Some(org) };
        let ann = store.add_user(new("ann@example.com", UserOrg::New("Harbour Coffee"))).await.unwrap();
        let (ann, org) = (ann.user, ann.org.unwrap().0);
        let bob = store.add_user(new("bob@example.com", UserOrg::Existing(&org))).await.unwrap();
        assert_eq!(bob.org.unwrap().1, Role::Admin);
        let refused = store.set_factor_policy(&org, &bob.user, Some(7)).await;
        assert!(matches!(refused, Err(MemberChangeError::NotAllowed)));
        assert_eq!(store.factor_policy(&org).await.unwrap(), None);

        store.set_factor_policy(&org, &ann, Some(7)).await.unwrap();
        let at = store.clock().now() + 7 * DAY;
        assert_eq!(store.factor_policy(&org).await.unwrap(), Some(at));
        _ = store.add_session(NewSession::new("s", &bob.user, None)).await.unwrap();
        let deadlines = async || store.session("s").await.unwrap().unwrap().factor_deadlines;
        assert_eq!(deadlines().await, [FactorDeadline { org: org.clone(), at }]);
        // A clock that is set back ends sessions, too.
        sqlx::query("UPDATE organizations SET factor_required_from = $1")
            .bind(at + 400 * DAY)
            .execute(store.pool())
            .await
            .unwrap();
        assert_eq!(deadlines().await[0].at, store.clock().now(), "no setting is so far ahead");
        store.set_factor_policy(&org, &ann, None).await.unwrap();
        assert!(deadlines().await.is_empty() && store.factor_policy(&org).await.unwrap().is_none());
    }
}
