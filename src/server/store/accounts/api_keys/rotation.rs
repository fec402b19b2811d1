//! Replaces a key's secret. The secret before works for a while longer, so that programs can change over.

use crate::server::store::live::changes::ChangeTx;
use sqlx::Row;

use crate::model::{Action, ApiKeyId, OrgId, Permission, UserId};
use crate::server::domain::AuditEvent;
use crate::server::store::accounts::members::rows::lock_and_check;
use crate::server::store::{RowChange, Store, StoreError};

/// A secret that replaces a key's.
pub struct NewSecret<'a> {
    /// Hash of the new key.
    pub hash: &'a str,
    /// Start of the new key.
    pub prefix: &'a str,
    /// How long the secret before works, in seconds.
    pub overlap: i64,
    /// `None` if an operator's command replaces it.
    pub by: Option<&'a UserId>,
}

/// What a rotation set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReplacedSecret {
    /// When the new secret expires, in unix seconds; `None` if it doesn't.
    pub expires_at: Option<i64>,
    /// When the secret before ends, in unix seconds.
    pub previous_ends_at: i64,
}

/// Why a key was not rotated.
#[derive(Debug, thiserror::Error)]
pub enum RotateKeyError {
    /// The organization has no such key, or it has expired or been revoked.
    #[error("there is no such API key, or it has expired or been revoked")]
    NotFound,
    /// The person who rotates it may no longer do so.
    #[error("the person may not rotate API keys")]
    NotAllowed,
    /// The secret before the last rotation still works. A second rotation would end it, and with it a program that uses
    /// it, perhaps because somebody pressed a button twice.
    #[error("the key was rotated already, and the secret before works until {previous_ends_at}")]
    StillReplacing {
        /// When the secret before ends, in unix seconds.
        previous_ends_at: i64,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for RotateKeyError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl Store {
    /// Replaces a key's secret. The new one lasts as long as the one before did when it was new.
    pub async fn rotate_api_key(
        &self,
        org: &OrgId,
        id: &ApiKeyId,
        new: NewSecret<'_>,
    ) -> Result<ReplacedSecret, RotateKeyError> {
        let now = self.clock.now();
        let mut transaction = self.database.begin().await?;
        if let Some(by) = new.by
            && !lock_and_check(&mut transaction, org, by, Permission::ManageApiKeys).await?
        {
            return Err(RotateKeyError::NotAllowed);
        }
        let row = sqlx::query(
            "UPDATE api_keys SET previous_key_hash = key_hash, previous_prefix = prefix, \
             previous_created_by = created_by, previous_last_used_at = last_used_at, \
             previous_last_used_from = last_used_from, previous_last_used_agent = last_used_agent, \
             previous_ends_at = CASE WHEN expires_at < $1 THEN expires_at ELSE $1 END, \
             key_hash = $2, prefix = $3, created_by = COALESCE($4, created_by), last_used_at = NULL, \
             last_used_from = NULL, last_used_agent = NULL, \
             expires_at = expires_at + $5 - COALESCE(rotated_at, created_at), rotated_at = $5 \
             WHERE id = $6 AND org_id = $7 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $5) \
             AND (previous_ends_at IS NULL OR previous_ends_at <= $5) \
             RETURNING name, prefix, previous_prefix, expires_at, previous_ends_at",
        )
        .bind(now + new.overlap)
        .bind(new.hash)
        .bind(new.prefix)
        .bind(new.by.map(UserId::as_str))
        .bind(now)
        .bind(id.as_str())
        .bind(org.as_str())
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(row) = row else {
            drop(transaction);
            return Err(self.why_not_rotated(org, id).await?);
        };
        let previous_ends_at = row.try_get("previous_ends_at")?;
        let event = AuditEvent::new(self.actor(), Action::ApiKeyRotated).in_org(org).subject("api_key", id);
        let event = event.detail("name", row.try_get::<String, _>("name")?);
        let event = event.detail("key", row.try_get::<String, _>("prefix")?);
        let event = event.detail("replaces", row.try_get::<String, _>("previous_prefix")?);
        self.record(&mut transaction, &event.detail("overlap_seconds", previous_ends_at - now)).await?;
        transaction.commit().await?;
        Ok(ReplacedSecret { expires_at: row.try_get("expires_at")?, previous_ends_at })
    }

    async fn why_not_rotated(&self, org: &OrgId, id: &ApiKeyId) -> Result<RotateKeyError, StoreError> {
        let now = self.clock.now();
        let row = sqlx::query(
            "SELECT previous_ends_at FROM api_keys WHERE id = $1 AND org_id = $2 AND revoked_at IS NULL \
             AND (expires_at IS NULL OR expires_at > $3) AND previous_ends_at > $3",
        )
        .bind(id.as_str())
        .bind(org.as_str())
        .bind(now)
        .fetch_optional(self.pool())
        .await?;
        match row {
            Some(row) => Ok(RotateKeyError::StillReplacing { previous_ends_at: row.try_get("previous_ends_at")? }),
            None => Ok(RotateKeyError::NotFound),
        }
    }

    /// Ends the secret before the last rotation at once. `NotFound` if there is none that still works.
    pub async fn end_previous_secret(&self, org: &OrgId, id: &ApiKeyId) -> Result<RowChange, StoreError> {
        let mut transaction = self.database.begin().await?;
        let row = sqlx::query(
            "UPDATE api_keys SET previous_ends_at = $1 WHERE id = $2 AND org_id = $3 AND revoked_at IS NULL \
             AND previous_ends_at > $1 RETURNING name, previous_prefix",
        )
        .bind(self.clock.now())
        .bind(id.as_str())
        .bind(org.as_str())
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(row) = row else { return Ok(RowChange::NotFound) };
        let event = AuditEvent::new(self.actor(), Action::ApiKeyPreviousEnded).in_org(org).subject("api_key", id);
        let event = event.detail("name", row.try_get::<String, _>("name")?);
        self.record(&mut transaction, &event.detail("key", row.try_get::<String, _>("previous_prefix")?)).await?;
        transaction.commit().await?;
        Ok(RowChange::Applied)
    }

    /// Ends replaced secrets that one person created, in the caller's transaction.
    pub(super) async fn end_secrets_of(
        &self,
        transaction: &mut ChangeTx,
        org: &OrgId,
        user: &UserId,
        because: &str,
        at: i64,
    ) -> Result<(), StoreError> {
        let ended = sqlx::query(
            "UPDATE api_keys SET previous_ends_at = $1 WHERE org_id = $2 AND previous_created_by = $3 \
             AND previous_ends_at > $1 AND revoked_at IS NULL RETURNING id, name",
        )
        .bind(at)
        .bind(org.as_str())
        .bind(user.as_str())
        .fetch_all(&mut **transaction)
        .await?;
        for row in ended {
            let (id, name): (String, String) = (row.try_get("id")?, row.try_get("name")?);
            let event = AuditEvent::new(self.actor(), Action::ApiKeyPreviousEnded).in_org(org).subject("api_key", id);
            self.record(transaction, &event.detail("name", name).detail("because", because)).await?;
        }
        Ok(())
    }
}
