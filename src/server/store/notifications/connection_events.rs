//! Inserts the notification events of a connection's changes, in the transactions that make the changes. The rows
//! record what was notified, so each event is inserted once.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::outbox::{EventSubject, NewEvent, insert_event};
use crate::model::{BindingId, EventKind, GrantId, OrgId};
use crate::server::domain::{GrantEnd, REFRESH_TOKEN_LIFETIME};
use crate::server::store::{Store, StoreError};

/// The ages of a refresh token, in days, at which people are warned if its renewal fails.
const WARNING_AGE_DAYS: [i64; 3] = [55, 50, 45];
const DAY: i64 = 24 * 60 * 60;
/// How many refreshes must fail in a row before people are warned. A single failure is retried within minutes.
const MIN_FAILURES_TO_WARN: i64 = 2;

impl Store {
    /// Warns of grants whose refresh token is getting old even if no refresh was attempted, as while the circuit
    /// breaker is open or no sweeper runs. `from_age` is the age in seconds at which renewal is overdue. Returns the
    /// number of grants that people were warned of.
    pub async fn warn_of_expiring_grants(&self, from_age: i64, limit: i64) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let query = sqlx::query(
            "SELECT id, refresh_token_issued_at, ageing_notified_day FROM integration_grants WHERE status = 'active' \
             AND ((refresh_token_issued_at <= $1 AND COALESCE(ageing_notified_day, 0) < $2) \
             OR (refresh_token_issued_at <= $3 AND COALESCE(ageing_notified_day, 0) < $4) \
             OR (refresh_token_issued_at <= $5 AND COALESCE(ageing_notified_day, 0) < $6)) \
             ORDER BY refresh_token_issued_at LIMIT $7",
        );
        let rows = WARNING_AGE_DAYS
            .into_iter()
            .fold(query, |query, day| query.bind(now - from_age.max(day * DAY)).bind(day))
            .bind(limit)
            .fetch_all(self.pool())
            .await?;
        let mut warned = 0;
        for row in rows {
            let mut transaction = self.database.begin().await?;
            if warn_if_expiring(&mut transaction, &row, now).await? {
                warned += 1;
            }
            transaction.commit().await?;
        }
        Ok(warned)
    }
}

/// Appends the columns that `event_subject` reads.
macro_rules! returning_event_subject {
    ($statement:literal) => {
        concat!($statement, " RETURNING id, org_id, tenant_id, tenant_name, active_grant_id")
    };
}

/// Inserts an event about a binding that a person or a program has changed, as it is now.
pub(in crate::server::store) async fn binding_changed(
    connection: &mut AnyConnection,
    binding: &BindingId,
    kind: EventKind,
    now: i64,
) -> Result<(), StoreError> {
    insert_binding_event(connection, binding, kind, None, now).await
}

/// Inserts a `Disconnected` event for a binding that another system keeps alive now. Only programs get it: nobody has to
/// act.
pub(in crate::server::store) async fn binding_moved(
    connection: &mut AnyConnection,
    binding: &BindingId,
    now: i64,
) -> Result<(), StoreError> {
    insert_binding_event(connection, binding, EventKind::Disconnected, Some(GrantEnd::Exported.code()), now).await
}

async fn insert_binding_event(
    connection: &mut AnyConnection,
    binding: &BindingId,
    kind: EventKind,
    reason: Option<&str>,
    now: i64,
) -> Result<(), StoreError> {
    let row = sqlx::query(
        "SELECT id, org_id, tenant_id, tenant_name, active_grant_id FROM integration_tenant_bindings WHERE id = $1",
    )
    .bind(binding.as_str())
    .fetch_one(&mut *connection)
    .await?;
    let (org, about) = event_subject(&row)?;
    insert_event(connection, NewEvent { org: Some(&org), kind, about, reason, ends_at: None }, now).await?;
    Ok(())
}

/// Inserts a `NeedsReconnecting` event for a binding, unless people were already notified. `reason` is a
/// machine-readable cause.
pub(in crate::server::store) async fn binding_broken(
    connection: &mut AnyConnection,
    binding: &BindingId,
    reason: &str,
    now: i64,
) -> Result<(), StoreError> {
    let news = sqlx::query(returning_event_subject!(
        "UPDATE integration_tenant_bindings SET broken_notified_at = $1 WHERE id = $2 AND broken_notified_at IS NULL"
    ))
    .bind(now)
    .bind(binding.as_str())
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = news else { return Ok(()) };
    let (org, about) = event_subject(&row)?;
    let kind = EventKind::NeedsReconnecting;
    insert_event(connection, NewEvent { org: Some(&org), kind, about, reason: Some(reason), ends_at: None }, now)
        .await?;
    Ok(())
}

/// Inserts a `Recovered` event for a binding if people were notified that it was broken.
pub(in crate::server::store) async fn binding_recovered(
    connection: &mut AnyConnection,
    binding: &BindingId,
    now: i64,
) -> Result<(), StoreError> {
    let news = sqlx::query(returning_event_subject!(
        "UPDATE integration_tenant_bindings SET broken_notified_at = NULL \
         WHERE id = $1 AND broken_notified_at IS NOT NULL"
    ))
    .bind(binding.as_str())
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(row) = news { insert_recovered_event(connection, &row, now).await } else { Ok(()) }
}

/// Inserts a `Recovered` event for a binding whose grant people were warned about.
pub(in crate::server::store) async fn warned_binding_recovered(
    connection: &mut AnyConnection,
    binding: &BindingId,
    now: i64,
) -> Result<(), StoreError> {
    let row = sqlx::query(returning_event_subject!(
        "UPDATE integration_tenant_bindings SET broken_notified_at = NULL WHERE id = $1"
    ))
    .bind(binding.as_str())
    .fetch_one(&mut *connection)
    .await?;
    insert_recovered_event(connection, &row, now).await
}

/// Inserts `Recovered` events after a refresh if people were warned that the grant would expire. `grant` is its row
/// with `id` and `ageing_notified_day`.
pub(in crate::server::store) async fn grant_refreshed(
    connection: &mut AnyConnection,
    grant: &AnyRow,
    now: i64,
) -> Result<(), StoreError> {
    let warned: Option<i64> = grant.try_get("ageing_notified_day")?;
    if warned.is_none() {
        return Ok(());
    }
    let id = GrantId(grant.try_get("id")?);
    sqlx::query("UPDATE integration_grants SET ageing_notified_day = NULL WHERE id = $1")
        .bind(id.as_str())
        .execute(&mut *connection)
        .await?;
    for row in active_bindings_of(connection, &id).await? {
        insert_recovered_event(connection, &row, now).await?;
    }
    Ok(())
}

/// Warns people after a failed exchange that does not prove the token invalid, if the refresh token is getting old.
/// `grant` is its row with `id`, `failure_count`, `refresh_token_issued_at` and `ageing_notified_day`.
pub(in crate::server::store) async fn grant_refresh_failed(
    connection: &mut AnyConnection,
    grant: &AnyRow,
    now: i64,
) -> Result<(), StoreError> {
    let failures: i64 = grant.try_get("failure_count")?;
    if failures >= MIN_FAILURES_TO_WARN {
        warn_if_expiring(connection, grant, now).await?;
    }
    Ok(())
}

/// Inserts `WillExpireSoon` events if the grant has reached a warning day that nobody was warned at yet. Returns
/// whether it did.
pub(in crate::server::store) async fn warn_if_expiring(
    connection: &mut AnyConnection,
    grant: &AnyRow,
    now: i64,
) -> Result<bool, StoreError> {
    let issued: i64 = grant.try_get("refresh_token_issued_at")?;
    let notified: Option<i64> = grant.try_get("ageing_notified_day")?;
    let Some(day) = WARNING_AGE_DAYS.into_iter().find(|day| now - issued >= day * DAY) else { return Ok(false) };
    if notified.is_some_and(|notified| notified >= day) {
        return Ok(false);
    }
    let id = GrantId(grant.try_get("id")?);
    let news = sqlx::query(
        "UPDATE integration_grants SET ageing_notified_day = $1 \
         WHERE id = $2 AND refresh_token_issued_at = $3 AND (ageing_notified_day IS NULL OR ageing_notified_day < $1)",
    )
    .bind(day)
    .bind(id.as_str())
    .bind(issued)
    .execute(&mut *connection)
    .await?;
    if news.rows_affected() == 0 {
        return Ok(false);
    }
    let ends_at = Some(issued + REFRESH_TOKEN_LIFETIME);
    for row in active_bindings_of(connection, &id).await? {
        let (org, about) = event_subject(&row)?;
        let kind = EventKind::WillExpireSoon;
        insert_event(connection, NewEvent { org: Some(&org), kind, about, reason: None, ends_at }, now).await?;
    }
    Ok(true)
}

async fn insert_recovered_event(connection: &mut AnyConnection, binding: &AnyRow, now: i64) -> Result<(), StoreError> {
    let (org, about) = event_subject(binding)?;
    let kind = EventKind::Recovered;
    insert_event(connection, NewEvent { org: Some(&org), kind, about, reason: None, ends_at: None }, now).await?;
    Ok(())
}

/// Returns the active bindings of a grant.
async fn active_bindings_of(connection: &mut AnyConnection, grant: &GrantId) -> Result<Vec<AnyRow>, StoreError> {
    let rows = sqlx::query(
        "SELECT id, org_id, tenant_id, tenant_name, active_grant_id FROM integration_tenant_bindings \
         WHERE active_grant_id = $1 AND status = 'active' ORDER BY tenant_name, id",
    )
    .bind(grant.as_str())
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

fn event_subject(binding: &AnyRow) -> Result<(OrgId, EventSubject), StoreError> {
    let about = EventSubject {
        binding: Some(BindingId(binding.try_get("id")?)),
        grant: binding.try_get::<Option<String>, _>("active_grant_id")?.map(GrantId),
        tenant_id: binding.try_get("tenant_id")?,
        tenant_name: binding.try_get("tenant_name")?,
    };
    Ok((OrgId(binding.try_get("org_id")?), about))
}
