//! Changes which connections an existing key opens.

use sqlx::Row;

use super::limit_to;
use crate::model::{Action, ApiKeyId, BindingId, OrgId};
use crate::server::domain::AuditEvent;
use crate::server::store::{Store, StoreError};

/// How the audit log names the connections of a key without a limit.
const ALL: &str = "all";

/// Why a key's connections were not changed.
#[derive(Debug, thiserror::Error)]
pub enum LimitKeyError {
    /// The organization has no unrevoked key with this id.
    #[error("there is no such API key, or it was revoked")]
    NotFound,
    /// The organization has no such binding.
    #[error("the organization has no connection {0}")]
    NoSuchBinding(BindingId),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for LimitKeyError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Store {
    /// Limits a key to these bindings, or removes its limit if there are `None`. The old secret of a rotation gets the
    /// same limit. An empty list would leave a key that opens nothing; callers refuse it.
    pub async fn limit_api_key(
        &self,
        org: &OrgId,
        id: &ApiKeyId,
        bindings: Option<&[BindingId]>,
    ) -> Result<(), LimitKeyError> {
        let now = self.clock.now();
        let mut transaction = self.database.begin().await?;
        // Locks the row, so that two changes do not mix their lists.
        let row = sqlx::query(
            "UPDATE api_keys SET name = name WHERE id = $1 AND org_id = $2 AND revoked_at IS NULL \
             RETURNING name, limited_at",
        )
        .bind(id.as_str())
        .bind(org.as_str())
        .fetch_optional(&mut *transaction)
        .await?;
        let row = row.ok_or(LimitKeyError::NotFound)?;
        let (name, limited_at): (String, Option<i64>) = (row.try_get("name")?, row.try_get("limited_at")?);
        let before = sqlx::query(
            "SELECT b.tenant_name FROM api_key_bindings r JOIN integration_tenant_bindings b ON b.id = r.binding_id \
             WHERE r.key_id = $1 ORDER BY b.tenant_name, b.id",
        )
        .bind(id.as_str())
        .fetch_all(&mut *transaction)
        .await?;
        let before: Vec<String> = before.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        sqlx::query("UPDATE api_keys SET limited_at = $1 WHERE id = $2")
            .bind(bindings.map(|_| now))
            .bind(id.as_str())
            .execute(&mut *transaction)
            .await?;
        sqlx::query("DELETE FROM api_key_bindings WHERE key_id = $1")
            .bind(id.as_str())
            .execute(&mut *transaction)
            .await?;
        let after = limit_to(&mut transaction, org, id, bindings.unwrap_or_default()).await?;
        let after = after.map_err(LimitKeyError::NoSuchBinding)?;
        let listed = |is_limited: bool, names: &[String]| if is_limited { names.join(", ") } else { ALL.to_owned() };
        let event = AuditEvent::new(self.actor(), Action::ApiKeyLimited).in_org(org).subject("api_key", id);
        let event = event.detail("name", name).detail("connections", listed(bindings.is_some(), &after));
        self.record(&mut transaction, &event.detail("before", listed(limited_at.is_some(), &before))).await?;
        Ok(transaction.commit().await?)
    }
}
