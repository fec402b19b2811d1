//! Seeds an empty database in sandbox mode: a demo login with two organizations, one whose token is about to expire and
//! one that needs reconnecting.

use crate::model::{GrantId, OrgId, Outcome, Role, Trigger, UserId};
use crate::server::auth::{AddUserError, LocalAuth};
use crate::server::domain::{AccessToken, AttemptEnd, FailureClass, GrantEnd, RefreshToken, Secret, Tenant, TokenSet};
use crate::server::store::{AddOrgError, NewAttempt, NewGrant, Store, StoreError, UserOrg};
use evergrant_sandbox::{Minted, Sandbox, SandboxError};

/// The demo login, shown on the login page and logged at startup in sandbox mode. It is only ever created with a
/// sandbox.
pub const DEMO_EMAIL: &str = "demo@evergrant.example";
/// The password of the demo login.
pub const DEMO_PASSWORD: &str = "evergrant-demo";

const HARBOUR: &str = "Harbour Group";
// A session starts in the first organization by name, which is the one with a token to refresh.
const SOUTHERLY: &str = "Southerly Studio";
/// The lifetime of the demo's access token, in seconds. It is below the refresh buffer, so a refresh is due at once.
const DEMO_TOKEN_SECONDS: i64 = 4 * 60;

/// Why the demo data could not be created.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The sandbox failed.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The demo user could not be added.
    #[error(transparent)]
    User(#[from] AddUserError),
}

/// Creates the demo data if the database holds no users. Returns whether it did.
pub async fn seed(store: &Store, auth: &LocalAuth, sandbox: &Sandbox) -> Result<bool, SeedError> {
    if store.has_users().await? {
        return Ok(false);
    }
    let person = match auth.add_user(DEMO_EMAIL, Secret::new(DEMO_PASSWORD), Some(UserOrg::New(HARBOUR))).await {
        Ok(person) => person,
        // Another server that starts now creates the demo data.
        Err(AddUserError::EmailTaken(_)) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    // From now on it is known as the demo login, whatever its email address becomes.
    store.admit_demo_login(DEMO_EMAIL).await?;
    if let Some((harbour, _)) = &person.org {
        seed_connection(store, sandbox, harbour, &person.user, ("mere", "harbour"), DEMO_TOKEN_SECONDS).await?;
    }
    let southerly = match store.add_org(SOUTHERLY).await {
        Ok(southerly) => southerly,
        Err(AddOrgError::NameTaken) => return Ok(true),
        Err(AddOrgError::Store(error)) => return Err(error.into()),
    };
    store.add_member(&southerly, &person.user, Role::Owner).await?;
    let (grant, minted) = seed_connection(store, sandbox, &southerly, &person.user, ("jonas", "southerly"), 0).await?;
    end_grant(store, sandbox, &grant, &minted).await?;
    Ok(true)
}

/// Creates a grant and its bindings as a consent would.
async fn seed_connection(
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
        .map_err(SandboxError::Task)??;
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
            id: connection.tenant_id.clone(),
            name: connection.tenant_name.clone(),
            tenant_type: connection.tenant_type.clone(),
            connection_id: connection.id.clone(),
        })
        .collect();
    store.bind(org, &grant, &tenants, Some(by)).await?;
    Ok((grant, minted))
}

/// Ends a grant in the sandbox and in the store, as an exchange that fails with `invalid_grant` would.
async fn end_grant(store: &Store, sandbox: &Sandbox, grant: &GrantId, minted: &Minted) -> Result<(), SeedError> {
    let (sandbox, token) = (sandbox.clone(), minted.refresh_token.clone());
    tokio::task::spawn_blocking(move || sandbox.revoke_grant(&token)).await.map_err(SandboxError::Task)??;
    let until = store.clock().now() + 60;
    let Some(lease) = store.acquire_lease(grant, "seed", until).await? else { return Ok(()) };
    let lease = store.start_attempt(&lease, NewAttempt::by(Trigger::OrgSwitch)).await?;
    let ended = AttemptEnd::failed(Outcome::Reconnect, GrantEnd::RevokedAtXero.code(), FailureClass::ANSWERED);
    let end = AttemptEnd { http_status: Some(400), ..ended };
    // If another holder took over, its exchange meets the same refusal.
    _ = store.fail_grant(&lease, GrantEnd::RevokedAtXero.message(), &end).await?;
    Ok(())
}
