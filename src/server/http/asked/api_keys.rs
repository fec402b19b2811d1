//! What server functions do to API keys, and what each refusal is called.

use axum::http::StatusCode;

use super::{Asked, Refusal, append, told};
use crate::model::{ApiError, ApiKeyId, ApiKeyNotice, KeyLife, OrgView, Permission, Scope};
use crate::server::auth::keys::{self, NotMade, Wanted};
use crate::server::domain::{ApiKey, Secret};
use crate::server::http::failure::Failure;
use crate::server::http::once;

impl Asked {
    /// The same for a form on the API keys' page.
    pub async fn about_api_keys() -> Result<Self, ApiError> {
        Ok(Self { back: once::API_KEY.page, ..Self::by_somebody().await? })
    }

    /// The organisation whose keys the caller may see and change.
    pub fn may_manage_api_keys(&self) -> Result<&OrgView, Refusal> {
        let org = self.org()?;
        if org.role.may(Permission::ManageApiKeys) { Ok(org) } else { Err(said(ApiKeyNotice::NotAllowed)) }
    }

    /// Makes a key. A plain form's browser gets it in a cookie for the next page.
    pub async fn make_api_key(
        &self,
        org: &OrgView,
        name: &str,
        scopes: &[Scope],
        life: KeyLife,
    ) -> Result<ApiKey, Refusal> {
        let wanted = Wanted { name, scopes, life, by: Some(&self.caller.user_id) };
        let made = keys::make(&self.state.store, &org.id, wanted, &self.actor()).await?;
        if self.plain_form {
            append(once::API_KEY.cookie(&self.state, &Secret::new(made.key.expose())));
        }
        Ok(made.key)
    }

    pub async fn revoke_api_key(&self, org: &OrgView, id: &ApiKeyId) -> Result<(), Refusal> {
        let done = self.state.store.revoke_api_key(&org.id, id, &self.actor()).await?;
        if done { Ok(()) } else { Err(said(ApiKeyNotice::NoSuchKey)) }
    }
}

impl From<NotMade> for Refusal {
    fn from(why: NotMade) -> Self {
        match why {
            NotMade::Name => said(ApiKeyNotice::NoName),
            NotMade::Scope => said(ApiKeyNotice::NoScope),
            NotMade::TooMany => said(ApiKeyNotice::TooMany),
            NotMade::Random(error) => Failure::of(&error).into(),
            NotMade::Store(error) => error.into(),
        }
    }
}

fn said(notice: ApiKeyNotice) -> Refusal {
    let status = match notice {
        ApiKeyNotice::NotAllowed => StatusCode::FORBIDDEN,
        ApiKeyNotice::NoSuchKey => StatusCode::NOT_FOUND,
        ApiKeyNotice::TooMany => StatusCode::CONFLICT,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    told(status, notice)
}
