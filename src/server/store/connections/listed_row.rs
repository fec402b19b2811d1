//! A row of the list of connections, which borrows its texts from the list: a page makes whole connections of few of them.

use std::borrow::Cow;

use serde::Deserialize;

use super::listed::ListedConnection;
use super::offboarding::OFFBOARDING_PERIOD;
use super::shown::{GrantState, ShownConnection, ShownGrant};
use crate::model::{BindingId, BindingStatus, DepartingConnection, GrantStatus};
use crate::server::domain::{AppIdentity, DueState, LONGEST_BACKOFF, MAX_LEASE, XeroUserName, plausible_or_now};
use crate::server::store::StoreError;
use crate::server::store::accounts::members::rows::count;
use crate::server::store::text_values::known_value;

/// A connection in a list: what decides its place there, or the whole of it, or both.
pub struct ListedRow<'a> {
    columns: ListedColumns<'a>,
    /// Whether the binding works, needs a new consent, or is disconnected.
    pub status: BindingStatus,
    grant_status: Option<GrantStatus>,
}

/// The columns in the order of the statement. Without a grant, its columns are null.
#[derive(Deserialize)]
pub(super) struct ListedColumns<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    tenant_name: Text<'a>,
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    external_id: Option<Text<'a>>,
    #[serde(borrow)]
    tags: Option<Text<'a>>,
    owner_removed_at: Option<i64>,
    #[serde(borrow)]
    removed_owner: Option<Text<'a>>,
    #[serde(borrow)]
    grant_status: Option<Text<'a>>,
    is_of_app: Option<i64>,
    #[serde(borrow)]
    scopes: Option<Text<'a>>,
    lease_until: Option<i64>,
    failure_count: Option<i64>,
    exported_at: Option<i64>,
    #[serde(borrow)]
    details: Option<Box<DetailColumns<'a>>>,
}

/// The columns that only a shown connection needs, in the order of the statement.
#[derive(Deserialize)]
struct DetailColumns<'a> {
    #[serde(borrow)]
    tenant_id: Text<'a>,
    #[serde(borrow)]
    tenant_type: Text<'a>,
    missing_since: Option<i64>,
    created_at: i64,
    #[serde(borrow)]
    connected_by_email: Option<Text<'a>>,
    reaches_other_orgs: i64,
    contacts: i64,
    #[serde(borrow)]
    xero_user_name: Option<Text<'a>>,
    #[serde(borrow)]
    xero_user_email: Option<Text<'a>>,
    due_at: Option<i64>,
    #[serde(borrow)]
    client_id: Option<Text<'a>>,
    #[serde(borrow)]
    issuer: Option<Text<'a>>,
    #[serde(borrow)]
    xero_user_id: Option<Text<'a>>,
    expires_at: Option<i64>,
    refresh_token_issued_at: Option<i64>,
    last_refreshed_at: Option<i64>,
    next_attempt_at: Option<i64>,
    #[serde(borrow)]
    last_error: Option<Text<'a>>,
}

/// A text that is copied only if it has escapes. serde borrows no `Option<Cow<str>>`.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> ListedRow<'a> {
    pub(super) fn new(columns: ListedColumns<'a>) -> Result<Self, StoreError> {
        let status = known_value(&columns.status.0, "integration_tenant_bindings", "status")?;
        let grant_status = columns.grant_status.as_ref();
        let grant_status = grant_status.map(|text| known_value(&text.0, "integration_grants", "status")).transpose()?;
        Ok(Self { columns, status, grant_status })
    }

    /// Returns the connection's id.
    pub fn id(&self) -> &str {
        &self.columns.id.0
    }

    /// Returns the tenant's name.
    pub fn name(&self) -> &str {
        &self.columns.tenant_name.0
    }

    /// Returns its external id, and its tags if the list has them. Searches compare these, besides the name.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        let (external_id, tags) = (self.columns.external_id.as_ref(), self.columns.tags.as_ref());
        external_id.map(|text| &*text.0).into_iter().chain(or_empty(tags).split_whitespace())
    }

    /// Returns the granted scopes if the grant and the binding are active.
    pub fn working_scopes(&self) -> Option<&str> {
        let is_working = self.status == BindingStatus::Active && self.grant_status == Some(GrantStatus::Active);
        is_working.then(|| or_empty(self.columns.scopes.as_ref()))
    }

    /// Returns what of the grant decides the connection's state. Times that no rule could have written by `now` mean now.
    pub fn grant_state(&self, now: i64) -> Option<GrantState> {
        Some(GrantState {
            status: self.grant_status?,
            is_of_app: self.columns.is_of_app == Some(1),
            lease_until: self.columns.lease_until.map(|until| plausible_or_now(until, MAX_LEASE, now)),
            failure_count: self.columns.failure_count.unwrap_or_default(),
            exported_at: self.columns.exported_at,
        })
    }

    /// Returns when the connection ends, if a former member made it.
    pub fn departing(&self) -> Option<DepartingConnection> {
        let removed_at = self.columns.owner_removed_at.filter(|_| self.status != BindingStatus::Disconnected)?;
        Some(DepartingConnection {
            binding_id: BindingId(owned(&self.columns.id)),
            tenant_name: owned(&self.columns.tenant_name),
            connected_by: owned(self.columns.removed_owner.as_ref()?),
            ends_at: removed_at + OFFBOARDING_PERIOD,
        })
    }

    /// Returns the whole connection if the list has it. Times that no rule could have written by `now` mean now.
    pub(super) fn listed(&self, now: i64) -> Option<ListedConnection> {
        let (row, details) = (&self.columns, self.columns.details.as_ref()?);
        let shown = ShownConnection {
            id: BindingId(owned(&row.id)),
            tenant_id: owned(&details.tenant_id),
            tenant_name: owned(&row.tenant_name),
            tenant_type: owned(&details.tenant_type),
            status: self.status,
            unlisted_at: details.missing_since,
            connected_at: details.created_at,
            connected_by_email: details.connected_by_email.as_ref().map(owned),
            reaches_other_orgs: details.reaches_other_orgs > 0,
            grant: self.grant_status.map(|status| row.grant(details, status, now)),
        };
        Some(ListedConnection {
            shown,
            xero_user: XeroUserName {
                name: details.xero_user_name.as_ref().map(owned),
                email: details.xero_user_email.as_ref().map(owned),
            },
            contacts: count(details.contacts),
            due_at: details.due_at,
        })
    }
}

impl ListedColumns<'_> {
    fn grant(&self, details: &DetailColumns<'_>, status: GrantStatus, now: i64) -> ShownGrant {
        let stored = DueState {
            expires_at: details.expires_at.unwrap_or_default(),
            refresh_token_issued_at: details.refresh_token_issued_at.unwrap_or_default(),
            last_refreshed_at: details.last_refreshed_at,
            failure_count: self.failure_count.unwrap_or_default(),
            lease_until: self.lease_until,
            reply_lost_at: None,
            prove_by: None,
        };
        let times = stored.with_plausible_times(now);
        let text = |column: &Option<Text<'_>>| or_empty(column.as_ref()).to_owned();
        ShownGrant {
            status,
            app: AppIdentity { client_id: text(&details.client_id), issuer: text(&details.issuer) },
            xero_user_id: text(&details.xero_user_id),
            scopes: text(&self.scopes),
            expires_at: times.expires_at,
            refresh_token_issued_at: times.refresh_token_issued_at,
            last_refreshed_at: times.last_refreshed_at,
            lease_until: times.lease_until,
            failure_count: times.failure_count,
            next_attempt_at: details.next_attempt_at.map(|at| plausible_or_now(at, LONGEST_BACKOFF, now)),
            last_error: details.last_error.as_ref().map(owned),
            exported_at: self.exported_at,
        }
    }
}

fn or_empty<'r>(text: Option<&'r Text<'_>>) -> &'r str {
    text.map_or("", |text| &text.0)
}

fn owned(text: &Text<'_>) -> String {
    text.0.clone().into_owned()
}
