//! Webhook endpoints and their signing secrets.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::deliveries::{ClaimedDelivery, cancel_deliveries, claimed_delivery_from};
use super::outbox::{EventSubject, NewEvent, insert_event};
use crate::model::{Action, DisabledBy, EndpointId, EventKind, OrgId, UserId};
use crate::server::crypto::sealed::{CipherError, SealContext};
use crate::server::domain::{AuditEvent, Secret};
use crate::server::store::column_lists::{columns, delivery_columns};
use crate::server::store::{Store, StoreError, new_id};

/// How long both the old and the new secret sign after a rotation, in seconds.
pub const SECRET_OVERLAP_PERIOD: i64 = 24 * 60 * 60;
/// The most webhook endpoints that an organization may have.
pub const MAX_ENDPOINTS: i64 = 20;

/// A webhook endpoint, without its secrets.
#[derive(Clone, Debug, PartialEq)]
pub struct WebhookEndpoint {
    /// The endpoint's id.
    pub id: EndpointId,
    /// Organization whose events it receives.
    pub org: OrgId,
    /// URL that events are posted to.
    pub url: String,
    /// When the endpoint was added, in unix seconds.
    pub created_at: i64,
    /// When the endpoint was disabled, in unix seconds; `None` if it is enabled.
    pub disabled_at: Option<i64>,
    /// What disabled the endpoint; `None` if it is enabled.
    pub disabled_by: Option<DisabledBy>,
    /// Until when the previous secret also signs, in unix seconds.
    pub previous_until: Option<i64>,
}

/// A webhook endpoint to add.
pub struct NewWebhookEndpoint<'a> {
    /// URL that events are posted to.
    pub url: &'a str,
    /// Secret that signs the events.
    pub secret: &'a Secret,
    /// Id of the person who adds it.
    pub created_by: &'a UserId,
    /// The only session that may see the secret.
    pub session_hash: &'a str,
}

/// The columns that `endpoint_from` reads.
macro_rules! select_endpoints {
    ($rest:literal) => {
        concat!(
            "SELECT id, org_id, url, created_at, disabled_at, disabled_by, previous_until FROM webhook_endpoints WHERE ",
            $rest
        )
    };
}

impl Store {
    /// Adds an endpoint. Returns `None` if the organization already has `MAX_ENDPOINTS`.
    pub async fn add_endpoint(
        &self,
        org: &OrgId,
        new: NewWebhookEndpoint<'_>,
    ) -> Result<Option<EndpointId>, StoreError> {
        let id: EndpointId = new_id();
        let sealed = self.seal_webhook(org, &id, new.secret)?;
        let mut transaction = self.database.begin().await?;
        let done = sqlx::query(
            "INSERT INTO webhook_endpoints (id, org_id, url, secret_enc, reveal_to, created_by, created_at) \
             SELECT $1, $2, $3, $4, $5, $6, $7 WHERE (SELECT COUNT(*) FROM webhook_endpoints WHERE org_id = $2) < $8",
        )
        .bind(id.as_str())
        .bind(org.as_str())
        .bind(new.url)
        .bind(sealed)
        .bind(new.session_hash)
        .bind(new.created_by.as_str())
        .bind(self.clock.now())
        .bind(MAX_ENDPOINTS)
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(None);
        }
        self.record_endpoint_change(&mut transaction, org, &id, Action::WebhookAdded, Some(("host", host(new.url))))
            .await?;
        transaction.commit().await?;
        Ok(Some(id))
    }

    /// Returns the organization's endpoints, oldest first.
    pub async fn endpoints(&self, org: &OrgId) -> Result<Vec<WebhookEndpoint>, StoreError> {
        let rows = sqlx::query(select_endpoints!("org_id = $1 ORDER BY created_at, id"))
            .bind(org.as_str())
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(endpoint_from).collect()
    }

    /// Returns an endpoint of the organization.
    pub async fn endpoint(&self, org: &OrgId, id: &EndpointId) -> Result<Option<WebhookEndpoint>, StoreError> {
        let row = sqlx::query(select_endpoints!("id = $1 AND org_id = $2"))
            .bind(id.as_str())
            .bind(org.as_str())
            .fetch_optional(self.pool())
            .await?;
        row.as_ref().map(endpoint_from).transpose()
    }

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

    /// Replaces an endpoint's secret; the previous one also signs for a day. Returns `false` if the organization has no
    /// such endpoint.
    pub async fn rotate_secret(
        &self,
        org: &OrgId,
        id: &EndpointId,
        secret: &Secret,
        session_hash: &str,
    ) -> Result<bool, StoreError> {
        let sealed = self.seal_webhook(org, id, secret)?;
        let mut transaction = self.database.begin().await?;
        let done = sqlx::query(
            "UPDATE webhook_endpoints SET previous_secret_enc = secret_enc, previous_until = $1, secret_enc = $2, \
             reveal_to = $3 WHERE id = $4 AND org_id = $5",
        )
        .bind(self.clock.now() + SECRET_OVERLAP_PERIOD)
        .bind(sealed)
        .bind(session_hash)
        .bind(id.as_str())
        .bind(org.as_str())
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        self.record_endpoint_change(&mut transaction, org, id, Action::WebhookSecretRotated, None).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Returns the URL and secret of the endpoint that this session has just added or rotated. Each secret is returned
    /// once.
    pub async fn reveal_secret(&self, org: &OrgId, session_hash: &str) -> Result<Option<(String, Secret)>, StoreError> {
        let row = sqlx::query(
            "UPDATE webhook_endpoints SET reveal_to = NULL WHERE id = (SELECT id FROM webhook_endpoints \
             WHERE org_id = $1 AND reveal_to = $2 LIMIT 1) AND reveal_to = $2 RETURNING id, url, secret_enc",
        )
        .bind(org.as_str())
        .bind(session_hash)
        .fetch_optional(self.pool())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let secret =
            self.open_webhook(org, &EndpointId(row.try_get("id")?), &row.try_get::<String, _>("secret_enc")?)?;
        Ok(Some((row.try_get("url")?, secret)))
    }

    /// Enables an endpoint. Events that occurred while it was disabled are not sent. Returns `false` if the
    /// organization has no such endpoint.
    pub async fn enable_endpoint(&self, org: &OrgId, id: &EndpointId) -> Result<bool, StoreError> {
        let mut transaction = self.database.begin().await?;
        let done = sqlx::query(
            "UPDATE webhook_endpoints SET disabled_at = NULL, disabled_by = NULL WHERE id = $1 AND org_id = $2",
        )
        .bind(id.as_str())
        .bind(org.as_str())
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        let detail = Some(("now", "on".to_owned()));
        self.record_endpoint_change(&mut transaction, org, id, Action::WebhookChanged, detail).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Disables an endpoint and cancels its pending deliveries. Returns `false` if the organization has no such enabled
    /// endpoint.
    pub async fn disable_endpoint(&self, org: &OrgId, id: &EndpointId, by: DisabledBy) -> Result<bool, StoreError> {
        let mut transaction = self.database.begin().await?;
        let done = sqlx::query(
            "UPDATE webhook_endpoints SET disabled_at = $1, disabled_by = $2 \
             WHERE id = $3 AND org_id = $4 AND disabled_at IS NULL",
        )
        .bind(self.clock.now())
        .bind(by.as_str())
        .bind(id.as_str())
        .bind(org.as_str())
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        cancel_deliveries(&mut transaction, id.as_str()).await?;
        let detail = Some(("now", "off".to_owned()));
        self.record_endpoint_change(&mut transaction, org, id, Action::WebhookChanged, detail).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Deletes an endpoint and cancels its pending deliveries. Returns `false` if the organization has no such
    /// endpoint.
    pub async fn remove_endpoint(&self, org: &OrgId, id: &EndpointId) -> Result<bool, StoreError> {
        let mut transaction = self.database.begin().await?;
        let done = sqlx::query("DELETE FROM webhook_endpoints WHERE id = $1 AND org_id = $2")
            .bind(id.as_str())
            .bind(org.as_str())
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        cancel_deliveries(&mut transaction, id.as_str()).await?;
        self.record_endpoint_change(&mut transaction, org, id, Action::WebhookRemoved, None).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Records an audit event about an endpoint. Pass only the host of its URL: path and query may contain a key.
    async fn record_endpoint_change(
        &self,
        connection: &mut AnyConnection,
        org: &OrgId,
        id: &EndpointId,
        action: Action,
        detail: Option<(&'static str, String)>,
    ) -> Result<(), StoreError> {
        let event = AuditEvent::new(self.actor(), action).in_org(org).subject("webhook", id);
        let event = match detail {
            Some((name, value)) => event.detail(name, value),
            None => event,
        };
        self.record(connection, &event).await
    }

    /// Inserts a test event and its only delivery, already claimed by `owner`, who sends it.
    pub async fn add_test_delivery(
        &self,
        endpoint: &WebhookEndpoint,
        owner: &str,
        until: i64,
    ) -> Result<ClaimedDelivery, StoreError> {
        let now = self.clock.now();
        let mut transaction = self.database.begin().await?;
        let new = NewEvent {
            org: Some(&endpoint.org),
            kind: EventKind::Test,
            about: EventSubject::default(),
            reason: None,
            ends_at: None,
        };
        let event = insert_event(&mut transaction, new, now).await?;
        let row = sqlx::query(concat!(
            "INSERT INTO deliveries (id, event_id, org_id, channel, target_id, status, next_attempt_at, created_at, \
             claimed_by, claimed_until) VALUES ($1, $2, $3, 'webhook', $4, 'pending', $5, $5, $6, $7) RETURNING ",
            delivery_columns!("")
        ))
        .bind(format!("{event}.{}", endpoint.id))
        .bind(event.as_str())
        .bind(endpoint.org.as_str())
        .bind(endpoint.id.as_str())
        .bind(now)
        .bind(owner)
        .bind(until)
        .fetch_one(&mut *transaction)
        .await?;
        // The only delivery exists already, so the event is marked as fanned out.
        sqlx::query("UPDATE outbox SET fanned_out_at = $1 WHERE id = $2")
            .bind(now)
            .bind(event.as_str())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        claimed_delivery_from(&row)
    }

    fn seal_webhook(&self, org: &OrgId, endpoint: &EndpointId, secret: &Secret) -> Result<String, StoreError> {
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

fn endpoint_from(row: &AnyRow) -> Result<WebhookEndpoint, StoreError> {
    let by: Option<String> = row.try_get("disabled_by")?;
    let unreadable = |value| StoreError::UnknownValue { table: "webhook_endpoints", column: "disabled_by", value };
    Ok(WebhookEndpoint {
        id: EndpointId(row.try_get("id")?),
        org: OrgId(row.try_get("org_id")?),
        url: row.try_get("url")?,
        created_at: row.try_get("created_at")?,
        disabled_at: row.try_get("disabled_at")?,
        disabled_by: by.map(|by| DisabledBy::parse(&by).ok_or_else(|| unreadable(by))).transpose()?,
        previous_until: row.try_get("previous_until")?,
    })
}

/// Returns the host of a URL, which unlike path and query contains no secret.
fn host(url: &str) -> String {
    url::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}
