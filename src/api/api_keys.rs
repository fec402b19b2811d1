//! Server functions for API keys. Owners and admins only.

use leptos::prelude::*;
use leptos::server_fn::codec::{Json, PostUrl};

use crate::model::{ApiError, ApiKeyId, ApiKeyLifetime, ApiKeysView, Scope};

/// Returns what `/settings/api-keys` shows.
#[server(prefix = "/api", endpoint = "api-keys/view", input = PostUrl, output = Json)]
pub async fn api_keys() -> Result<ApiKeysView, ApiError> {
    use crate::server::http::server_fn::ServerFnContext;
    use crate::server::views;

    let asked = ServerFnContext::returning_to_api_keys().await?;
    let view = async {
        let org = asked.require_manage_api_keys()?;
        let origin = asked.state.config.public_url.url_for("");
        Ok(views::api_keys(&asked.state.store, org, origin).await?)
    };
    let view = view.await;
    asked.respond(view, |_| None)
}

/// Creates an API key and returns it. The key is shown once: after a plain form post, on the next page.
#[server(prefix = "/api", endpoint = "api-keys/create", input = PostUrl, output = Json)]
pub async fn create_api_key(
    #[server(default)] name: String,
    #[server(default)] scopes: Vec<Scope>,
    #[server(default)] life: ApiKeyLifetime,
) -> Result<String, ApiError> {
    use crate::model::ApiKeyFlash::Created;
    use crate::server::http::server_fn::ServerFnContext;

    let asked = ServerFnContext::returning_to_api_keys().await?;
    let key = async {
        let org = asked.require_manage_api_keys()?;
        let key = asked.create_api_key(org, &name, &scopes, life).await?;
        Ok(key.expose().to_owned())
    };
    let key = key.await;
    asked.respond(key, |_| Some(Created.into()))
}

/// Revokes an API key. Requests with it are refused from then on.
#[server(prefix = "/api", endpoint = "api-keys/revoke", input = PostUrl, output = Json)]
pub async fn revoke_api_key(key_id: ApiKeyId) -> Result<(), ApiError> {
    use crate::model::ApiKeyFlash::Revoked;
    use crate::server::http::server_fn::ServerFnContext;

    let asked = ServerFnContext::returning_to_api_keys().await?;
    let done = async {
        let org = asked.require_manage_api_keys()?;
        asked.revoke_api_key(org, &key_id).await
    };
    let done = done.await;
    asked.respond(done, |()| Some(Revoked.into()))
}
