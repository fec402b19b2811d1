//! An organization's connections with all that the page that lists them shows and searches. One statement reads them.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::listed_row::ListedRow;
use super::shared_connections::reaches_other_orgs;
use super::shown::ShownConnection;
use crate::model::{BindingId, BindingStatus, OrgId};
use crate::server::domain::XeroUserName;
use crate::server::domain::name_order::sort_by_name;
use crate::server::store::json_rows::{JsonRows, json_rows_sql};
use crate::server::store::{Store, StoreError};

/// A connection in the list.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedConnection {
    /// The connection and its grant.
    pub shown: ShownConnection,
    /// What is known of its Xero user.
    pub xero_user: XeroUserName,
    /// When the member who connected it was removed from the organization, in unix seconds.
    pub owner_removed_at: Option<i64>,
    /// The id that a program gave it.
    pub external_id: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
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

/// The columns of the list, in the order of `ListedColumns`.
macro_rules! list_columns {
    () => {
        concat!(
            "b.id, b.tenant_id, b.tenant_name, b.tenant_type, b.status, b.missing_since, b.created_at, b.external_id, \
             u.email, ",
            reaches_other_orgs!(),
            ", r.removed_at, (SELECT COUNT(*) FROM binding_contacts p WHERE p.binding_id = b.id), \
             (SELECT string_agg(t.tag, ' ') FROM binding_tags t WHERE t.binding_id = b.id), \
             g.status, g.xero_user_name, g.xero_user_email, g.due_at, g.client_id, g.issuer, g.xero_user_id, \
             g.scopes, g.expires_at, g.refresh_token_issued_at, g.last_refreshed_at, \
             CASE WHEN g.lease_owner IS NOT NULL THEN g.lease_until END, g.failure_count, g.next_attempt_at, \
             g.last_error, g.exported_at"
        )
    };
}
pub(super) use list_columns;

/// The list's tables, and its condition: the connections of the organization `$org`.
macro_rules! list_source {
    ($org:literal) => {
        concat!(
            "FROM integration_tenant_bindings b LEFT JOIN integration_grants g ON g.id = b.active_grant_id \
             LEFT JOIN users u ON u.id = b.connected_by \
             LEFT JOIN membership_removals r ON r.org_id = b.org_id AND r.user_id = b.connected_by WHERE b.org_id = ",
            $org
        )
    };
}
pub(super) use list_source;

/// An organization's connections as the database returned them. Of most of them a page needs little.
pub struct ConnectionList(JsonRows);

impl ConnectionList {
    /// Takes them from the row's `list`.
    pub(super) fn of(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self(JsonRows::of(row, "list")?))
    }

    /// Reads the connections, in no particular order.
    pub fn rows(&self) -> Result<Vec<ListedRow<'_>>, StoreError> {
        self.0.read()?.into_iter().map(ListedRow::new).collect()
    }
}

impl Store {
    /// Returns every connection of the organization, in no particular order.
    pub async fn listed_connections(&self, org: &OrgId) -> Result<Vec<ListedConnection>, StoreError> {
        let sql = json_rows_sql!(self.database.kind(), list_columns!(), list_source!("$1"));
        let row = sqlx::query(sql).bind(org.as_str()).fetch_one(self.pool()).await?;
        let now = self.clock.now();
        Ok(ConnectionList::of(&row)?.rows()?.into_iter().map(|row| row.listed(now)).collect())
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
    use super::*;
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
        assert_eq!((of("failed").external_id.as_deref(), &of("failed").tags[..]), (Some("crm"), &[][..]));
        assert_eq!(of("leased").tags, ["nz", "payroll"]);
        assert!(of("leased").due_at.is_some() && of("left").due_at.is_none());
    }
}
