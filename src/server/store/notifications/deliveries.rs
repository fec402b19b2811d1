//! Deliveries of events to webhooks and email recipients: fan-out, claims and results.
//!
//! Instances share the table: one claims a delivery for a limited time, and only the claim's owner records its result.

use std::time::Duration;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::delivery_log::insert_attempt;
use super::recipients::gets_email_sql;
use super::webhook_events::wants_event_sql;
use crate::model::{Channel, DeliveryId, DeliveryStatus, DeliveryView, EventId, EventKind, OrgId};
use crate::server::domain::latest_plausible;
use crate::server::store::column_lists::{columns, delivery_columns};
use crate::server::store::database_kind::DatabaseKind;
use crate::server::store::text_values::text_value;
use crate::server::store::{Store, StoreError};

/// How long a claim lasts, in seconds. Its holder renews it.
pub const CLAIM_DURATION: i64 = 120;
/// The longest wait for a receiver, in seconds. A longer `Retry-After` is not honored.
pub const MAX_DELIVERY_WAIT: i64 = 24 * 60 * 60;
/// How long a delivery is retried, in seconds.
pub const RETRY_PERIOD: i64 = 3 * 24 * 60 * 60;

/// A delivery that the caller has claimed and may attempt now.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimedDelivery {
    /// Id of the delivery.
    pub id: DeliveryId,
    /// Event to deliver.
    pub event: EventId,
    /// Organization whose webhook or member receives the event.
    pub org: OrgId,
    /// How the event is sent.
    pub channel: Channel,
    /// The webhook endpoint's id, or the user's.
    pub target: String,
    /// The number of attempts before this one.
    pub attempts: i64,
    /// When the delivery was created, in unix seconds.
    pub created_at: i64,
}

/// The result of one attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveryAttempt {
    /// What the attempt means for the delivery.
    pub outcome: DeliveryOutcome,
    /// Status of the webhook's HTTP response; `None` for email, or if there was no response.
    pub http_status: Option<u16>,
    /// A short description without addresses and secrets. `None` if the event was delivered.
    pub error: Option<String>,
    /// How long the attempt took, in milliseconds; `None` for email, or if nothing was attempted.
    pub duration_ms: Option<i64>,
}

impl DeliveryAttempt {
    /// Sets how long the attempt took, unless nothing was attempted.
    pub fn that_took(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self { duration_ms: (self.outcome != DeliveryOutcome::Canceled).then_some(millis), ..self }
    }
}

/// What an attempt means for its delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// The receiver accepted the event.
    Delivered,
    /// Retry at this time (unix seconds).
    RetryAt(i64),
    /// The attempt failed, and no other follows.
    GivenUp,
    /// The receiver no longer exists.
    Canceled,
}

/// Whether the result of an attempt was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum RecordedAttempt {
    /// The result was recorded.
    Recorded,
    /// The claim has expired, and another instance may have recorded a result.
    ClaimLost,
}

/// Inserts the deliveries that a `SELECT` yields, with its columns in this order.
macro_rules! fan_out {
    ($($select:tt)+) => {
        concat!(
            "INSERT INTO deliveries (id, event_id, org_id, channel, target_id, status, next_attempt_at, created_at) ",
            $($select)+,
            " ON CONFLICT (event_id, channel, target_id) DO NOTHING"
        )
    };
}

/// To every enabled endpoint of the event's organization.
const ORG_EVENT_TO_ENDPOINTS: &str = fan_out!(
    "SELECT CAST($1 AS TEXT) || '.' || e.id, $1, e.org_id, 'webhook', e.id, 'pending', $2, $2 \
     FROM webhook_endpoints e WHERE e.disabled_at IS NULL AND e.org_id = $3 AND ",
    wants_event_sql!()
);
/// App-wide events, to the endpoints of every organization that has an active connection.
const APP_EVENT_TO_ENDPOINTS: &str = fan_out!(
    "SELECT CAST($1 AS TEXT) || '.' || e.id, $1, e.org_id, 'webhook', e.id, 'pending', $2, $2 \
     FROM webhook_endpoints e WHERE e.disabled_at IS NULL AND EXISTS (SELECT 1 FROM integration_tenant_bindings b \
     WHERE b.org_id = e.org_id AND b.status = 'active') AND ",
    wants_event_sql!()
);
/// To every member of the event's organization who gets email.
const ORG_EVENT_TO_MEMBERS: &str = fan_out!(
    "SELECT CAST($1 AS TEXT) || '.' || m.user_id, $1, m.org_id, 'email', m.user_id, 'pending', $2, $2 \
     FROM memberships m WHERE m.org_id = $3 AND ",
    gets_email_sql!()
);
/// App-wide events, once to each user who gets email, however many of their organizations are affected.
const APP_EVENT_TO_USERS: &str = fan_out!(
    "SELECT CAST($1 AS TEXT) || '.' || m.user_id, $1, MIN(m.org_id), 'email', m.user_id, 'pending', $2, $2 \
     FROM memberships m WHERE ",
    gets_email_sql!(),
    " AND EXISTS (SELECT 1 FROM integration_tenant_bindings b WHERE b.org_id = m.org_id AND b.status = 'active') \
     GROUP BY m.user_id"
);

/// Claims due deliveries. `$lock` ends the statement that selects their rows: with PostgreSQL, rows that another
/// instance is about to claim are skipped, because two that wait for each other's rows would be a deadlock.
macro_rules! claim_deliveries_sql {
    ($lock:literal) => {
        concat!(
            "UPDATE deliveries SET claimed_by = $1, claimed_until = $2 WHERE id IN \
             (SELECT id FROM deliveries WHERE id IN \
              (SELECT id FROM (SELECT id, next_attempt_at, \
                ROW_NUMBER() OVER (PARTITION BY target_id ORDER BY next_attempt_at, id) AS place \
                FROM deliveries WHERE status = 'pending' AND channel = $7 \
                AND (next_attempt_at <= $3 OR next_attempt_at > $5) \
                AND (claimed_until IS NULL OR claimed_until <= $3 OR claimed_until > $6)) AS due \
               ORDER BY place, next_attempt_at, id LIMIT $4) \
              AND status = 'pending' AND (claimed_until IS NULL OR claimed_until <= $3 OR claimed_until > $6) ",
            $lock,
            ") RETURNING ",
            delivery_columns!("")
        )
    };
}

impl Store {
    /// Creates the deliveries of up to `limit` events that have none yet: to webhooks, and by email if any server can
    /// send it. Each event has its own transaction, so that a crash loses no event and two instances create no delivery
    /// twice. Returns the number of processed events.
    pub async fn fan_out(&self, limit: i64) -> Result<usize, StoreError> {
        let can_send_email = self.can_send_email().await?;
        let rows = sqlx::query(
            "SELECT id, org_id, kind FROM outbox WHERE fanned_out_at IS NULL ORDER BY occurred_at, id LIMIT $1",
        )
        .bind(limit)
        .fetch_all(self.pool())
        .await?;
        let mut done = 0;
        for row in rows {
            let (event, org) = (EventId(row.try_get("id")?), row.try_get::<Option<String>, _>("org_id")?.map(OrgId));
            // A kind of a newer version is for people, too, until this version knows better.
            let kind = EventKind::parse(&row.try_get::<String, _>("kind")?);
            let is_for_people = kind.is_none_or(EventKind::is_for_people);
            let mut transaction = self.database.begin().await?;
            let ours = sqlx::query("UPDATE outbox SET fanned_out_at = $1 WHERE id = $2 AND fanned_out_at IS NULL")
                .bind(self.clock.now())
                .bind(event.as_str())
                .execute(&mut *transaction)
                .await?;
            if ours.rows_affected() == 0 {
                continue;
            }
            let (endpoints, people) = if org.is_some() {
                (ORG_EVENT_TO_ENDPOINTS, ORG_EVENT_TO_MEMBERS)
            } else {
                (APP_EVENT_TO_ENDPOINTS, APP_EVENT_TO_USERS)
            };
            self.insert_deliveries(&mut transaction, endpoints, &event, org.as_ref()).await?;
            if can_send_email && is_for_people {
                self.insert_deliveries(&mut transaction, people, &event, org.as_ref()).await?;
            }
            transaction.commit().await?;
            done += 1;
        }
        Ok(done)
    }

    async fn insert_deliveries(
        &self,
        connection: &mut AnyConnection,
        statement: &'static str,
        event: &EventId,
        org: Option<&OrgId>,
    ) -> Result<(), StoreError> {
        let query = sqlx::query(statement).bind(event.as_str()).bind(self.clock.now());
        let query = if let Some(org) = org { query.bind(org.as_str()) } else { query };
        query.execute(connection).await?;
        Ok(())
    }

    /// Claims up to `limit` due deliveries for `owner` until `until` (unix seconds); after a crash the claims expire.
    /// The oldest delivery of every receiver comes first, so that one receiver's backlog does not delay the others.
    pub async fn claim_deliveries(
        &self,
        channel: Channel,
        owner: &str,
        until: i64,
        limit: i64,
    ) -> Result<Vec<ClaimedDelivery>, StoreError> {
        let now = self.clock.now();
        let statement = match self.database.kind() {
            DatabaseKind::Sqlite => claim_deliveries_sql!(""),
            DatabaseKind::Postgres => claim_deliveries_sql!("FOR UPDATE SKIP LOCKED"),
        };
        let rows = sqlx::query(statement)
            .bind(owner)
            .bind(until)
            .bind(now)
            .bind(limit)
            .bind(latest_plausible(MAX_DELIVERY_WAIT, now))
            .bind(latest_plausible(CLAIM_DURATION, now))
            .bind(channel.as_str())
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(claimed_delivery_from).collect()
    }

    /// Renews the claims of `owner` on these deliveries until `until` (unix seconds), each by itself. Returns those that it
    /// still holds: another owner may have taken over what expired, and a delivery may have been canceled.
    pub async fn renew_claims(
        &self,
        owner: &str,
        deliveries: &[DeliveryId],
        until: i64,
    ) -> Result<Vec<DeliveryId>, StoreError> {
        let mut held = Vec::new();
        for id in deliveries {
            let renewed = sqlx::query(
                "UPDATE deliveries SET claimed_until = $1 WHERE id = $2 AND claimed_by = $3 AND status = 'pending'",
            )
            .bind(until)
            .bind(id.as_str())
            .bind(owner)
            .execute(self.pool())
            .await?;
            if renewed.rows_affected() == 1 {
                held.push(id.clone());
            }
        }
        Ok(held)
    }

    /// Records the result of an attempt, if `owner` still holds the claim.
    pub async fn record_delivery_attempt(
        &self,
        id: &DeliveryId,
        owner: &str,
        tried: &DeliveryAttempt,
    ) -> Result<RecordedAttempt, StoreError> {
        let (status, next) = match tried.outcome {
            DeliveryOutcome::Delivered => (DeliveryStatus::Delivered, None),
            DeliveryOutcome::RetryAt(at) => (DeliveryStatus::Pending, Some(at)),
            DeliveryOutcome::GivenUp => (DeliveryStatus::GivenUp, None),
            DeliveryOutcome::Canceled => (DeliveryStatus::Cancelled, None),
        };
        let mut transaction = self.database.begin().await?;
        let done = sqlx::query(
            "UPDATE deliveries SET status = $1, next_attempt_at = $2, last_http_status = $3, last_error = $4, \
             attempts = attempts + 1, last_attempt_at = $5, claimed_by = NULL, claimed_until = NULL \
             WHERE id = $6 AND claimed_by = $7 AND status = 'pending'",
        )
        .bind(status.as_str())
        .bind(next)
        .bind(tried.http_status.map(i64::from))
        .bind(tried.error.as_deref())
        .bind(self.clock.now())
        .bind(id.as_str())
        .bind(owner)
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(RecordedAttempt::ClaimLost);
        }
        insert_attempt(&mut transaction, id, tried, self.clock.now()).await?;
        transaction.commit().await?;
        Ok(RecordedAttempt::Recorded)
    }

    /// Returns the organization's deliveries of the events from `first` to `last` (unix seconds) with the ids of these,
    /// newest first.
    pub async fn deliveries_of_events(
        &self,
        org: &OrgId,
        first: i64,
        last: i64,
    ) -> Result<Vec<(EventId, DeliveryView)>, StoreError> {
        let rows = sqlx::query(concat!(
            "SELECT ",
            delivery_columns!("d."),
            ", COALESCE(e.url, u.email) AS receiver FROM deliveries d JOIN outbox o ON o.id = d.event_id \
             LEFT JOIN webhook_endpoints e ON d.channel = 'webhook' AND e.id = d.target_id \
             LEFT JOIN users u ON d.channel = 'email' AND u.id = d.target_id \
             WHERE d.org_id = $1 AND o.occurred_at >= $2 AND o.occurred_at <= $3 \
             ORDER BY d.created_at DESC, d.id LIMIT 500"
        ))
        .bind(org.as_str())
        .bind(first)
        .bind(last)
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(|row| Ok((EventId(row.try_get("event_id")?), delivery_view_from(row)?))).collect()
    }
}

/// Cancels all pending deliveries to a receiver, in the caller's transaction.
pub(in crate::server::store) async fn cancel_deliveries(
    connection: &mut AnyConnection,
    target: &str,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE deliveries SET status = 'cancelled', next_attempt_at = NULL, claimed_by = NULL, claimed_until = NULL \
         WHERE target_id = $1 AND status = 'pending'",
    )
    .bind(target)
    .execute(connection)
    .await?;
    Ok(())
}

fn channel_from(row: &AnyRow) -> Result<Channel, StoreError> {
    text_value(row, "deliveries", "channel")
}

pub(in crate::server::store) fn claimed_delivery_from(row: &AnyRow) -> Result<ClaimedDelivery, StoreError> {
    Ok(ClaimedDelivery {
        id: DeliveryId(row.try_get("id")?),
        event: EventId(row.try_get("event_id")?),
        org: OrgId(row.try_get("org_id")?),
        channel: channel_from(row)?,
        target: row.try_get("target_id")?,
        attempts: row.try_get("attempts")?,
        created_at: row.try_get("created_at")?,
    })
}

pub(super) fn delivery_view_from(row: &AnyRow) -> Result<DeliveryView, StoreError> {
    Ok(DeliveryView {
        channel: channel_from(row)?,
        receiver: row.try_get("receiver")?,
        status: text_value(row, "deliveries", "status")?,
        attempts: row.try_get("attempts")?,
        last_attempt_at: row.try_get("last_attempt_at")?,
        next_attempt_at: row.try_get("next_attempt_at")?,
        http_status: row.try_get("last_http_status")?,
        error: row.try_get("last_error")?,
    })
}
