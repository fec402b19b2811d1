//! Bindings: what ties an organisation's tenants to their grants.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::changes::Change;
use super::columns::{columns, grant_columns};
use super::grants::{give_up, grant_from};
use super::telling;
use super::{Store, StoreError, new_id};
use crate::model::{Action, BindingId, BindingStatus, GrantId, OrgId, UserId};
use crate::server::domain::{AuditEvent, Binding, Grant, Tenant};

/// A binding with what it stands on.
#[derive(Clone, Debug)]
pub struct Bound {
    pub binding: Binding,
    pub grant: Option<Grant>,
    pub connected_by_email: Option<String>,
}

/// A binding that a consent made or renewed.
#[derive(Clone, Debug, PartialEq)]
pub struct Rebound {
    pub binding_id: BindingId,
    /// Whether it had stood before: a reconnect.
    pub was_there: bool,
}

/// The columns that `bound_from` reads.
macro_rules! bound_columns {
    () => {
        concat!(
            "b.id AS binding_id, b.org_id AS binding_org, b.tenant_id, b.tenant_name, b.tenant_type, b.connection_id, \
         b.active_grant_id, b.status AS binding_status, b.connected_by, b.created_at AS bound_at, b.updated_at, \
         b.gone_at, u.email AS connected_by_email, ",
            grant_columns!("g.")
        )
    };
}
pub(super) use bound_columns;

/// One statement that reads them, but for its end.
macro_rules! select_bound {
    ($rest:literal) => {
        concat!(
            "SELECT ",
            bound_columns!(),
            " FROM integration_tenant_bindings b LEFT JOIN integration_grants g ON g.id = b.active_grant_id ",
            "LEFT JOIN users u ON u.id = b.connected_by ",
            $rest
        )
    };
}

impl Store {
    /// Every binding of the organisation, by the tenant's name.
    pub async fn bindings_of_org(&self, org: &OrgId) -> Result<Vec<Bound>, StoreError> {
        let rows = sqlx::query(select_bound!("WHERE b.org_id = $1 ORDER BY b.tenant_name, b.id"))
            .bind(org.as_str())
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(bound_from).collect()
    }

    /// One binding of the organisation; another organisation's is not found.
    pub async fn binding(&self, org: &OrgId, id: &BindingId) -> Result<Option<Bound>, StoreError> {
        let row = sqlx::query(select_bound!("WHERE b.org_id = $1 AND b.id = $2"))
            .bind(org.as_str())
            .bind(id.as_str())
            .fetch_optional(self.pool())
            .await?;
        row.as_ref().map(bound_from).transpose()
    }

    /// How many of the organisation's bindings wait for a person.
    pub async fn bindings_needing_reauth(&self, org: &OrgId) -> Result<i64, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(*) FROM integration_tenant_bindings WHERE org_id = $1 AND status = 'needs_reauth'",
        )
        .bind(org.as_str())
        .fetch_one(self.pool())
        .await?;
        Ok(row.try_get(0)?)
    }

    /// Points the organisation's bindings for these tenants at the grant, making those that weren't there. Grants
    /// that no binding needs any more are given up. One transaction; nothing is bound to a grant that was given up.
    pub async fn bind(
        &self,
        org: &OrgId,
        grant: &GrantId,
        tenants: &[Tenant],
        by: Option<&UserId>,
    ) -> Result<Vec<Rebound>, StoreError> {
        let now = self.clock.now();
        let mut transaction = self.write().await?;
        let mut rebound = Vec::new();
        // Taken first, so that nobody gives it up meanwhile.
        let held = sqlx::query("UPDATE integration_grants SET status = status WHERE id = $1 AND status <> 'revoked'")
            .bind(grant.as_str())
            .execute(&mut *transaction)
            .await?;
        if held.rows_affected() == 0 {
            return Ok(rebound);
        }
        for tenant in tenants {
            let before = sqlx::query(
                "SELECT b.active_grant_id, g.told_ageing_day FROM integration_tenant_bindings b \
                 LEFT JOIN integration_grants g ON g.id = b.active_grant_id \
                 WHERE b.org_id = $1 AND b.tenant_id = $2",
            )
            .bind(org.as_str())
            .bind(&tenant.tenant_id)
            .fetch_optional(&mut *transaction)
            .await?;
            let row = sqlx::query(
                "INSERT INTO integration_tenant_bindings (id, org_id, tenant_id, tenant_name, tenant_type, \
                 connection_id, active_grant_id, status, connected_by, created_at, updated_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, 'active', $8, $9, $10) \
                 ON CONFLICT (org_id, tenant_id) DO UPDATE SET tenant_name = excluded.tenant_name, \
                 tenant_type = excluded.tenant_type, connection_id = excluded.connection_id, \
                 active_grant_id = excluded.active_grant_id, status = 'active', gone_at = NULL, connected_by = excluded.connected_by, \
                 updated_at = excluded.updated_at RETURNING id",
            )
            .bind(new_id::<BindingId>().as_str())
            .bind(org.as_str())
            .bind(&tenant.tenant_id)
            .bind(&tenant.tenant_name)
            .bind(&tenant.tenant_type)
            .bind(&tenant.connection_id)
            .bind(grant.as_str())
            .bind(by.map(UserId::as_str))
            .bind(now)
            .bind(now)
            .fetch_one(&mut *transaction)
            .await?;
            let binding_id = BindingId(row.try_get("id")?);
            let old: Option<String> = before.as_ref().map(|row| row.try_get("active_grant_id")).transpose()?.flatten();
            let warned: Option<i64> = before.as_ref().map(|row| row.try_get("told_ageing_day")).transpose()?.flatten();
            telling::works(&mut transaction, &binding_id, warned.is_some(), now).await?;
            // What happened while it stood on another grant stays its history.
            sqlx::query("INSERT INTO binding_grants (binding_id, grant_id) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                .bind(binding_id.as_str())
                .bind(grant.as_str())
                .execute(&mut *transaction)
                .await?;
            let (org, binding, status) = (org.clone(), binding_id.clone(), BindingStatus::Active);
            transaction.tell(Change::Binding { org: org.clone(), binding, status }).await?;
            let again = before.is_some();
            let action = if again { Action::GrantReconnected } else { Action::GrantConnected };
            let event = AuditEvent::new(self.actor(), action).of(&org).on("binding", &binding_id);
            self.record(&mut transaction, &event.with("connection", &tenant.tenant_name)).await?;
            rebound.push(Rebound { binding_id, was_there: before.is_some() });
            if let Some(old) = old.map(GrantId).filter(|old| old != grant) {
                give_up_if_unbound(&mut transaction, &old, now).await?;
            }
        }
        transaction.commit().await?;
        Ok(rebound)
    }

    /// Marks a binding disconnected. `true` when its grant was given up because nothing else stands on it.
    pub async fn disconnect_binding(&self, org: &OrgId, id: &BindingId) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let mut transaction = self.write().await?;
        let row = sqlx::query(
            "UPDATE integration_tenant_bindings SET status = 'disconnected', gone_at = NULL, updated_at = $1, \
             told_broken_at = NULL \
             WHERE id = $2 AND org_id = $3 RETURNING active_grant_id, tenant_name",
        )
        .bind(now)
        .bind(id.as_str())
        .bind(org.as_str())
        .fetch_optional(&mut *transaction)
        .await?;
        if let Some(row) = &row {
            let event = AuditEvent::new(self.actor(), Action::GrantDisconnected).of(org).on("binding", id);
            let name: String = row.try_get("tenant_name")?;
            self.record(&mut transaction, &event.with("connection", name)).await?;
            let (org, binding, status) = (org.clone(), id.clone(), BindingStatus::Disconnected);
            transaction.tell(Change::Binding { org, binding, status }).await?;
        }
        let grant: Option<String> = row.map(|row| row.try_get("active_grant_id")).transpose()?.flatten();
        let given_up = match grant {
            Some(grant) => give_up_if_unbound(&mut transaction, &GrantId(grant), now).await?,
            None => false,
        };
        transaction.commit().await?;
        Ok(given_up)
    }

    /// Points the grant's bindings at the connections that its Xero user has now, as tenant and connection id. Returns the
    /// names of the tenants that this user isn't connected to.
    pub async fn adopt_connections(
        &self,
        grant: &GrantId,
        connections: &[(String, String)],
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
            let Some((_, connection)) = connections.iter().find(|(known, _)| *known == tenant) else {
                missing.push(row.try_get("tenant_name")?);
                continue;
            };
            sqlx::query(
                "UPDATE integration_tenant_bindings SET connection_id = $1 WHERE id = $2 AND active_grant_id = $3",
            )
            .bind(connection)
            .bind(row.try_get::<String, _>("id")?)
            .bind(grant.as_str())
            .execute(self.pool())
            .await?;
        }
        Ok(missing)
    }

    /// Whether another of the organisation's bindings stands on the same grant.
    pub async fn grant_serves_others(&self, grant: &GrantId, binding: &BindingId) -> Result<bool, StoreError> {
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

async fn give_up_if_unbound(connection: &mut AnyConnection, grant: &GrantId, now: i64) -> Result<bool, StoreError> {
    let row = sqlx::query(
        "SELECT COUNT(*) FROM integration_tenant_bindings WHERE active_grant_id = $1 AND status <> 'disconnected'",
    )
    .bind(grant.as_str())
    .fetch_one(&mut *connection)
    .await?;
    let unbound = row.try_get::<i64, _>(0)? == 0;
    if unbound {
        give_up(connection, grant, now).await?;
    }
    Ok(unbound)
}

pub(super) fn bound_from(row: &AnyRow) -> Result<Bound, StoreError> {
    let status: String = row.try_get("binding_status")?;
    let binding = Binding {
        id: BindingId(row.try_get("binding_id")?),
        org_id: OrgId(row.try_get("binding_org")?),
        tenant_id: row.try_get("tenant_id")?,
        tenant_name: row.try_get("tenant_name")?,
        tenant_type: row.try_get("tenant_type")?,
        connection_id: row.try_get("connection_id")?,
        active_grant_id: row.try_get::<Option<String>, _>("active_grant_id")?.map(GrantId),
        status: BindingStatus::parse(&status).ok_or(StoreError::Unreadable {
            table: "integration_tenant_bindings",
            column: "status",
            value: status,
        })?,
        gone_at: row.try_get("gone_at")?,
        connected_by: row.try_get::<Option<String>, _>("connected_by")?.map(UserId),
        created_at: row.try_get("bound_at")?,
        updated_at: row.try_get("updated_at")?,
    };
    let grant = if binding.active_grant_id.is_some() { Some(grant_from(row)?) } else { None };
    Ok(Bound { binding, grant, connected_by_email: row.try_get("connected_by_email")? })
}
