//! The state that survives a restart: consents, tokens, connections. Plain data and lookups, no rules.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::people::{Person, Tenant, tenant_by_id};

/// The content of the state file.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct State {
    /// PKCS#8 DER in base64.
    pub signing_key: String,
    /// Seconds by which the control route advanced the clock.
    pub clock_offset: i64,
    /// Names of tenants that the control route renamed, by tenant id.
    pub tenant_names: BTreeMap<String, String>,
    /// Consents, by authentication event.
    pub grants: BTreeMap<String, Grant>,
    /// Refresh tokens that may still be valid, by the token itself.
    pub refresh_tokens: BTreeMap<String, RefreshToken>,
    /// Authorization codes that were not redeemed yet, by the code itself.
    pub codes: BTreeMap<String, Code>,
    pub connections: Vec<Connection>,
    /// People who lost access: the ids of a person and of a tenant.
    pub lost_access: BTreeSet<(String, String)>,
}

/// One consent of one person.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Grant {
    pub xero_user_id: String,
    /// The app that the person gave it to.
    pub client_id: String,
    pub scopes: String,
    pub auth_time: i64,
}

impl Grant {
    pub fn has_scope(&self, name: &str) -> bool {
        self.scopes.split(' ').any(|scope| scope == name)
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct RefreshToken {
    pub auth_event_id: String,
    pub issued_at: i64,
    /// The token that was exchanged for this one. It becomes invalid when this one is used.
    pub predecessor: Option<String>,
    /// The first use of this token, if any.
    pub rotated: Option<Rotation>,
}

/// The first use of a refresh token.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Rotation {
    pub at: i64,
    pub successor: String,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Code {
    pub auth_event_id: String,
    pub redirect_uri: String,
    /// Method S256.
    pub code_challenge: Option<String>,
    /// What the app sent to recognize the id token by (OpenID Connect Core, 3.1.2.1).
    #[serde(default)]
    pub nonce: Option<String>,
    pub expires_at: i64,
}

/// A person's connection of one tenant to the app. A reconnect keeps its id.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Connection {
    pub id: String,
    pub xero_user_id: String,
    /// The app that is connected.
    pub client_id: String,
    pub auth_event_id: String,
    pub tenant_id: String,
    pub created_at: i64,
    pub updated_at: i64,
}

impl Connection {
    /// Returns whether it connects the person and the app of this grant.
    pub fn belongs_to(&self, grant: &Grant) -> bool {
        self.xero_user_id == grant.xero_user_id && self.client_id == grant.client_id
    }
}

/// What a person agrees to on the consent page.
pub(crate) struct Consent<'a> {
    pub person: &'static Person,
    pub tenants: &'a [&'static Tenant],
    /// Separated by spaces.
    pub scopes: &'a str,
    pub client_id: &'a str,
    /// See [`Options::keep_auth_event_id`](crate::Options::keep_auth_event_id).
    pub keep_auth_event_id: bool,
}

impl State {
    /// Records a consent and connects its tenants. A tenant that is already connected keeps its connection. Returns the
    /// authentication event.
    pub fn record_consent(&mut self, consent: &Consent<'_>, now: i64) -> String {
        let Consent { person, tenants, scopes, client_id, keep_auth_event_id } = *consent;
        let event = Uuid::new_v4().to_string();
        let grant = Grant {
            xero_user_id: person.xero_user_id.to_owned(),
            client_id: client_id.to_owned(),
            scopes: scopes.to_owned(),
            auth_time: now,
        };
        for tenant in tenants {
            let mut connections = self.connections.iter_mut().filter(|connection| connection.belongs_to(&grant));
            match connections.find(|connection| connection.tenant_id == tenant.tenant_id) {
                Some(connection) => {
                    if !keep_auth_event_id {
                        connection.auth_event_id.clone_from(&event);
                    }
                    connection.updated_at = now;
                }
                None => self.connections.push(Connection {
                    id: Uuid::new_v4().to_string(),
                    xero_user_id: grant.xero_user_id.clone(),
                    client_id: grant.client_id.clone(),
                    auth_event_id: event.clone(),
                    tenant_id: tenant.tenant_id.to_owned(),
                    created_at: now,
                    updated_at: now,
                }),
            }
        }
        self.grants.insert(event.clone(), grant);
        event
    }

    /// Returns the connections that a token of this consent can see: its person's, to its app.
    pub fn connections_seen_by<'a>(&'a self, auth_event_id: &str) -> impl Iterator<Item = &'a Connection> {
        let grant = self.grants.get(auth_event_id);
        self.connections.iter().filter(move |connection| grant.is_some_and(|grant| connection.belongs_to(grant)))
    }

    /// Returns the tenant and its current name.
    pub fn tenant(&self, tenant_id: &str) -> Option<(&'static Tenant, String)> {
        let tenant = tenant_by_id(tenant_id)?;
        let name = self.tenant_names.get(tenant_id).map_or(tenant.name, String::as_str);
        Some((tenant, name.to_owned()))
    }

    /// Invalidates every refresh token of one consent. Its connections stay listed, as after a password change at Xero.
    pub fn revoke_grant(&mut self, auth_event_id: &str) {
        self.refresh_tokens.retain(|_, token| token.auth_event_id != auth_event_id);
    }

    /// Takes a person's access to a tenant. Returns how many connections ended.
    pub fn remove_user(&mut self, xero_user_id: &str, tenant_id: &str) -> usize {
        let before = self.connections.len();
        self.connections.retain(|row| row.xero_user_id != xero_user_id || row.tenant_id != tenant_id);
        self.lost_access.insert((xero_user_id.to_owned(), tenant_id.to_owned()));
        before - self.connections.len()
    }

    /// Returns whether the person lost access to the tenant.
    pub fn has_lost_access(&self, xero_user_id: &str, tenant_id: &str) -> bool {
        self.lost_access.contains(&(xero_user_id.to_owned(), tenant_id.to_owned()))
    }

    /// Removes everything that a person granted to an app: connections, tokens, unused codes.
    pub fn revoke_person(&mut self, xero_user_id: &str, client_id: &str) {
        self.connections.retain(|row| row.xero_user_id != xero_user_id || row.client_id != client_id);
        self.grants.retain(|_, grant| grant.xero_user_id != xero_user_id || grant.client_id != client_id);
        let grants = &self.grants;
        self.refresh_tokens.retain(|_, token| grants.contains_key(&token.auth_event_id));
        self.codes.retain(|_, code| grants.contains_key(&code.auth_event_id));
    }
}

/// Returns 43 characters from 256 random bits, the form of Xero's refresh tokens. Used for codes too.
pub(crate) fn random_token() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}
