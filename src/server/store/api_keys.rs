//! API keys: rows that know a key by its hash alone.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::bindings::{Bound, bound_columns, bound_from};
use super::columns::{columns, grant_columns};
use super::{Store, StoreError, new_id};
use crate::model::{Action, ApiKeyId, ApiKeyView, BindingId, KeyStatus, OrgId, Scope, UserId};
use crate::server::domain::{Actor, AuditEvent};

/// More than anybody needs at a time.
pub const MOST_KEYS: i64 = 100;
/// How long a revoked key is still listed, in seconds.
const LISTED: i64 = 30 * 24 * 60 * 60;
/// A key's last use is known to the minute, which spares a write per call.
const NOTED_EVERY: i64 = 60;

/// A key to be.
pub struct NewApiKey<'a> {
    pub name: &'a str,
    pub hash: &'a str,
    pub prefix: &'a str,
    pub scopes: &'a [Scope],
    pub expires_at: Option<i64>,
    /// `None` where an operator's command makes it.
    pub by: Option<&'a UserId>,
}

/// A key that somebody asks with, whether or not it still counts.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyRow {
    pub id: ApiKeyId,
    pub org: OrgId,
    pub name: String,
    pub scopes: Vec<Scope>,
    pub expires_at: Option<i64>,
    pub revoked_at: Option<i64>,
    pub last_used_at: Option<i64>,
}

/// What `key_from` reads.
macro_rules! key_columns {
    () => {
        "k.id AS key_id, k.org_id AS key_org, k.name AS key_name, k.scopes AS key_scopes, \
         k.expires_at AS key_expires_at, k.revoked_at AS key_revoked_at, k.last_used_at AS key_last_used_at"
    };
}

/// Where keys are looked up: those of an organisation that ended at its keeper open nothing.
macro_rules! keys_that_may_count {
    () => {
        "FROM api_keys k JOIN organizations o ON o.id = k.org_id AND o.external_deleted_at IS NULL "
    };
}

/// What `view_from` reads, with the organisation's name.
macro_rules! select_listed {
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
    /// Makes a key's row; `None` where the organisation has as many keys as it may.
    pub async fn add_api_key(
        &self,
        org: &OrgId,
        new: NewApiKey<'_>,
        by: &Actor,
    ) -> Result<Option<ApiKeyId>, StoreError> {
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
        .bind(new.by.map(UserId::as_str))
        .bind(self.clock.now())
        .bind(new.expires_at)
        .bind(MOST_KEYS)
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(None);
        }
        let event = AuditEvent::new(by, Action::ApiKeyCreated).of(org).on("api_key", &id).with("name", new.name);
        self.record(&mut transaction, &event.with("scopes", Scope::join(new.scopes))).await?;
        transaction.commit().await?;
        Ok(Some(id))
    }

    /// The organisation's keys, newest first; those that were revoked long ago aren't among them.
    pub async fn api_keys(&self, org: &OrgId) -> Result<Vec<ApiKeyView>, StoreError> {
        let now = self.clock.now();
        let rows = sqlx::query(select_listed!("k.org_id = $1 AND (k.revoked_at IS NULL OR k.revoked_at > $2)"))
            .bind(org.as_str())
            .bind(now - LISTED)
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(|row| view_from(row, now)).collect()
    }

    /// Every organisation's keys by its name, for an operator.
    pub async fn all_api_keys(&self) -> Result<Vec<(String, ApiKeyView)>, StoreError> {
        let now = self.clock.now();
        let rows = sqlx::query(select_listed!("k.revoked_at IS NULL OR k.revoked_at > $1"))
            .bind(now - LISTED)
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(|row| Ok((row.try_get("org_name")?, view_from(row, now)?))).collect()
    }

    /// The keys with this id or these first letters, with their organisation: an operator may know either.
    pub async fn api_keys_called(&self, text: &str) -> Result<Vec<(OrgId, ApiKeyId)>, StoreError> {
        let rows = sqlx::query("SELECT id, org_id FROM api_keys WHERE (id = $1 OR prefix = $1) AND revoked_at IS NULL")
            .bind(text)
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(|row| Ok((OrgId(row.try_get("org_id")?), ApiKeyId(row.try_get("id")?)))).collect()
    }

    /// Ends a key; `false` where the organisation has none of this id that isn't revoked.
    pub async fn revoke_api_key(&self, org: &OrgId, id: &ApiKeyId, by: &Actor) -> Result<bool, StoreError> {
        let mut transaction = self.database.begin().await?;
        let row = sqlx::query(
            "UPDATE api_keys SET revoked_at = $1 WHERE id = $2 AND org_id = $3 AND revoked_at IS NULL RETURNING name",
        )
        .bind(self.clock.now())
        .bind(id.as_str())
        .bind(org.as_str())
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(row) = row else { return Ok(false) };
        let name: String = row.try_get("name")?;
        let event = AuditEvent::new(by, Action::ApiKeyRevoked).of(org).on("api_key", id).with("name", name);
        self.record(&mut transaction, &event).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Part of a larger transaction: ends an organisation's keys, or those alone that a person made who leaves it.
    pub(super) async fn end_api_keys(
        &self,
        connection: &mut AnyConnection,
        org: &OrgId,
        made_by: Option<&UserId>,
        at: i64,
        by: &Actor,
    ) -> Result<(), StoreError> {
        let ended = sqlx::query(
            "UPDATE api_keys SET revoked_at = $1 WHERE org_id = $2 AND ($3 = '' OR created_by = $3) \
             AND revoked_at IS NULL RETURNING id, name",
        )
        .bind(at)
        .bind(org.as_str())
        .bind(made_by.map_or("", UserId::as_str))
        .fetch_all(&mut *connection)
        .await?;
        let because = if made_by.is_some() { "whoever made it left" } else { "the organisation ended" };
        for key in ended {
            let (id, name): (String, String) = (key.try_get("id")?, key.try_get("name")?);
            let event = AuditEvent::new(by, Action::ApiKeyRevoked).of(org).on("api_key", id).with("name", name);
            self.record(connection, &event.with("because", because)).await?;
        }
        Ok(())
    }

    /// The key of this hash.
    pub async fn api_key(&self, hash: &str) -> Result<Option<KeyRow>, StoreError> {
        let row = sqlx::query(concat!("SELECT ", key_columns!(), " ", keys_that_may_count!(), "WHERE k.key_hash = $1"))
            .bind(hash)
            .fetch_optional(self.pool())
            .await?;
        row.as_ref().map(key_from).transpose()
    }

    /// The key of this hash together with a binding of its own organisation, at the cost of one statement.
    pub async fn api_key_and_binding(
        &self,
        hash: &str,
        binding: &BindingId,
    ) -> Result<Option<(KeyRow, Option<Bound>)>, StoreError> {
        let row = sqlx::query(concat!(
            "SELECT ",
            key_columns!(),
            ", ",
            bound_columns!(),
            " ",
            keys_that_may_count!(),
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
        let bound = if is_bound { Some(bound_from(&row)?) } else { None };
        Ok(Some((key_from(&row)?, bound)))
    }

    /// Says that somebody asked with this key now, where that isn't known to the minute.
    pub async fn note_key_use(&self, key: &KeyRow) -> Result<(), StoreError> {
        let now = self.clock.now();
        if key.last_used_at.is_some_and(|last| now - last <= NOTED_EVERY) {
            return Ok(());
        }
        sqlx::query(
            "UPDATE api_keys SET last_used_at = $1 WHERE id = $2 AND (last_used_at IS NULL OR last_used_at < $3)",
        )
        .bind(now)
        .bind(key.id.as_str())
        .bind(now - NOTED_EVERY)
        .execute(self.pool())
        .await?;
        Ok(())
    }
}

fn key_from(row: &AnyRow) -> Result<KeyRow, StoreError> {
    Ok(KeyRow {
        id: ApiKeyId(row.try_get("key_id")?),
        org: OrgId(row.try_get("key_org")?),
        name: row.try_get("key_name")?,
        scopes: Scope::split(&row.try_get::<String, _>("key_scopes")?),
        expires_at: row.try_get("key_expires_at")?,
        revoked_at: row.try_get("key_revoked_at")?,
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
        status: KeyStatus::at(now, expires_at, revoked_at),
        created_by: row.try_get("created_by_email")?,
        created_at: row.try_get("created_at")?,
        expires_at,
        last_used_at: row.try_get("last_used_at")?,
        revoked_at,
    })
}

#[cfg(test)]
mod tests;
