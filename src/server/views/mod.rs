//! Builds the view models of the pages from database rows: here the overview and the connections.

mod access;
mod account;
mod activity;
mod api_keys;
mod connect_links;
mod connection;
mod connection_list;
mod days;
mod events;
mod find;
mod members;
mod notifications;
mod organizations;
mod settings;
mod viewer;
mod xero_state;

pub use access::scope_refusal_view;
pub use account::{account, clerk_account};
pub use activity::{ConnectionNamesByGrant, activity, attempt_page, audit_page, changes};
pub use api_keys::api_keys;
pub use connect_links::connect_links;
pub use connection::connection;
pub use days::{in_zone, span};
pub use events::events;
pub use find::find;
pub use members::members;
pub use notifications::{delivery_log, notifications};
pub use organizations::organizations;
pub use settings::{SettingsRequest, settings};
pub use viewer::Viewer;
pub use xero_state::{xero_state, xero_trouble};

use connection_list::{ConnectionKey, broken_connections};

use crate::model::{
    BindingStatus, ConnectionView, GrantStatus, Health, HourView, OrgId, OverviewView, UpcomingActionKind,
    UpcomingActionView,
};
use crate::server::domain::{AppIdentity, GrantEnd};
use crate::server::store::{
    CredentialsAlarm, GrantState, ListedConnection, ShownConnection, ShownGrant, Store, StoreError,
};

/// The hours in the overview's chart: the current clock hour and the ones before it.
const CHART_HOURS: i64 = 24;
const SECONDS_PER_HOUR: i64 = 60 * 60;

/// When the sweeper refreshes a connection's grant next.
struct UpcomingRefresh {
    tenant_name: String,
    due_at: i64,
    /// A grant that is due after its access token expires is not kept hot.
    expires_at: i64,
    failing: bool,
}

/// Loads the view of the overview page, `/`. `alarm` says that Xero refuses the app.
pub async fn overview(
    store: &Store,
    org: &OrgId,
    viewer: &Viewer,
    alarm: Option<&CredentialsAlarm>,
) -> Result<OverviewView, StoreError> {
    let now = store.clock().now();
    let first = (now.div_euclid(SECONDS_PER_HOUR) - CHART_HOURS + 1) * SECONDS_PER_HOUR;
    let held = store.hourly_counts_since(org, first).await?;
    let listed = store.listed_connections(org).await?;
    let next = soonest_of_each_kind(upcoming_refreshes(&listed));
    let view = |one: ListedConnection| seen_by(viewer, connection_view(one.shown, store.app(), now));
    let mut connections: Vec<ConnectionView> = listed.into_iter().map(view).collect();
    connections.sort_by_cached_key(|one| {
        let (rank, name, id) = ConnectionKey::from(one).sort_key();
        (rank, name, id.to_owned())
    });
    Ok(OverviewView {
        broken: broken_connections(connections.iter().map(ConnectionKey::from)),
        connections,
        hours: fill_missing_hours(first, &held),
        next,
        xero: xero_trouble(store, org, alarm).await?,
        as_of: now,
    })
}

/// Returns all hours of the chart; an hour without attempts has zero counts.
fn fill_missing_hours(first: i64, held: &[HourView]) -> Vec<HourView> {
    let all = (0..CHART_HOURS).map(|hour| first + hour * SECONDS_PER_HOUR);
    let empty = |begins_at| HourView { begins_at, ..HourView::default() };
    all.map(|at| held.iter().find(|hour| hour.begins_at == at).copied().unwrap_or_else(|| empty(at))).collect()
}

/// Returns the next scheduled refresh of each active connection, soonest first.
fn upcoming_refreshes(listed: &[ListedConnection]) -> Vec<UpcomingRefresh> {
    let is_active = |one: &&ListedConnection| one.shown.status == BindingStatus::Active;
    let mut upcoming: Vec<UpcomingRefresh> = listed
        .iter()
        .filter(is_active)
        .filter_map(|one| {
            let grant = one.shown.grant.as_ref().filter(|grant| grant.status == GrantStatus::Active)?;
            Some(UpcomingRefresh {
                tenant_name: one.shown.tenant_name.clone(),
                due_at: one.due_at.filter(|at| *at > 0)?,
                expires_at: grant.expires_at,
                failing: grant.failure_count > 0,
            })
        })
        .collect();
    upcoming.sort_by(|one, other| (one.due_at, &one.tenant_name).cmp(&(other.due_at, &other.tenant_name)));
    upcoming
}

/// Keeps the first of each kind. Expects and returns the soonest first.
fn soonest_of_each_kind(upcoming: Vec<UpcomingRefresh>) -> Vec<UpcomingActionView> {
    let mut next: Vec<UpcomingActionView> = Vec::new();
    for one in upcoming {
        let kind = match &one {
            one if one.failing => UpcomingActionKind::Retry,
            one if one.due_at < one.expires_at => UpcomingActionKind::Refresh,
            _ => UpcomingActionKind::Roll,
        };
        if next.iter().all(|known| known.kind != kind) {
            next.push(UpcomingActionView { kind, connection: one.tenant_name, at: one.due_at });
        }
    }
    next
}

/// Returns the connection as its reader may see it.
fn seen_by(viewer: &Viewer, view: ConnectionView) -> ConnectionView {
    ConnectionView { connected_by: view.connected_by.map(|email| viewer.name(email)), ..view }
}

fn connection_view(shown: ShownConnection, app: &AppIdentity, now: i64) -> ConnectionView {
    let grant = shown.grant.as_ref();
    let health = health(shown.status, grant.map(|grant| grant.state(app)), now);
    let working = shown.working_grant();
    let problem = match health {
        Health::Connected | Health::Refreshing => None,
        Health::Retrying => working.and_then(|grant| match grant.app == *app {
            true => grant.last_error.clone(),
            false => Some(grant.app.foreign_message()),
        }),
        Health::NeedsReauth | Health::Moved => {
            let ended = grant.filter(|grant| grant.status == GrantStatus::RefreshFailed);
            Some(ended.map_or(GrantEnd::RevokedAtXero.message(), ShownGrant::end_message).to_owned())
        }
        Health::Disconnected if shown.unlisted_at.is_some() => {
            Some("Access was removed in Xero. Your Xero data is safe. Reconnect to continue.".to_owned())
        }
        Health::Disconnected => Some("Evergrant no longer has access. Reconnect to continue.".to_owned()),
    };
    ConnectionView {
        status: shown.status,
        health,
        connected_at: shown.connected_at,
        last_refreshed_at: grant.and_then(|grant| grant.last_refreshed_at),
        access_expires_at: working.map(|grant| grant.expires_at),
        refresh_issued_at: working.map(|grant| grant.refresh_token_issued_at),
        next_attempt_at: working.and_then(|grant| grant.next_attempt_at),
        problem,
        is_shared_user: shown.reaches_other_orgs,
        contacts: Vec::new(),
        contact_count: 0,
        xero_user: None,
        granted_scopes: working.map(|grant| grant.scopes.clone()).unwrap_or_default(),
        missing_scopes: Vec::new(),
        grant_status: working.map(|grant| grant.status),
        id: shown.id,
        tenant_name: shown.tenant_name,
        tenant_type: shown.tenant_type,
        connected_by: shown.connected_by_email,
    }
}

fn health(status: BindingStatus, grant: Option<GrantState>, now: i64) -> Health {
    match (status, grant) {
        (BindingStatus::NeedsReauth, Some(GrantState { exported_at: Some(_), .. })) => Health::Moved,
        (BindingStatus::NeedsReauth, _) => Health::NeedsReauth,
        (BindingStatus::Disconnected, _) | (BindingStatus::Active, None) => Health::Disconnected,
        (BindingStatus::Active, Some(grant)) => match grant.status {
            GrantStatus::RefreshFailed | GrantStatus::Revoked => Health::NeedsReauth,
            GrantStatus::Active if !grant.is_of_app => Health::Retrying,
            GrantStatus::Active if grant.lease_until.is_some_and(|until| until > now) => Health::Refreshing,
            GrantStatus::Active if grant.failure_count > 0 => Health::Retrying,
            GrantStatus::Active => Health::Connected,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::domain::Grant;

    const NOW: i64 = 1_800_000_000;

    fn grant() -> ShownGrant {
        Grant { last_refreshed_at: Some(NOW), ..Grant::for_test(NOW + 600, NOW) }.into()
    }

    #[test]
    fn hours_without_attempts_are_filled_in() {
        let held = [HourView { begins_at: 3_600, refreshed: 2, failed: 1 }];
        let day = fill_missing_hours(-3_600, &held);
        assert_eq!((day.len(), day[0].begins_at, day[23].begins_at), (24, -3_600, 22 * 3_600));
        assert_eq!((day[1], day[2]), (HourView::default(), held[0]));
    }

    #[test]
    fn upcoming_keeps_the_soonest_of_each_kind() {
        let one = |name: &str, due_at, expires_at, failing| UpcomingRefresh {
            tenant_name: name.to_owned(),
            due_at,
            expires_at,
            failing,
        };
        let next = soonest_of_each_kind(vec![
            one("retried", 5, 100, true),
            one("hot", 40, 100, false),
            one("later", 50, 100, false),
            one("cold", 900, 100, false),
        ]);
        let seen: Vec<_> = next.iter().map(|one| (one.kind, one.connection.as_str(), one.at)).collect();
        assert_eq!(
            seen,
            [
                (UpcomingActionKind::Retry, "retried", 5),
                (UpcomingActionKind::Refresh, "hot", 40),
                (UpcomingActionKind::Roll, "cold", 900)
            ]
        );
    }

    #[test]
    fn health_follows_from_binding_status_and_grant() {
        let another = AppIdentity { client_id: "another".into(), ..AppIdentity::sandbox() };
        let exported = ShownGrant { exported_at: Some(NOW), ..grant() };
        let cases = [
            (BindingStatus::Active, Some(grant()), Health::Connected),
            (BindingStatus::Active, Some(ShownGrant { lease_until: Some(NOW + 1), ..grant() }), Health::Refreshing),
            (BindingStatus::Active, Some(ShownGrant { lease_until: Some(NOW), ..grant() }), Health::Connected),
            (BindingStatus::Active, Some(ShownGrant { failure_count: 1, ..grant() }), Health::Retrying),
            (BindingStatus::Active, Some(ShownGrant { app: another, ..grant() }), Health::Retrying),
            (
                BindingStatus::Active,
                Some(ShownGrant { status: GrantStatus::RefreshFailed, ..grant() }),
                Health::NeedsReauth,
            ),
            (BindingStatus::NeedsReauth, Some(grant()), Health::NeedsReauth),
            (BindingStatus::NeedsReauth, Some(exported.clone()), Health::Moved),
            (BindingStatus::Active, Some(exported), Health::Connected),
            (BindingStatus::Active, None, Health::Disconnected),
            (BindingStatus::Disconnected, Some(grant()), Health::Disconnected),
        ];
        for (status, grant, expected) in cases {
            let state = grant.as_ref().map(|grant| grant.state(&AppIdentity::sandbox()));
            let found = health(status, state, NOW);
            assert_eq!(found, expected, "{status:?} {grant:?}");
        }
    }
}
