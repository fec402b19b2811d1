//! Which connect links can still be used. Those in letters to contacts count for themselves and are left out.

use std::collections::HashSet;

use sqlx::{AnyConnection, Row};

use crate::model::{BindingId, OrgId};
use crate::server::store::StoreError;

/// Counts the open links of the organization `$org` at the time `$now`.
macro_rules! count_open_links {
    ($org:literal, $now:literal) => {
        concat!(
            "(SELECT COUNT(*) FROM connect_links l WHERE l.org_id = ",
            $org,
            " AND l.used_at IS NULL AND l.cancelled_at IS NULL AND l.contact_id IS NULL AND l.expires_at > ",
            $now,
            ")"
        )
    };
}
pub(in crate::server::store) use count_open_links;

/// Counts the organization's open links.
pub(super) async fn count_open(connection: &mut AnyConnection, org: &OrgId, now: i64) -> Result<i64, StoreError> {
    let row = sqlx::query(concat!("SELECT ", count_open_links!("$1", "$2")))
        .bind(org.as_str())
        .bind(now)
        .fetch_one(connection)
        .await?;
    Ok(row.try_get(0)?)
}

/// Returns the organization's connections that have an open link.
pub(super) async fn connections_with_links(
    connection: &mut AnyConnection,
    org: &OrgId,
    now: i64,
) -> Result<HashSet<BindingId>, StoreError> {
    let rows = sqlx::query(
        "SELECT binding_id FROM connect_links WHERE org_id = $1 AND binding_id IS NOT NULL AND used_at IS NULL \
         AND cancelled_at IS NULL AND contact_id IS NULL AND expires_at > $2",
    )
    .bind(org.as_str())
    .bind(now)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok(BindingId(row.try_get("binding_id")?))).collect()
}
