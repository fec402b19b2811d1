//! API keys: created, renamed, limited and revoked. A row holds the key's hash, never the key.

mod limits;
mod list;
mod presented;
mod rotation;

use crate::server::store::live::changes::ChangeTx;
use sqlx::{AnyConnection, Row};

pub use self::limits::LimitKeyError;
pub use self::presented::{ApiKeyRow, KeyUse, PresentedKeys};
pub use self::rotation::{NewSecret, ReplacedSecret, RotateKeyError};
use crate::model::{Action, ApiKeyId, BindingId, OrgId, Permission, Scope, UserId};
use crate::server::domain::AuditEvent;
use crate::server::store::accounts::members::rows::lock_and_check;
use crate::server::store::{LinkCreator, RowChange, Store, StoreError, new_id};

/// The most API keys that an organization may have at a time, revoked ones not counted.
pub const MAX_API_KEYS: i64 = 100;
/// Why a revoked key's connect links end, in the audit log.
const KEY_REVOKED: &str = "the API key that created it was revoked";

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
    /// The only bindings that the key opens. Empty if it opens all, also later ones.
    pub bindings: &'a [BindingId],
}

/// Why a key was not inserted.
#[derive(Debug, thiserror::Error)]
pub enum AddApiKeyError {
    /// The organization has the maximum number of unrevoked keys.
    #[error("the organization already has {MAX_API_KEYS} API keys")]
    TooMany,
    /// The person who creates it may no longer create any.
    #[error("the person may not create API keys")]
    NotAllowed,
    /// The organization has no such binding to limit the key to.
    #[error("the organization has no connection {0}")]
    NoSuchBinding(BindingId),
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

impl Store {
    /// Inserts a key.
    pub async fn add_api_key(&self, org: &OrgId, new: NewApiKeyRow<'_>) -> Result<ApiKeyId, AddApiKeyError> {
        let mut transaction = self.database.begin().await?;
        let (id, now): (ApiKeyId, i64) = (new_id(), self.clock.now());
        if let Some(creator) = new.created_by
            && !lock_and_check(&mut transaction, org, creator, Permission::ManageApiKeys).await?
        {
            return Err(AddApiKeyError::NotAllowed);
        }
        let done = sqlx::query(
            "INSERT INTO api_keys (id, org_id, name, key_hash, prefix, scopes, created_by, created_at, expires_at, \
             limited_at) SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $11 \
             WHERE (SELECT COUNT(*) FROM api_keys WHERE org_id = $2 AND revoked_at IS NULL) < $10",
        )
        .bind(id.as_str())
        .bind(org.as_str())
        .bind(new.name)
        .bind(new.hash)
        .bind(new.prefix)
        .bind(Scope::join(new.scopes))
        .bind(new.created_by.map(UserId::as_str))
        .bind(now)
        .bind(new.expires_at)
        .bind(MAX_API_KEYS)
        .bind((!new.bindings.is_empty()).then_some(now))
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Err(AddApiKeyError::TooMany);
        }
        let event = AuditEvent::new(self.actor(), Action::ApiKeyCreated).in_org(org).subject("api_key", &id);
        let mut event = event.detail("name", new.name).detail("scopes", Scope::join(new.scopes));
        let names = limit_to(&mut transaction, org, &id, new.bindings).await?;
        let names = names.map_err(AddApiKeyError::NoSuchBinding)?;
        if !names.is_empty() {
            event = event.detail("connections", names.join(", "));
        }
        self.record(&mut transaction, &event).await?;
        transaction.commit().await?;
        Ok(id)
    }

    /// Gives a key another name. `NotFound` if the organization has no unrevoked key with this id.
    pub async fn rename_api_key(&self, org: &OrgId, id: &ApiKeyId, name: &str) -> Result<RowChange, StoreError> {
        let mut transaction = self.database.begin().await?;
        let before = sqlx::query("SELECT name FROM api_keys WHERE id = $1 AND org_id = $2 AND revoked_at IS NULL")
            .bind(id.as_str())
            .bind(org.as_str())
            .fetch_optional(&mut *transaction)
            .await?;
        let Some(before) = before else { return Ok(RowChange::NotFound) };
        let before: String = before.try_get("name")?;
        if before == name {
            return Ok(RowChange::Applied);
        }
        sqlx::query("UPDATE api_keys SET name = $1 WHERE id = $2 AND org_id = $3")
            .bind(name)
            .bind(id.as_str())
            .bind(org.as_str())
            .execute(&mut *transaction)
            .await?;
        let event = AuditEvent::new(self.actor(), Action::ApiKeyRenamed).in_org(org).subject("api_key", id);
        self.record(&mut transaction, &event.detail("name", name).detail("before", before)).await?;
        transaction.commit().await?;
        Ok(RowChange::Applied)
    }

    /// Revokes a key, and cancels the open connect links that it created. `NotFound` if the organization has no unrevoked key with this id.
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
        self.cancel_links_of(&mut transaction, org, LinkCreator::Program(id), KEY_REVOKED).await?;
        transaction.commit().await?;
        Ok(RowChange::Applied)
    }

    /// Revokes an organization's keys, or only those that one person created, in the caller's transaction.
    pub(in crate::server::store) async fn revoke_api_keys(
        &self,
        transaction: &mut ChangeTx,
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
        .fetch_all(&mut **transaction)
        .await?;
        for key in ended {
            let (id, name) = (ApiKeyId(key.try_get("id")?), key.try_get::<String, _>("name")?);
            let event = AuditEvent::new(self.actor(), Action::ApiKeyRevoked).in_org(org).subject("api_key", &id);
            self.record(transaction, &event.detail("name", name).detail("because", because)).await?;
            self.cancel_links_of(transaction, org, LinkCreator::Program(&id), KEY_REVOKED).await?;
        }
        match why {
            KeyEnd::OrganizationDeleted => Ok(()),
            KeyEnd::CreatorLeft(user) | KeyEnd::CreatorDemoted(user) => {
                self.end_secrets_of(transaction, org, user, because, at).await
            }
        }
    }
}

/// Limits a key that has no bindings to these. Returns their names, or the first that the organization has not.
async fn limit_to(
    connection: &mut AnyConnection,
    org: &OrgId,
    key: &ApiKeyId,
    bindings: &[BindingId],
) -> Result<Result<Vec<String>, BindingId>, StoreError> {
    let mut names = Vec::new();
    for binding in bindings {
        let row = sqlx::query("SELECT tenant_name FROM integration_tenant_bindings WHERE id = $1 AND org_id = $2")
            .bind(binding.as_str())
            .bind(org.as_str())
            .fetch_optional(&mut *connection)
            .await?;
        let Some(row) = row else { return Ok(Err(binding.clone())) };
        sqlx::query("INSERT INTO api_key_bindings (key_id, binding_id) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(key.as_str())
            .bind(binding.as_str())
            .execute(&mut *connection)
            .await?;
        names.push(row.try_get("tenant_name")?);
    }
    Ok(Ok(names))
}

#[cfg(test)]
mod tests;
