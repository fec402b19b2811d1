//! Loads the view of `/settings/integrations`.

use super::access::with_access;
use super::connection_list::{SearchableConnection, broken_connections, part_of, sort_connections};
use super::{Viewer, connection_view, seen_by};
use crate::model::{
    AccessSummary, BindingId, BindingStatus, ConnectionName, ConnectionView, ListQuery, OrgView, Permission,
    SettingsView,
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
    let bound: Vec<_> = listed.iter().map(|one| &one.bound).collect();
    let pending = if may_manage && request.has_pending {
        store.pending_confirmations(&org.id, &bound).await?
    } else {
        Vec::new()
    };
    let mut departing: Vec<_> = listed.iter().filter(|_| may_manage).filter_map(ListedConnection::departing).collect();
    sort_by_name(&mut departing, |one| &one.tenant_name);
    let now = store.clock().now();
    let mut connections: Vec<_> = listed
        .into_iter()
        .map(|ListedConnection { bound, xero_user, external_id, tags, contacts, .. }| {
            let view = seen_by(viewer, connection_view(bound, store.app(), now));
            let view = ConnectionView { contact_count: if may_manage { contacts } else { 0 }, ..view };
            SearchableConnection { view: with_access(view, wanted_scopes, xero_user, viewer), external_id, tags }
        })
        .collect();
    sort_connections(&mut connections, |one| &one.view);
    let views = || connections.iter().map(|one| &one.view);
    let name = |view: &ConnectionView| ConnectionName { id: view.id.clone(), name: view.tenant_name.clone() };
    let asked = views().find(|view| may_manage && Some(&view.id) == request.asked).map(name);
    let broken = broken_connections(views());
    let active = views().filter(|view| view.status == BindingStatus::Active).count();
    let access = access_summary(views());
    let (rows, list) = part_of(connections, &request.query);
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

/// Sums up which connections lack access that the app asks for.
fn access_summary<'a>(connections: impl Iterator<Item = &'a ConnectionView>) -> AccessSummary {
    let mut summary = AccessSummary::default();
    for one in connections {
        summary.known += usize::from(!one.granted_scopes.is_empty());
        if !one.missing_scopes.is_empty() {
            summary.missing.push(one.missing_scopes.clone());
        }
    }
    summary
}
