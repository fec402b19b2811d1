//! Server functions for API keys. Owners and admins only.

use leptos::prelude::*;
use leptos::server_fn::codec::{Json, PostUrl};

use crate::model::{ApiError, ApiKeyId, ApiKeyLifetime, ApiKeysView, Scope};

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

/// Creates an API key and returns it. The key is shown once: after a plain form post, on the next page.
#[server(prefix = "/api", endpoint = "api-keys/create", input = PostUrl, output = Json)]
pub async fn create_api_key(
    #[server(default)] name: String,
    #[server(default)] scopes: Vec<Scope>,
    #[server(default)] life: ApiKeyLifetime,
) -> Result<String, ApiError> {
    use crate::model::{ApiKeyFlash::Created, Permission, paths};
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::API_KEYS);
    ctx.run(async |ctx| {
        let org = ctx.require(Permission::ManageApiKeys)?;
        ctx.require_recent_proof()?;
        let key = ctx.create_api_key(org, &name, &scopes, life).await?;
        Ok(key.expose().to_owned())
    })
    .await
    .flash(|_| Created)
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
