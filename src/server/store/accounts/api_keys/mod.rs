//! API keys. A row holds the key's hash, never the key.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use crate::model::{Action, ApiKeyId, ApiKeyStatus, ApiKeyView, BindingId, OrgId, Scope, UserId};
use crate::server::domain::AuditEvent;
use crate::server::store::column_lists::{columns, grant_columns};
use crate::server::store::connections::bindings::{
    BindingWithGrant, binding_with_grant_columns, binding_with_grant_from,
};
use crate::server::store::connections::shared_connections::reaches_other_orgs;
use crate::server::store::{RowChange, Store, StoreError, new_id};

/// The most API keys that an organization may have at a time, revoked ones not counted.
pub const MAX_API_KEYS: i64 = 100;
/// How long a revoked key stays in the list, in seconds.
const REVOKED_KEY_LISTED_FOR: i64 = 30 * 24 * 60 * 60;
/// The precision of `last_used_at`, in seconds. It saves a write per request.
const LAST_USED_PRECISION: i64 = 60;

/// An API key to insert.
pub struct NewApiKeyRow<'a> {
    /// Name that the creator gave the key.
    pub name: &'a str,
    /// Hash of the key.
    pub hash: &'a str,
    /// Start of the key, by which people tell keys apart.
    pub prefix: &'a str,
    /// Scopes that the key grants.
    pub scopes: &'a [Scope],
    /// When the key expires, in unix seconds; `None` if it doesn't expire.
    pub expires_at: Option<i64>,
    /// `None` if an operator's command creates the key.
    pub created_by: Option<&'a UserId>,
}

/// Why a key was not inserted.
#[derive(Debug, thiserror::Error)]
pub enum AddApiKeyError {
    /// The organization has the maximum number of unrevoked keys.
    #[error("the organization already has {MAX_API_KEYS} API keys")]
    TooMany,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for AddApiKeyError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

/// Why keys end that nobody revoked one by one.
#[derive(Clone, Copy)]
pub(in crate::server::store) enum KeyEnd<'a> {
    /// The organization was deleted.
    OrganizationDeleted,
    /// The person who created them left the organization.
    CreatorLeft(&'a UserId),
    /// The person who created them may no longer create any.
    CreatorDemoted(&'a UserId),
}

/// The row of a key that a request presented. It may have expired or been revoked.
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
    /// When the key expires, in unix seconds; `None` if it doesn't expire.
    pub expires_at: Option<i64>,
    /// When the key was revoked, in unix seconds; `None` if it wasn't.
    pub revoked_at: Option<i64>,
    /// The person who created the key; `None` for an operator.
    pub created_by: Option<UserId>,
    /// When the key was last used, in unix seconds, to the minute; `None` if it never was.
    pub last_used_at: Option<i64>,
}

/// The columns that `key_from` reads.
macro_rules! key_columns {
    () => {
        "k.id AS key_id, k.org_id AS key_org, k.name AS key_name, k.scopes AS key_scopes, \
         k.created_by AS key_created_by, k.expires_at AS key_expires_at, k.revoked_at AS key_revoked_at, \
         k.last_used_at AS key_last_used_at"
    };
}

/// The tables that a presented key is looked up in. Keys of an organization that was deleted in Clerk, and of a person
/// whose account is disabled, are left out.
macro_rules! from_usable_keys {
    () => {
        "FROM api_keys k JOIN organizations o ON o.id = k.org_id AND o.external_deleted_at IS NULL \
         AND NOT EXISTS (SELECT 1 FROM users u WHERE u.id = k.created_by AND u.disabled_at IS NOT NULL) "
    };
}

/// The columns that `view_from` reads, and the organization's name.
macro_rules! select_key_views {
    ($which:literal) => {
        concat!(
            "SELECT k.id, k.name, k.prefix, k.scopes, k.created_at, k.expires_at, k.revoked_at, k.last_used_at, ",
            "u.email AS created_by_email, o.name AS org_name FROM api_keys k ",
            "JOIN organizations o ON o.id = k.org_id LEFT JOIN users u ON u.id = k.created_by WHERE ",
            $which,
            " ORDER BY o.name, k.org_id, k.created_at DESC, k.id"
        )
    };
}

impl Store {
    /// Inserts a key.
    pub async fn add_api_key(&self, org: &OrgId, new: NewApiKeyRow<'_>) -> Result<ApiKeyId, AddApiKeyError> {
        let mut transaction = self.database.begin().await?;
        let id: ApiKeyId = new_id();
        let done = sqlx::query(
            "INSERT INTO api_keys (id, org_id, name, key_hash, prefix, scopes, created_by, created_at, expires_at) \
             SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9 \
             WHERE (SELECT COUNT(*) FROM api_keys WHERE org_id = $2 AND revoked_at IS NULL) < $10",
        )
        .bind(id.as_str())
        .bind(org.as_str())
        .bind(new.name)
        .bind(new.hash)
        .bind(new.prefix)
        .bind(Scope::join(new.scopes))
        .bind(new.created_by.map(UserId::as_str))
        .bind(self.clock.now())
        .bind(new.expires_at)
        .bind(MAX_API_KEYS)
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Err(AddApiKeyError::TooMany);
        }
        let event = AuditEvent::new(self.actor(), Action::ApiKeyCreated).in_org(org).subject("api_key", &id);
        let event = event.detail("name", new.name);
        self.record(&mut transaction, &event.detail("scopes", Scope::join(new.scopes))).await?;
        transaction.commit().await?;
        Ok(id)
    }

    /// Returns the organization's keys, newest first, without those that were revoked long ago.
    pub async fn api_keys(&self, org: &OrgId) -> Result<Vec<ApiKeyView>, StoreError> {
        let now = self.clock.now();
        let rows = sqlx::query(select_key_views!("k.org_id = $1 AND (k.revoked_at IS NULL OR k.revoked_at > $2)"))
            .bind(org.as_str())
            .bind(now - REVOKED_KEY_LISTED_FOR)
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(|row| view_from(row, now)).collect()
    }

    /// Returns the keys of all organizations with the organization's name, ordered by it. For operators only.
    pub async fn all_api_keys(&self) -> Result<Vec<(String, ApiKeyView)>, StoreError> {
        let now = self.clock.now();
        let rows = sqlx::query(select_key_views!("k.revoked_at IS NULL OR k.revoked_at > $1"))
            .bind(now - REVOKED_KEY_LISTED_FOR)
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(|row| Ok((row.try_get("org_name")?, view_from(row, now)?))).collect()
    }

    /// Returns the unrevoked keys with this id or prefix, and their organizations. For operators only.
    pub async fn find_api_keys_by_id_or_prefix(&self, text: &str) -> Result<Vec<(OrgId, ApiKeyId)>, StoreError> {
        let rows = sqlx::query("SELECT id, org_id FROM api_keys WHERE (id = $1 OR prefix = $1) AND revoked_at IS NULL")
            .bind(text)
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(|row| Ok((OrgId(row.try_get("org_id")?), ApiKeyId(row.try_get("id")?)))).collect()
    }

    /// Revokes a key. `NotFound` if the organization has no unrevoked key with this id.
    pub async fn revoke_api_key(&self, org: &OrgId, id: &ApiKeyId) -> Result<RowChange, StoreError> {
        let mut transaction = self.database.begin().await?;
        let row = sqlx::query(
            "UPDATE api_keys SET revoked_at = $1 WHERE id = $2 AND org_id = $3 AND revoked_at IS NULL RETURNING name",
        )
        .bind(self.clock.now())
        .bind(id.as_str())
        .bind(org.as_str())
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(row) = row else { return Ok(RowChange::NotFound) };
        let name: String = row.try_get("name")?;
        let event = AuditEvent::new(self.actor(), Action::ApiKeyRevoked).in_org(org).subject("api_key", id);
        self.record(&mut transaction, &event.detail("name", name)).await?;
        transaction.commit().await?;
        Ok(RowChange::Applied)
    }

    /// Revokes an organization's keys, or only those that one person created, in the caller's transaction.
    pub(in crate::server::store) async fn revoke_api_keys(
        &self,
        connection: &mut AnyConnection,
        org: &OrgId,
        why: KeyEnd<'_>,
        at: i64,
    ) -> Result<(), StoreError> {
        let (made_by, because) = match why {
            KeyEnd::OrganizationDeleted => ("", "the organisation was deleted"),
            KeyEnd::CreatorLeft(user) => (user.as_str(), "the person who created it left"),
            KeyEnd::CreatorDemoted(user) => (user.as_str(), "the person who created it became a member"),
        };
        let ended = sqlx::query(
            "UPDATE api_keys SET revoked_at = $1 WHERE org_id = $2 AND ($3 = '' OR created_by = $3) \
             AND revoked_at IS NULL RETURNING id, name",
        )
        .bind(at)
        .bind(org.as_str())
        .bind(made_by)
        .fetch_all(&mut *connection)
        .await?;
        for key in ended {
            let (id, name): (String, String) = (key.try_get("id")?, key.try_get("name")?);
            let event = AuditEvent::new(self.actor(), Action::ApiKeyRevoked).in_org(org).subject("api_key", id);
            self.record(connection, &event.detail("name", name).detail("because", because)).await?;
        }
        Ok(())
    }

    /// Returns the key with this hash.
    pub async fn api_key(&self, hash: &str) -> Result<Option<ApiKeyRow>, StoreError> {
        let row = sqlx::query(concat!("SELECT ", key_columns!(), " ", from_usable_keys!(), "WHERE k.key_hash = $1"))
            .bind(hash)
            .fetch_optional(self.pool())
            .await?;
        row.as_ref().map(key_from).transpose()
    }

    /// Returns the key with this hash and, if it belongs to the same organization, the binding, in one statement.
    pub async fn api_key_and_binding(
        &self,
        hash: &str,
        binding: &BindingId,
    ) -> Result<Option<(ApiKeyRow, Option<BindingWithGrant>)>, StoreError> {
        let row = sqlx::query(concat!(
            "SELECT ",
            key_columns!(),
            ", ",
            binding_with_grant_columns!(),
            " ",
            from_usable_keys!(),
            "LEFT JOIN integration_tenant_bindings b ON b.org_id = k.org_id AND b.id = $2 \
             LEFT JOIN integration_grants g ON g.id = b.active_grant_id \
             LEFT JOIN users u ON u.id = b.connected_by WHERE k.key_hash = $1"
        ))
        .bind(hash)
        .bind(binding.as_str())
        .fetch_optional(self.pool())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let is_bound = row.try_get::<Option<String>, _>("binding_id")?.is_some();
        let bound = if is_bound { Some(binding_with_grant_from(&row, self.clock.now())?) } else { None };
        Ok(Some((key_from(&row)?, bound)))
    }

    /// Returns whether the use of the key, as just read, is to be recorded: at most once a minute.
    pub fn is_key_use_due(&self, key: &ApiKeyRow) -> bool {
        key.last_used_at.is_none_or(|last| self.clock.now() - last > LAST_USED_PRECISION)
    }

    /// Sets the key's `last_used_at` to now, at most once a minute.
    pub async fn record_key_use(&self, key: &ApiKeyRow) -> Result<(), StoreError> {
        let now = self.clock.now();
        sqlx::query(
            "UPDATE api_keys SET last_used_at = $1 WHERE id = $2 AND (last_used_at IS NULL OR last_used_at < $3)",
        )
        .bind(now)
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
        expires_at: row.try_get("key_expires_at")?,
        revoked_at: row.try_get("key_revoked_at")?,
        created_by: row.try_get::<Option<String>, _>("key_created_by")?.map(UserId),
        last_used_at: row.try_get("key_last_used_at")?,
    })
}

fn view_from(row: &AnyRow, now: i64) -> Result<ApiKeyView, StoreError> {
    let (expires_at, revoked_at) = (row.try_get("expires_at")?, row.try_get("revoked_at")?);
    Ok(ApiKeyView {
        id: ApiKeyId(row.try_get("id")?),
        name: row.try_get("name")?,
        prefix: row.try_get("prefix")?,
        scopes: Scope::split(&row.try_get::<String, _>("scopes")?),
        status: ApiKeyStatus::at(now, expires_at, revoked_at),
        created_by: row.try_get("created_by_email")?,
        created_at: row.try_get("created_at")?,
        expires_at,
        last_used_at: row.try_get("last_used_at")?,
        revoked_at,
    })
}

#[cfg(test)]
mod tests;
