//! An organization's connections as the page that lists them shows, sorts and searches them. Whole connections are read
//! only for those that the page shows.

use std::collections::HashMap;

use sqlx::Row;
use sqlx::any::AnyRow;

use super::listed_row::ListedRow;
use super::shared_connections::reaches_other_orgs;
use super::shown::ShownConnection;
use crate::model::{BindingId, BindingStatus, OrgId};
use crate::server::domain::XeroUserName;
use crate::server::domain::name_order::sort_by_name;
use crate::server::store::json_rows::{JsonRows, json_rows_sql};
use crate::server::store::{DatabaseKind, Store, StoreError};

/// A connection in the list.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedConnection {
    /// The connection and its grant.
    pub shown: ShownConnection,
    /// What is known of its Xero user.
    pub xero_user: XeroUserName,
    /// How many contacts it has.
    pub contacts: u32,
    /// When the sweeper looks at its grant next, in unix seconds.
    pub due_at: Option<i64>,
}

/// A connection's name, and whether it needs reconnecting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedTenant {
    /// The connection's id.
    pub id: BindingId,
    /// The tenant's name in Xero.
    pub name: String,
    /// Whether it needs reconnecting.
    pub is_broken: bool,
}

/// The columns by which connections are sorted and found, in the order of `ListedColumns`. Tags if `$with_tags`, former
/// members if `$with_removals`, and `$is_of_app` says whether grant `g` belongs to the configured app.
macro_rules! key_columns {
    ($with_tags:literal, $with_removals:literal, $is_of_app:literal) => {
        concat!(
            "b.id, b.tenant_name, b.status, b.external_id, CASE WHEN ",
            $with_tags,
            " THEN (SELECT string_agg(t.tag, ' ') FROM binding_tags t WHERE t.binding_id = b.id) END, CASE WHEN ",
            $with_removals,
            " THEN (SELECT r.removed_at FROM membership_removals r WHERE r.org_id = b.org_id \
             AND r.user_id = b.connected_by) END, CASE WHEN ",
            $with_removals,
            " THEN (SELECT u.email FROM membership_removals r JOIN users u ON u.id = r.user_id WHERE r.org_id = b.org_id \
             AND r.user_id = b.connected_by) END, g.status, ",
            $is_of_app,
            ", g.scopes, CASE WHEN g.lease_owner IS NOT NULL THEN g.lease_until END, g.failure_count, g.exported_at"
        )
    };
}
pub(super) use key_columns;

/// The columns that only a shown connection needs, in the order of `DetailColumns`.
macro_rules! detail_columns {
    () => {
        concat!(
            "b.tenant_id, b.tenant_type, b.missing_since, b.created_at, \
             (SELECT u.email FROM users u WHERE u.id = b.connected_by), ",
            reaches_other_orgs!(),
            ", (SELECT COUNT(*) FROM binding_contacts p WHERE p.binding_id = b.id), g.xero_user_name, g.xero_user_email, \
             g.due_at, g.client_id, g.issuer, g.xero_user_id, g.expires_at, g.refresh_token_issued_at, g.last_refreshed_at, g.next_attempt_at, \
             g.last_error"
        )
    };
}
pub(super) use detail_columns;

/// The list's tables, and its condition: of the bindings `b` in `$bindings` those of the organization `$1`.
macro_rules! list_source {
    ($bindings:literal) => {
        concat!("FROM ", $bindings, " LEFT JOIN integration_grants g ON g.id = b.active_grant_id WHERE b.org_id = $1")
    };
}
pub(super) use list_source;

/// Selects whole connections of the organization `$1`, those among the bindings `b` in `$bindings`.
macro_rules! whole_list_sql {
    ($kind:expr, $bindings:literal) => {
        json_rows_sql!(
            $kind,
            "SELECT ",
            key_columns!("1 = 0", "1 = 0", "CAST(NULL AS BIGINT)"),
            detail_columns!(),
            if "1 = 1",
            list_source!($bindings)
        )
    };
}

/// An organization's connections as the database returned them. Of most of them a page needs little.
pub struct ConnectionList(JsonRows);

impl ConnectionList {
    /// Takes them from the row's `list`.
    pub(super) fn of(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self(JsonRows::of(row, "list")?))
    }

    /// Reads its rows, in no particular order.
    pub fn rows(&self) -> Result<Vec<ListedRow<'_>>, StoreError> {
        self.0.read()?.into_iter().map(ListedRow::new).collect()
    }
}

impl Store {
    /// Returns every connection of the organization, in no particular order.
    pub async fn listed_connections(&self, org: &OrgId) -> Result<Vec<ListedConnection>, StoreError> {
        let sql = whole_list_sql!(self.database.kind(), "integration_tenant_bindings b");
        let row = sqlx::query(sql).bind(org.as_str()).fetch_one(self.pool()).await?;
        let now = self.clock.now();
        Ok(ConnectionList::of(&row)?.rows()?.iter().filter_map(|row| row.listed(now)).collect())
    }

    /// Returns the whole connections of these rows, in their order. Reads them again if the rows came without details, and
    /// leaves out connections that were deleted meanwhile.
    pub async fn whole_connections(
        &self,
        org: &OrgId,
        rows: &[&ListedRow<'_>],
    ) -> Result<Vec<ListedConnection>, StoreError> {
        let now = self.clock.now();
        if let Some(whole) = rows.iter().map(|row| row.listed(now)).collect() {
            return Ok(whole);
        }
        // SQLite reads the tables of a cross join in their order.
        let sql = match self.database.kind() {
            kind @ DatabaseKind::Sqlite => whole_list_sql!(
                kind,
                "json_each($2) wanted CROSS JOIN integration_tenant_bindings b ON b.id = wanted.value"
            ),
            kind @ DatabaseKind::Postgres => whole_list_sql!(
                kind,
                "json_array_elements_text(CAST($2 AS JSON)) wanted (id) \
                 JOIN integration_tenant_bindings b ON b.id = wanted.id"
            ),
        };
        let ids: Vec<&str> = rows.iter().map(|row| row.id()).collect();
        let ids = serde_json::Value::from(ids).to_string();
        let row = sqlx::query(sql).bind(org.as_str()).bind(ids).fetch_one(self.pool()).await?;
        let list = ConnectionList::of(&row)?;
        let read = list.rows()?;
        let read: HashMap<&str, &ListedRow<'_>> = read.iter().map(|row| (row.id(), row)).collect();
        Ok(rows.iter().filter_map(|row| read.get(row.id())?.listed(now)).collect())
    }

    /// Returns the connections that need reconnecting, and this one, by name.
    pub async fn named_or_broken_tenants(
        &self,
        org: &OrgId,
        named: Option<&BindingId>,
    ) -> Result<Vec<NamedTenant>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, tenant_name, status FROM integration_tenant_bindings \
             WHERE org_id = $1 AND (id = $2 OR status = 'needs_reauth')",
        )
        .bind(org.as_str())
        .bind(named.map_or("", BindingId::as_str))
        .fetch_all(self.pool())
        .await?;
        let mut tenants = Vec::with_capacity(rows.len());
        for row in &rows {
            let status: String = row.try_get("status")?;
            tenants.push(NamedTenant {
                id: BindingId(row.try_get("id")?),
                name: row.try_get("tenant_name")?,
                is_broken: status == BindingStatus::NeedsReauth.as_str(),
            });
        }
        sort_by_name(&mut tenants, |one| &one.name);
        Ok(tenants)
    }

    /// Returns the ids and names of the organization's connections, by name, without those that were disconnected.
    pub async fn connection_names(&self, org: &OrgId) -> Result<Vec<(BindingId, String)>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, tenant_name FROM integration_tenant_bindings WHERE org_id = $1 AND status <> 'disconnected' \
             ORDER BY id",
        )
        .bind(org.as_str())
        .fetch_all(self.pool())
        .await?;
        let named = rows.iter().map(|row| Ok((BindingId(row.try_get("id")?), row.try_get("tenant_name")?)));
        let mut named = named.collect::<Result<Vec<(BindingId, String)>, StoreError>>()?;
        sort_by_name(&mut named, |(_, name)| name);
        Ok(named)
    }
}

/// Reads the row's tags, which have spaces between them, and sorts them.
pub(super) fn tags_from(row: &AnyRow) -> Result<Vec<String>, StoreError> {
    let text: Option<String> = row.try_get("tags")?;
    let mut tags: Vec<String> = text.unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    tags.sort_unstable();
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use std::iter::repeat_n;

    use super::*;
    use crate::model::CONNECTIONS_PER_PAGE;
    use crate::server::store::testing::grants::{TestGrant, set_row};
    use crate::server::store::testing::{START, each_store};

    #[apply(each_store!)]
    async fn listed_connections_say_what_their_whole_rows_say(store: Store) {
        let (org, other) = (store.add_org("A").await.unwrap(), store.add_org("B").await.unwrap());
        TestGrant::of(&store, &other).bound_to(&["elsewhere"]).insert().await;
        assert!(store.listed_connections(&org).await.unwrap().is_empty());
        for (name, row) in [
            ("\"Quoted\" \\ café 'n' 🌱", "failure_count = 0".to_owned()),
            (
                "failed",
                format!(
                    "failure_count = 3, reply_lost_at = {START}, prove_by = {}, last_error = 'no\nanswer', \
                     last_failure = 'not_answering', next_attempt_at = {}, refused_at = {START}, last_used_at = {START}, \
                     previous_token_enc = 'x', previous_generation = 1, generation = 2",
                    START + 60,
                    START + 90
                ),
            ),
            ("leased", format!("lease_owner = 'x', lease_until = {}", START + 60)),
            ("left", format!("lease_until = {}, last_refreshed_at = NULL, scopes = ''", START + 60)),
            ("ahead", format!("last_refreshed_at = {}, expires_at = {}", START + 7_200, START + 9_000)),
        ] {
            let grant = TestGrant::of(&store, &org).xero_user(name).bound_to(&[name]).insert().await;
            set_row(&store, &grant, &row).await;
        }
        sqlx::query(
            "UPDATE integration_tenant_bindings SET status = 'needs_reauth', missing_since = $1, external_id = 'crm' \
                     WHERE tenant_name = 'failed'",
        )
        .bind(START)
        .execute(store.pool())
        .await
        .unwrap();
        sqlx::query("UPDATE integration_tenant_bindings SET active_grant_id = NULL WHERE tenant_name = 'left'")
            .execute(store.pool())
            .await
            .unwrap();
        let tag = "INSERT INTO binding_tags (binding_id, tag) SELECT id, $1 FROM integration_tenant_bindings \
                   WHERE tenant_name = 'leased'";
        for name in ["payroll", "nz"] {
            sqlx::query(tag).bind(name).execute(store.pool()).await.unwrap();
        }

        let mut listed = store.listed_connections(&org).await.unwrap();
        listed.sort_by(|one, other| one.shown.id.cmp(&other.shown.id));
        let whole = store.bindings_of_org(&org).await.unwrap();
        let mut whole: Vec<_> = whole.into_iter().map(ShownConnection::from).collect();
        whole.sort_by(|one, other| one.id.cmp(&other.id));
        assert_eq!(listed.iter().map(|one| one.shown.clone()).collect::<Vec<_>>(), whole);
        let of = |name: &str| listed.iter().find(|one| one.shown.tenant_name == name).unwrap();
        assert!(of("leased").due_at.is_some() && of("left").due_at.is_none());
        for (with_tags, leased) in [(true, vec!["nz", "payroll"]), (false, Vec::new())] {
            let page = store.connection_list_page(&org, "openid", with_tags).await.unwrap();
            let rows = page.list.rows().unwrap();
            let labels = |name: &str| {
                let mut labels: Vec<_> = rows.iter().find(|row| row.name() == name).unwrap().labels().collect();
                labels.sort_unstable();
                labels
            };
            assert_eq!((labels("leased"), labels("failed")), (leased, vec!["crm"]));
        }
    }

    #[apply(each_store!)]
    async fn whole_connections_come_in_the_order_of_the_rows_of_any_list(store: Store) {
        let org = store.add_org("A").await.unwrap();
        let names: Vec<String> = (0..=CONNECTIONS_PER_PAGE).map(|number| format!("Client {number}")).collect();
        let page = async || store.connection_list_page(&org, "openid", false).await.unwrap();
        for (name, is_whole) in names.iter().zip(repeat_n(true, CONNECTIONS_PER_PAGE).chain([false])) {
            TestGrant::of(&store, &org).xero_user(name).bound_to(&[name]).insert().await;
            let page = page().await;
            let now = store.clock.now();
            assert!(page.list.rows().unwrap().iter().all(|row| row.listed(now).is_some() == is_whole), "{name}");
        }

        let list = page().await.list;
        let rows = list.rows().unwrap();
        let wanted: Vec<_> = rows.iter().rev().step_by(2).collect();
        let whole = async || store.whole_connections(&org, &wanted).await.unwrap();
        let read = whole().await;
        assert!(read.iter().map(|one| one.shown.id.as_str()).eq(wanted.iter().map(|row| row.id())));
        let every = store.listed_connections(&org).await.unwrap();
        assert!(read.len() == CONNECTIONS_PER_PAGE / 2 + 1 && read.iter().all(|one| every.contains(one)));
        let other = store.add_org("B").await.unwrap();
        assert_eq!(store.whole_connections(&other, &wanted).await.unwrap(), [], "of another organization");
        sqlx::query("DELETE FROM integration_tenant_bindings WHERE id = $1")
            .bind(wanted[0].id())
            .execute(store.pool())
            .await
            .unwrap();
        assert_eq!(whole().await, read[1..]);
    }
}
