//! Server functions over API keys.

use leptos::prelude::*;
use leptos::server_fn::codec::{Json, PostUrl};

use crate::model::{ApiError, ApiKeyId, ApiKeysView, KeyLife, Scope};

/// What `/settings/api-keys` shows to owners and admins.
#[server(prefix = "/api", endpoint = "api-keys/view", input = PostUrl, output = Json)]
pub async fn api_keys() -> Result<ApiKeysView, ApiError> {
    use crate::server::{http::asked::Asked, views};

    let asked = Asked::about_api_keys().await?;
    let view = async {
        let org = asked.may_manage_api_keys()?;
        let origin = asked.state.config.public_url.at("");
        Ok(views::api_keys(&asked.state.store, org, origin).await?)
    };
    let view = view.await;
    asked.answer(view, |_| None)
}

/// Makes a key. It is the answer, this once; a plain form sees it on the page that follows.
#[server(prefix = "/api", endpoint = "api-keys/create", input = PostUrl, output = Json)]
pub async fn create_api_key(
    #[server(default)] name: String,
    #[server(default)] scopes: Vec<Scope>,
    #[server(default)] life: KeyLife,
) -> Result<String, ApiError> {
    use crate::model::ApiKeyNotice::Created;
    use crate::server::http::asked::Asked;

    let asked = Asked::about_api_keys().await?;
    let key = async {
        let org = asked.may_manage_api_keys()?;
        let key = asked.make_api_key(org, &name, &scopes, life).await?;
        Ok(key.expose().to_owned())
    };
    let key = key.await;
    asked.answer(key, |_| Some(Created.into()))
}

/// Ends a key: whatever asks with it is refused from then on.
#[server(prefix = "/api", endpoint = "api-keys/revoke", input = PostUrl, output = Json)]
pub async fn revoke_api_key(key_id: ApiKeyId) -> Result<(), ApiError> {
    use crate::model::ApiKeyNotice::Revoked;
    use crate::server::http::asked::Asked;

    let asked = Asked::about_api_keys().await?;
    let done = async {
        let org = asked.may_manage_api_keys()?;
        asked.revoke_api_key(org, &key_id).await
    };
    let done = done.await;
    asked.answer(done, |()| Some(Revoked.into()))
}
