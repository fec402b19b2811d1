//! The connections of all of a person's organizations, counted by state.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::model::{HealthCounts, OrgId, UserId};
use crate::server::store::{Store, StoreError};

impl Store {
    /// Counts the connections of each organization that the user is a member of, in one statement. Organizations without
    /// a connection are left out.
    pub async fn health_counts(&self, user: &UserId) -> Result<Vec<(OrgId, HealthCounts)>, StoreError> {
        let rows = sqlx::query(
            "SELECT org_id, COUNT(CASE WHEN state = 1 THEN 1 END) AS needs_reauth, \
             COUNT(CASE WHEN state = 2 THEN 1 END) AS retrying, COUNT(CASE WHEN state = 3 THEN 1 END) AS connected, \
             COUNT(CASE WHEN state = 4 THEN 1 END) AS moved, COUNT(CASE WHEN state = 5 THEN 1 END) AS disconnected \
             FROM (SELECT b.org_id, CASE \
             WHEN b.status = 'disconnected' OR (b.status = 'active' AND g.id IS NULL) THEN 5 \
             WHEN b.status = 'needs_reauth' AND g.exported_at IS NOT NULL THEN 4 \
             WHEN b.status = 'needs_reauth' OR g.status <> 'active' THEN 1 \
             WHEN g.failure_count > 0 OR g.client_id <> $2 OR g.issuer <> $3 THEN 2 ELSE 3 END AS state \
             FROM memberships m JOIN integration_tenant_bindings b ON b.org_id = m.org_id \
             LEFT JOIN integration_grants g ON g.id = b.active_grant_id WHERE m.user_id = $1) AS states \
             GROUP BY org_id",
        )
        .bind(user.as_str())
        .bind(&self.app.client_id)
        .bind(&self.app.issuer)
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(|row| Ok((OrgId(row.try_get("org_id")?), counts_from(row)?))).collect()
    }
}

fn counts_from(row: &AnyRow) -> Result<HealthCounts, StoreError> {
    let count = |name| row.try_get::<i64, _>(name).map(|count| u32::try_from(count).unwrap_or(u32::MAX));
    Ok(HealthCounts {
        needs_reauth: count("needs_reauth")?,
        retrying: count("retrying")?,
        connected: count("connected")?,
        moved: count("moved")?,
        disconnected: count("disconnected")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::domain::Secret;
    use crate::server::store::testing::each_store;
    use crate::server::store::testing::grants::TestGrant;
    use crate::server::store::{NewUser, UserOrg};

    #[apply(each_store!)]
    async fn connections_of_ones_own_organizations_are_counted_by_state(store: Store) {
        let new = NewUser {
            email: "ann@example.com",
            password_hash: &Secret::new("hash"),
            org: Some(UserOrg::New("Harbour")),
        };
        let added = store.add_user(new).await.unwrap();
        let (user, org) = (added.user, added.org.unwrap().0);
        assert_eq!(store.health_counts(&user).await.unwrap(), []);
        let other = store.add_org("Southerly").await.unwrap();
        TestGrant::of(&store, &other).bound_to(&["Cycles"]).insert().await;
        let works = TestGrant::of(&store, &org).xero_user("a").bound_to(&["One", "Two"]).insert().await;
        let fails = TestGrant::of(&store, &org).xero_user("b").bound_to(&["Three"]).insert().await;
        let ended = TestGrant::of(&store, &org).xero_user("c").bound_to(&["Four"]).insert().await;
        let moved = TestGrant::of(&store, &org).xero_user("d").bound_to(&["Five", "Six"]).insert().await;
        TestGrant::of(&store, &org).xero_user("e").bound_to(&["Seven"]).insert().await;
        for bound in store.bindings_of_org(&org).await.unwrap() {
            if bound.binding.tenant.name == "Seven" {
                store.disconnect_binding(&org, &bound.binding.id).await.unwrap();
            }
        }
        let change = async |sql: &'static str, id: &str| {
            sqlx::query(sql).bind(id).execute(store.pool()).await.unwrap();
        };
        change("UPDATE integration_grants SET failure_count = 1 WHERE id = $1", fails.as_str()).await;
        let broken = "UPDATE integration_tenant_bindings SET status = 'needs_reauth' WHERE active_grant_id = $1";
        change(broken, ended.as_str()).await;
        change(broken, moved.as_str()).await;
        change("UPDATE integration_grants SET exported_at = 1 WHERE id = $1", moved.as_str()).await;
        let counts = HealthCounts { needs_reauth: 1, retrying: 1, connected: 2, moved: 2, disconnected: 1 };
        assert_eq!(store.health_counts(&user).await.unwrap(), [(org.clone(), counts)]);
        // Tokens of another app are not sent, so what it connected waits.
        change("UPDATE integration_grants SET client_id = 'another' WHERE id = $1", works.as_str()).await;
        let counts = HealthCounts { retrying: 3, connected: 0, ..counts };
        assert_eq!(store.health_counts(&user).await.unwrap(), [(org, counts)]);
    }
}
