//! What the sandbox remembers over a restart: consents, tokens, connections. Plain data and lookups, no rules.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::people::{Person, TENANTS, Tenant};

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    /// PKCS8, base64.
    pub signing_key: String,
    /// Seconds that the control route moved the clock.
    pub clock_offset: i64,
    /// Tenants renamed by the control route, by tenant id.
    pub tenant_names: BTreeMap<String, String>,
    /// Consents by authentication event.
    pub grants: BTreeMap<String, Grant>,
    /// Refresh tokens that may still buy something, by the token itself.
    pub refresh_tokens: BTreeMap<String, RefreshToken>,
    pub codes: BTreeMap<String, Code>,
    pub connections: Vec<Connection>,
}

/// One consent of one person.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Grant {
    pub xero_user_id: String,
    pub scopes: String,
    pub auth_time: i64,
}

impl Grant {
    pub fn has_scope(&self, wanted: &str) -> bool {
        self.scopes.split(' ').any(|scope| scope == wanted)
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct RefreshToken {
    pub auth_event_id: String,
    pub issued_at: i64,
    /// The token that bought this one. It dies when this one is used.
    pub predecessor: Option<String>,
    /// When it was first used, and what it bought then.
    pub rotated: Option<Rotated>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Rotated {
    pub at: i64,
    pub successor: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Code {
    pub auth_event_id: String,
    pub redirect_uri: String,
    /// S256 only.
    pub code_challenge: Option<String>,
    pub expires_at: i64,
}

/// A person's connection of one tenant to the app. Its id outlives a reconnect.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Connection {
    pub id: String,
    pub xero_user_id: String,
    pub auth_event_id: String,
    pub tenant_id: String,
    pub created_at: i64,
    pub updated_at: i64,
}

impl State {
    /// Notes a consent and connects its tenants; a tenant connected before keeps its connection. Returns the
    /// authentication event.
    pub fn consent(&mut self, person: &Person, tenants: &[&Tenant], scopes: &str, now: i64) -> String {
        let event = Uuid::new_v4().to_string();
        let xero_user_id = person.xero_user_id.to_owned();
        for tenant in tenants {
            let known = self
                .connections
                .iter_mut()
                .find(|known| known.xero_user_id == person.xero_user_id && known.tenant_id == tenant.tenant_id);
            match known {
                Some(connection) => {
                    connection.auth_event_id.clone_from(&event);
                    connection.updated_at = now;
                }
                None => self.connections.push(Connection {
                    id: Uuid::new_v4().to_string(),
                    xero_user_id: xero_user_id.clone(),
                    auth_event_id: event.clone(),
                    tenant_id: tenant.tenant_id.to_owned(),
                    created_at: now,
                    updated_at: now,
                }),
            }
        }
        self.grants.insert(event.clone(), Grant { xero_user_id, scopes: scopes.to_owned(), auth_time: now });
        event
    }

    pub fn connections_of<'a>(&'a self, xero_user_id: &'a str) -> impl Iterator<Item = &'a Connection> {
        self.connections.iter().filter(move |connection| connection.xero_user_id == xero_user_id)
    }

    /// The tenant and the name it goes by now.
    pub fn tenant(&self, tenant_id: &str) -> Option<(&'static Tenant, String)> {
        let tenant = TENANTS.iter().find(|tenant| tenant.tenant_id == tenant_id)?;
        let name = self.tenant_names.get(tenant_id).map_or(tenant.name, String::as_str);
        Some((tenant, name.to_owned()))
    }

    /// Ends every refresh token of one consent. Its connections stay listed, as after a password change at Xero.
    pub fn forget_grant(&mut self, auth_event_id: &str) {
        self.refresh_tokens.retain(|_, token| token.auth_event_id != auth_event_id);
    }

    /// Ends everything that a person gave the app: connections, tokens, unused codes.
    pub fn revoke_person(&mut self, xero_user_id: &str) {
        self.connections.retain(|connection| connection.xero_user_id != xero_user_id);
        self.grants.retain(|_, grant| grant.xero_user_id != xero_user_id);
        let grants = &self.grants;
        self.refresh_tokens.retain(|_, token| grants.contains_key(&token.auth_event_id));
        self.codes.retain(|_, code| grants.contains_key(&code.auth_event_id));
    }
}

/// 43 characters from 256 random bits: what Xero's refresh tokens look like, and long enough for codes too.
pub(super) fn random_token() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}
