//! Up to when each member has read the organization's events.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::model::{EventKind, OrgId, UserId};
use crate::server::store::accounts::members::rows::count;
use crate::server::store::live::changes::Change;
use crate::server::store::{Store, StoreError};

/// What a member has read of an organization's events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadState {
    /// The time up to which the member has marked events as read, or when they joined, in unix seconds.
    pub until: i64,
    /// How many events the member has not marked as read.
    pub unread: u32,
}

/// The time up to which the member of membership `m` has marked events as read.
macro_rules! read_until_sql {
    () => {
        "COALESCE(m.events_read_at, m.created_at)"
    };
}
pub(in crate::server::store) use read_until_sql;

/// Counts the events of the organization of membership `m`, and of the whole app, that its member has not marked as read.
/// The arguments stand for the kinds that nobody has to read, and for a further condition.
macro_rules! unread_events_sql {
    ($test:literal, $created:literal, $reconnected:literal, $disconnected:literal) => {
        unread_events_sql!($test, $created, $reconnected, $disconnected, "")
    };
    ($test:literal, $created:literal, $reconnected:literal, $disconnected:literal, $bound:literal) => {
        concat!(
            "((SELECT COUNT(*) FROM outbox e WHERE e.org_id = m.org_id \
             AND e.occurred_at > COALESCE(m.events_read_at, m.created_at)",
            $bound,
            " AND e.kind NOT IN (",
            $test,
            ", ",
            $created,
            ", ",
            $reconnected,
            ", ",
            $disconnected,
            ")) + (SELECT COUNT(*) FROM outbox e WHERE e.org_id IS NULL \
             AND e.occurred_at > COALESCE(m.events_read_at, m.created_at)",
            $bound,
            "))"
        )
    };
}
pub(in crate::server::store) use unread_events_sql;

impl Store {
    /// Returns what a member has read of the organization's events and those of the whole app.
    pub async fn read_state(&self, org: &OrgId, user: &UserId) -> Result<ReadState, StoreError> {
        let row = sqlx::query(concat!(
            "SELECT ",
            read_until_sql!(),
            " AS read_until, ",
            unread_events_sql!("$3", "$4", "$5", "$6"),
            " AS unread FROM memberships m WHERE m.org_id = $1 AND m.user_id = $2"
        ))
        .bind(org.as_str())
        .bind(user.as_str())
        .bind(EventKind::Test.as_str())
        .bind(EventKind::FOR_PROGRAMS[0].as_str())
        .bind(EventKind::FOR_PROGRAMS[1].as_str())
        .bind(EventKind::FOR_PROGRAMS[2].as_str())
        .fetch_optional(self.pool())
        .await?;
        Ok(row.as_ref().map(read_state_from).transpose()?.flatten().unwrap_or_default())
    }

    /// Marks the organization's events up to `up_to` as read, and publishes that to the person's other pages. `seen` is how
    /// many unread ones the person saw: if more have happened until then, the last second had events after the page was
    /// rendered, so those of that second stay unread.
    pub async fn mark_events_read(
        &self,
        org: &OrgId,
        user: &UserId,
        up_to: i64,
        seen: Option<u32>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin_change_tx().await?;
        sqlx::query(concat!(
            "UPDATE memberships AS m SET events_read_at = CASE WHEN ",
            unread_events_sql!("$5", "$6", "$7", "$8", " AND e.occurred_at <= $1"),
            " > $4 THEN CAST($1 AS BIGINT) - 1 ELSE $1 END WHERE org_id = $2 AND user_id = $3"
        ))
        .bind(up_to)
        .bind(org.as_str())
        .bind(user.as_str())
        .bind(seen.map_or(i64::MAX, i64::from))
        .bind(EventKind::Test.as_str())
        .bind(EventKind::FOR_PROGRAMS[0].as_str())
        .bind(EventKind::FOR_PROGRAMS[1].as_str())
        .bind(EventKind::FOR_PROGRAMS[2].as_str())
        .execute(&mut *transaction)
        .await?;
        transaction.publish(Change::Read { user: user.clone() }).await?;
        transaction.commit().await
    }
}

/// Reads `read_until` and `unread`; `None` if the row has neither.
pub(in crate::server::store) fn read_state_from(row: &AnyRow) -> Result<Option<ReadState>, StoreError> {
    let (until, unread): (Option<i64>, Option<i64>) = (row.try_get("read_until")?, row.try_get("unread")?);
    Ok(until.zip(unread).map(|(until, unread)| ReadState { until, unread: count(unread) }))
}
