//! Consents without a browser, for seeding and tests.

use super::people::{Tenant, person, tenant};
use super::state::State;
use super::{DEFAULT_SCOPES, Sandbox, SandboxError, tokens};

/// A consent that was never clicked: what the token endpoint and `/connections` would have said. Has no `Debug`:
/// the tokens are live.
pub struct Minted {
    pub access_token: String,
    pub refresh_token: String,
    /// Unix seconds at which the access token ends.
    pub expires_at: i64,
    pub scopes: String,
    pub xero_user_id: String,
    pub auth_event_id: String,
    /// Those of this consent.
    pub connections: Vec<MintedConnection>,
}

pub struct MintedConnection {
    /// The connection's own id, not the tenant's.
    pub id: String,
    pub tenant_id: String,
    pub tenant_name: String,
    pub tenant_type: String,
}

impl Sandbox {
    /// Connects tenants as a person, both by their keys in `people`, with the default scopes. The access token ends
    /// in so many seconds; below nought it has ended already. Blocks while the state file is written.
    pub fn mint(&self, user: &str, tenants: &[&str], access_seconds_left: i64) -> Result<Minted, SandboxError> {
        let person = person(user).ok_or_else(|| SandboxError::UnknownPerson(user.to_owned()))?;
        let tenants = tenants
            .iter()
            .map(|key| tenant(key).ok_or_else(|| SandboxError::UnknownTenant((*key).to_owned())))
            .collect::<Result<Vec<&Tenant>, _>>()?;
        let (auth_event_id, refresh_token, now, connections) = self.change(|state, _, now| {
            let event = state.consent(person, &tenants, DEFAULT_SCOPES, now);
            let refresh_token = tokens::issue(state, &event, None, now);
            let connections = connections(state, &event);
            (event, refresh_token, now, connections)
        });
        self.keep_blocking()?;
        let grant = super::state::Grant {
            xero_user_id: person.xero_user_id.to_owned(),
            scopes: DEFAULT_SCOPES.to_owned(),
            auth_time: now,
        };
        let expires_at = now + access_seconds_left;
        let access_token = self.access_token(&auth_event_id, &grant, now, expires_at)?;
        for token in [&access_token, &refresh_token] {
            self.live().issued.note(token);
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

    /// So many refresh tokens of one consent of a person's that opens no tenant, and nothing signed: for filling a
    /// database.
    pub fn mint_many(&self, user: &str, count: usize) -> Result<Vec<String>, SandboxError> {
        let person = person(user).ok_or_else(|| SandboxError::UnknownPerson(user.to_owned()))?;
        let tokens = self.change(|state, _, now| {
            let event = state.consent(person, &[], DEFAULT_SCOPES, now);
            (0..count).map(|_| tokens::issue(state, &event, None, now)).collect()
        });
        self.keep_blocking()?;
        Ok(tokens)
    }

    /// Ends the consent that a refresh token belongs to, so that its next refresh answers `invalid_grant`. Its
    /// connections stay listed. False where the token is unknown.
    pub fn forget_grant(&self, refresh_token: &str) -> Result<bool, SandboxError> {
        let known = self.change(|state, _, _| {
            let event = state.refresh_tokens.get(refresh_token).map(|token| token.auth_event_id.clone());
            if let Some(event) = &event {
                state.forget_grant(event);
            }
            event.is_some()
        });
        self.keep_blocking()?;
        Ok(known)
    }
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
