//! The contents of the tables that a request could change, to show that it changed nothing.

use evergrant::model::OrgId;
use evergrant::server::store::ConnectionPool;
use sqlx::{Column, Row};

/// The tables that a form could change.
const TABLES: [&str; 16] = [
    "api_keys",
    "audit_events",
    "connect_link_states",
    "connect_links",
    "connect_return_urls",
    "deliveries",
    "integration_grants",
    "integration_tenant_bindings",
    "invitations",
    "membership_removals",
    "memberships",
    "oauth_states",
    "organizations",
    "outbox",
    "refresh_attempts",
    "webhook_endpoints",
];

/// Returns the rows of the tables, or only those of one organization.
pub async fn dump(pool: &ConnectionPool, org: Option<&OrgId>) -> Vec<String> {
    dump_tables(pool, TABLES.into_iter(), org).await
}

/// Returns the rows of these tables, or only those of one organization.
pub async fn dump_tables(
    pool: &ConnectionPool,
    tables: impl Iterator<Item = impl AsRef<str>>,
    org: Option<&OrgId>,
) -> Vec<String> {
    let mut all = Vec::new();
    for table in tables {
        let table = table.as_ref();
        // A background job numbers committed events.
        let columns = if table == "outbox" { "id, org_id, kind, grant_id, occurred_at" } else { "*" };
        let select: &'static str = format!("SELECT {columns} FROM {table}").leak();
        let mut rows: Vec<String> = sqlx::query(select)
            .fetch_all(pool)
            .await
            .unwrap()
            .iter()
            .map(|row| {
                let value = |at: usize| match row.try_get::<Option<String>, _>(at) {
                    Ok(text) => format!("{text:?}"),
                    Err(_) => format!("{:?}", row.try_get::<Option<i64>, _>(at).unwrap()),
                };
                // The use of a key is noted after the answer.
                let columns = row.columns().iter().filter(|column| !column.name().contains("last_used"));
                format!("{table}: {}", columns.map(|column| value(column.ordinal())).collect::<Vec<_>>().join(", "))
            })
            .filter(|row| org.is_none_or(|org| row.contains(org.as_str())))
            .collect();
        rows.sort();
        all.extend(rows);
    }
    all
}
