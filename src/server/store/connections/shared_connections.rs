//! Connections at Xero on which several organizations stand: the same Xero user connected the same tenant for each.

use crate::server::domain::{Binding, Grant};
use crate::server::store::{Store, StoreError};

impl Store {
    /// Returns whether a binding of another organization stands on the connection of `binding`, whose grant is `grant`.
    /// Xero has one connection for a user, a tenant and an app, so deleting it would end that binding, too.
    pub async fn connection_serves_another_org(&self, binding: &Binding, grant: &Grant) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "SELECT b.id FROM integration_tenant_bindings b JOIN integration_grants g ON g.id = b.active_grant_id \
             WHERE b.org_id <> $1 AND b.tenant_id = $2 AND b.status <> 'disconnected' \
             AND g.client_id = $3 AND g.issuer = $4 \
             AND (b.connection_id = $5 OR g.xero_user_id = $6 OR g.xero_user_id = '' OR $6 = '') LIMIT 1",
        )
        .bind(binding.org_id.as_str())
        .bind(&binding.tenant.id)
        .bind(&grant.app.client_id)
        .bind(&grant.app.issuer)
        .bind(&binding.tenant.connection_id)
        .bind(&grant.xero_user_id)
        .fetch_optional(self.pool())
        .await?;
        Ok(row.is_some())
    }
}
