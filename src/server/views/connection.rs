//! Loads the page of one connection.

use super::access::consent_view;
use super::connect_links::link_view;
use super::{ConnectionNamesByGrant, Viewer, attempt_page, connection_view};
use crate::model::{
    ActivityEntry, ActivityFilter, BindingId, ConnectionIdsView, ConnectionPageView, ConnectionView, Cursor, OrgView,
    Permission,
};
use crate::server::domain::REFRESH_TOKEN_LIFETIME;
use crate::server::store::{ConnectionDetails, Store, StoreError};

/// Refresh attempts per page.
const ATTEMPTS_PER_PAGE: usize = 20;
/// How far back the use by programs is summed up: thirty days, in seconds.
const USAGE_PERIOD: i64 = 30 * 24 * 60 * 60;

/// Loads the view of `/settings/integrations/{id}`, with the attempts after a cursor. Returns `None` if the organization
/// has no such connection.
pub async fn connection(
    store: &Store,
    (org, viewer): (&OrgView, &Viewer),
    id: &BindingId,
    wanted_scopes: &str,
    after: Option<&Cursor>,
    can_send_email: bool,
) -> Result<Option<ConnectionPageView>, StoreError> {
    let Some(details) = store.connection_details(&org.id, id).await? else { return Ok(None) };
    let ConnectionDetails { bound, external_id, tags, consent, contacts } = details;
    let may_manage = org.role.may(Permission::ManageConnections);
    let by = bound.connected_by_email.as_ref();
    let consent = consent.map(|consent| consent_view(consent, by, wanted_scopes, viewer));
    let as_of = store.clock().now();
    let since = as_of - USAGE_PERIOD;
    let tenant = bound.binding.tenant.clone();
    let ids = ConnectionIdsView { tenant_id: tenant.id, connection_id: tenant.connection_id, external_id, tags };
    let view = connection_view(bound.into(), store.app(), as_of);
    let connection = ConnectionView {
        connected_by: view.connected_by.map(|email| viewer.name(email)),
        xero_user: consent.as_ref().and_then(|consent| consent.xero_user.clone()),
        missing_scopes: consent.as_ref().map(|consent| consent.missing.clone()).unwrap_or_default(),
        contacts: if may_manage { contacts } else { Vec::new() },
        ..view
    };
    let links = if may_manage { store.open_connect_links_of(&org.id, id).await? } else { Vec::new() };
    let filter = ActivityFilter { connection: Some(id.clone()), ..ActivityFilter::default() };
    let names = ConnectionNamesByGrant::of(&[]);
    let (entries, older) = attempt_page(store, (&org.id, viewer), &names, &filter, after, ATTEMPTS_PER_PAGE).await?;
    let attempts = entries.into_iter().map(|ActivityEntry::Attempt { attempt, .. }| attempt).collect();
    Ok(Some(ConnectionPageView {
        connection,
        ids,
        consent,
        keys: store.key_activity(&org.id, id, since).await?,
        links: links.into_iter().map(link_view).collect(),
        attempts,
        older,
        may_manage,
        can_send_email,
        roll_after: store.plan().roll_after,
        refresh_token_lifetime: REFRESH_TOKEN_LIFETIME,
        as_of,
    }))
}
