//! Deliveries: who is to be told of an event, who does it just now, and how it went.
//!
//! Any number of instances share them: one claims a delivery for a while, and only the claim's owner settles it.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::columns::{columns, delivery_columns};
use super::{Store, StoreError};
use crate::model::{Channel, DeliveryId, DeliveryStatus, DeliveryView, EventId, OrgId};

/// A delivery that we may try now.
#[derive(Clone, Debug, PartialEq)]
pub struct Claimed {
    pub id: DeliveryId,
    pub event: EventId,
    pub org: OrgId,
    pub channel: Channel,
    /// The endpoint's id, or the person's.
    pub target: String,
    /// Tries before this one.
    pub attempts: i64,
    pub created_at: i64,
}

/// What a try came to, and its evidence.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    pub end: End,
    pub http_status: Option<u16>,
    /// A few words, without addresses and secrets; none where it was delivered.
    pub error: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Delivered,
    /// Tried again at this time.
    Again(i64),
    GivenUp,
    /// The receiver is not there any more.
    Cancelled,
}

/// The columns of a new delivery, in the order of `fan_out!`'s selects.
macro_rules! fan_out {
    ($select:literal) => {
        concat!(
            "INSERT INTO deliveries (id, event_id, org_id, channel, target_id, status, next_attempt_at, created_at) ",
            $select,
            " ON CONFLICT (event_id, channel, target_id) DO NOTHING"
        )
    };
}

/// Every enabled endpoint of the event's organisation.
const TO_ENDPOINTS: &str = fan_out!(
    "SELECT CAST($1 AS TEXT) || '.' || e.id, $1, e.org_id, 'webhook', e.id, 'pending', $2, $2 \
     FROM webhook_endpoints e WHERE e.disabled_at IS NULL AND e.org_id = $3"
);
/// What concerns the app, to the endpoints of those whom it concerns: the organisations with working connections.
const APP_TO_ENDPOINTS: &str = fan_out!(
    "SELECT CAST($1 AS TEXT) || '.' || e.id, $1, e.org_id, 'webhook', e.id, 'pending', $2, $2 \
     FROM webhook_endpoints e WHERE e.disabled_at IS NULL AND EXISTS (SELECT 1 FROM integration_tenant_bindings b \
     WHERE b.org_id = e.org_id AND b.status = 'active')"
);
const TO_PEOPLE: &str = fan_out!(
    "SELECT CAST($1 AS TEXT) || '.' || m.user_id, $1, m.org_id, 'email', m.user_id, 'pending', $2, $2 \
     FROM memberships m WHERE m.org_id = $3 \
     AND (m.email_notices = 'on' OR (m.email_notices IS NULL AND m.role IN ('owner', 'admin')))"
);
/// Each person once, however many of their organisations it concerns.
const APP_TO_PEOPLE: &str = fan_out!(
    "SELECT CAST($1 AS TEXT) || '.' || m.user_id, $1, MIN(m.org_id), 'email', m.user_id, 'pending', $2, $2 \
     FROM memberships m WHERE (m.email_notices = 'on' OR (m.email_notices IS NULL AND m.role IN ('owner', 'admin'))) \
     AND EXISTS (SELECT 1 FROM integration_tenant_bindings b WHERE b.org_id = m.org_id AND b.status = 'active') \
     GROUP BY m.user_id"
);

impl Store {
    /// Makes the deliveries of events that have none yet, each event in a transaction of its own, so that a crash
    /// loses none and two instances make none twice. Says how many events it saw to.
    pub async fn fan_out(&self, with_mail: bool, limit: i64) -> Result<usize, StoreError> {
        let rows =
            sqlx::query("SELECT id, org_id FROM outbox WHERE fanned_out_at IS NULL ORDER BY occurred_at, id LIMIT $1")
                .bind(limit)
                .fetch_all(self.pool())
                .await?;
        let mut done = 0;
        for row in rows {
            let (event, org) = (EventId(row.try_get("id")?), row.try_get::<Option<String>, _>("org_id")?.map(OrgId));
            let mut transaction = self.database.begin().await?;
            let ours = sqlx::query("UPDATE outbox SET fanned_out_at = $1 WHERE id = $2 AND fanned_out_at IS NULL")
                .bind(self.clock.now())
                .bind(event.as_str())
                .execute(&mut *transaction)
                .await?;
            if ours.rows_affected() == 0 {
                continue;
            }
            let (endpoints, people) =
                if org.is_some() { (TO_ENDPOINTS, TO_PEOPLE) } else { (APP_TO_ENDPOINTS, APP_TO_PEOPLE) };
            self.spread(&mut transaction, endpoints, &event, org.as_ref()).await?;
            if with_mail {
                self.spread(&mut transaction, people, &event, org.as_ref()).await?;
            }
            transaction.commit().await?;
            done += 1;
        }
        Ok(done)
    }

    async fn spread(
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

    /// Claims what is due; until then nobody else tries it. After a crash the claim runs out. Each receiver's oldest
    /// goes before anybody's second, so that one with a thousand in front keeps nobody else waiting.
    pub async fn claim_deliveries(&self, owner: &str, until: i64, limit: i64) -> Result<Vec<Claimed>, StoreError> {
        // Said twice: of two instances that choose the same row the second finds it claimed when it gets to it.
        let rows = sqlx::query(concat!(
            "UPDATE deliveries SET claimed_by = $1, claimed_until = $2 WHERE id IN \
             (SELECT id FROM (SELECT id, next_attempt_at, \
               ROW_NUMBER() OVER (PARTITION BY target_id ORDER BY next_attempt_at, id) AS place \
               FROM deliveries WHERE status = 'pending' AND next_attempt_at <= $3 \
               AND (claimed_until IS NULL OR claimed_until <= $3)) AS due \
              ORDER BY place, next_attempt_at, id LIMIT $4) \
             AND status = 'pending' AND (claimed_until IS NULL OR claimed_until <= $3) RETURNING ",
            delivery_columns!("")
        ))
        .bind(owner)
        .bind(until)
        .bind(self.clock.now())
        .bind(limit)
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(claimed_from).collect()
    }

    /// Notes how a try went. `false` when the claim had run out and somebody else took it.
    pub async fn settle_delivery(&self, id: &DeliveryId, owner: &str, tried: &Tried) -> Result<bool, StoreError> {
        let (status, next) = match tried.end {
            End::Delivered => (DeliveryStatus::Delivered, None),
            End::Again(at) => (DeliveryStatus::Pending, Some(at)),
            End::GivenUp => (DeliveryStatus::GivenUp, None),
            End::Cancelled => (DeliveryStatus::Cancelled, None),
        };
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
        .execute(self.pool())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Where the deliveries of these events stand, to this organisation's receivers.
    pub async fn deliveries_of(&self, org: &OrgId, since: i64) -> Result<Vec<(EventId, DeliveryView)>, StoreError> {
        let rows = sqlx::query(concat!(
            "SELECT ",
            delivery_columns!("d."),
            ", COALESCE(e.url, u.email) AS receiver FROM deliveries d \
             LEFT JOIN webhook_endpoints e ON d.channel = 'webhook' AND e.id = d.target_id \
             LEFT JOIN users u ON d.channel = 'email' AND u.id = d.target_id \
             WHERE d.org_id = $1 AND d.created_at >= $2 ORDER BY d.created_at DESC, d.id LIMIT 500"
        ))
        .bind(org.as_str())
        .bind(since)
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(|row| Ok((EventId(row.try_get("event_id")?), view_from(row)?))).collect()
    }

    /// The last delivery that was made for this receiver.
    pub async fn last_delivery(&self, org: &OrgId, target: &str) -> Result<Option<DeliveryView>, StoreError> {
        let row = sqlx::query(concat!(
            "SELECT ",
            delivery_columns!("d."),
            ", NULL AS receiver FROM deliveries d WHERE d.target_id = $1 AND d.org_id = $2 \
             ORDER BY d.created_at DESC, d.last_attempt_at DESC, d.id LIMIT 1"
        ))
        .bind(target)
        .bind(org.as_str())
        .fetch_optional(self.pool())
        .await?;
        row.as_ref().map(view_from).transpose()
    }
}

/// Part of a larger transaction: nothing more goes to a receiver.
pub(super) async fn cancel(connection: &mut AnyConnection, target: &str) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE deliveries SET status = 'cancelled', next_attempt_at = NULL, claimed_by = NULL, claimed_until = NULL \
         WHERE target_id = $1 AND status = 'pending'",
    )
    .bind(target)
    .execute(connection)
    .await?;
    Ok(())
}

fn channel_of(row: &AnyRow) -> Result<Channel, StoreError> {
    let word: String = row.try_get("channel")?;
    Channel::parse(&word).ok_or(StoreError::Unreadable { table: "deliveries", column: "channel", value: word })
}

pub(super) fn claimed_from(row: &AnyRow) -> Result<Claimed, StoreError> {
    Ok(Claimed {
        id: DeliveryId(row.try_get("id")?),
        event: EventId(row.try_get("event_id")?),
        org: OrgId(row.try_get("org_id")?),
        channel: channel_of(row)?,
        target: row.try_get("target_id")?,
        attempts: row.try_get("attempts")?,
        created_at: row.try_get("created_at")?,
    })
}

fn view_from(row: &AnyRow) -> Result<DeliveryView, StoreError> {
    let status: String = row.try_get("status")?;
    let unreadable = |value| StoreError::Unreadable { table: "deliveries", column: "status", value };
    Ok(DeliveryView {
        channel: channel_of(row)?,
        receiver: row.try_get("receiver")?,
        status: DeliveryStatus::parse(&status).ok_or_else(|| unreadable(status))?,
        attempts: row.try_get("attempts")?,
        last_attempt_at: row.try_get("last_attempt_at")?,
        next_attempt_at: row.try_get("next_attempt_at")?,
        http_status: row.try_get("last_http_status")?,
        error: row.try_get("last_error")?,
    })
}
