//! The audit event of a rotation that the spool kept while the database failed.

use sqlx::Row;

use crate::model::{Action, AttemptId, GrantId, OrgId};
use crate::server::domain::{Actor, AuditEvent};
use crate::server::store::{Store, StoreError};

/// The most connections that an event names.
const MAX_NAMES: usize = 20;

impl Store {
    /// Records that the rotation of this attempt was committed from the spool, and which connections it serves. An
    /// attempt is recorded once, however often and by however many instances. Runs in its own transaction, so that an
    /// audit log that cannot be written never blocks the tokens.
    pub async fn record_recovered_grant(&self, grant: &GrantId, attempt: &AttemptId) -> Result<(), StoreError> {
        let row = sqlx::query("SELECT org_id FROM integration_grants WHERE id = $1").bind(grant.as_str());
        let Some(row) = row.fetch_optional(self.pool()).await? else { return Ok(()) };
        let org = OrgId(row.try_get("org_id")?);
        let rows = sqlx::query(
            "SELECT tenant_name FROM integration_tenant_bindings WHERE active_grant_id = $1 AND org_id = $2 \
             AND status <> 'disconnected' ORDER BY tenant_name",
        )
        .bind(grant.as_str())
        .bind(org.as_str())
        .fetch_all(self.pool())
        .await?;
        let mut names = Vec::with_capacity(rows.len().min(MAX_NAMES));
        for row in rows.iter().take(MAX_NAMES) {
            names.push(row.try_get::<String, _>("tenant_name")?);
        }
        let more = rows.len() - names.len();
        if more > 0 {
            names.push(format!("{more} more"));
        }
        let system = Actor::system();
        let event = AuditEvent::new(&system, Action::GrantRecovered).in_org(&org).subject("grant", grant);
        let event = self.pending_event(&event.detail("connections", names.join(", ")).detail("grant", grant));
        self.record_pending(&[event.with_id(format!("recovered-{attempt}"))]).await
    }
}
