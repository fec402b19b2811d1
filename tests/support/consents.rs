//! Consents at the sandbox provider, stored as the callback stores them, without the browser flow.

use evergrant::model::{BindingId, GrantId, OrgId};
use evergrant::server::domain::{AccessToken, RefreshToken, Tenant, TokenSet};
use evergrant::server::store::{NewGrant, Store};
use evergrant_sandbox::Minted;

use crate::sandbox::Provider;

/// An organization with the grant and the bindings of one consent.
pub struct ConnectedOrg {
    pub org: OrgId,
    pub grant: GrantId,
    pub bindings: Vec<BindingId>,
    pub minted: Minted,
}

/// A consent of Mere's.
pub struct TestConsent<'a> {
    store: &'a Store,
    provider: &'a Provider,
    tenants: &'a [&'a str],
    access_seconds_left: i64,
}

impl<'a> TestConsent<'a> {
    /// Returns a consent to the tenant `harbour`, whose access token expires in a minute.
    pub fn new(store: &'a Store, provider: &'a Provider) -> Self {
        Self { store, provider, tenants: &["harbour"], access_seconds_left: 60 }
    }

    pub fn tenants(self, tenants: &'a [&'a str]) -> Self {
        Self { tenants, ..self }
    }

    pub fn access_seconds_left(self, access_seconds_left: i64) -> Self {
        Self { access_seconds_left, ..self }
    }

    /// Stores the grant and its bindings.
    pub async fn connect(self, org: OrgId) -> ConnectedOrg {
        let store = self.store;
        let (grant, minted) = self.insert_grant(&org).await;
        let tenants: Vec<Tenant> = minted
            .connections
            .iter()
            .map(|connection| Tenant {
                id: connection.tenant_id.clone(),
                name: connection.tenant_name.clone(),
                tenant_type: connection.tenant_type.clone(),
                connection_id: connection.id.clone(),
            })
            .collect();
        let bound = store.bind(&org, &grant, &tenants, None).await.unwrap();
        let bindings = bound.into_iter().map(|bound| bound.binding_id).collect();
        ConnectedOrg { org, grant, bindings, minted }
    }

    /// Stores the grant without bindings.
    pub async fn insert_grant(self, org: &OrgId) -> (GrantId, Minted) {
        let minted = self.provider.sandbox.mint("mere", self.tenants, self.access_seconds_left).unwrap();
        let tokens = TokenSet {
            access_token: AccessToken::new(minted.access_token.clone()),
            refresh_token: RefreshToken::new(minted.refresh_token.clone()),
            expires_at: minted.expires_at,
            scopes: minted.scopes.clone(),
        };
        let new = NewGrant {
            org_id: org.clone(),
            xero_user_id: minted.xero_user_id.clone(),
            auth_event_id: minted.auth_event_id.clone(),
            tokens,
        };
        (self.store.insert_grant(new).await.unwrap(), minted)
    }
}
