//! Webhook endpoints: add, list, enable, disable, remove.

use crate::server::store::live::changes::ChangeTx;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::deliveries::cancel_deliveries;
use super::webhook_secrets::REVEAL_PERIOD;
use crate::model::{Action, DisabledBy, EndpointId, OrgId, Permission, UserId};
use crate::server::domain::{AuditEvent, Secret};
use crate::server::store::accounts::members::rows::lock_and_check;
use crate::server::store::text_values::optional_text_value;
use crate::server::store::{RowChange, Store, StoreError, new_id};

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

/// Why an endpoint was not added.
#[derive(Debug, thiserror::Error)]
pub enum AddEndpointError {
    /// The organization already has the maximum number of endpoints.
    #[error("the organization already has {MAX_ENDPOINTS} webhook endpoints")]
    TooMany,
    /// The person who adds it may no longer add any.
    #[error("the person may not add webhook endpoints")]
    NotAllowed,
    /// The secret could not be sealed, or the database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for AddEndpointError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

/// What became of an endpoint that was to be disabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum DisableResult {
    /// It is disabled now.
    Disabled,
    /// It was disabled before.
    AlreadyDisabled,
    /// The organization has no such endpoint.
    NotFound,
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
    /// Adds an endpoint.
    pub async fn add_endpoint(&self, org: &OrgId, new: NewWebhookEndpoint<'_>) -> Result<EndpointId, AddEndpointError> {
        let id: EndpointId = new_id();
        let sealed = self.seal_webhook(org, &id, new.secret)?;
        let mut transaction = self.database.begin().await?;
        if !lock_and_check(&mut transaction, org, new.created_by, Permission::ManageNotifications).await? {
            return Err(AddEndpointError::NotAllowed);
        }
        let done = sqlx::query(
            "INSERT INTO webhook_endpoints (id, org_id, url, secret_enc, reveal_to, created_by, created_at, reveal_until) \
             SELECT $1, $2, $3, $4, $5, $6, $7, $9 WHERE (SELECT COUNT(*) FROM webhook_endpoints WHERE org_id = $2) < $8",
        )
        .bind(id.as_str())
        .bind(org.as_str())
        .bind(new.url)
        .bind(sealed)
        .bind(new.session_hash)
        .bind(new.created_by.as_str())
        .bind(self.clock.now())
        .bind(MAX_ENDPOINTS)
        .bind(self.clock.now() + REVEAL_PERIOD)
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Err(AddEndpointError::TooMany);
        }
        self.record_endpoint_change(&mut transaction, org, &id, Action::WebhookAdded, Some(("host", host(new.url))))
            .await?;
        transaction.commit().await?;
        Ok(id)
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

    /// Enables an endpoint. Events that occurred while it was disabled are not sent. `NotFound` if the
    /// organization has no such endpoint.
    pub async fn enable_endpoint(&self, org: &OrgId, id: &EndpointId) -> Result<RowChange, StoreError> {
        let mut transaction = self.database.begin().await?;
        let done = sqlx::query(
            "UPDATE webhook_endpoints SET disabled_at = NULL, disabled_by = NULL WHERE id = $1 AND org_id = $2",
        )
        .bind(id.as_str())
        .bind(org.as_str())
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(RowChange::NotFound);
        }
        let detail = Some(("now", "on".to_owned()));
        self.record_endpoint_change(&mut transaction, org, id, Action::WebhookChanged, detail).await?;
        transaction.commit().await?;
        Ok(RowChange::Applied)
    }

    /// Disables an endpoint and cancels its pending deliveries.
    pub async fn disable_endpoint(
        &self,
        org: &OrgId,
        id: &EndpointId,
        by: DisabledBy,
    ) -> Result<DisableResult, StoreError> {
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
            drop(transaction);
            let exists = self.endpoint(org, id).await?.is_some();
            return Ok(if exists { DisableResult::AlreadyDisabled } else { DisableResult::NotFound });
        }
        cancel_deliveries(&mut transaction, id.as_str()).await?;
        let detail = Some(("now", "off".to_owned()));
        self.record_endpoint_change(&mut transaction, org, id, Action::WebhookChanged, detail).await?;
        transaction.commit().await?;
        Ok(DisableResult::Disabled)
    }

    /// Deletes an endpoint and cancels its pending deliveries. `NotFound` if the organization has no such
    /// endpoint.
    pub async fn remove_endpoint(&self, org: &OrgId, id: &EndpointId) -> Result<RowChange, StoreError> {
        let mut transaction = self.database.begin().await?;
        let done = sqlx::query("DELETE FROM webhook_endpoints WHERE id = $1 AND org_id = $2")
            .bind(id.as_str())
            .bind(org.as_str())
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() == 0 {
            return Ok(RowChange::NotFound);
        }
        cancel_deliveries(&mut transaction, id.as_str()).await?;
        self.record_endpoint_change(&mut transaction, org, id, Action::WebhookRemoved, None).await?;
        transaction.commit().await?;
        Ok(RowChange::Applied)
    }

    /// Records an audit event about an endpoint. Pass only the host of its URL: path and query may contain a key.
    pub(super) async fn record_endpoint_change(
        &self,
        transaction: &mut ChangeTx,
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
        self.record(transaction, &event).await
    }
}

pub(super) fn endpoint_from(row: &AnyRow) -> Result<WebhookEndpoint, StoreError> {
    Ok(WebhookEndpoint {
        id: EndpointId(row.try_get("id")?),
        org: OrgId(row.try_get("org_id")?),
        url: row.try_get("url")?,
        created_at: row.try_get("created_at")?,
        disabled_at: row.try_get("disabled_at")?,
        disabled_by: optional_text_value(row, "webhook_endpoints", "disabled_by")?,
        previous_until: row.try_get("previous_until")?,
    })
}

/// Returns the host of a URL, which unlike path and query contains no secret.
pub(in crate::server::store) fn host(url: &str) -> String {
    url::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}
