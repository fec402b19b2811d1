//! Grants for tests, with made-up tokens and tenants.

use sqlx::AssertSqlSafe;

use super::START;
use crate::model::{GrantId, OrgId, Trigger, UserId};
use crate::server::domain::{AccessToken, AttemptEnd, RefreshToken, Tenant, TokenSet};
use crate::server::store::{JournaledLease, NewAttempt, NewGrant, Store};

/// The end of an attempt that Xero answered with new tokens.
pub const REFRESHED: AttemptEnd = AttemptEnd::refreshed(Some(200), None);

/// A grant to insert.
pub struct TestGrant<'a> {
    store: &'a Store,
    org: &'a OrgId,
    xero_user: &'a str,
    tokens: TokenSet,
    tenants: Vec<Tenant>,
    connected_by: Option<&'a UserId>,
}

impl<'a> TestGrant<'a> {
    /// Returns a grant of the Xero user `u`, with the tokens `first` and without a binding.
    pub fn of(store: &'a Store, org: &'a OrgId) -> Self {
        Self { store, org, xero_user: "u", tokens: tokens("first"), tenants: Vec::new(), connected_by: None }
    }

    /// Sets the Xero user who gave the consent.
    pub fn xero_user(self, xero_user: &'a str) -> Self {
        Self { xero_user, ..self }
    }

    /// Sets the tokens to those of this name.
    pub fn tokens(self, name: &str) -> Self {
        Self { tokens: tokens(name), ..self }
    }

    /// Binds the grant to tenants of these names.
    pub fn bound_to(self, names: &[&str]) -> Self {
        Self { tenants: names.iter().map(|name| tenant(name)).collect(), ..self }
    }

    /// Sets the user who connects the tenants.
    pub fn connected_by(self, user: &'a UserId) -> Self {
        Self { connected_by: Some(user), ..self }
    }

    /// Inserts the grant and its bindings.
    pub async fn insert(self) -> GrantId {
        let new = NewGrant {
            org_id: self.org.clone(),
            xero_user_id: self.xero_user.into(),
            auth_event_id: "event".into(),
            tokens: self.tokens,
        };
        let grant = self.store.insert_grant(new).await.unwrap();
        if !self.tenants.is_empty() {
            self.store.bind(self.org, &grant, &self.tenants, self.connected_by).await.unwrap();
        }
        grant
    }
}

/// Returns tokens whose texts end with `name`. The access token expires 30 minutes after `START`.
pub fn tokens(name: &str) -> TokenSet {
    TokenSet {
        access_token: AccessToken::new(format!("access-{name}")),
        refresh_token: RefreshToken::new(format!("refresh-{name}")),
        expires_at: START + 1800,
        scopes: "offline_access".into(),
    }
}

/// Returns a tenant of this name.
pub fn tenant(name: &str) -> Tenant {
    Tenant {
        id: format!("tenant-{name}"),
        name: name.into(),
        tenant_type: "ORGANISATION".into(),
        connection_id: format!("connection-{name}"),
    }
}

/// Takes the grant's lease and journals a manual attempt.
pub async fn lease_with_attempt(store: &Store, id: &GrantId, owner: &str) -> JournaledLease {
    let lease = store.acquire_lease(id, owner, store.clock().now() + 60).await.unwrap().expect("the lease is free");
    let new = NewAttempt { actor: Some("a@b.c"), ..NewAttempt::by(Trigger::Manual) };
    store.start_attempt(&lease, new).await.unwrap()
}

/// Sets columns of the grant's row, as in `status = 'revoked'`.
pub async fn set_row(store: &Store, id: &GrantId, columns: &str) {
    let sql = format!("UPDATE integration_grants SET {columns} WHERE id = $1");
    sqlx::query(AssertSqlSafe(sql)).bind(id.as_str()).execute(store.pool()).await.unwrap();
}
