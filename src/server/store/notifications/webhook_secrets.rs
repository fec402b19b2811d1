//! The secrets that sign a webhook endpoint's events: sealed in its row, shown once, rotated with an overlap.

use sqlx::Row;

use crate::model::{Action, EndpointId, OrgId};
use crate::server::crypto::sealed::{CipherError, SealContext};
use crate::server::domain::{Secret, latest_plausible};
use crate::server::store::{RowChange, Store, StoreError, WebhookEndpoint};

/// How long both the old and the new secret sign after a rotation, in seconds.
pub const SECRET_OVERLAP_PERIOD: i64 = 24 * 60 * 60;

/// How long the page shows a new secret to the session that created it, in seconds.
pub(super) const REVEAL_PERIOD: i64 = 60;

impl Store {
    /// Returns the secrets that sign an endpoint's events now: the current one and, for a day after a rotation, the
    /// previous one.
    pub async fn signing_secrets(&self, endpoint: &WebhookEndpoint) -> Result<Vec<Secret>, StoreError> {
        let row =
            sqlx::query("SELECT secret_enc, previous_secret_enc, previous_until FROM webhook_endpoints WHERE id = $1")
                .bind(endpoint.id.as_str())
                .fetch_optional(self.pool())
                .await?;
        let Some(row) = row else { return Ok(Vec::new()) };
        let mut secrets =
            vec![self.open_webhook(&endpoint.org, &endpoint.id, &row.try_get::<String, _>("secret_enc")?)?];
        let until: Option<i64> = row.try_get("previous_until")?;
        let previous: Option<String> = row.try_get("previous_secret_enc")?;
        if let Some(previous) = previous.filter(|_| until.is_some_and(|until| until > self.clock.now())) {
            secrets.push(self.open_webhook(&endpoint.org, &endpoint.id, &previous)?);
        }
        Ok(secrets)
    }

    /// Replaces an endpoint's secret; the previous one also signs for a day. `NotFound` if the organization has no
    /// such endpoint.
    pub async fn rotate_secret(
        &self,
        org: &OrgId,
        id: &EndpointId,
        secret: &Secret,
        session_hash: &str,
    ) -> Result<RowChange, StoreError> {
        let sealed = self.seal_webhook(org, id, secret)?;
        let mut transaction = self.database.begin().await?;
        let done = sqlx::query(
            "UPDATE webhook_endpoints SET previous_secret_enc = secret_enc, previous_until = $1, secret_enc = $2, \
             reveal_to = $3, reveal_until = $6 WHERE id = $4 AND org_id = $5",
        )
        .bind(self.clock.now() + SECRET_OVERLAP_PERIOD)
        .bind(sealed)
        .bind(session_hash)
        .bind(id.as_str())
        .bind(org.as_str())
        .bind(self.clock.now() + REVEAL_PERIOD)
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(RowChange::NotFound);
        }
        self.record_endpoint_change(&mut transaction, org, id, Action::WebhookSecretRotated, None).await?;
        transaction.commit().await?;
        Ok(RowChange::Applied)
    }

    /// Returns the URL and secret of the endpoint that this session added or rotated within the last minute. Reading
    /// doesn't use it up, so a reload or a prefetch loses nothing.
    pub async fn reveal_secret(&self, org: &OrgId, session_hash: &str) -> Result<Option<(String, Secret)>, StoreError> {
        let now = self.clock.now();
        let row = sqlx::query(
            "SELECT id, url, secret_enc FROM webhook_endpoints WHERE org_id = $1 AND reveal_to = $2 \
             AND reveal_until > $3 AND reveal_until <= $4 ORDER BY reveal_until DESC LIMIT 1",
        )
        .bind(org.as_str())
        .bind(session_hash)
        .bind(now)
        .bind(latest_plausible(REVEAL_PERIOD, now))
        .fetch_optional(self.pool())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let secret =
            self.open_webhook(org, &EndpointId(row.try_get("id")?), &row.try_get::<String, _>("secret_enc")?)?;
        Ok(Some((row.try_get("url")?, secret)))
    }

    pub(super) fn seal_webhook(
        &self,
        org: &OrgId,
        endpoint: &EndpointId,
        secret: &Secret,
    ) -> Result<String, StoreError> {
        self.ring
            .seal(&SealContext::WebhookSecret { org, endpoint }, secret.expose())
            .map_err(|e| sealed_error(endpoint, e))
    }

    fn open_webhook(&self, org: &OrgId, endpoint: &EndpointId, sealed: &str) -> Result<Secret, StoreError> {
        self.ring.open(&SealContext::WebhookSecret { org, endpoint }, sealed).map_err(|e| sealed_error(endpoint, e))
    }
}

fn sealed_error(endpoint: &EndpointId, source: CipherError) -> StoreError {
    StoreError::Cipher { what: "webhook endpoint", id: endpoint.0.clone(), source }
}
