//! Consents without a browser, for demo data and tests.

use crate::error::SandboxError;
use crate::options::{DEFAULT_SCOPES, Settings};
use crate::people::{Person, Tenant, person, tenant};
use crate::rotation;
use crate::sandbox::Sandbox;
use crate::state::{Consent, Grant, State};

/// A consent without a browser: what the token endpoint and `/connections` return for one. Has no `Debug`, because the
/// tokens are valid.
pub struct Minted {
    /// A signed access token.
    pub access_token: String,
    /// An unused refresh token.
    pub refresh_token: String,
    /// When the access token expires, in unix seconds.
    pub expires_at: i64,
    /// The granted scopes, separated by spaces.
    pub scopes: String,
    /// The person who consented.
    pub xero_user_id: String,
    /// The authentication event that identifies the consent.
    pub auth_event_id: String,
    /// The connections of this consent.
    pub connections: Vec<MintedConnection>,
}

/// A connection of a [`Minted`] consent.
pub struct MintedConnection {
    /// The id of the connection, not of the tenant.
    pub id: String,
    /// The id of the tenant.
    pub tenant_id: String,
    /// The tenant's current name.
    pub tenant_name: String,
    /// `ORGANISATION` or `PRACTICE`.
    pub tenant_type: String,
}

impl Sandbox {
    /// Connects tenants to the first app as a person with the default scopes. `person_key` and `tenant_keys` are keys of
    /// [`people`](crate::people). A negative `access_seconds_left` makes an expired access token.
    ///
    /// Blocks while the state file is written.
    ///
    /// # Errors
    /// If a key is unknown, or signing or writing the state file fails.
    pub fn mint(
        &self,
        person_key: &str,
        tenant_keys: &[&str],
        access_seconds_left: i64,
    ) -> Result<Minted, SandboxError> {
        let person = find_person(person_key)?;
        let tenants = tenant_keys
            .iter()
            .map(|key| tenant(key).ok_or_else(|| SandboxError::UnknownTenant((*key).to_owned())))
            .collect::<Result<Vec<&Tenant>, _>>()?;
        let (auth_event_id, refresh_token, now, connections) = self.update(|state, settings, now| {
            let event = state.record_consent(&self.default_consent(person, &tenants, settings), now);
            let refresh_token = rotation::issue_refresh_token(state, &event, None, now);
            let connections = connections(state, &event);
            (event, refresh_token, now, connections)
        });
        self.persist_blocking()?;
        let grant = Grant {
            xero_user_id: person.xero_user_id.to_owned(),
            client_id: self.options().client_id.clone(),
            scopes: DEFAULT_SCOPES.to_owned(),
            auth_time: now,
        };
        let expires_at = now + access_seconds_left;
        let access_token = self.access_token(&auth_event_id, &grant, now, expires_at)?;
        for token in [&access_token, &refresh_token] {
            self.live().issued.record(token);
        }
        Ok(Minted {
            access_token,
            refresh_token,
            expires_at,
            scopes: grant.scopes,
            xero_user_id: grant.xero_user_id,
            auth_event_id,
            connections,
        })
    }

    /// Returns `count` refresh tokens of one new consent that connects no tenant, to fill a database. Signs nothing.
    ///
    /// Blocks while the state file is written.
    ///
    /// # Errors
    /// If the key is unknown, or writing the state file fails.
    pub fn mint_many(&self, person_key: &str, count: usize) -> Result<Vec<String>, SandboxError> {
        let person = find_person(person_key)?;
        let tokens = self.update(|state, settings, now| {
            let event = state.record_consent(&self.default_consent(person, &[], settings), now);
            (0..count).map(|_| rotation::issue_refresh_token(state, &event, None, now)).collect()
        });
        self.persist_blocking()?;
        Ok(tokens)
    }

    fn default_consent<'a>(
        &'a self,
        person: &'static Person,
        tenants: &'a [&'static Tenant],
        settings: &Settings,
    ) -> Consent<'a> {
        let client_id = &self.options().client_id;
        let keep_auth_event_id = settings.keep_auth_event_id;
        Consent { person, tenants, scopes: DEFAULT_SCOPES, client_id, keep_auth_event_id }
    }

    /// Revokes the consent that a refresh token belongs to: its next refresh returns `invalid_grant`. Its connections
    /// stay listed.
    ///
    /// Blocks while the state file is written.
    ///
    /// # Errors
    /// If the token is unknown, or writing the state file fails.
    pub fn revoke_grant(&self, refresh_token: &str) -> Result<(), SandboxError> {
        self.update(|state, _, _| {
            let token = state.refresh_tokens.get(refresh_token).ok_or(SandboxError::UnknownRefreshToken)?;
            let event = token.auth_event_id.clone();
            state.revoke_grant(&event);
            Ok::<_, SandboxError>(())
        })?;
        self.persist_blocking()
    }
}

fn find_person(key: &str) -> Result<&'static Person, SandboxError> {
    person(key).ok_or_else(|| SandboxError::UnknownPerson(key.to_owned()))
}

fn connections(state: &State, auth_event_id: &str) -> Vec<MintedConnection> {
    let of_event = state.connections.iter().filter(|connection| connection.auth_event_id == auth_event_id);
    of_event
        .filter_map(|connection| {
            let (tenant, tenant_name) = state.tenant(&connection.tenant_id)?;
            Some(MintedConnection {
                id: connection.id.clone(),
                tenant_id: connection.tenant_id.clone(),
                tenant_name,
                tenant_type: tenant.tenant_type.to_owned(),
            })
        })
        .collect()
}
