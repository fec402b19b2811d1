//! `DELETE /api/v1/bindings/{id}`: disconnects a connection.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::IF_MATCH;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Connection, find};
use crate::model::{ProblemCode, Scope, paths};
use crate::server::auth::api_keys;
use crate::server::http::state::AppState;
use crate::server::http::v1::binding_path::BindingPath;
use crate::server::http::v1::call_origin::CallOrigin;
use crate::server::http::v1::etag::{etag_of, matches_etag};
use crate::server::http::v1::problem::Problem;
use crate::server::http::v1::problem_responses::BindingProblems;
use crate::server::http::v1::rate_limit::rate_limited;
use crate::server::store::LabeledBinding;
use crate::server::tokens::{ConnectionError, DisconnectOutcome};

/// What a disconnect changed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Disconnected {
    /// Whether Xero no longer has the connection. If not, another organisation uses it, or Xero refused.
    removed_at_xero: bool,
}

/// Disconnects a connection, at Xero and here.
#[utoipa::path(
    delete,
    path = paths::V1_BINDING,
    tag = "connections",
    operation_id = "disconnectBinding",
    summary = "Disconnect a connection",
    description = "Removes the connection at Xero and ends it here. It stays in the list as disconnected, and a person \
        can connect it again. A repeated call changes nothing.",
    params(
        ("id" = String, Path, description = "The connection's id, from the list."),
        ("If-Match" = Option<String>, Header, nullable = false,
            description = "The ETag of the version that you have read: 412 if it has changed since."),
    ),
    security(("apiKey" = [Scope::BindingsWrite.as_str()])),
    responses(
        (status = 200, description = "It is disconnected.", body = Disconnected,
            example = json!(Disconnected { removed_at_xero: true })),
        BindingProblems,
    ),
)]
pub async fn disconnect(
    State(state): State<AppState>,
    origin: CallOrigin,
    BindingPath(id): BindingPath,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let key = api_keys::authenticate(&state.store, &headers).await?;
    let work = async {
        let found = find(&state, &key, &id).await?;
        let (scopes, asked) = (state.config.xero.scopes.clone(), headers.clone());
        let is_named = move |now: &LabeledBinding| {
            etag_of(&Connection::new(now.clone(), &scopes)).is_ok_and(|tag| matches_etag(&asked, &tag))
        };
        // Checked again when the disconnect is decided: until then a token may have to be refreshed.
        if !is_named(&found) {
            return Err(Problem::of(ProblemCode::PreconditionFailed));
        }
        let (actor, tokens) = (origin.actor(&key), &state.tokens);
        let done = match headers.contains_key(IF_MATCH) {
            true => tokens.disconnect_if(actor, &key.org, &id, Box::new(is_named)).await,
            false => tokens.disconnect_as(actor, &key.org, &id).await,
        };
        let outcome = done.map_err(|error| match error {
            ConnectionError::Changed => Problem::of(ProblemCode::PreconditionFailed),
            error => {
                tracing::warn!(%error, binding = %id, "a program's disconnect failed");
                Problem::disconnect_failed()
            }
        })?;
        let removed_at_xero = outcome == DisconnectOutcome::RemovedAtXero;
        Ok(axum::Json(Disconnected { removed_at_xero }).into_response())
    };
    Ok(rate_limited(&state, &key, &origin, Scope::BindingsWrite, work).await)
}
