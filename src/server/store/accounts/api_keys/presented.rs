//! The key that a request presented: its row, what it opens, and the note of its use.

use std::sync::Arc;

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::model::{ApiKeyId, BindingId, OrgId, Scope, UserId};
use crate::server::domain::Binding;
use crate::server::store::column_lists::{columns, grant_columns};
use crate::server::store::connections::bindings::{
    BindingWithGrant, binding_with_grant_columns, binding_with_grant_from,
};
use crate::server::store::connections::shared_connections::reaches_other_orgs;
use crate::server::store::shared_reads::{MAX_ITEMS, SharedReads};
use crate::server::store::{Store, StoreError};

/// The precision of the last use, in seconds. It saves a write per request.
pub(super) const LAST_USED_PRECISION: i64 = 60;

/// The row of a key that a request presented. It may have expired or been revoked. After a rotation the request may have
/// presented the secret before; expiry, creator and last use are then that secret's.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiKeyRow {
    /// Id of the key.
    pub id: ApiKeyId,
    /// Organization that the key belongs to.
    pub org: OrgId,
    /// Name that the creator gave the key.
    pub name: String,
    /// Scopes that the key grants.
    pub scopes: Vec<Scope>,
    /// Whether the key opens only the bindings that it is limited to.
    pub is_limited: bool,
    /// Whether the request presented the secret before the last rotation.
    pub is_previous: bool,
    /// When the secret expires, in unix seconds; `None` if it doesn't expire.
    pub expires_at: Option<i64>,
    /// When the key was revoked, in unix seconds; `None` if it wasn't.
    pub revoked_at: Option<i64>,
    /// The person who created the secret; `None` for an operator.
    pub created_by: Option<UserId>,
    /// When the secret was last used, in unix seconds, to the minute; `None` if it never was.
    pub last_used_at: Option<i64>,
}

/// The reads of presented keys with bindings, by the keys' hashes.
pub type PresentedKeys = Arc<SharedReads<String, BindingId, Arc<Vec<AnyRow>>>>;

/// Who used a key.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyUse {
    /// The client's address.
    pub address: String,
    /// The first word of its user agent.
    pub agent: Option<String>,
}

impl ApiKeyRow {
    /// Returns the key's id if it is limited to some bindings, by which statements filter.
    pub fn limited_by(&self) -> Option<ApiKeyId> {
        self.is_limited.then(|| self.id.clone())
    }
}

/// The columns that `key_from` reads. `$1` is the hash of the presented secret.
macro_rules! key_columns {
    () => {
        "k.id AS key_id, k.org_id AS key_org, k.name AS key_name, k.scopes AS key_scopes, k.revoked_at AS key_revoked_at, \
         k.limited_at AS key_limited_at, CAST(CASE WHEN k.key_hash = $1 THEN 0 ELSE 1 END AS BIGINT) AS key_is_previous, \
         CASE WHEN k.key_hash = $1 THEN k.created_by ELSE k.previous_created_by END AS key_created_by, \
         CASE WHEN k.key_hash = $1 THEN k.expires_at ELSE k.previous_ends_at END AS key_expires_at, \
         CASE WHEN k.key_hash = $1 THEN k.last_used_at ELSE k.previous_last_used_at END AS key_last_used_at"
    };
}

/// The tables that a presented key is looked up in. Keys of an organization that was deleted in Clerk, and of a person
/// whose account is disabled, are left out.
macro_rules! from_usable_keys {
    () => {
        "FROM api_keys k JOIN organizations o ON o.id = k.org_id AND o.external_deleted_at IS NULL \
         AND NOT EXISTS (SELECT 1 FROM users u WHERE u.disabled_at IS NOT NULL \
         AND u.id = CASE WHEN k.key_hash = $1 THEN k.created_by ELSE k.previous_created_by END) "
    };
}

/// Selects the key with the hash `$1`, and the bindings that it opens, of those with the ids `$ids`.
macro_rules! key_and_bindings_sql {
    ($ids:literal) => {
        concat!(
            "SELECT ",
            key_columns!(),
            ", ",
            binding_with_grant_columns!(),
            " ",
            from_usable_keys!(),
            "LEFT JOIN integration_tenant_bindings b ON b.org_id = k.org_id AND b.id ",
            $ids,
            " AND (k.limited_at IS NULL \
             OR EXISTS (SELECT 1 FROM api_key_bindings r WHERE r.key_id = k.id AND r.binding_id = b.id)) \
             LEFT JOIN integration_grants g ON g.id = b.active_grant_id \
             LEFT JOIN users u ON u.id = b.connected_by WHERE k.key_hash = $1 OR k.previous_key_hash = $1"
        )
    };
}

impl Store {
    /// Returns the key with this hash.
    pub async fn api_key(&self, hash: &str) -> Result<Option<ApiKeyRow>, StoreError> {
        let row = sqlx::query(concat!(
            "SELECT ",
            key_columns!(),
            " ",
            from_usable_keys!(),
            "WHERE k.key_hash = $1 OR k.previous_key_hash = $1"
        ))
        .bind(hash)
        .fetch_optional(self.pool())
        .await?;
        row.as_ref().map(key_from).transpose()
    }

    /// Returns the key with this hash and, if it opens the binding, the binding. Concurrent calls with the same key share
    /// a statement.
    pub async fn api_key_and_binding(
        &self,
        hash: &str,
        binding: &BindingId,
    ) -> Result<Option<(ApiKeyRow, Option<BindingWithGrant>)>, StoreError> {
        let read = async |bindings: Vec<BindingId>| self.read_key_and_bindings(hash, &bindings).await;
        let rows = self.presented_keys.get(&hash.to_owned(), binding.clone(), read).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        for row in &*rows {
            if row.try_get::<Option<String>, _>("binding_id")?.is_some_and(|id| id == binding.as_str()) {
                return Ok(Some((key_from(row)?, Some(binding_with_grant_from(row, self.clock.now())?))));
            }
        }
        Ok(Some((key_from(first)?, None)))
    }

    /// Reads a row for each of the bindings that the key opens, or one without a binding.
    async fn read_key_and_bindings(&self, hash: &str, bindings: &[BindingId]) -> Result<Arc<Vec<AnyRow>>, StoreError> {
        let (sql, places) = match bindings.len() {
            1 => (key_and_bindings_sql!("= $2"), 1),
            _ => (
                key_and_bindings_sql!("IN ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)"),
                MAX_ITEMS,
            ),
        };
        let mut query = sqlx::query(sql).bind(hash);
        for binding in bindings.iter().cycle().take(places) {
            query = query.bind(binding.as_str());
        }
        Ok(Arc::new(query.fetch_all(self.pool()).await?))
    }

    /// Returns whether the key opens a binding of its organization.
    pub async fn key_opens(&self, key: &ApiKeyRow, binding: &BindingId) -> Result<bool, StoreError> {
        if !key.is_limited {
            return Ok(true);
        }
        let row = sqlx::query("SELECT key_id FROM api_key_bindings WHERE key_id = $1 AND binding_id = $2")
            .bind(key.id.as_str())
            .bind(binding.as_str())
            .fetch_optional(self.pool())
            .await?;
        Ok(row.is_some())
    }

    /// Returns whether the binding's access token also opens tenants of the organization that a limited key does not
    /// open, because the same Xero user connected them.
    pub async fn token_reaches_beyond(&self, key: &ApiKeyRow, binding: &Binding) -> Result<bool, StoreError> {
        if !key.is_limited {
            return Ok(false);
        }
        let row = sqlx::query(
            "SELECT o.id FROM integration_grants g JOIN integration_grants og ON og.id = g.id OR \
             (og.xero_user_id <> '' AND og.xero_user_id = g.xero_user_id AND og.client_id = g.client_id \
             AND og.issuer = g.issuer) \
             JOIN integration_tenant_bindings o ON o.active_grant_id = og.id AND o.org_id = $1 \
             AND o.status <> 'disconnected' \
             WHERE g.id = $2 AND NOT EXISTS \
             (SELECT 1 FROM api_key_bindings r WHERE r.key_id = $3 AND r.binding_id = o.id) LIMIT 1",
        )
        .bind(key.org.as_str())
        .bind(binding.active_grant_id.as_ref().map_or("", |grant| grant.as_str()))
        .bind(key.id.as_str())
        .fetch_optional(self.pool())
        .await?;
        Ok(row.is_some())
    }

    /// Returns whether the use of the key, as just read, is to be recorded: at most once a minute.
    pub fn is_key_use_due(&self, key: &ApiKeyRow) -> bool {
        key.last_used_at.is_none_or(|last| self.clock.now() - last > LAST_USED_PRECISION)
    }

    /// Records when and by whom the key was last used, at most once a minute.
    pub async fn record_key_use(&self, key: &ApiKeyRow, by: &KeyUse) -> Result<(), StoreError> {
        let now = self.clock.now();
        let update = if key.is_previous {
            "UPDATE api_keys SET previous_last_used_at = $1, previous_last_used_from = $2, \
             previous_last_used_agent = $3 \
             WHERE id = $4 AND (previous_last_used_at IS NULL OR previous_last_used_at < $5)"
        } else {
            "UPDATE api_keys SET last_used_at = $1, last_used_from = $2, last_used_agent = $3 \
             WHERE id = $4 AND (last_used_at IS NULL OR last_used_at < $5)"
        };
        sqlx::query(update)
            .bind(now)
            .bind(&by.address)
            .bind(by.agent.as_deref())
            .bind(key.id.as_str())
            .bind(now - LAST_USED_PRECISION)
            .execute(self.pool())
            .await?;
        Ok(())
    }
}

fn key_from(row: &AnyRow) -> Result<ApiKeyRow, StoreError> {
    Ok(ApiKeyRow {
        id: ApiKeyId(row.try_get("key_id")?),
        org: OrgId(row.try_get("key_org")?),
        name: row.try_get("key_name")?,
        scopes: Scope::split(&row.try_get::<String, _>("key_scopes")?),
        is_limited: row.try_get::<Option<i64>, _>("key_limited_at")?.is_some(),
        is_previous: row.try_get::<i64, _>("key_is_previous")? > 0,
        expires_at: row.try_get("key_expires_at")?,
        revoked_at: row.try_get("key_revoked_at")?,
        created_by: row.try_get::<Option<String>, _>("key_created_by")?.map(UserId),
        last_used_at: row.try_get("key_last_used_at")?,
    })
}
