//! The outbox: events that people are notified of, inserted in the transaction that makes the change.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use crate::model::{BindingId, Cursor, EventId, EventKind, EventListFilter, GrantId, OrgId};
use crate::server::store::audit::ordered_id;
use crate::server::store::column_lists::{columns, event_columns};
use crate::server::store::text_values::text_value;
use crate::server::store::{Store, StoreError};

/// A stored event: a change of state, described as it was when it happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Id of the event.
    pub id: EventId,
    /// `None` if the event concerns the whole app.
    pub org: Option<OrgId>,
    /// Kind of the change.
    pub kind: EventKind,
    /// Connection that the event is about.
    pub about: EventSubject,
    /// The program's own id of the connection.
    pub external_id: Option<String>,
    /// The connection's tags, sorted.
    pub tags: Vec<String>,
    /// A machine-readable cause, such as `invalid_grant`.
    pub reason: Option<String>,
    /// When the connection will end if nothing changes, in unix seconds.
    pub ends_at: Option<i64>,
    /// When the change happened, in unix seconds.
    pub occurred_at: i64,
}

/// The connection that an event is about. All fields are `None` if it is about none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventSubject {
    /// Binding of the connection.
    pub binding: Option<BindingId>,
    /// Grant of the connection; `None` if the binding has none.
    pub grant: Option<GrantId>,
    /// Xero's id of the tenant.
    pub tenant_id: Option<String>,
    /// Name of the tenant in Xero.
    pub tenant_name: Option<String>,
}

/// An event to insert.
pub(in crate::server::store) struct NewEvent<'a> {
    pub org: Option<&'a OrgId>,
    pub kind: EventKind,
    pub about: EventSubject,
    pub reason: Option<&'a str>,
    pub ends_at: Option<i64>,
}

/// Inserts an event, in the caller's transaction. The event keeps the connection's labels as they are now.
pub(in crate::server::store) async fn insert_event(
    connection: &mut AnyConnection,
    new: NewEvent<'_>,
    now: i64,
) -> Result<EventId, StoreError> {
    // Of two events of one second, the feed has the later one last.
    let id = EventId(ordered_id(now * 1_000));
    let (external_id, tags) = labels_of(connection, new.about.binding.as_ref()).await?;
    sqlx::query(
        "INSERT INTO outbox (id, org_id, kind, binding_id, grant_id, tenant_id, tenant_name, reason, ends_at, \
         occurred_at, external_id, tags) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
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
    .bind(external_id)
    .bind(tags)
    .execute(connection)
    .await?;
    Ok(id)
}

/// Returns a binding's external id, and its tags as the outbox stores them.
async fn labels_of(
    connection: &mut AnyConnection,
    binding: Option<&BindingId>,
) -> Result<(Option<String>, Option<String>), StoreError> {
    let Some(binding) = binding else { return Ok((None, None)) };
    let row = sqlx::query("SELECT external_id FROM integration_tenant_bindings WHERE id = $1")
        .bind(binding.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    let external_id = row.map(|row| row.try_get("external_id")).transpose()?.flatten();
    let rows = sqlx::query("SELECT tag FROM binding_tags WHERE binding_id = $1 ORDER BY tag")
        .bind(binding.as_str())
        .fetch_all(connection)
        .await?;
    let tags: Vec<String> = rows.iter().map(|row| row.try_get("tag")).collect::<Result<_, _>>()?;
    Ok((external_id, Some(tags.join(" "))))
}

/// Selects the ids of up to `$2` events after the cursor in `$6` and `$7`, of kind `$8` and about binding `$9` if these are
/// not empty.
macro_rules! newest_events_sql {
    ($org:literal) => {
        concat!(
            "SELECT id FROM outbox WHERE org_id ",
            $org,
            " AND kind NOT IN ($3, $4, $5) AND occurred_at <= $6 AND (occurred_at < $6 OR id < $7) \
             AND ($8 = '' OR kind = $8) AND ($9 = '' OR binding_id = $9) ORDER BY occurred_at DESC, id DESC LIMIT $2"
        )
    };
}

impl Store {
    /// Returns an event of any organization. Only for a delivery that already names it.
    pub async fn event(&self, id: &EventId) -> Result<Option<Event>, StoreError> {
        let row = sqlx::query(concat!("SELECT ", event_columns!(""), " FROM outbox WHERE id = $1"))
            .bind(id.as_str())
            .fetch_optional(self.pool())
            .await?;
        row.as_ref().map(event_from).transpose()
    }

    /// Returns up to `limit` events that people are notified of, of an organization and of the whole app, that match the
    /// filter, newest first, after the cursor.
    pub async fn org_events(
        &self,
        org: &OrgId,
        filter: &EventListFilter,
        after: Option<&Cursor>,
        limit: i64,
    ) -> Result<Vec<Event>, StoreError> {
        let (at, id) = after.map_or((i64::MAX, ""), |after| (after.at, after.id.as_str()));
        // Two subqueries that each use an index, because an OR would use none.
        let rows = sqlx::query(concat!(
            "SELECT ",
            event_columns!("e."),
            " FROM outbox e JOIN (SELECT o.id FROM (",
            newest_events_sql!("= $1"),
            ") o UNION ALL SELECT a.id FROM (",
            newest_events_sql!("IS NULL"),
            ") a) newest ON newest.id = e.id ORDER BY e.occurred_at DESC, e.id DESC LIMIT $2"
        ))
        .bind(org.as_str())
        .bind(limit)
        .bind(EventKind::FOR_PROGRAMS[0].as_str())
        .bind(EventKind::FOR_PROGRAMS[1].as_str())
        .bind(EventKind::FOR_PROGRAMS[2].as_str())
        .bind(at)
        .bind(id)
        .bind(filter.kind.map_or("", EventKind::as_str))
        .bind(filter.connection.as_ref().map_or("", BindingId::as_str))
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(event_from).collect()
    }

    /// Deletes up to `at_most` events from before `before` with their deliveries, the oldest first. Events with a
    /// pending delivery are kept. Returns the number of deleted events.
    pub async fn delete_events_before(&self, before: i64, at_most: i64) -> Result<u64, StoreError> {
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

pub(super) fn event_from(row: &AnyRow) -> Result<Event, StoreError> {
    let tags = row.try_get::<Option<String>, _>("tags")?.unwrap_or_default();
    Ok(Event {
        id: EventId(row.try_get("id")?),
        org: row.try_get::<Option<String>, _>("org_id")?.map(OrgId),
        kind: text_value(row, "outbox", "kind")?,
        about: EventSubject {
            binding: row.try_get::<Option<String>, _>("binding_id")?.map(BindingId),
            grant: row.try_get::<Option<String>, _>("grant_id")?.map(GrantId),
            tenant_id: row.try_get("tenant_id")?,
            tenant_name: row.try_get("tenant_name")?,
        },
        external_id: row.try_get("external_id")?,
        tags: tags.split_whitespace().map(str::to_owned).collect(),
        reason: row.try_get("reason")?,
        ends_at: row.try_get("ends_at")?,
        occurred_at: row.try_get("occurred_at")?,
    })
}
