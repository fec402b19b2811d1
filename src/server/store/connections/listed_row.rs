//! A row of the list of connections, which borrows its texts from the list: a page makes whole connections of few of them.

use std::borrow::Cow;

use serde::Deserialize;

use super::listed::ListedConnection;
use super::shown::{GrantState, ShownConnection, ShownGrant};
use crate::model::{BindingId, BindingStatus, GrantStatus};
use crate::server::domain::{AppIdentity, DueState, LONGEST_BACKOFF, XeroUserName, plausible_or_now};
use crate::server::store::StoreError;
use crate::server::store::accounts::members::rows::count;
use crate::server::store::text_values::known_value;

/// A connection in the list, and what of it decides its place there.
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
    tenant_id: Text<'a>,
    #[serde(borrow)]
    tenant_name: Text<'a>,
    #[serde(borrow)]
    tenant_type: Text<'a>,
    #[serde(borrow)]
    status: Text<'a>,
    missing_since: Option<i64>,
    created_at: i64,
    #[serde(borrow)]
    external_id: Option<Text<'a>>,
    #[serde(borrow)]
    connected_by_email: Option<Text<'a>>,
    reaches_other_orgs: i64,
    owner_removed_at: Option<i64>,
    contacts: i64,
    #[serde(borrow)]
    tags: Option<Text<'a>>,
    #[serde(borrow)]
    grant_status: Option<Text<'a>>,
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
    #[serde(borrow)]
    scopes: Option<Text<'a>>,
    expires_at: Option<i64>,
    refresh_token_issued_at: Option<i64>,
    last_refreshed_at: Option<i64>,
    lease_until: Option<i64>,
    failure_count: Option<i64>,
    next_attempt_at: Option<i64>,
    #[serde(borrow)]
    last_error: Option<Text<'a>>,
    exported_at: Option<i64>,
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

    /// Returns the id that a program gave it.
    pub fn external_id(&self) -> Option<&str> {
        self.columns.external_id.as_ref().map(|text| &*text.0)
    }

    /// Returns its tags, in no particular order.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        self.columns.tags.as_ref().map_or("", |text| &text.0).split_whitespace()
    }

    /// Returns the granted scopes if the grant and the binding are active.
    pub fn working_scopes(&self) -> Option<&str> {
        let is_working = self.status == BindingStatus::Active && self.grant_status == Some(GrantStatus::Active);
        is_working.then(|| or_empty(self.columns.scopes.as_ref()))
    }

    /// Returns what of the grant decides the connection's state. Times that no rule could have written by `now` mean now.
    pub fn grant_state(&self, now: i64) -> Option<GrantState<'_>> {
        Some(GrantState {
            status: self.grant_status?,
            client_id: or_empty(self.columns.client_id.as_ref()),
            issuer: or_empty(self.columns.issuer.as_ref()),
            lease_until: self.times(now).lease_until,
            failure_count: self.columns.failure_count.unwrap_or_default(),
            exported_at: self.columns.exported_at,
        })
    }

    /// Returns whether the member who connected it was removed from the organization.
    pub fn owner_was_removed(&self) -> bool {
        self.columns.owner_removed_at.is_some()
    }

    /// Returns the whole connection. Times that no rule could have written by `now` mean now.
    pub fn listed(&self, now: i64) -> ListedConnection {
        let row = &self.columns;
        let shown = ShownConnection {
            id: BindingId(owned(&row.id)),
            tenant_id: owned(&row.tenant_id),
            tenant_name: owned(&row.tenant_name),
            tenant_type: owned(&row.tenant_type),
            status: self.status,
            unlisted_at: row.missing_since,
            connected_at: row.created_at,
            connected_by_email: row.connected_by_email.as_ref().map(owned),
            reaches_other_orgs: row.reaches_other_orgs > 0,
            grant: self.grant_status.map(|status| self.grant(status, now)),
        };
        let mut tags: Vec<String> = self.tags().map(str::to_owned).collect();
        tags.sort_unstable();
        ListedConnection {
            shown,
            xero_user: XeroUserName {
                name: row.xero_user_name.as_ref().map(owned),
                email: row.xero_user_email.as_ref().map(owned),
            },
            owner_removed_at: row.owner_removed_at,
            external_id: row.external_id.as_ref().map(owned),
            tags,
            contacts: count(row.contacts),
            due_at: row.due_at,
        }
    }

    fn grant(&self, status: GrantStatus, now: i64) -> ShownGrant {
        let (row, times) = (&self.columns, self.times(now));
        let text = |column: &Option<Text<'_>>| or_empty(column.as_ref()).to_owned();
        ShownGrant {
            status,
            app: AppIdentity { client_id: text(&row.client_id), issuer: text(&row.issuer) },
            xero_user_id: text(&row.xero_user_id),
            scopes: text(&row.scopes),
            expires_at: times.expires_at,
            refresh_token_issued_at: times.refresh_token_issued_at,
            last_refreshed_at: times.last_refreshed_at,
            lease_until: times.lease_until,
            failure_count: times.failure_count,
            next_attempt_at: row.next_attempt_at.map(|at| plausible_or_now(at, LONGEST_BACKOFF, now)),
            last_error: row.last_error.as_ref().map(owned),
            exported_at: row.exported_at,
        }
    }

    fn times(&self, now: i64) -> DueState {
        let row = &self.columns;
        let stored = DueState {
            expires_at: row.expires_at.unwrap_or_default(),
            refresh_token_issued_at: row.refresh_token_issued_at.unwrap_or_default(),
            last_refreshed_at: row.last_refreshed_at,
            failure_count: row.failure_count.unwrap_or_default(),
            lease_until: row.lease_until,
            reply_lost_at: None,
            prove_by: None,
        };
        stored.with_plausible_times(now)
    }
}

fn or_empty<'r>(text: Option<&'r Text<'_>>) -> &'r str {
    text.map_or("", |text| &text.0)
}

fn owned(text: &Text<'_>) -> String {
    text.0.clone().into_owned()
}
