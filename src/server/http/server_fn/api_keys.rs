//! The API key operations of the server functions, and their errors.

use axum::http::StatusCode;

use super::rejection::{Rejection, reject_with_flash};
use super::{ServerFnContext, append_cookie};
use crate::model::{ApiKeyFlash, ApiKeyId, ApiKeyLifetime, OrgView, Scope};
use crate::server::auth::api_keys;
use crate::server::auth::api_keys::{CreateKeyError, RequestedApiKey};
use crate::server::domain::{ApiKey, Secret};
use crate::server::http::internal_error::InternalError;
use crate::server::http::one_time_secret;

impl ServerFnContext {
    /// Creates a key. A plain form also receives it in a cookie for the next page.
    pub async fn create_api_key(
        &self,
        org: &OrgView,
        name: &str,
        scopes: &[Scope],
        life: ApiKeyLifetime,
    ) -> Result<ApiKey, Rejection> {
        let new_key = RequestedApiKey { name, scopes, life, created_by: Some(&self.caller.user_id) };
        let created = api_keys::create(&self.state.store.as_actor(self.actor()), &org.id, new_key).await?;
        if self.is_plain_form {
            append_cookie(one_time_secret::API_KEY.cookie(&self.state, &Secret::new(created.key.expose())));
        }
        Ok(created.key)
    }

    /// Revokes a key, or fails with 404.
    pub async fn revoke_api_key(&self, org: &OrgView, id: &ApiKeyId) -> Result<(), Rejection> {
        let revoked = self.state.store.as_actor(self.actor()).revoke_api_key(&org.id, id).await?;
        revoked.ok_or_else(|| reject_key(ApiKeyFlash::NoSuchKey))
    }
}

impl From<CreateKeyError> for Rejection {
    fn from(why: CreateKeyError) -> Self {
        match why {
            CreateKeyError::InvalidName => reject_key(ApiKeyFlash::InvalidName),
            CreateKeyError::NoScopes => reject_key(ApiKeyFlash::NoScope),
            CreateKeyError::TooMany => reject_key(ApiKeyFlash::TooMany),
            CreateKeyError::PersonalKeysRefused => reject_key(ApiKeyFlash::PersonalKeysRefused),
            CreateKeyError::Random(error) => InternalError::logged(&error).into(),
            CreateKeyError::Store(error) => error.into(),
        }
    }
}

fn reject_key(notice: ApiKeyFlash) -> Rejection {
    let status = match notice {
        ApiKeyFlash::NotAllowed => StatusCode::FORBIDDEN,
        ApiKeyFlash::NoSuchKey => StatusCode::NOT_FOUND,
        ApiKeyFlash::TooMany | ApiKeyFlash::PersonalKeysRefused => StatusCode::CONFLICT,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    reject_with_flash(status, notice)
}
