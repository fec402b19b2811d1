//! `POST /api/integrations/xero/connect`: stores an OAuth state and redirects to Xero's consent page.

use axum::Form;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

use super::return_page::remember_page;
use super::scopes::scopes_to_ask_for;
use crate::model::{BindingId, ConnectionFlash, Flash, Permission, paths};
use crate::server::config::PublicUrl;
use crate::server::crypto::random::{hash_secret, new_secret};
use crate::server::http::flash::{see_other, see_other_with_flash};
use crate::server::http::internal_error::InternalError;
use crate::server::http::middleware::form_organization::FormOrganization;
use crate::server::http::sign_in_path::sign_in_path;
use crate::server::http::state::AppState;
use crate::server::store::NewOauthState;

#[derive(Deserialize)]
pub struct ConnectForm {
    /// The connection to reconnect. Only checked for existence: the tenants are chosen on Xero's page.
    binding_id: Option<BindingId>,
    /// Asks for the smallest set of scopes, if Xero has refused the configured one and the operator allows it.
    #[serde(default)]
    least_access: bool,
}

/// Checks the permission and redirects to Xero's authorize URL with PKCE.
pub async fn connect(
    State(state): State<AppState>,
    headers: HeaderMap,
    form_organization: FormOrganization,
    Form(form): Form<ConnectForm>,
) -> Result<Response, InternalError> {
    let Some(caller) = state.auth.caller(&headers).await? else {
        return Ok(see_other(&sign_in_path(&state, &headers, &form_organization.on_page(paths::INTEGRATIONS))));
    };
    if form_organization.is_stale(&caller) {
        return Ok(see_other_with_flash(&state, paths::INTEGRATIONS, &Flash::OtherOrganization));
    }
    let Some(org) = caller.org.as_ref().filter(|_| caller.may(Permission::ManageConnections)) else {
        return Ok(see_other_with_flash(&state, paths::INTEGRATIONS, &ConnectionFlash::NotAllowed.into()));
    };
    if let Some(binding) = form.binding_id
        && state.store.binding(&org.id, &binding).await?.is_none()
    {
        return Ok(see_other_with_flash(&state, paths::INTEGRATIONS, &ConnectionFlash::NotFound.into()));
    }
    let scopes = scopes_to_ask_for(&state, &org.id, form.least_access).await?;
    let (secret, verifier) = (new_secret()?, new_secret()?);
    let new_state = NewOauthState {
        hash: &hash_secret(&secret),
        org: &org.id,
        user: &caller.user_id,
        session_hash: &caller.session_hash,
        verifier: &verifier,
        scopes,
    };
    state.store.insert_oauth_state(new_state).await?;
    // The challenge is the verifier's SHA-256 in base64url (RFC 7636, 4.2), which is what `hashed` returns.
    let challenge = hash_secret(&verifier);
    let redirect = redirect_uri(&state.config.public_url);
    let to_xero = see_other(state.xero.authorize_url(&redirect, scopes, &secret, &challenge).as_str());
    Ok(remember_page(&state, &headers, to_xero))
}

/// Returns the redirect URI to register at Xero.
pub fn redirect_uri(public: &PublicUrl) -> String {
    public.url_for(paths::CALLBACK)
}
