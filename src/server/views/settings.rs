//! Loads the view of `/settings/integrations`.

use super::access::{MissingScopes, access_summary, with_access};
use super::connection_list::{ConnectionKey, SearchableConnection, broken_connections, part_of};
use super::{Viewer, connection_view, health, seen_by};
use crate::model::{
    BindingId, BindingStatus, ConnectionName, ConnectionView, ListQuery, OrgView, Permission, SettingsView,
};
use crate::server::domain::REFRESH_TOKEN_LIFETIME;
use crate::server::domain::name_order::sort_by_name;
use crate::server::store::{ListedConnection, Store, StoreError};

/// What of the page is asked for.
#[derive(Default)]
pub struct SettingsRequest<'a> {
    /// The part of the list.
    pub query: ListQuery,
    /// The connection that the viewer is asked to confirm disconnecting.
    pub asked: Option<&'a BindingId>,
    /// Whether a consent waits for a decision, which is then loaded.
    pub has_pending: bool,
}

/// Loads the view. Pending confirmations and departing members are included only for members who may manage connections.
/// The caller adds the refusal of scopes.
pub async fn settings(
    store: &Store,
    org: &OrgView,
    viewer: &Viewer,
    wanted_scopes: &str,
    request: SettingsRequest<'_>,
) -> Result<SettingsView, StoreError> {
    let may_manage = org.role.may(Permission::ManageConnections);
    let listed = store.listed_connections(&org.id).await?;
    let shown: Vec<_> = listed.iter().map(|one| &one.shown).collect();
    let pending = if may_manage && request.has_pending {
        store.pending_confirmations(&org.id, &shown).await?
    } else {
        Vec::new()
    };
    let mut departing: Vec<_> = listed.iter().filter(|_| may_manage).filter_map(ListedConnection::departing).collect();
    sort_by_name(&mut departing, |one| &one.tenant_name);
    let now = store.clock().now();
    let active = listed.iter().filter(|one| one.shown.status == BindingStatus::Active).count();
    let mut missing = MissingScopes::new(wanted_scopes);
    let access = access_summary(listed.iter().map(|one| &one.shown), &mut missing);
    let mut connections: Vec<_> = listed.into_iter().map(|one| searchable(one, store, now)).collect();
    connections.sort_by_cached_key(|one| one.key.sort_key());
    let keys = || connections.iter().map(|one| &one.key);
    let asked = keys().find(|key| may_manage && Some(&key.id) == request.asked);
    let asked = asked.map(|key| ConnectionName { id: key.id.clone(), name: key.name.clone() });
    let broken = broken_connections(keys());
    let (rows, list) = part_of(connections, &request.query);
    let rows = rows.into_iter().map(|row| {
        let ListedConnection { shown, xero_user, contacts, .. } = *row;
        let view = seen_by(viewer, connection_view(shown, store.app(), now));
        let view = ConnectionView { contact_count: if may_manage { contacts } else { 0 }, ..view };
        with_access(view, &mut missing, xero_user, viewer)
    });
    let rows = rows.collect();
    Ok(SettingsView {
        org_id: Some(org.id.clone()),
        connections: rows,
        list,
        broken,
        active,
        access,
        asked,
        pending,
        departing,
        open_links: 0,
        may_manage,
        scope_refusal: None,
        roll_after: store.plan().roll_after,
        refresh_token_lifetime: REFRESH_TOKEN_LIFETIME,
        as_of: now,
    })
}

/// Connections are sorted and filtered a few times; a boxed one isn't copied each time.
fn searchable(mut one: ListedConnection, store: &Store, now: i64) -> SearchableConnection<Box<ListedConnection>> {
    let health = health(&one.shown, store.app(), now);
    let key = ConnectionKey { id: one.shown.id.clone(), name: one.shown.tenant_name.clone(), health };
    let (external_id, tags) = (one.external_id.take(), std::mem::take(&mut one.tags));
    SearchableConnection { key, external_id, tags, row: Box::new(one) }
}
