//! Connections at Xero on which several organizations stand: the same Xero user connected the same tenant for each.

use crate::model::OrgId;
use crate::server::domain::{Grant, Tenant};
use crate::server::store::{Store, StoreError};

impl Store {
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
