//! Bindings, which connect an organization's tenants to their grants.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use crate::model::{Action, BindingId, BindingStatus, EventKind, GrantId, OrgId, UserId};
use crate::server::domain::{AuditEvent, Binding, Grant, RemoteConnection, Tenant};
use crate::server::store::column_lists::{columns, grant_columns};
use crate::server::store::connections::labels::{NewLabels, add_labels};
use crate::server::store::connections::shared_connections::reaches_other_orgs;
use crate::server::store::grants::{grant_from, mark_revoked};
use crate::server::store::live::changes::{Change, ChangeTx};
use crate::server::store::notifications::{connection_events, contacts, reconnect_letters};
use crate::server::store::text_values::text_value;
use crate::server::store::{Store, StoreError, new_id};

/// A binding with its grant and the person who connected it.
#[derive(Clone, Debug)]
pub struct BindingWithGrant {
    /// The binding itself.
    pub binding: Binding,
    /// Its active grant; `None` if it has none.
    pub grant: Option<Grant>,
    /// Email address of the user who connected it; `None` if unknown or deleted.
    pub connected_by_email: Option<String>,
    /// Whether the grant's access token also opens a tenant of another organization, because its Xero user connected
    /// that one, too. False unless the binding is active.
    pub reaches_other_orgs: bool,
}

/// A binding that a consent created or reconnected.
#[derive(Clone, Debug, PartialEq)]
pub struct BindOutcome {
    /// The id of the binding.
    pub binding_id: BindingId,
    /// Whether the binding existed before.
    pub reconnected: bool,
}

/// Lists the columns that `binding_with_grant_from` reads.
macro_rules! binding_with_grant_columns {
    () => {
        concat!(
            "b.id AS binding_id, b.org_id AS binding_org, b.tenant_id, b.tenant_name, b.tenant_type, b.connection_id, \
         b.active_grant_id, b.status AS binding_status, b.connected_by, b.created_at AS bound_at, b.updated_at, \
         b.missing_since, b.external_id, b.labels_version, u.email AS connected_by_email, ",
            reaches_other_orgs!(),
            " AS reaches_other_orgs, ",
            grant_columns!("g.")
        )
    };
}
pub(in crate::server::store) use binding_with_grant_columns;

/// Selects the columns that `binding_with_grant_from` reads. `$rest` is the end of the statement.
macro_rules! select_binding_with_grant {
    ($rest:literal) => {
        concat!(
            "SELECT ",
            binding_with_grant_columns!(),
            " FROM integration_tenant_bindings b LEFT JOIN integration_grants g ON g.id = b.active_grant_id ",
            "LEFT JOIN users u ON u.id = b.connected_by ",
            $rest
        )
    };
}
pub(in crate::server::store) use select_binding_with_grant;

impl Store {
    /// Returns every binding of the organization, by tenant name.
    pub async fn bindings_of_org(&self, org: &OrgId) -> Result<Vec<BindingWithGrant>, StoreError> {
        let rows = sqlx::query(select_binding_with_grant!("WHERE b.org_id = $1 ORDER BY b.tenant_name, b.id"))
            .bind(org.as_str())
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(|row| binding_with_grant_from(row, self.clock.now())).collect()
    }

    /// Returns one binding of the organization, or `None` if it belongs to another.
    pub async fn binding(&self, org: &OrgId, id: &BindingId) -> Result<Option<BindingWithGrant>, StoreError> {
        let row = sqlx::query(select_binding_with_grant!("WHERE b.org_id = $1 AND b.id = $2"))
            .bind(org.as_str())
            .bind(id.as_str())
            .fetch_optional(self.pool())
            .await?;
        row.as_ref().map(|row| binding_with_grant_from(row, self.clock.now())).transpose()
    }

    /// Creates or updates the organization's bindings of these tenants to use the grant, and revokes grants that no
    /// binding uses any more, in one transaction. Keeps a known name and type if Xero sent none. Binds nothing and returns an empty list if the grant is revoked.
    pub async fn bind(
        &self,
        org: &OrgId,
        grant: &GrantId,
        tenants: &[Tenant],
        by: Option<&UserId>,
    ) -> Result<Vec<BindOutcome>, StoreError> {
        let mut transaction = self.begin_change_tx().await?;
        let bound = self.bind_tenants(&mut transaction, org, grant, tenants, by, &NewLabels::default()).await?;
        transaction.commit().await?;
        Ok(bound)
    }

    /// Binds like `bind`, within the caller's transaction, and labels the bindings.
    pub(in crate::server::store) async fn bind_tenants(
        &self,
        transaction: &mut ChangeTx,
        org: &OrgId,
        grant: &GrantId,
        tenants: &[Tenant],
        by: Option<&UserId>,
        labels: &NewLabels<'_>,
    ) -> Result<Vec<BindOutcome>, StoreError> {
        let now = self.clock.now();
        let mut rebound = Vec::new();
        // Locks the row, so that nothing revokes the grant meanwhile.
        let held = sqlx::query("UPDATE integration_grants SET status = status WHERE id = $1 AND status <> 'revoked'")
            .bind(grant.as_str())
            .execute(&mut **transaction)
            .await?;
        if held.rows_affected() == 0 {
            return Ok(rebound);
        }
        let authorizer = contacts::authorizer(transaction, grant, by).await?;
        for tenant in tenants {
            let before = sqlx::query(
                "SELECT b.active_grant_id, g.ageing_notified_day FROM integration_tenant_bindings b \
                 LEFT JOIN integration_grants g ON g.id = b.active_grant_id \
                 WHERE b.org_id = $1 AND b.tenant_id = $2",
            )
            .bind(org.as_str())
            .bind(&tenant.id)
            .fetch_optional(&mut **transaction)
            .await?;
            let row = sqlx::query(
                "INSERT INTO integration_tenant_bindings (id, org_id, tenant_id, tenant_name, tenant_type, \
                 connection_id, active_grant_id, status, connected_by, created_at, updated_at) \
                 VALUES ($1, $2, $3, $4, COALESCE(NULLIF($5, ''), 'ORGANISATION'), $6, $7, 'active', $8, $9, $10) \
                 ON CONFLICT (org_id, tenant_id) DO UPDATE SET \
                 tenant_name = COALESCE(NULLIF(excluded.tenant_name, excluded.tenant_id), integration_tenant_bindings.tenant_name), \
                 tenant_type = COALESCE(NULLIF($5, ''), integration_tenant_bindings.tenant_type), connection_id = excluded.connection_id, \
                 active_grant_id = excluded.active_grant_id, status = 'active', missing_since = NULL, connected_by = excluded.connected_by, \
                 updated_at = excluded.updated_at RETURNING id",
            )
            .bind(new_id::<BindingId>().as_str())
            .bind(org.as_str())
            .bind(&tenant.id)
            .bind(&tenant.name)
            .bind(&tenant.tenant_type)
            .bind(&tenant.connection_id)
            .bind(grant.as_str())
            .bind(by.map(UserId::as_str))
            .bind(now)
            .bind(now)
            .fetch_one(&mut **transaction)
            .await?;
            let binding_id = BindingId(row.try_get("id")?);
            // Before the events, which carry the labels.
            add_labels(transaction, org, &binding_id, labels).await?;
            contacts::set_default_contact(transaction, org, &binding_id, authorizer.as_deref(), now).await?;
            reconnect_letters::end_letter_links(transaction, &binding_id, now).await?;
            let old: Option<String> = before.as_ref().map(|row| row.try_get("active_grant_id")).transpose()?.flatten();
            let ageing_notified: Option<i64> =
                before.as_ref().map(|row| row.try_get("ageing_notified_day")).transpose()?.flatten();
            if ageing_notified.is_some() {
                connection_events::warned_binding_recovered(transaction, &binding_id, now).await?;
            } else {
                connection_events::binding_recovered(transaction, &binding_id, now).await?;
            }
            let kind = if before.is_some() { EventKind::Reconnected } else { EventKind::Created };
            connection_events::binding_changed(transaction, &binding_id, kind, now).await?;
            // Earlier grants stay listed, so that their attempts remain in the binding's history.
            sqlx::query("INSERT INTO binding_grants (binding_id, grant_id) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                .bind(binding_id.as_str())
                .bind(grant.as_str())
                .execute(&mut **transaction)
                .await?;
            let (org, binding, status) = (org.clone(), binding_id.clone(), BindingStatus::Active);
            transaction.publish(Change::Binding { org: org.clone(), binding, status }).await?;
            let is_reconnect = before.is_some();
            let action = if is_reconnect { Action::GrantReconnected } else { Action::GrantConnected };
            let event = AuditEvent::new(self.actor(), action).in_org(&org).subject("binding", &binding_id);
            self.record(transaction, &event.detail("connection", &tenant.name)).await?;
            rebound.push(BindOutcome { binding_id, reconnected: before.is_some() });
            if let Some(old) = old.map(GrantId).filter(|old| old != grant) {
                mark_revoked_if_unbound(transaction, &old, now).await?;
            }
        }
        Ok(rebound)
    }

    /// Marks a binding disconnected, which Xero has removed, and revokes its grant if no other binding uses it. Changes
    /// nothing if it is disconnected already.
    pub async fn disconnect_binding(&self, org: &OrgId, id: &BindingId) -> Result<(), StoreError> {
        self.end_binding(org, id, None).await
    }

    /// Like [`Self::disconnect_binding`], for one that Xero keeps, or may keep.
    pub async fn disconnect_binding_here(&self, org: &OrgId, id: &BindingId) -> Result<(), StoreError> {
        self.end_binding(org, id, Some(self.clock.now())).await
    }

    /// Returns whether a disconnected binding was left at Xero.
    pub async fn was_left_at_xero(&self, org: &OrgId, id: &BindingId) -> Result<bool, StoreError> {
        let left =
            "SELECT id FROM integration_tenant_bindings WHERE id = $1 AND org_id = $2 AND left_at_xero_at IS NOT NULL";
        let row = sqlx::query(left).bind(id.as_str()).bind(org.as_str()).fetch_optional(self.pool()).await?;
        Ok(row.is_some())
    }

    async fn end_binding(&self, org: &OrgId, id: &BindingId, left_at_xero_at: Option<i64>) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut transaction = self.begin_change_tx().await?;
        let row = sqlx::query(
            "UPDATE integration_tenant_bindings SET status = 'disconnected', missing_since = NULL, updated_at = $1, \
             broken_notified_at = NULL, left_at_xero_at = $4 \
             WHERE id = $2 AND org_id = $3 AND status <> 'disconnected' RETURNING active_grant_id, tenant_name",
        )
        .bind(now)
        .bind(id.as_str())
        .bind(org.as_str())
        .bind(left_at_xero_at)
        .fetch_optional(&mut *transaction)
        .await?;
        if let Some(row) = &row {
            let event = AuditEvent::new(self.actor(), Action::GrantDisconnected).in_org(org).subject("binding", id);
            let name: String = row.try_get("tenant_name")?;
            self.record(&mut transaction, &event.detail("connection", name)).await?;
            connection_events::binding_changed(&mut transaction, id, EventKind::Disconnected, now).await?;
            contacts::remove_contacts(&mut transaction, org, id, now).await?;
            let (org, binding, status) = (org.clone(), id.clone(), BindingStatus::Disconnected);
            transaction.publish(Change::Binding { org, binding, status }).await?;
        }
        let grant: Option<String> = row.map(|row| row.try_get("active_grant_id")).transpose()?.flatten();
        if let Some(grant) = grant {
            mark_revoked_if_unbound(&mut transaction, &GrantId(grant), now).await?;
        }
        transaction.commit().await
    }

    /// Updates the connection ids of the grant's bindings from Xero's list. Returns the names of the tenants that it
    /// lacks.
    pub async fn update_connection_ids(
        &self,
        grant: &GrantId,
        connections: &[RemoteConnection],
    ) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, tenant_id, tenant_name FROM integration_tenant_bindings \
             WHERE active_grant_id = $1 AND status <> 'disconnected' ORDER BY tenant_name, id",
        )
        .bind(grant.as_str())
        .fetch_all(self.pool())
        .await?;
        let mut missing = Vec::new();
        for row in rows {
            let tenant: String = row.try_get("tenant_id")?;
            let Some(listed) = connections.iter().find(|listed| listed.tenant.id == tenant && listed.is_bindable())
            else {
                missing.push(row.try_get("tenant_name")?);
                continue;
            };
            sqlx::query(
                "UPDATE integration_tenant_bindings SET connection_id = $1 WHERE id = $2 AND active_grant_id = $3",
            )
            .bind(&listed.tenant.connection_id)
            .bind(row.try_get::<String, _>("id")?)
            .bind(grant.as_str())
            .execute(self.pool())
            .await?;
        }
        Ok(missing)
    }

    /// Returns whether another binding uses the same grant.
    pub async fn grant_has_other_bindings(&self, grant: &GrantId, binding: &BindingId) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(*) FROM integration_tenant_bindings \
             WHERE active_grant_id = $1 AND id <> $2 AND status <> 'disconnected'",
        )
        .bind(grant.as_str())
        .bind(binding.as_str())
        .fetch_one(self.pool())
        .await?;
        Ok(row.try_get::<i64, _>(0)? > 0)
    }
}

/// Revokes the grant if no binding uses it, within the caller's transaction.
async fn mark_revoked_if_unbound(connection: &mut AnyConnection, grant: &GrantId, now: i64) -> Result<(), StoreError> {
    let row = sqlx::query(
        "SELECT COUNT(*) FROM integration_tenant_bindings WHERE active_grant_id = $1 AND status <> 'disconnected'",
    )
    .bind(grant.as_str())
    .fetch_one(&mut *connection)
    .await?;
    if row.try_get::<i64, _>(0)? > 0 {
        return Ok(());
    }
    mark_revoked(connection, grant, now).await
}

pub(in crate::server::store) fn binding_with_grant_from(
    row: &AnyRow,
    now: i64,
) -> Result<BindingWithGrant, StoreError> {
    let mut binding = Binding {
        id: BindingId(row.try_get("binding_id")?),
        org_id: OrgId(row.try_get("binding_org")?),
        tenant: Tenant {
            id: row.try_get("tenant_id")?,
            name: row.try_get("tenant_name")?,
            tenant_type: row.try_get("tenant_type")?,
            connection_id: row.try_get("connection_id")?,
        },
        active_grant_id: row.try_get::<Option<String>, _>("active_grant_id")?.map(GrantId),
        status: text_value(row, "integration_tenant_bindings", "binding_status")?,
        unlisted_at: row.try_get("missing_since")?,
        moved_at: None,
        connected_by: row.try_get::<Option<String>, _>("connected_by")?.map(UserId),
        created_at: row.try_get("bound_at")?,
        updated_at: row.try_get("updated_at")?,
    };
    let grant = if binding.active_grant_id.is_some() { Some(grant_from(row, now)?) } else { None };
    if binding.status == BindingStatus::NeedsReauth {
        binding.moved_at = grant.as_ref().and_then(|grant| grant.exported_at);
    }
    Ok(BindingWithGrant {
        binding,
        grant,
        connected_by_email: row.try_get("connected_by_email")?,
        reaches_other_orgs: row.try_get::<i64, _>("reaches_other_orgs")? > 0,
    })
}
