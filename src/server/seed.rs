//! The first start in sandbox mode: a demo login with two organisations, one whose token is about to end and one
//! that needs reconnecting.

use super::auth::{AddUserError, LocalAuth};
use super::domain::{AccessToken, Ended, RefreshToken, Secret, Tenant, TokenSet};
use super::store::{AttemptEnd, NewAttempt, NewGrant, Store, StoreError};
use crate::model::{GrantId, OrgId, Role, Trigger, UserId};
use crate::sandbox::{Minted, Sandbox, SandboxError};

/// What the login page and the first lines of the log tell in sandbox mode. It opens a sandbox and nothing else.
pub const DEMO_EMAIL: &str = "demo@evergrant.example";
pub const DEMO_PASSWORD: &str = "evergrant-demo";

const HARBOUR: &str = "Harbour Group";
// Sessions begin in the first organisation by name: the one with something to refresh.
const SOUTHERLY: &str = "Southerly Studio";
/// Less than the refresh buffer, and enough to look at, in seconds.
const ABOUT_TO_END: i64 = 4 * 60;

/// Why the demo couldn't be made.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error(transparent)]
    Person(#[from] AddUserError),
}

/// Fills an empty database; one with people in it is left alone. Says whether it did anything.
pub async fn seed(store: &Store, auth: &LocalAuth, sandbox: &Sandbox) -> Result<bool, SeedError> {
    if store.has_users().await? {
        return Ok(false);
    }
    let person = auth.add_user(DEMO_EMAIL, Secret::new(DEMO_PASSWORD), Some(HARBOUR)).await?;
    if let Some((harbour, _)) = &person.org {
        connect(store, sandbox, harbour, &person.user, ("mere", "harbour"), ABOUT_TO_END).await?;
    }
    if let Some(southerly) = store.add_org(SOUTHERLY).await? {
        store.add_member(&southerly, &person.user, Role::Owner).await?;
        let (grant, minted) = connect(store, sandbox, &southerly, &person.user, ("jonas", "southerly"), 0).await?;
        end(store, sandbox, &grant, &minted).await?;
    }
    Ok(true)
}

/// What a consent leaves behind, without the clicking.
async fn connect(
    store: &Store,
    sandbox: &Sandbox,
    org: &OrgId,
    by: &UserId,
    (who, tenant): (&'static str, &'static str),
    access_seconds_left: i64,
) -> Result<(GrantId, Minted), SeedError> {
    let sandbox = sandbox.clone();
    let minted = tokio::task::spawn_blocking(move || sandbox.mint(who, &[tenant], access_seconds_left))
        .await
        .map_err(|_| SandboxError::Key)??;
    let grant = store
        .insert_grant(NewGrant {
            org_id: org.clone(),
            xero_user_id: minted.xero_user_id.clone(),
            auth_event_id: minted.auth_event_id.clone(),
            tokens: TokenSet {
                access_token: AccessToken::new(minted.access_token.clone()),
                refresh_token: RefreshToken::new(minted.refresh_token.clone()),
                expires_at: minted.expires_at,
                scopes: minted.scopes.clone(),
            },
        })
        .await?;
    let tenants: Vec<Tenant> = minted
        .connections
        .iter()
        .map(|connection| Tenant {
            connection_id: connection.id.clone(),
            tenant_id: connection.tenant_id.clone(),
            tenant_name: connection.tenant_name.clone(),
            tenant_type: connection.tenant_type.clone(),
        })
        .collect();
    store.bind(org, &grant, &tenants, Some(by)).await?;
    Ok((grant, minted))
}

/// Ends a grant at the sandbox and here, as an exchange that met `invalid_grant` would have.
async fn end(store: &Store, sandbox: &Sandbox, grant: &GrantId, minted: &Minted) -> Result<(), SeedError> {
    let (sandbox, token) = (sandbox.clone(), minted.refresh_token.clone());
    tokio::task::spawn_blocking(move || sandbox.forget_grant(&token)).await.map_err(|_| SandboxError::Key)??;
    let owner = "seed";
    let Some(held) = store.take_lease(grant, owner, store.clock().now() + 60).await? else { return Ok(()) };
    let new = NewAttempt {
        grant_id: grant,
        generation: held.generation,
        trigger: Trigger::OrgSwitch,
        actor: None,
        trace_id: None,
    };
    let attempt = store.begin_attempt(&new).await?;
    let end = AttemptEnd {
        outcome: "reconnect",
        error_code: Some(Ended::There.code().to_owned()),
        http_status: Some(400),
        correlation_id: None,
    };
    store.fail_grant(&held, owner, Ended::There.sentence(), &attempt, &end).await?;
    Ok(())
}
