//! The log of deliveries to webhooks: each attempt, and the delivery that a person sends again.

use std::collections::HashMap;

use sqlx::{AnyConnection, Row};

use super::deliveries::{ClaimedDelivery, DeliveryAttempt, claimed_delivery_from};
use crate::model::{Action, AttemptLogView, DeliveryId, EndpointId, EventKind, LoggedDeliveryView, OrgId};
use crate::server::domain::AuditEvent;
use crate::server::store::column_lists::{columns, delivery_columns};
use crate::server::store::text_values::text_value;
use crate::server::store::{Store, StoreError, new_id};

/// How many deliveries of an organization may be sent again within a minute.
pub const MAX_RESENDS_PER_MINUTE: i64 = 10;
/// The attempts of one delivery that the log returns.
const MAX_ATTEMPTS_LISTED: usize = 10;

/// Why a delivery was not sent again.
#[derive(Debug, thiserror::Error)]
pub enum ResendError {
    /// The organization has no such delivery to a webhook that exists.
    #[error("no such delivery in this organization")]
    NotFound,
    /// The webhook is off.
    #[error("the webhook is off")]
    EndpointDisabled,
    /// It is being attempted right now.
    #[error("the delivery is being attempted right now")]
    InProgress,
    /// Too many were sent again within a minute.
    #[error("at most {MAX_RESENDS_PER_MINUTE} deliveries can be sent again within a minute")]
    TooMany,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for ResendError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl Store {
    /// Returns the newest `limit` deliveries to the organization's webhooks, or to one of them, with their last
    /// attempts, newest first.
    pub async fn delivery_log(
        &self,
        org: &OrgId,
        endpoint: Option<&EndpointId>,
        limit: i64,
    ) -> Result<Vec<LoggedDeliveryView>, StoreError> {
        let rows = sqlx::query(
            "SELECT d.id, d.event_id, d.target_id, d.status, d.next_attempt_at, e.url, o.kind, o.tenant_name, o.occurred_at \
             FROM deliveries d JOIN webhook_endpoints e ON e.id = d.target_id AND e.org_id = d.org_id \
             JOIN outbox o ON o.id = d.event_id \
             WHERE d.org_id = $1 AND d.channel = 'webhook' AND ($2 = '' OR d.target_id = $2) \
             ORDER BY d.created_at DESC, d.id DESC LIMIT $3",
        )
        .bind(org.as_str())
        .bind(endpoint.map_or("", EndpointId::as_str))
        .bind(limit)
        .fetch_all(self.pool())
        .await?;
        let mut attempts = self.logged_attempts(org, endpoint, limit).await?;
        let mut log = Vec::new();
        for row in rows {
            let id = DeliveryId(row.try_get("id")?);
            log.push(LoggedDeliveryView {
                attempts: attempts.remove(&id).unwrap_or_default(),
                id,
                event_id: row.try_get("event_id")?,
                // An event of another version has a kind that this one does not know.
                kind: EventKind::parse(&row.try_get::<String, _>("kind")?),
                tenant_name: row.try_get("tenant_name")?,
                occurred_at: row.try_get("occurred_at")?,
                endpoint: EndpointId(row.try_get("target_id")?),
                url: row.try_get("url")?,
                status: text_value(&row, "deliveries", "status")?,
                next_attempt_at: row.try_get("next_attempt_at")?,
            });
        }
        Ok(log)
    }

    /// Returns the last attempts of the deliveries in the log, newest first.
    async fn logged_attempts(
        &self,
        org: &OrgId,
        endpoint: Option<&EndpointId>,
        limit: i64,
    ) -> Result<HashMap<DeliveryId, Vec<AttemptLogView>>, StoreError> {
        let rows = sqlx::query(
            "SELECT a.delivery_id, a.attempted_at, a.duration_ms, a.http_status, a.error FROM delivery_attempts a \
             JOIN (SELECT d.id FROM deliveries d JOIN webhook_endpoints e ON e.id = d.target_id AND e.org_id = d.org_id \
             WHERE d.org_id = $1 AND d.channel = 'webhook' AND ($2 = '' OR d.target_id = $2) \
             ORDER BY d.created_at DESC, d.id DESC LIMIT $3) logged ON logged.id = a.delivery_id \
             ORDER BY a.attempted_at DESC, a.id DESC",
        )
        .bind(org.as_str())
        .bind(endpoint.map_or("", EndpointId::as_str))
        .bind(limit)
        .fetch_all(self.pool())
        .await?;
        let mut attempts: HashMap<DeliveryId, Vec<AttemptLogView>> = HashMap::new();
        for row in rows {
            let listed = attempts.entry(DeliveryId(row.try_get("delivery_id")?)).or_default();
            if listed.len() < MAX_ATTEMPTS_LISTED {
                listed.push(AttemptLogView {
                    at: row.try_get("attempted_at")?,
                    duration_ms: row.try_get("duration_ms")?,
                    http_status: row.try_get("http_status")?,
                    error: row.try_get("error")?,
                });
            }
        }
        Ok(attempts)
    }

    /// Claims a delivery for `owner`, who sends it again, whatever became of it before.
    pub async fn claim_resend(
        &self,
        org: &OrgId,
        id: &DeliveryId,
        owner: &str,
        until: i64,
    ) -> Result<ClaimedDelivery, ResendError> {
        let now = self.clock.now();
        let mut transaction = self.database.begin().await?;
        let found = sqlx::query(
            "SELECT e.disabled_at, o.kind FROM deliveries d \
             JOIN webhook_endpoints e ON e.id = d.target_id AND e.org_id = d.org_id \
             JOIN outbox o ON o.id = d.event_id WHERE d.id = $1 AND d.org_id = $2 AND d.channel = 'webhook'",
        )
        .bind(id.as_str())
        .bind(org.as_str())
        .fetch_optional(&mut *transaction)
        .await?
        .ok_or(ResendError::NotFound)?;
        if found.try_get::<Option<i64>, _>("disabled_at")?.is_some() {
            return Err(ResendError::EndpointDisabled);
        }
        let recent = sqlx::query("SELECT COUNT(*) FROM deliveries WHERE org_id = $1 AND resent_at > $2")
            .bind(org.as_str())
            .bind(now - 60)
            .fetch_one(&mut *transaction)
            .await?;
        if recent.try_get::<i64, _>(0)? >= MAX_RESENDS_PER_MINUTE {
            return Err(ResendError::TooMany);
        }
        let claimed = sqlx::query(concat!(
            "UPDATE deliveries SET status = 'pending', next_attempt_at = $1, resent_at = $1, claimed_by = $2, \
             claimed_until = $3 WHERE id = $4 AND org_id = $5 AND (claimed_until IS NULL OR claimed_until <= $1) RETURNING ",
            delivery_columns!("")
        ))
        .bind(now)
        .bind(owner)
        .bind(until)
        .bind(id.as_str())
        .bind(org.as_str())
        .fetch_optional(&mut *transaction)
        .await?
        .ok_or(ResendError::InProgress)?;
        let claimed = claimed_delivery_from(&claimed)?;
        let event =
            AuditEvent::new(self.actor(), Action::DeliveryResent).in_org(org).subject("webhook", &claimed.target);
        let event = event.detail("event", found.try_get::<String, _>("kind")?).detail("event_id", &claimed.event);
        self.record(&mut transaction, &event).await?;
        transaction.commit().await?;
        Ok(claimed)
    }
}

/// Adds an attempt to a webhook to the log, in the caller's transaction.
pub(super) async fn insert_attempt(
    connection: &mut AnyConnection,
    delivery: &DeliveryId,
    tried: &DeliveryAttempt,
    at: i64,
) -> Result<(), StoreError> {
    let Some(duration_ms) = tried.duration_ms else { return Ok(()) };
    sqlx::query(
        "INSERT INTO delivery_attempts (id, delivery_id, attempted_at, duration_ms, http_status, error) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(new_id::<String>())
    .bind(delivery.as_str())
    .bind(at)
    .bind(duration_ms)
    .bind(tried.http_status.map(i64::from))
    .bind(tried.error.as_deref())
    .execute(connection)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Channel, DeliveryStatus};
    use crate::server::domain::Secret;
    use crate::server::store::testing::each_store;
    use crate::server::store::testing::grants::TestGrant;
    use crate::server::store::{DeliveryOutcome, DisableResult, NewUser, NewWebhookEndpoint, RecordedAttempt, UserOrg};

    #[apply(each_store!)]
    async fn attempts_are_logged_until_their_event_is_deleted_and_a_delivery_is_resent_within_its_bounds(store: Store) {
        let hash = Secret::new("hash");
        let ann = NewUser { email: "ann@example.com", password_hash: &hash, org: Some(UserOrg::New("Harbour")) };
        let ann = store.add_user(ann).await.unwrap();
        let (org, user) = (ann.org.unwrap().0, ann.user);
        let (secret, url) = (&Secret::new("secret"), "https://example.com/hooks");
        let new = NewWebhookEndpoint { url, secret, created_by: &user, session_hash: "session" };
        let endpoint = store.add_endpoint(&org, new).await.unwrap();
        TestGrant::of(&store, &org).bound_to(&["Shop"]).insert().await;
        store.fan_out(9).await.unwrap();
        let until = store.clock().now() + 60;
        let claimed = store.claim_deliveries(Channel::Webhook, "job", until, 9).await.unwrap().remove(0);
        let id = claimed.id.clone();
        let resend = async |org: &OrgId, until| store.claim_resend(org, &id, "person", until).await;
        assert!(matches!(resend(&org, until).await, Err(ResendError::InProgress)));
        let error = Some("answered 500".to_owned());
        let outcome = DeliveryOutcome::GivenUp;
        let tried = DeliveryAttempt { outcome, http_status: Some(500), error, duration_ms: Some(12) };
        let recorded = store.record_delivery_attempt(&id, "job", &tried).await.unwrap();
        assert_eq!(recorded, RecordedAttempt::Recorded);

        let other = store.add_org("Elsewhere").await.unwrap();
        assert!(matches!(resend(&other, until).await, Err(ResendError::NotFound)));
        assert!(store.delivery_log(&other, None, 9).await.unwrap().is_empty());
        assert_eq!(resend(&org, until).await.unwrap().event, claimed.event, "the event's id is the same");
        let (outcome, http_status) = (DeliveryOutcome::Delivered, Some(204));
        let tried = DeliveryAttempt { outcome, http_status, error: None, duration_ms: Some(7) };
        store.clock().advance(1);
        let recorded = store.record_delivery_attempt(&id, "person", &tried).await.unwrap();
        assert_eq!(recorded, RecordedAttempt::Recorded);
        let logged = store.delivery_log(&org, Some(&endpoint), 9).await.unwrap().remove(0);
        let attempts: Vec<_> = logged.attempts.iter().map(|one| (one.http_status, one.duration_ms)).collect();
        assert_eq!((attempts, logged.status), (vec![(Some(204), 7), (Some(500), 12)], DeliveryStatus::Delivered));
        assert_eq!(logged.kind, Some(EventKind::Created));

        let many = "UPDATE deliveries SET resent_at = $1";
        sqlx::query(many).bind(store.clock().now()).execute(store.pool()).await.unwrap();
        for place in 1..MAX_RESENDS_PER_MINUTE {
            sqlx::query(
                "INSERT INTO deliveries (id, event_id, org_id, channel, target_id, status, created_at, resent_at) \
                 SELECT id || $1, event_id, org_id, 'email', $1, 'delivered', created_at, resent_at FROM deliveries WHERE id = $2",
            )
            .bind(place.to_string())
            .bind(id.as_str())
            .execute(store.pool())
            .await
            .unwrap();
        }
        assert!(matches!(resend(&org, until).await, Err(ResendError::TooMany)));
        store.clock().advance(60);
        let disabled = store.disable_endpoint(&org, &endpoint, crate::model::DisabledBy::Person).await.unwrap();
        assert_eq!(disabled, DisableResult::Disabled);
        assert!(matches!(resend(&org, until).await, Err(ResendError::EndpointDisabled)));

        assert_eq!(store.delete_events_before(store.clock().now(), 9).await.unwrap(), 1);
        let left = sqlx::query("SELECT COUNT(*) FROM delivery_attempts").fetch_one(store.pool()).await.unwrap();
        assert_eq!(left.try_get::<i64, _>(0).unwrap(), 0, "the log goes with the event");
    }
}
