//! What pages show of an organisation's connections, made from its rows.

mod notifications;

pub use notifications::{Looker, notifications};

use crate::model::{BindingStatus, ConnectionView, GrantStatus, Health, OrgId, OverviewView, SettingsView};
use crate::server::domain::{Ended, Grant};
use crate::server::store::{Bound, Store, StoreError};

/// What an overview counts as the last day.
const A_DAY: i64 = 24 * 60 * 60;

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
    let (refreshed, failed) = store.attempts_since(org, now - A_DAY).await?;
    Ok(OverviewView {
        connections: connections(store, org).await?,
        refreshed_last_day: u32::try_from(refreshed).unwrap_or(u32::MAX),
        failed_last_day: u32::try_from(failed).unwrap_or(u32::MAX),
        as_of: now,
    })
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
            reply_lost_at: None,
        }
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
