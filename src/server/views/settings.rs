//! Loads the view of `/settings/integrations`.

use super::access::{MissingScopes, access_summary, scope_refusal_view, with_access};
use super::connection_list::{ConnectionKey, SearchableConnection, broken_connections, part_of};
use super::{Viewer, connection_view, health, seen_by};
use crate::model::{BindingId, BindingStatus, ConnectionView, ListQuery, OrgView, Permission, SettingsView};
use crate::server::domain::REFRESH_TOKEN_LIFETIME;
use crate::server::domain::name_order::sort_by_name;
use crate::server::store::{ListedRow, Store, StoreError};

/// What of the page is asked for.
#[derive(Default)]
pub struct SettingsRequest<'a> {
    /// The part of the list.
    pub query: ListQuery,
    /// The connection that the viewer is asked to confirm disconnecting.
    pub asked: Option<&'a BindingId>,
    /// Whether a consent may ask for the smallest set of scopes after Xero refused the wanted ones.
    pub allows_least_access: bool,
}

/// Loads the view. What waits for a decision, departing members, open links and a refusal of the wanted scopes are included
/// only for members who may manage connections.
pub async fn settings(
    store: &Store,
    org: &OrgView,
    viewer: &Viewer,
    wanted_scopes: &str,
    request: SettingsRequest<'_>,
) -> Result<SettingsView, StoreError> {
    let may_manage = org.role.may(Permission::ManageConnections);
    let now = store.clock().now();
    let search = request.query.search.trim();
    let page = store.connection_list_page(&org.id, wanted_scopes, !search.is_empty()).await?;
    let rows = page.list.rows()?;
    let pending = match may_manage && page.has_pending {
        true => store.pending_confirmations(&org.id).await?,
        false => Vec::new(),
    };
    let left = rows.iter().filter(|_| may_manage);
    let mut departing: Vec<_> = left.filter_map(ListedRow::departing).collect();
    sort_by_name(&mut departing, |one| &one.tenant_name);
    let active = rows.iter().filter(|row| row.status == BindingStatus::Active).count();
    let mut missing = MissingScopes::new(wanted_scopes);
    let access = access_summary(rows.iter().filter_map(ListedRow::working_scopes), &mut missing);
    let mut connections: Vec<_> = rows.iter().map(|row| searchable(row, now)).collect();
    connections.sort_by_cached_key(|one| one.key.sort_key());
    let keys = || connections.iter().map(|one| one.key);
    let asked = request.asked.filter(|_| may_manage);
    let asked = keys().find(|key| asked.is_some_and(|id| id.as_str() == key.id)).map(ConnectionKey::to_name);
    let broken = broken_connections(keys());
    let (shown, list) = part_of(connections, &request.query);
    let connections = store.whole_connections(&org.id, &shown).await?.into_iter().map(|one| {
        let view = seen_by(viewer, connection_view(one.shown, store.app(), now));
        let view = ConnectionView { contact_count: if may_manage { one.contacts } else { 0 }, ..view };
        with_access(view, &mut missing, one.xero_user, viewer)
    });
    let connections = connections.collect();
    let refusal = page.refusal.filter(|_| may_manage);
    Ok(SettingsView {
        org_id: Some(org.id.clone()),
        connections,
        list,
        broken,
        active,
        access,
        asked,
        pending,
        departing,
        open_links: if may_manage { page.open_links } else { 0 },
        may_manage,
        scope_refusal: refusal.map(|refusal| scope_refusal_view(refusal, request.allows_least_access)),
        roll_after: store.plan().roll_after,
        refresh_token_lifetime: REFRESH_TOKEN_LIFETIME,
        as_of: now,
    })
}

fn searchable<'a>(row: &'a ListedRow<'_>, now: i64) -> SearchableConnection<'a, &'a ListedRow<'a>> {
    let health = health(row.status, row.grant_state(now), now);
    let key = ConnectionKey { id: row.id(), name: row.name(), health };
    SearchableConnection { key, labels: row.labels().collect(), row }
}
