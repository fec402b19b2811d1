//! An organization's connections with all that the page that lists them shows and searches. One statement reads them.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::bindings::{BindingWithGrant, binding_with_grant_columns, binding_with_grant_from};
use super::shared_connections::reaches_other_orgs;
use crate::model::{BindingId, BindingStatus, OrgId};
use crate::server::domain::XeroUserName;
use crate::server::domain::name_order::sort_by_name;
use crate::server::store::accounts::members::rows::count;
use crate::server::store::column_lists::{columns, grant_columns};
use crate::server::store::{Store, StoreError};

/// A connection in the list.
#[derive(Clone, Debug)]
pub struct ListedConnection {
    /// The connection, its grant and who connected it.
    pub bound: BindingWithGrant,
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

impl Store {
    /// Returns every connection of the organization, in no particular order.
    pub async fn listed_connections(&self, org: &OrgId) -> Result<Vec<ListedConnection>, StoreError> {
        let rows = sqlx::query(concat!(
            "SELECT ",
            binding_with_grant_columns!(),
            ", g.xero_user_name, g.xero_user_email, g.due_at, r.removed_at AS owner_removed_at, \
             (SELECT COUNT(*) FROM binding_contacts p WHERE p.binding_id = b.id) AS contacts, \
             (SELECT string_agg(t.tag, ' ') FROM binding_tags t WHERE t.binding_id = b.id) AS tags \
             FROM integration_tenant_bindings b LEFT JOIN integration_grants g ON g.id = b.active_grant_id \
             LEFT JOIN users u ON u.id = b.connected_by \
             LEFT JOIN membership_removals r ON r.org_id = b.org_id AND r.user_id = b.connected_by WHERE b.org_id = $1"
        ))
        .bind(org.as_str())
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(|row| listed_from(row, self.clock.now())).collect()
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

fn listed_from(row: &AnyRow, now: i64) -> Result<ListedConnection, StoreError> {
    Ok(ListedConnection {
        bound: binding_with_grant_from(row, now)?,
        xero_user: XeroUserName { name: row.try_get("xero_user_name")?, email: row.try_get("xero_user_email")? },
        owner_removed_at: row.try_get("owner_removed_at")?,
        external_id: row.try_get("external_id")?,
        contacts: count(row.try_get("contacts")?),
        due_at: row.try_get("due_at")?,
        tags: tags_from(row)?,
    })
}

/// Reads the row's tags, which have spaces between them, and sorts them.
pub(super) fn tags_from(row: &AnyRow) -> Result<Vec<String>, StoreError> {
    let text: Option<String> = row.try_get("tags")?;
    let mut tags: Vec<String> = text.unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    tags.sort_unstable();
    Ok(tags)
}
