//! The API key operations of the server functions, and their errors.

use axum::http::StatusCode;

use super::rejection::{Rejection, reject_with_flash};
use super::{ServerFnContext, append_cookie};
use crate::model::{ApiKeyFlash, ApiKeyId, ApiKeyLifetime, BindingId, KeyOverlap, KeyReach, OrgView, Scope};
use crate::server::auth::api_keys;
use crate::server::auth::api_keys::{CreateKeyError, RenameKeyError, RequestedApiKey, RotationError};
use crate::server::domain::{ApiKey, Secret};
use crate::server::http::internal_error::InternalError;
use crate::server::http::one_time_secret;
use crate::server::store::{LimitKeyError, RotateKeyError};

impl ServerFnContext {
    /// Creates a key. A plain form also receives it in a cookie for the next page.
    pub async fn create_api_key(
        &self,
        org: &OrgView,
        name: &str,
        scopes: &[Scope],
        life: ApiKeyLifetime,
        bindings: &[BindingId],
    ) -> Result<ApiKey, Rejection> {
        let new_key = RequestedApiKey { name, scopes, life, created_by: Some(&self.caller.user_id) };
        let store = self.state.store.as_actor(self.actor());
        let created = api_keys::create_limited(&store, &org.id, new_key, bindings).await?;
        Ok(self.reveal_key(created.key))
    }

    /// Replaces a key's secret. A plain form also receives the new one in a cookie for the next page.
    pub async fn rotate_api_key(&self, org: &OrgView, id: &ApiKeyId, overlap: KeyOverlap) -> Result<ApiKey, Rejection> {
        let store = self.state.store.as_actor(self.actor());
        let by = Some(&self.caller.user_id);
        let rotated = api_keys::rotate(&store, &org.id, id, overlap.seconds(), by).await?;
        Ok(self.reveal_key(rotated.key))
    }

    fn reveal_key(&self, key: ApiKey) -> ApiKey {
        if self.is_plain_form {
            append_cookie(one_time_secret::API_KEY.cookie(&self.state, &Secret::new(key.expose())));
        }
        key
    }

    /// Ends the secret before the last rotation, or fails with 404.
    pub async fn end_previous_secret(&self, org: &OrgView, id: &ApiKeyId) -> Result<(), Rejection> {
        let ended = self.state.store.as_actor(self.actor()).end_previous_secret(&org.id, id).await?;
        ended.ok_or_else(|| reject_key(ApiKeyFlash::NoPrevious))
    }

    /// Gives a key another name.
    pub async fn rename_api_key(&self, org: &OrgView, id: &ApiKeyId, name: &str) -> Result<(), Rejection> {
        Ok(api_keys::rename(&self.state.store.as_actor(self.actor()), &org.id, id, name).await?)
    }

    /// Limits a key to these connections, or removes its limit.
    pub async fn limit_api_key(
        &self,
        org: &OrgView,
        id: &ApiKeyId,
        reach: KeyReach,
        bindings: &[BindingId],
    ) -> Result<(), Rejection> {
        let bindings = match reach {
            KeyReach::All => None,
            KeyReach::Chosen if bindings.is_empty() => return Err(reject_key(ApiKeyFlash::NoneChosen)),
            KeyReach::Chosen => Some(bindings),
        };
        Ok(self.state.store.as_actor(self.actor()).limit_api_key(&org.id, id, bindings).await?)
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
            CreateKeyError::NotAllowed => reject_key(ApiKeyFlash::NotAllowed),
            CreateKeyError::TooMany => reject_key(ApiKeyFlash::TooMany),
            CreateKeyError::NoSuchConnection(_) => reject_key(ApiKeyFlash::NoSuchConnection),
            CreateKeyError::PersonalKeysRefused => reject_key(ApiKeyFlash::PersonalKeysRefused),
            CreateKeyError::Random(error) => InternalError::logged(&error).into(),
            CreateKeyError::Store(error) => error.into(),
        }
    }
}

impl From<RotationError> for Rejection {
    fn from(why: RotationError) -> Self {
        match why {
            RotationError::Refused(RotateKeyError::NotAllowed) => reject_key(ApiKeyFlash::NotAllowed),
            RotationError::Refused(RotateKeyError::NotFound) => reject_key(ApiKeyFlash::NoSuchKey),
            RotationError::Refused(RotateKeyError::StillReplacing { .. }) => reject_key(ApiKeyFlash::StillReplacing),
            RotationError::Refused(RotateKeyError::Store(error)) => error.into(),
            RotationError::PersonalKeysRefused => reject_key(ApiKeyFlash::PersonalKeysRefused),
            // The choices of the form are all valid.
            RotationError::InvalidOverlap => InternalError::logged(&why).into(),
            RotationError::Random(error) => InternalError::logged(&error).into(),
        }
    }
}

impl From<RenameKeyError> for Rejection {
    fn from(why: RenameKeyError) -> Self {
        match why {
            RenameKeyError::InvalidName => reject_key(ApiKeyFlash::InvalidName),
            RenameKeyError::NotFound => reject_key(ApiKeyFlash::NoSuchKey),
            RenameKeyError::Store(error) => error.into(),
        }
    }
}

impl From<LimitKeyError> for Rejection {
    fn from(why: LimitKeyError) -> Self {
        match why {
            LimitKeyError::NotFound => reject_key(ApiKeyFlash::NoSuchKey),
            LimitKeyError::NoSuchBinding(_) => reject_key(ApiKeyFlash::NoSuchConnection),
            LimitKeyError::Store(error) => error.into(),
        }
    }
}

fn reject_key(notice: ApiKeyFlash) -> Rejection {
    let status = match notice {
        ApiKeyFlash::NotAllowed => StatusCode::FORBIDDEN,
        ApiKeyFlash::NoSuchKey | ApiKeyFlash::NoSuchConnection | ApiKeyFlash::NoPrevious => StatusCode::NOT_FOUND,
        ApiKeyFlash::TooMany | ApiKeyFlash::PersonalKeysRefused | ApiKeyFlash::StillReplacing => StatusCode::CONFLICT,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    reject_with_flash(status, notice)
}
