//! What pages show of an organisation's connections, made from its rows.

mod activity;
mod api_keys;
mod members;
mod notifications;

pub use activity::{Names, activity, audit, changes, entries};
pub use api_keys::api_keys;
pub use members::members;
pub use notifications::{Looker, notifications};

use crate::model::{
    BindingStatus, ConnectionView, GrantStatus, Health, HourView, NextKind, NextView, OrgId, OverviewView, SettingsView,
};
use crate::server::domain::{Ended, Grant};
use crate::server::store::{Bound, Store, StoreError, Upcoming};

/// What an overview shows as the last day: the current hour of the clock and those before it.
const HOURS: i64 = 24;
const AN_HOUR: i64 = 60 * 60;

/// Everything on `/settings/integrations`.
pub async fn settings(store: &Store, org: &OrgId, may_manage: bool) -> Result<SettingsView, StoreError> {
    let pending = if may_manage { store.pending_confirmations(org).await? } else { Vec::new() };
    let departing = if may_manage { store.departing(org).await? } else { Vec::new() };
    Ok(SettingsView {
        org_id: Some(org.clone()),
        connections: connections(store, org).await?,
        pending,
        departing,
        may_manage,
        as_of: store.clock().now(),
    })
}

/// Everything on `/`.
pub async fn overview(store: &Store, org: &OrgId) -> Result<OverviewView, StoreError> {
    let now = store.clock().now();
    let first = (now.div_euclid(AN_HOUR) - HOURS + 1) * AN_HOUR;
    let held = store.hours_since(org, first).await?;
    Ok(OverviewView {
        connections: connections(store, org).await?,
        hours: hours(first, &held),
        next: next(store.upcoming(org).await?),
        as_of: now,
    })
}

/// Every hour of the day, also those in which nothing was tried.
fn hours(first: i64, held: &[HourView]) -> Vec<HourView> {
    let all = (0..HOURS).map(|hour| first + hour * AN_HOUR);
    let empty = |begins_at| HourView { begins_at, ..HourView::default() };
    all.map(|at| held.iter().find(|hour| hour.begins_at == at).copied().unwrap_or_else(|| empty(at))).collect()
}

/// The soonest of each kind; they come soonest first, and stay so.
fn next(upcoming: Vec<Upcoming>) -> Vec<NextView> {
    let mut next: Vec<NextView> = Vec::new();
    for one in upcoming {
        let kind = match &one {
            one if one.failing => NextKind::Retry,
            one if one.due_at < one.expires_at => NextKind::Refresh,
            _ => NextKind::Roll,
        };
        if next.iter().all(|known| known.kind != kind) {
            next.push(NextView { kind, connection: one.tenant_name, at: one.due_at });
        }
    }
    next
}

async fn connections(store: &Store, org: &OrgId) -> Result<Vec<ConnectionView>, StoreError> {
    let now = store.clock().now();
    Ok(store.bindings_of_org(org).await?.into_iter().map(|bound| connection(bound, now)).collect())
}

fn connection(Bound { binding, grant, connected_by_email }: Bound, now: i64) -> ConnectionView {
    let health = health(binding.status, grant.as_ref(), now);
    let last_refreshed_at = grant.as_ref().and_then(|grant| grant.last_refreshed_at);
    let ended = grant.as_ref().filter(|grant| grant.status == GrantStatus::RefreshFailed);
    let why_it_ended = ended.and_then(|grant| grant.last_error.clone());
    // A grant that is dead or was given up has no tokens whose time could be shown.
    let alive = grant.filter(|grant| grant.status == GrantStatus::Active && binding.status == BindingStatus::Active);
    let problem = match health {
        Health::Connected | Health::Refreshing => None,
        Health::Retrying => alive.as_ref().and_then(|grant| grant.last_error.clone()),
        Health::NeedsReauth => Some(why_it_ended.unwrap_or_else(|| Ended::There.sentence().to_owned())),
        Health::Disconnected if binding.gone_at.is_some() => Some(
            "It was disconnected inside Xero. Your data in Xero is untouched; reconnect to use it again.".to_owned(),
        ),
        Health::Disconnected => Some("Nothing is read from or sent to Xero. Reconnect to use it again.".to_owned()),
    };
    ConnectionView {
        id: binding.id,
        tenant_name: binding.tenant_name,
        tenant_type: binding.tenant_type,
        status: binding.status,
        health,
        connected_by: connected_by_email,
        connected_at: binding.created_at,
        last_refreshed_at,
        access_expires_at: alive.as_ref().map(|grant| grant.expires_at),
        refresh_issued_at: alive.as_ref().map(|grant| grant.refresh_token_issued_at),
        next_attempt_at: alive.as_ref().and_then(|grant| grant.next_attempt_at),
        problem,
        grant_status: alive.map(|grant| grant.status),
    }
}

fn health(status: BindingStatus, grant: Option<&Grant>, now: i64) -> Health {
    match (status, grant) {
        (BindingStatus::NeedsReauth, _) => Health::NeedsReauth,
        (BindingStatus::Disconnected, _) | (BindingStatus::Active, None) => Health::Disconnected,
        (BindingStatus::Active, Some(grant)) => match grant.status {
            GrantStatus::RefreshFailed | GrantStatus::Revoked => Health::NeedsReauth,
            GrantStatus::Active if grant.lease.as_ref().is_some_and(|lease| lease.is_held(now)) => Health::Refreshing,
            GrantStatus::Active if grant.failure_count > 0 => Health::Retrying,
            GrantStatus::Active => Health::Connected,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::domain::{Lease, SealedTokens};

    const NOW: i64 = 1_800_000_000;

    fn grant() -> Grant {
        Grant {
            id: "g".into(),
            org_id: "o".into(),
            xero_user_id: String::new(),
            auth_event_id: String::new(),
            scopes: String::new(),
            sealed: SealedTokens { access: String::new(), refresh: String::new() },
            expires_at: NOW + 600,
            refresh_token_issued_at: NOW,
            status: GrantStatus::Active,
            generation: 0,
            lease: None,
            failure_count: 0,
            next_attempt_at: None,
            last_error: None,
            last_refreshed_at: Some(NOW),
            last_used_at: None,
            reply_lost_at: None,
        }
    }

    #[test]
    fn a_day_has_every_hour() {
        let held = [HourView { begins_at: 3_600, refreshed: 2, failed: 1 }];
        let day = hours(-3_600, &held);
        assert_eq!((day.len(), day[0].begins_at, day[23].begins_at), (24, -3_600, 22 * 3_600));
        assert_eq!((day[1], day[2]), (HourView::default(), held[0]));
    }

    #[test]
    fn what_comes_next_is_the_soonest_of_each_kind() {
        let one = |name: &str, due_at, expires_at, failing| Upcoming {
            tenant_name: name.to_owned(),
            due_at,
            expires_at,
            failing,
        };
        let next = next(vec![
            one("retried", 5, 100, true),
            one("hot", 40, 100, false),
            one("later", 50, 100, false),
            one("cold", 900, 100, false),
        ]);
        let seen: Vec<_> = next.iter().map(|one| (one.kind, one.connection.as_str(), one.at)).collect();
        assert_eq!(
            seen,
            [(NextKind::Retry, "retried", 5), (NextKind::Refresh, "hot", 40), (NextKind::Roll, "cold", 900)]
        );
    }

    #[test]
    fn one_word_says_how_a_connection_stands() {
        let held = Lease { owner: "x".into(), until: NOW + 1 };
        let ended = Lease { owner: "x".into(), until: NOW };
        let cases = [
            (BindingStatus::Active, Some(grant()), Health::Connected),
            (BindingStatus::Active, Some(Grant { lease: Some(held), ..grant() }), Health::Refreshing),
            (BindingStatus::Active, Some(Grant { lease: Some(ended), ..grant() }), Health::Connected),
            (BindingStatus::Active, Some(Grant { failure_count: 1, ..grant() }), Health::Retrying),
            (BindingStatus::Active, Some(Grant { status: GrantStatus::RefreshFailed, ..grant() }), Health::NeedsReauth),
            (BindingStatus::NeedsReauth, Some(grant()), Health::NeedsReauth),
            (BindingStatus::Active, None, Health::Disconnected),
            (BindingStatus::Disconnected, Some(grant()), Health::Disconnected),
        ];
        for (status, grant, expected) in cases {
            assert_eq!(health(status, grant.as_ref(), NOW), expected, "{status:?} {grant:?}");
        }
    }
}
