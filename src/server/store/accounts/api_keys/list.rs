//! The API keys as people and operators see them.

use std::collections::HashMap;

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::model::{
    ApiKeyId, ApiKeyStatus, ApiKeyView, BindingId, KeyConnection, KeyUseView, OrgId, PreviousKeyView, Scope,
};
use crate::server::domain::name_order::sort_by_name;
use crate::server::store::{Store, StoreError};

/// How long a revoked key stays in the list, in seconds.
pub(super) const REVOKED_KEY_LISTED_FOR: i64 = 30 * 24 * 60 * 60;

/// The columns that `view_from` reads, and the organization's name.
macro_rules! select_key_views {
    ($which:literal) => {
        concat!(
            "SELECT k.id, k.name, k.prefix, k.scopes, k.created_at, k.expires_at, k.revoked_at, k.limited_at, ",
            "k.rotated_at, k.last_used_at, k.last_used_from, k.last_used_agent, k.previous_prefix, k.previous_ends_at, ",
            "k.previous_last_used_at, k.previous_last_used_from, k.previous_last_used_agent, ",
            "u.email AS created_by_email, o.name AS org_name FROM api_keys k ",
            "JOIN organizations o ON o.id = k.org_id LEFT JOIN users u ON u.id = k.created_by WHERE ",
            $which,
            " ORDER BY o.name, k.org_id, k.created_at DESC, k.id"
        )
    };
}

impl Store {
    /// Returns the organization's keys, newest first, without those that were revoked long ago.
    pub async fn api_keys(&self, org: &OrgId) -> Result<Vec<ApiKeyView>, StoreError> {
        let now = self.clock.now();
        let rows = sqlx::query(select_key_views!("k.org_id = $1 AND (k.revoked_at IS NULL OR k.revoked_at > $2)"))
            .bind(org.as_str())
            .bind(now - REVOKED_KEY_LISTED_FOR)
            .fetch_all(self.pool())
            .await?;
        let mut views = rows.iter().map(|row| view_from(row, now)).collect::<Result<Vec<_>, _>>()?;
        self.add_connections(Some(org), views.iter_mut()).await?;
        Ok(views)
    }

    /// Returns the keys of all organizations with the organization's name, ordered by it. For operators only.
    pub async fn all_api_keys(&self) -> Result<Vec<(String, ApiKeyView)>, StoreError> {
        let now = self.clock.now();
        let rows = sqlx::query(select_key_views!("k.revoked_at IS NULL OR k.revoked_at > $1"))
            .bind(now - REVOKED_KEY_LISTED_FOR)
            .fetch_all(self.pool())
            .await?;
        let named = rows.iter().map(|row| Ok((row.try_get("org_name")?, view_from(row, now)?)));
        let mut views = named.collect::<Result<Vec<(String, ApiKeyView)>, StoreError>>()?;
        self.add_connections(None, views.iter_mut().map(|(_, view)| view)).await?;
        Ok(views)
    }

    /// Adds the connections of limited keys: of one organization's, or of all.
    async fn add_connections(
        &self,
        org: Option<&OrgId>,
        views: impl Iterator<Item = &mut ApiKeyView>,
    ) -> Result<(), StoreError> {
        let mut limited: HashMap<ApiKeyId, &mut Vec<KeyConnection>> =
            views.filter_map(|view| Some((view.id.clone(), view.connections.as_mut()?))).collect();
        if limited.is_empty() {
            return Ok(());
        }
        let rows = sqlx::query(
            "SELECT r.key_id, b.id, b.tenant_name FROM api_key_bindings r \
             JOIN integration_tenant_bindings b ON b.id = r.binding_id JOIN api_keys k ON k.id = r.key_id \
             WHERE $1 = '' OR k.org_id = $1 ORDER BY b.id",
        )
        .bind(org.map_or("", OrgId::as_str))
        .fetch_all(self.pool())
        .await?;
        for row in rows {
            let Some(connections) = limited.get_mut(&ApiKeyId(row.try_get("key_id")?)) else { continue };
            connections.push(KeyConnection { id: BindingId(row.try_get("id")?), name: row.try_get("tenant_name")? });
        }
        limited.into_values().for_each(|connections| sort_by_name(connections, |one| &one.name));
        Ok(())
    }

    /// Returns the unrevoked keys with this id or prefix, and their organizations. For operators only.
    pub async fn find_api_keys_by_id_or_prefix(&self, text: &str) -> Result<Vec<(OrgId, ApiKeyId)>, StoreError> {
        let rows = sqlx::query("SELECT id, org_id FROM api_keys WHERE (id = $1 OR prefix = $1) AND revoked_at IS NULL")
            .bind(text)
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(|row| Ok((OrgId(row.try_get("org_id")?), ApiKeyId(row.try_get("id")?)))).collect()
    }
}

fn view_from(row: &AnyRow, now: i64) -> Result<ApiKeyView, StoreError> {
    let (expires_at, revoked_at) = (row.try_get("expires_at")?, row.try_get("revoked_at")?);
    let is_limited = row.try_get::<Option<i64>, _>("limited_at")?.is_some();
    let previous_ends_at: Option<i64> = row.try_get("previous_ends_at")?;
    let previous = match previous_ends_at.filter(|end| *end > now) {
        None => None,
        Some(ends_at) => Some(PreviousKeyView {
            prefix: row.try_get("previous_prefix")?,
            ends_at,
            last_use: KeyUseView {
                at: row.try_get("previous_last_used_at")?,
                from: row.try_get("previous_last_used_from")?,
                agent: row.try_get("previous_last_used_agent")?,
            },
        }),
    };
    Ok(ApiKeyView {
        id: ApiKeyId(row.try_get("id")?),
        name: row.try_get("name")?,
        prefix: row.try_get("prefix")?,
        scopes: Scope::split(&row.try_get::<String, _>("scopes")?),
        connections: is_limited.then(Vec::new),
        status: ApiKeyStatus::at(now, expires_at, revoked_at),
        created_by: row.try_get("created_by_email")?,
        created_at: row.try_get("created_at")?,
        rotated_at: row.try_get("rotated_at")?,
        expires_at,
        last_use: KeyUseView {
            at: row.try_get("last_used_at")?,
            from: row.try_get("last_used_from")?,
            agent: row.try_get("last_used_agent")?,
        },
        previous,
        revoked_at,
    })
}
