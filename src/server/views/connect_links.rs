//! Loads the page of connect links.

use super::access::{MissingScopes, with_access};
use super::{Viewer, connection_view, seen_by};
use crate::model::{ConnectLinkView, ConnectLinksView, ConnectionView, OrgView, Permission};
use crate::server::domain::name_order::sort_key;
use crate::server::store::{ConnectLink, ListedConnection, Store, StoreError};

/// Loads the view of `/settings/integrations/links`. The caller checks the permission.
pub async fn connect_links(
    store: &Store,
    org: &OrgView,
    viewer: &Viewer,
    wanted_scopes: &str,
    can_send_email: bool,
) -> Result<ConnectLinksView, StoreError> {
    let now = store.clock().now();
    let mut missing = MissingScopes::new(wanted_scopes);
    let view = |one: ListedConnection| {
        with_access(seen_by(viewer, connection_view(one.shown, store.app(), now)), &mut missing, one.xero_user, viewer)
    };
    let mut connections: Vec<ConnectionView> = store.listed_connections(&org.id).await?.into_iter().map(view).collect();
    connections.sort_by_cached_key(|one| (sort_key(&one.tenant_name), one.id.clone()));
    Ok(ConnectLinksView {
        links: store.open_connect_links(&org.id).await?.into_iter().map(link_view).collect(),
        connections,
        return_urls: store.return_urls(&org.id).await?,
        may_edit_return_urls: org.role.may(Permission::ManageReturnUrls),
        can_send_email,
        as_of: now,
    })
}

/// Returns the link as pages list it.
pub(super) fn link_view(link: ConnectLink) -> ConnectLinkView {
    ConnectLinkView {
        id: link.id,
        requested_by: link.requested_by,
        note: link.note,
        binding_id: link.binding,
        tenant_name: link.tenant.map(|(_, name)| name),
        created_by: link.created_by,
        email: link.email,
        expires_at: link.expires_at,
        outcome: link.outcome,
    }
}
