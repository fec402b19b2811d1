//! The outbox: what people are to be told, written in the transaction that changed it.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::columns::{columns, event_columns};
use super::{Store, StoreError, new_id};
use crate::model::{BindingId, EventId, EventKind, GrantId, OrgId};

/// A change of state, as it was when it happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub id: EventId,
    /// `None` where it concerns the whole app.
    pub org: Option<OrgId>,
    pub kind: EventKind,
    pub about: About,
    /// A word for a program, such as `invalid_grant`.
    pub reason: Option<String>,
    /// When the connection ends if nothing helps.
    pub ends_at: Option<i64>,
    pub occurred_at: i64,
}

/// The connection that an event is about; all absent where it is about none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct About {
    pub binding: Option<BindingId>,
    pub grant: Option<GrantId>,
    pub tenant_id: Option<String>,
    pub tenant_name: Option<String>,
}

/// What is about to be told.
pub(super) struct NewEvent<'a> {
    pub org: Option<&'a OrgId>,
    pub kind: EventKind,
    pub about: About,
    pub reason: Option<&'a str>,
    pub ends_at: Option<i64>,
}

/// Part of a larger transaction: writes an event down.
pub(super) async fn put(connection: &mut AnyConnection, new: NewEvent<'_>, now: i64) -> Result<EventId, StoreError> {
    let id: EventId = new_id();
    sqlx::query(
        "INSERT INTO outbox (id, org_id, kind, binding_id, grant_id, tenant_id, tenant_name, reason, ends_at, occurred_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(id.as_str())
    .bind(new.org.map(OrgId::as_str))
    .bind(new.kind.as_str())
    .bind(new.about.binding.map(|id| id.0))
    .bind(new.about.grant.map(|id| id.0))
    .bind(new.about.tenant_id)
    .bind(new.about.tenant_name)
    .bind(new.reason)
    .bind(new.ends_at)
    .bind(now)
    .execute(connection)
    .await?;
    Ok(id)
}

impl Store {
    /// One event, whosever it is: for a delivery that already holds it.
    pub async fn event(&self, id: &EventId) -> Result<Option<Event>, StoreError> {
        let row = sqlx::query(concat!("SELECT ", event_columns!(""), " FROM outbox WHERE id = $1"))
            .bind(id.as_str())
            .fetch_optional(self.pool())
            .await?;
        row.as_ref().map(event_from).transpose()
    }

    /// What happened to an organisation, and to the whole app, newest first.
    pub async fn events_of_org(&self, org: &OrgId, limit: i64) -> Result<Vec<Event>, StoreError> {
        // Two ways in, each by its index, rather than an OR that uses none.
        let rows = sqlx::query(concat!(
            "SELECT ",
            event_columns!("e."),
            " FROM outbox e JOIN (SELECT o.id FROM (SELECT id FROM outbox WHERE org_id = $1 \
             ORDER BY occurred_at DESC LIMIT $2) o UNION ALL SELECT a.id FROM (SELECT id FROM outbox \
             WHERE org_id IS NULL ORDER BY occurred_at DESC LIMIT $2) a) newest ON newest.id = e.id \
             ORDER BY e.occurred_at DESC, e.id LIMIT $2"
        ))
        .bind(org.as_str())
        .bind(limit)
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(event_from).collect()
    }

    /// Deletes events from before then with how each was delivered, the oldest first, so many at most. One that is
    /// still on its way to somebody stays. Says how many there were.
    pub async fn forget_events(&self, before: i64, at_most: i64) -> Result<u64, StoreError> {
        let done = sqlx::query(
            "DELETE FROM outbox WHERE id IN (SELECT o.id FROM outbox o \
             WHERE o.occurred_at < $1 AND o.fanned_out_at IS NOT NULL AND NOT EXISTS \
             (SELECT 1 FROM deliveries d WHERE d.event_id = o.id AND d.status = 'pending') \
             ORDER BY o.occurred_at LIMIT $2)",
        )
        .bind(before)
        .bind(at_most)
        .execute(self.pool())
        .await?;
        Ok(done.rows_affected())
    }
}

fn event_from(row: &AnyRow) -> Result<Event, StoreError> {
    let kind: String = row.try_get("kind")?;
    Ok(Event {
        id: EventId(row.try_get("id")?),
        org: row.try_get::<Option<String>, _>("org_id")?.map(OrgId),
        kind: EventKind::parse(&kind).ok_or(StoreError::Unreadable { table: "outbox", column: "kind", value: kind })?,
        about: About {
            binding: row.try_get::<Option<String>, _>("binding_id")?.map(BindingId),
            grant: row.try_get::<Option<String>, _>("grant_id")?.map(GrantId),
            tenant_id: row.try_get("tenant_id")?,
            tenant_name: row.try_get("tenant_name")?,
        },
        reason: row.try_get("reason")?,
        ends_at: row.try_get("ends_at")?,
        occurred_at: row.try_get("occurred_at")?,
    })
}
