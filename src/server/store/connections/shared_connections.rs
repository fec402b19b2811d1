//! What belongs to a Xero user and concerns several organizations: a connection at Xero on which bindings of several
//! stand, and a token, which opens every tenant that its Xero user connected for
//! whichever organization.

use sqlx::Row;

use crate::model::{GrantId, OrgId};
use crate::server::domain::{Grant, RemoteConnection, Tenant};
use crate::server::store::{Store, StoreError};

/// Says whether the token of grant `g` also opens a tenant of another organization than that of binding `b`.
///
/// Another organization's grant of the same Xero user says so at once. Xero's list, which is read once in a while, also
/// knows of a tenant whose binding another user's grant serves, and of one that was disconnected here and not at Xero.
/// A grant that no longer works counts, because its connections stay at Xero.
///
/// Two ranges instead of `<>` let the index skip the grants of the organization itself: one Xero user may have hundreds. The
/// first of an order instead of `EXISTS` makes PostgreSQL read the index: it expects to find one soon, in whatever order it
/// reads the table, and mostly there is none.
macro_rules! reaches_other_orgs {
    () => {
        concat!(
            "CAST(CASE WHEN b.status = 'active' AND (g.foreign_tenant_listed_since IS NOT NULL OR ",
            $crate::server::store::connections::shared_connections::reaches_other_orgs!("<"),
            " OR ",
            $crate::server::store::connections::shared_connections::reaches_other_orgs!(">"),
            ") THEN 1 ELSE 0 END AS BIGINT)"
        )
    };
    ($side:literal) => {
        concat!(
            "(SELECT o.id FROM integration_grants o WHERE o.xero_user_id = g.xero_user_id AND o.xero_user_id <> '' \
             AND o.org_id ",
            $side,
            " b.org_id AND o.client_id = g.client_id AND o.issuer = g.issuer AND o.status <> 'revoked' \
             ORDER BY o.org_id LIMIT 1) IS NOT NULL"
        )
    };
}
pub(in crate::server::store) use reaches_other_orgs;

/// Says whether the Xero user of grant `g` already connects another organization, and is new in the grant's own.
macro_rules! is_shared_user_new_here {
    () => {
        "CAST(CASE WHEN g.xero_user_id <> '' AND EXISTS \
         (SELECT 1 FROM integration_grants o WHERE o.xero_user_id = g.xero_user_id AND o.org_id <> g.org_id \
         AND o.client_id = g.client_id AND o.issuer = g.issuer AND o.status <> 'revoked') AND NOT EXISTS \
         (SELECT 1 FROM integration_grants o WHERE o.xero_user_id = g.xero_user_id AND o.org_id = g.org_id \
         AND o.client_id = g.client_id AND o.issuer = g.issuer AND o.status <> 'revoked' AND o.id <> g.id) \
         THEN 1 ELSE 0 END AS BIGINT)"
    };
}
pub(in crate::server::store) use is_shared_user_new_here;

impl Store {
    /// Returns whether the grant's Xero user already connects another organization, and is new in the grant's own.
    pub async fn is_shared_user_new_here(&self, grant: &GrantId) -> Result<bool, StoreError> {
        let row =
            sqlx::query(concat!("SELECT ", is_shared_user_new_here!(), " FROM integration_grants g WHERE g.id = $1"))
                .bind(grant.as_str())
                .fetch_optional(self.pool())
                .await?;
        Ok(row.map(|row| row.try_get::<i64, _>(0)).transpose()?.is_some_and(|shared| shared > 0))
    }

    /// Returns whether the list of the grant's connections has a tenant of another organization that the grant's own has
    /// not connected.
    pub(in crate::server::store) async fn lists_foreign_tenant(
        &self,
        grant: &Grant,
        list: &[RemoteConnection],
    ) -> Result<bool, StoreError> {
        for listed in list {
            let row = sqlx::query(
                "SELECT b.id FROM integration_tenant_bindings b WHERE b.tenant_id = $1 AND b.org_id <> $2 AND NOT EXISTS \
                 (SELECT 1 FROM integration_tenant_bindings o WHERE o.tenant_id = $1 AND o.org_id = $2 \
                 AND o.status <> 'disconnected') LIMIT 1",
            )
            .bind(&listed.tenant.id)
            .bind(grant.org_id.as_str())
            .fetch_optional(self.pool())
            .await?;
            if row.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns whether a binding of another organization than `org` stands on the connection to `tenant` that `grant`
    /// uses. Xero has one connection for a user, a tenant and an app, so deleting it would end that binding, too.
    pub async fn connection_serves_another_org(
        &self,
        org: &OrgId,
        tenant: &Tenant,
        grant: &Grant,
    ) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "SELECT b.id FROM integration_tenant_bindings b JOIN integration_grants g ON g.id = b.active_grant_id \
             WHERE b.org_id <> $1 AND b.tenant_id = $2 AND b.status <> 'disconnected' \
             AND g.client_id = $3 AND g.issuer = $4 \
             AND (b.connection_id = $5 OR g.xero_user_id = $6 OR g.xero_user_id = '' OR $6 = '') LIMIT 1",
        )
        .bind(org.as_str())
        .bind(&tenant.id)
        .bind(&grant.app.client_id)
        .bind(&grant.app.issuer)
        .bind(&tenant.connection_id)
        .bind(&grant.xero_user_id)
        .fetch_optional(self.pool())
        .await?;
        Ok(row.is_some())
    }
}

#[cfg(test)]
mod tests {
    use sqlx::AssertSqlSafe;

    use super::*;
    use crate::model::BindingId;
    use crate::server::store::DatabaseKind;
    use crate::server::store::testing::each_store;
    use crate::server::store::testing::grants::{TestGrant, tenant};

    async fn binding_of(store: &Store, org: &OrgId) -> BindingId {
        store.bindings_of_org(org).await.unwrap()[0].binding.id.clone()
    }

    async fn reaches(store: &Store, org: &OrgId) -> bool {
        store.binding(org, &binding_of(store, org).await).await.unwrap().unwrap().reaches_other_orgs
    }

    #[apply(each_store!)]
    async fn grants_of_the_same_organization_are_not_read_to_find_another(store: Store) {
        const OWN: usize = 200;
        const FOREIGN: usize = 20;
        // With their statistics, PostgreSQL reads the whole table for each of these where it may.
        for (org, user, clients) in [("Harbour", "mere", OWN), ("Southerly", "jonas", FOREIGN)] {
            let org = store.add_org(org).await.unwrap();
            for number in 0..clients {
                TestGrant::of(&store, &org).xero_user(user).bound_to(&[&format!("Client {number}")]).insert().await;
            }
        }
        sqlx::query("ANALYZE").execute(store.pool()).await.unwrap();
        let (explain, column) = match store.database().kind() {
            DatabaseKind::Sqlite => ("EXPLAIN QUERY PLAN", "detail"),
            DatabaseKind::Postgres => ("EXPLAIN ANALYZE", "QUERY PLAN"),
        };
        let sql = format!(
            "{explain} SELECT {} FROM integration_tenant_bindings b LEFT JOIN integration_grants g ON g.id = b.active_grant_id",
            reaches_other_orgs!()
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(store.pool()).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.try_get(column).unwrap()).collect();
        let has = |part: &str| plan.iter().any(|line| line.contains(part));
        match store.database().kind() {
            DatabaseKind::Sqlite => {
                let both_sides = ["(xero_user_id=? AND org_id<?)", "(xero_user_id=? AND org_id>?)"];
                assert!(both_sides.iter().all(|range| has(range)), "{}", plan.join("\n"));
            }
            // Which index it takes depends on how many Xero users there are. Either leaves out the organization's own.
            DatabaseKind::Postgres => {
                let removed = plan.iter().filter_map(|line| line.split_once("Rows Removed by Filter: "));
                let most = removed.map(|(_, rows)| rows.trim().parse::<usize>().unwrap()).max().unwrap_or_default();
                assert!(has("SubPlan") && most <= FOREIGN, "{}", plan.join("\n"));
            }
        }
    }

    #[apply(each_store!)]
    async fn token_reaches_what_its_xero_user_connected_for_another_organization(store: Store) {
        let (harbour, southerly) = (store.add_org("Harbour").await.unwrap(), store.add_org("Southerly").await.unwrap());
        let ours = TestGrant::of(&store, &harbour).xero_user("mere").bound_to(&["Harbour Coffee"]).insert().await;
        TestGrant::of(&store, &southerly).xero_user("jonas").bound_to(&["Southerly Cycles"]).insert().await;
        assert!(!reaches(&store, &harbour).await && !reaches(&store, &southerly).await);
        assert!(!store.is_shared_user_new_here(&ours).await.unwrap());

        // A consent that waits for an answer counts: the connection is there.
        let theirs = TestGrant::of(&store, &southerly).xero_user("mere").insert().await;
        assert!(reaches(&store, &harbour).await && !reaches(&store, &southerly).await);
        assert!(store.is_shared_user_new_here(&theirs).await.unwrap());
        store.bind(&southerly, &theirs, &[tenant("Kauri Joinery")], None).await.unwrap();
        let again = TestGrant::of(&store, &southerly).xero_user("mere").insert().await;
        assert!(!store.is_shared_user_new_here(&again).await.unwrap(), "the question was answered");

        store.mark_grant_revoked(&again).await.unwrap();
        store.mark_grant_revoked(&theirs).await.unwrap();
        assert!(!reaches(&store, &harbour).await);
    }

    #[apply(each_store!)]
    async fn list_of_connections_shows_what_no_grant_here_says(store: Store) {
        let (harbour, southerly) = (store.add_org("Harbour").await.unwrap(), store.add_org("Southerly").await.unwrap());
        let ours = TestGrant::of(&store, &harbour).xero_user("mere").bound_to(&["Harbour Coffee"]).insert().await;
        TestGrant::of(&store, &southerly).xero_user("jonas").bound_to(&["Southerly Cycles"]).insert().await;
        let grant = store.grant(&ours).await.unwrap().unwrap();
        let listed = |name: &str| RemoteConnection { tenant: tenant(name), auth_event_id: "event".into() };
        let (own, foreign, nobodys) = (listed("Harbour Coffee"), listed("Southerly Cycles"), listed("Kauri Joinery"));
        for (list, reached) in [
            (vec![own.clone(), nobodys.clone()], false),
            (vec![own.clone(), foreign], true),
            (vec![own, nobodys], false),
        ] {
            store.clock().advance(60);
            store.apply_connections(&grant, &list, store.clock().now()).await.unwrap();
            assert_eq!(reaches(&store, &harbour).await, reached);
            assert!(!reaches(&store, &southerly).await);
        }
    }
}
