//! Which changes to a connection people are told of. Part of the transactions that make the changes, so that each is
//! told if and only if it is committed; and once, because the row remembers what was told of it.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::StoreError;
use super::outbox::{About, NewEvent, put};
use crate::model::{BindingId, EventKind, GrantId, OrgId};
use crate::server::domain::REFRESH_TOKEN_LIFE;

/// The days of a refresh token's age at which people are warned, where its renewal fails.
const WARNING_DAYS: [i64; 3] = [55, 50, 45];
const DAY: i64 = 24 * 60 * 60;
/// One failed try is no reason to worry anybody; it is tried again within minutes.
const FAILING: i64 = 2;

/// What a statement has to return for `told_of`.
macro_rules! told_of {
    ($statement:literal) => {
        concat!($statement, " RETURNING id, org_id, tenant_id, tenant_name, active_grant_id")
    };
}

/// A binding needs a person. Told unless people know already. `reason` is a word for a program.
pub(super) async fn broke(
    connection: &mut AnyConnection,
    binding: &BindingId,
    reason: &str,
    now: i64,
) -> Result<(), StoreError> {
    let news = sqlx::query(told_of!(
        "UPDATE integration_tenant_bindings SET told_broken_at = $1 WHERE id = $2 AND told_broken_at IS NULL"
    ))
    .bind(now)
    .bind(binding.as_str())
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = news else { return Ok(()) };
    let (org, about) = told_of(&row)?;
    let kind = EventKind::NeedsReconnecting;
    put(connection, NewEvent { org: Some(&org), kind, about, reason: Some(reason), ends_at: None }, now).await?;
    Ok(())
}

/// A binding works. Told where its trouble was; `warned` says that it was, in another way.
pub(super) async fn works(
    connection: &mut AnyConnection,
    binding: &BindingId,
    warned: bool,
    now: i64,
) -> Result<(), StoreError> {
    let news = sqlx::query(told_of!(
        "UPDATE integration_tenant_bindings SET told_broken_at = NULL \
         WHERE id = $1 AND (told_broken_at IS NOT NULL OR $2 = 1)"
    ))
    .bind(binding.as_str())
    .bind(i64::from(warned))
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(row) = news { recovered(connection, &row, now).await } else { Ok(()) }
}

/// A grant has a successor in place. `grant` is its row: `id` and `told_ageing_day`, which the commit leaves alone.
/// Who was warned of its end hears that it is over.
pub(super) async fn refreshed(connection: &mut AnyConnection, grant: &AnyRow, now: i64) -> Result<(), StoreError> {
    let warned: Option<i64> = grant.try_get("told_ageing_day")?;
    if warned.is_none() {
        return Ok(());
    }
    let id = GrantId(grant.try_get("id")?);
    sqlx::query("UPDATE integration_grants SET told_ageing_day = NULL WHERE id = $1")
        .bind(id.as_str())
        .execute(&mut *connection)
        .await?;
    for row in standing_on(connection, &id).await? {
        recovered(connection, &row, now).await?;
    }
    Ok(())
}

/// An exchange failed without telling anything about the token. `grant` is its row: `id`, `failure_count`,
/// `refresh_token_issued_at` and `told_ageing_day`. Where its refresh token grows old meanwhile, people are warned.
pub(super) async fn failed(connection: &mut AnyConnection, grant: &AnyRow, now: i64) -> Result<(), StoreError> {
    let failures: i64 = grant.try_get("failure_count")?;
    if failures >= FAILING {
        warn_of_age(connection, grant, now).await?;
    }
    Ok(())
}

/// Warns of a grant's end where one of the days has come that nobody was warned at yet. Says whether it did.
pub(super) async fn warn_of_age(connection: &mut AnyConnection, grant: &AnyRow, now: i64) -> Result<bool, StoreError> {
    let issued: i64 = grant.try_get("refresh_token_issued_at")?;
    let told: Option<i64> = grant.try_get("told_ageing_day")?;
    let Some(day) = WARNING_DAYS.into_iter().find(|day| now - issued >= day * DAY) else { return Ok(false) };
    if told.is_some_and(|told| told >= day) {
        return Ok(false);
    }
    let id = GrantId(grant.try_get("id")?);
    let news = sqlx::query(
        "UPDATE integration_grants SET told_ageing_day = $1 \
         WHERE id = $2 AND refresh_token_issued_at = $3 AND (told_ageing_day IS NULL OR told_ageing_day < $1)",
    )
    .bind(day)
    .bind(id.as_str())
    .bind(issued)
    .execute(&mut *connection)
    .await?;
    if news.rows_affected() == 0 {
        return Ok(false);
    }
    let ends_at = Some(issued + REFRESH_TOKEN_LIFE);
    for row in standing_on(connection, &id).await? {
        let (org, about) = told_of(&row)?;
        let kind = EventKind::WillExpireSoon;
        put(connection, NewEvent { org: Some(&org), kind, about, reason: None, ends_at }, now).await?;
    }
    Ok(true)
}

async fn recovered(connection: &mut AnyConnection, binding: &AnyRow, now: i64) -> Result<(), StoreError> {
    let (org, about) = told_of(binding)?;
    let kind = EventKind::Recovered;
    put(connection, NewEvent { org: Some(&org), kind, about, reason: None, ends_at: None }, now).await?;
    Ok(())
}

/// The working bindings of a grant.
async fn standing_on(connection: &mut AnyConnection, grant: &GrantId) -> Result<Vec<AnyRow>, StoreError> {
    let rows = sqlx::query(
        "SELECT id, org_id, tenant_id, tenant_name, active_grant_id FROM integration_tenant_bindings \
         WHERE active_grant_id = $1 AND status = 'active' ORDER BY tenant_name, id",
    )
    .bind(grant.as_str())
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

fn told_of(binding: &AnyRow) -> Result<(OrgId, About), StoreError> {
    let about = About {
        binding: Some(BindingId(binding.try_get("id")?)),
        grant: binding.try_get::<Option<String>, _>("active_grant_id")?.map(GrantId),
        tenant_id: binding.try_get("tenant_id")?,
        tenant_name: binding.try_get("tenant_name")?,
    };
    Ok((OrgId(binding.try_get("org_id")?), about))
}
