//! Connections that outlive whoever connected them: an organisation that ended, a person who left it. They go after
//! a while, unless somebody keeps them.

use sqlx::Row;

use super::{Store, StoreError};
use crate::model::{Action, BindingId, Departing, OrgId, UserId};
use crate::server::domain::AuditEvent;

/// How long they stay, in seconds: a week in which somebody who minds will have looked.
pub const GRACE: i64 = 7 * 24 * 60 * 60;

impl Store {
    /// The connections whose time is up, across organisations.
    pub async fn departed(&self) -> Result<Vec<(OrgId, BindingId)>, StoreError> {
        let rows = sqlx::query(
            "SELECT b.org_id, b.id FROM integration_tenant_bindings b JOIN organizations o ON o.id = b.org_id \
             LEFT JOIN membership_removals r ON r.org_id = b.org_id AND r.user_id = b.connected_by \
             WHERE b.status <> 'disconnected' AND (o.external_deleted_at <= $1 OR r.removed_at <= $1) \
             ORDER BY b.org_id, b.id",
        )
        .bind(self.clock().now() - GRACE)
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(|row| Ok((OrgId(row.try_get("org_id")?), BindingId(row.try_get("id")?)))).collect()
    }

    /// The organisation's connections that somebody made who has left, by the tenant's name.
    pub async fn departing(&self, org: &OrgId) -> Result<Vec<Departing>, StoreError> {
        let rows = sqlx::query(
            "SELECT b.id, b.tenant_name, u.email, r.removed_at FROM integration_tenant_bindings b \
             JOIN membership_removals r ON r.org_id = b.org_id AND r.user_id = b.connected_by \
             JOIN users u ON u.id = r.user_id WHERE b.org_id = $1 AND b.status <> 'disconnected' \
             ORDER BY b.tenant_name, b.id",
        )
        .bind(org.as_str())
        .fetch_all(self.pool())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Departing {
                    binding_id: BindingId(row.try_get("id")?),
                    tenant_name: row.try_get("tenant_name")?,
                    connected_by: row.try_get("email")?,
                    ends_at: row.try_get::<i64, _>("removed_at")? + GRACE,
                })
            })
            .collect()
    }

    /// Makes a connection of somebody who has left another member's. `false` where it isn't one.
    pub async fn keep_departing(&self, org: &OrgId, binding: &BindingId, by: &UserId) -> Result<bool, StoreError> {
        let mut transaction = self.write().await?;
        let kept = sqlx::query(
            "UPDATE integration_tenant_bindings SET connected_by = $1, updated_at = $2 \
             WHERE id = $3 AND org_id = $4 AND status <> 'disconnected' AND EXISTS (SELECT 1 FROM membership_removals r \
             WHERE r.org_id = $4 AND r.user_id = integration_tenant_bindings.connected_by) RETURNING tenant_name",
        )
        .bind(by.as_str())
        .bind(self.clock().now())
        .bind(binding.as_str())
        .bind(org.as_str())
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(row) = kept else { return Ok(false) };
        let event = AuditEvent::new(self.actor(), Action::GrantKept).of(org).on("binding", binding);
        let name: String = row.try_get("tenant_name")?;
        self.record(&mut transaction, &event.with("connection", name)).await?;
        transaction.commit().await?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Role;
    use crate::server::domain::{AccessToken, RefreshToken, Tenant, TokenSet};
    use crate::server::store::testing::{START, stores};
    use crate::server::store::{Asserted, AssertedOrg, ExternalOrg, ExternalUser, NewGrant, News};

    struct Place {
        org: OrgId,
        ann: UserId,
        bob: UserId,
    }

    /// Ann connected one tenant, Bob another.
    async fn place(store: &Store) -> Place {
        let known = async |user: &str| {
            let org = AssertedOrg { id: "org_1", slug: Some("harbour"), role: Role::Admin };
            store.known(&Asserted { user, email: None, org: Some(org), issued_at: START }).await.unwrap()
        };
        let (ann, bob) = (known("user_ann").await, known("user_bob").await);
        let org = ann.org.unwrap().id;
        for (by, tenant) in [(&ann.user, "Harbour Coffee"), (&bob.user, "Kauri Joinery")] {
            let tokens = TokenSet {
                access_token: AccessToken::new("a"),
                refresh_token: RefreshToken::new("r"),
                expires_at: START + 1800,
                scopes: String::new(),
            };
            let new = NewGrant { org_id: org.clone(), xero_user_id: "x".into(), auth_event_id: "e".into(), tokens };
            let grant = store.insert_grant(new).await.unwrap();
            let tenant = Tenant {
                connection_id: format!("c-{tenant}"),
                tenant_id: format!("t-{tenant}"),
                tenant_name: tenant.to_owned(),
                tenant_type: "ORGANISATION".to_owned(),
            };
            store.bind(&org, &grant, &[tenant], Some(by)).await.unwrap();
        }
        Place { org, ann: ann.user, bob: bob.user }
    }

    async fn ann_leaves(store: &Store, id: &str) {
        let org = ExternalOrg { id: "org_1".into(), name: "Harbour".into(), slug: None };
        let user = ExternalUser { id: "user_ann".into(), email: None };
        store.take_news(id, store.clock().now(), &News::MembershipEnded { org, user }).await.unwrap();
    }

    #[tokio::test]
    async fn what_somebody_connected_who_left_goes_after_a_week() {
        for (name, store) in stores().await {
            let it = place(&store).await;
            assert_eq!(store.departing(&it.org).await.unwrap(), [], "{name}");
            ann_leaves(&store, "1").await;
            let departing = store.departing(&it.org).await.unwrap();
            assert_eq!(departing.len(), 1, "{name}");
            assert_eq!((departing[0].tenant_name.as_str(), departing[0].ends_at), ("Harbour Coffee", START + GRACE));
            store.clock().advance(GRACE - 1);
            assert_eq!(store.departed().await.unwrap(), [], "{name}");
            store.clock().advance(1);
            let due = store.departed().await.unwrap();
            assert_eq!(due, [(it.org.clone(), departing[0].binding_id.clone())], "{name}");
            store.disconnect_binding(&it.org, &departing[0].binding_id).await.unwrap();
            assert_eq!(store.departed().await.unwrap(), [], "{name}");
            assert_eq!(store.departing(&it.org).await.unwrap(), [], "{name}");
        }
    }

    #[tokio::test]
    async fn whoever_keeps_it_or_comes_back_stops_that() {
        for (name, store) in stores().await {
            let it = place(&store).await;
            ann_leaves(&store, "1").await;
            let binding = store.departing(&it.org).await.unwrap().remove(0).binding_id;
            let elsewhere: OrgId = "elsewhere".into();
            assert!(!store.keep_departing(&elsewhere, &binding, &it.bob).await.unwrap(), "{name}");
            assert!(store.keep_departing(&it.org, &binding, &it.bob).await.unwrap(), "{name}");
            assert!(!store.keep_departing(&it.org, &binding, &it.ann).await.unwrap(), "it is Bob's now on {name}");
            assert_eq!(store.departing(&it.org).await.unwrap(), [], "{name}");

            store.keep_departing(&it.org, &binding, &it.ann).await.unwrap();
            let by_ann = "UPDATE integration_tenant_bindings SET connected_by = $1 WHERE id = $2";
            sqlx::query(by_ann).bind(it.ann.as_str()).bind(binding.as_str()).execute(store.pool()).await.unwrap();
            assert_eq!(store.departing(&it.org).await.unwrap().len(), 1, "{name}");
            let org = AssertedOrg { id: "org_1", slug: Some("harbour"), role: Role::Admin };
            let again = Asserted { user: "user_ann", email: None, org: Some(org), issued_at: START + 1 };
            store.known(&again).await.unwrap();
            store.clock().advance(2 * GRACE);
            assert_eq!(store.departed().await.unwrap(), [], "{name}");
        }
    }

    #[tokio::test]
    async fn an_organisation_that_ended_takes_all_of_its_connections() {
        for (name, store) in stores().await {
            place(&store).await;
            store.take_news("1", START, &News::OrganisationEnded { id: "org_1".into() }).await.unwrap();
            assert_eq!(store.departed().await.unwrap(), [], "{name}");
            store.clock().advance(GRACE);
            assert_eq!(store.departed().await.unwrap().len(), 2, "{name}");
        }
    }
}
