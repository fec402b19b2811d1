//! The redirect by which Xero refuses scopes that an app may not ask for. Several descriptions were seen.

use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::request::AuthorizeRequest;
use crate::sandbox::Sandbox;

/// What the callback says about refused scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScopeRefusal {
    /// The same error as if the person had declined, with the description "Requested wrong apps scopes".
    WrongApp,
    /// The same error, with a description that names the first refused scope.
    NamesScope,
    /// The same error, with a description that says that the app is not allowed to.
    NotAllowed,
    /// The error `invalid_scope` (RFC 6749, 4.1.2.1), without a description.
    InvalidScope,
}

/// Returns the refusal if the request has a scope that the settings say the app may not ask for.
pub(super) fn refusal(sandbox: &Sandbox, request: &AuthorizeRequest) -> Option<Response> {
    let live = sandbox.live();
    let refused = &live.settings.refused_scopes;
    let first = request.scope.split(' ').find(|scope| refused.iter().any(|one| one == scope))?;
    let names_scope = format!("Invalid scope: {first}.");
    let description = match live.settings.scope_refusal {
        ScopeRefusal::InvalidScope => return Some(request.redirect(&[("error", "invalid_scope")])),
        ScopeRefusal::WrongApp => "Requested wrong apps scopes",
        ScopeRefusal::NamesScope => &names_scope,
        ScopeRefusal::NotAllowed => "Scope not allowed for this client",
    };
    Some(request.redirect(&[("error", "access_denied"), ("error_description", description)]))
}
