//! Server functions for API keys. Owners and admins only.

use leptos::prelude::*;
use leptos::server_fn::codec::{Json, PostUrl};

use crate::model::{ApiError, ApiKeyId, ApiKeyLifetime, ApiKeysView, BindingId, KeyOverlap, KeyReach, Scope};

/// Returns what `/settings/api-keys` shows.
#[server(prefix = "/api", endpoint = "api-keys/view", input = PostUrl, output = Json)]
pub async fn api_keys() -> Result<ApiKeysView, ApiError> {
    use crate::model::Permission;
    use crate::server::http::server_fn::ServerFnContext;
    use crate::server::views;

    let ctx = ServerFnContext::authenticated().await?;
    ctx.run(async |ctx| {
        let org = ctx.require(Permission::ManageApiKeys)?;
        let origin = ctx.state.config.public_url.url_for("");
        Ok(views::api_keys(&ctx.state.store, org, origin).await?)
    })
    .await
    .without_flash()
}

/// Creates an API key and returns it. The key is shown once: after a plain form post, on the next page. It opens only
/// `bindings`, or all connections if there are none.
#[server(prefix = "/api", endpoint = "api-keys/create", input = PostUrl, output = Json)]
pub async fn create_api_key(
    #[server(default)] name: String,
    #[server(default)] scopes: Vec<Scope>,
    #[server(default)] life: ApiKeyLifetime,
    #[server(default)] bindings: Vec<BindingId>,
) -> Result<String, ApiError> {
    use crate::model::{ApiKeyFlash::Created, Permission, paths};
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::API_KEYS);
    ctx.run(async |ctx| {
        let org = ctx.require(Permission::ManageApiKeys)?;
        ctx.require_recent_proof()?;
        let key = ctx.create_api_key(org, &name, &scopes, life, &bindings).await?;
        Ok(key.expose().to_owned())
    })
    .await
    .flash(|_| Created)
}

/// Replaces an API key's secret and returns the new one, which is shown once. The old one works for a while longer.
#[server(prefix = "/api", endpoint = "api-keys/rotate", input = PostUrl, output = Json)]
pub async fn rotate_api_key(key_id: ApiKeyId, #[server(default)] overlap: KeyOverlap) -> Result<String, ApiError> {
    use crate::model::{ApiKeyFlash::Rotated, Permission, paths};
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::API_KEYS);
    ctx.run(async |ctx| {
        let org = ctx.require(Permission::ManageApiKeys)?;
        ctx.require_recent_proof()?;
        let key = ctx.rotate_api_key(org, &key_id, overlap).await?;
        Ok(key.expose().to_owned())
    })
    .await
    .flash(|_| Rotated)
}

/// Ends the secret before an API key's last rotation at once.
#[server(prefix = "/api", endpoint = "api-keys/end-previous", input = PostUrl, output = Json)]
pub async fn end_previous_secret(key_id: ApiKeyId) -> Result<(), ApiError> {
    use crate::model::{ApiKeyFlash::PreviousEnded, Permission, paths};
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::API_KEYS);
    ctx.run(async |ctx| {
        let org = ctx.require(Permission::ManageApiKeys)?;
        ctx.end_previous_secret(org, &key_id).await
    })
    .await
    .flash(|()| PreviousEnded)
}

/// Gives an API key another name.
#[server(prefix = "/api", endpoint = "api-keys/rename", input = PostUrl, output = Json)]
pub async fn rename_api_key(key_id: ApiKeyId, #[server(default)] name: String) -> Result<(), ApiError> {
    use crate::model::{ApiKeyFlash::Renamed, Permission, paths};
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::API_KEYS);
    ctx.run(async |ctx| {
        let org = ctx.require(Permission::ManageApiKeys)?;
        ctx.rename_api_key(org, &key_id, &name).await
    })
    .await
    .flash(|()| Renamed)
}

/// Changes which connections an existing API key opens: `bindings`, or all of them.
#[server(prefix = "/api", endpoint = "api-keys/limit", input = PostUrl, output = Json)]
pub async fn limit_api_key(
    key_id: ApiKeyId,
    #[server(default)] reach: KeyReach,
    #[server(default)] bindings: Vec<BindingId>,
) -> Result<(), ApiError> {
    use crate::model::{ApiKeyFlash::Limited, Permission, paths};
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::API_KEYS);
    ctx.run(async |ctx| {
        let org = ctx.require(Permission::ManageApiKeys)?;
        // A key without its limit opens as much as a new one.
        ctx.require_recent_proof()?;
        ctx.limit_api_key(org, &key_id, reach, &bindings).await
    })
    .await
    .flash(|()| Limited)
}

/// Revokes an API key. Requests with it are refused from then on.
#[server(prefix = "/api", endpoint = "api-keys/revoke", input = PostUrl, output = Json)]
pub async fn revoke_api_key(key_id: ApiKeyId) -> Result<(), ApiError> {
    use crate::model::{ApiKeyFlash::Revoked, Permission, paths};
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::API_KEYS);
    ctx.run(async |ctx| {
        let org = ctx.require(Permission::ManageApiKeys)?;
        ctx.revoke_api_key(org, &key_id).await
    })
    .await
    .flash(|()| Revoked)
}
