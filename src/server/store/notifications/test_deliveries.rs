//! Test events, which a person sends to one webhook endpoint.

use super::deliveries::{ClaimedDelivery, claimed_delivery_from};
use super::outbox::{EventSubject, NewEvent, insert_event};
use crate::model::EventKind;
use crate::server::store::column_lists::{columns, delivery_columns};
use crate::server::store::{Store, StoreError, WebhookEndpoint};

impl Store {
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
}
