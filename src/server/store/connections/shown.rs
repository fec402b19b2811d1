//! What pages show of a connection: nothing of its tokens but their times.

use crate::model::{BindingId, BindingStatus, GrantStatus};
use crate::server::domain::{AppIdentity, Grant, GrantEnd};
use crate::server::store::BindingWithGrant;

/// A connection as pages show it.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownConnection {
    /// Evergrant's id of the binding.
    pub id: BindingId,
    /// Xero's id of the tenant.
    pub tenant_id: String,
    /// The tenant's name.
    pub tenant_name: String,
    /// What kind of tenant it is.
    pub tenant_type: String,
    /// Whether the binding works, needs a new consent, or is disconnected.
    pub status: BindingStatus,
    /// See [`Binding::unlisted_at`](crate::server::domain::Binding::unlisted_at).
    pub unlisted_at: Option<i64>,
    /// When the tenant was first bound, in unix seconds.
    pub connected_at: i64,
    /// Email address of the user who connected it; `None` if unknown or deleted.
    pub connected_by_email: Option<String>,
    /// Whether the grant's access token also opens a tenant of another organization.
    pub reaches_other_orgs: bool,
    /// Its grant; `None` if it has none.
    pub grant: Option<ShownGrant>,
}

/// A grant as pages show it. Unix seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownGrant {
    /// Whether the grant is active, failed or revoked.
    pub status: GrantStatus,
    /// The app and the provider that issued the tokens.
    pub app: AppIdentity,
    /// Xero's id of the user who consented; empty if it is unknown.
    pub xero_user_id: String,
    /// Granted scopes, separated by spaces; empty if Xero sent none.
    pub scopes: String,
    /// When the access token expires.
    pub expires_at: i64,
    /// When the refresh token was issued.
    pub refresh_token_issued_at: i64,
    /// When the last token set was received.
    pub last_refreshed_at: Option<i64>,
    /// When the latest lease ends or ended.
    pub lease_until: Option<i64>,
    /// Consecutive failed exchanges.
    pub failure_count: i64,
    /// Before when automatic triggers skip the grant.
    pub next_attempt_at: Option<i64>,
    /// Message of the last failed exchange.
    pub last_error: Option<String>,
    /// When the refresh token was exported to another system.
    pub exported_at: Option<i64>,
}

/// What of a grant decides its connection's state.
pub struct GrantState {
    /// Whether the grant is active, failed or revoked.
    pub status: GrantStatus,
    /// Whether the tokens belong to the configured app and its provider.
    pub is_of_app: bool,
    /// When the latest lease ends or ended, in unix seconds.
    pub lease_until: Option<i64>,
    /// Consecutive failed exchanges.
    pub failure_count: i64,
    /// When the refresh token was exported to another system, in unix seconds.
    pub exported_at: Option<i64>,
}

impl ShownConnection {
    /// Returns the grant if it and the binding are active: only then its tokens have times to show.
    pub fn working_grant(&self) -> Option<&ShownGrant> {
        let is_active = |grant: &&ShownGrant| grant.status == GrantStatus::Active;
        self.grant.as_ref().filter(is_active).filter(|_| self.status == BindingStatus::Active)
    }
}

impl ShownGrant {
    /// Returns what of it decides its connection's state. `app` is the configured one.
    pub fn state(&self, app: &AppIdentity) -> GrantState {
        GrantState {
            status: self.status,
            is_of_app: self.app == *app,
            lease_until: self.lease_until,
            failure_count: self.failure_count,
            exported_at: self.exported_at,
        }
    }

    /// Returns the message for people why the grant has ended, if it has.
    pub fn end_message(&self) -> &str {
        GrantEnd::message_of(self.exported_at, self.last_error.as_deref())
    }
}

impl From<BindingWithGrant> for ShownConnection {
    fn from(bound: BindingWithGrant) -> Self {
        let BindingWithGrant { binding, grant, connected_by_email, reaches_other_orgs } = bound;
        Self {
            id: binding.id,
            tenant_id: binding.tenant.id,
            tenant_name: binding.tenant.name,
            tenant_type: binding.tenant.tenant_type,
            status: binding.status,
            unlisted_at: binding.unlisted_at,
            connected_at: binding.created_at,
            connected_by_email,
            reaches_other_orgs,
            grant: grant.map(ShownGrant::from),
        }
    }
}

impl From<Grant> for ShownGrant {
    fn from(grant: Grant) -> Self {
        Self {
            status: grant.status,
            app: grant.app,
            xero_user_id: grant.xero_user_id,
            scopes: grant.scopes,
            expires_at: grant.expires_at,
            refresh_token_issued_at: grant.refresh_token_issued_at,
            last_refreshed_at: grant.last_refreshed_at,
            lease_until: grant.lease.map(|lease| lease.until),
            failure_count: grant.failure_count,
            next_attempt_at: grant.next_attempt_at,
            last_error: grant.last_error,
            exported_at: grant.exported_at,
        }
    }
}
