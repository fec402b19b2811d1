//! `POST /api/integrations/xero/connect`: sends a person to Xero's consent page, and remembers that it did.

use axum::Form;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

use super::failure::Failure;
use super::notice::{see_other, see_other_with};
use super::path;
use crate::model::{BindingId, Notice, Permission};
use crate::server::auth::cookie::{hashed, new_secret};
use crate::server::config::PublicUrl;
use crate::server::state::AppState;
use crate::server::store::NewState;

/// Where every consent ends, well or not.
pub const SETTINGS: &str = "/settings/integrations";

/// Where Xero sends people back to; an app's settings at Xero name it letter for letter.
pub const CALLBACK: &str = "/api/integrations/xero/callback";

#[derive(Deserialize)]
pub struct ConnectForm {
    /// The connection to reconnect. Which tenants the consent renews is for Xero's page to say, not for this field.
    binding_id: Option<BindingId>,
}

pub async fn connect(
    State(state): State<AppState>,
    headers: HeaderMap,
    Form(form): Form<ConnectForm>,
) -> Result<Response, Failure> {
    let Some(caller) = state.auth.caller(&headers).await? else { return Ok(see_other(&path::login(SETTINGS))) };
    let Some(org) = caller.org.as_ref().filter(|_| caller.may(Permission::ManageConnections)) else {
        return Ok(see_other_with(&state, SETTINGS, &Notice::NotAllowed));
    };
    if let Some(binding) = form.binding_id
        && state.store.binding(&org.id, &binding).await?.is_none()
    {
        return Ok(see_other_with(&state, SETTINGS, &Notice::NotFound));
    }
    let (secret, verifier) = (new_secret()?, new_secret()?);
    let begun = NewState {
        hash: &hashed(&secret),
        org: &org.id,
        user: &caller.user_id,
        session_hash: &caller.session_hash,
        verifier: &verifier,
    };
    state.store.add_state(begun).await?;
    // The challenge is the verifier's SHA-256 in base64url (RFC 7636, 4.2), which is how we hash secrets anyway.
    let challenge = hashed(&verifier);
    let redirect = redirect_uri(&state.config.public_url);
    Ok(see_other(state.xero.authorize_url(&redirect, &state.config.xero_scopes, &secret, &challenge).as_str()))
}

pub fn redirect_uri(public: &PublicUrl) -> String {
    public.at(CALLBACK)
}
