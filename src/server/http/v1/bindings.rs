//! `GET /api/v1/bindings`: lists the connections of the key's organization.

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use utoipa::openapi::{Object, ObjectBuilder, Type};

use super::problem::Problem;
use super::problem_responses::KeyProblems;
use super::rate_limit::rate_limited;
use crate::model::{BindingId, BindingStatus, Scope, paths};
use crate::server::auth::api_keys;
use crate::server::domain::Binding;
use crate::server::http::internal_error::InternalError;
use crate::server::http::state::AppState;

/// The connections of the key's organization.
#[derive(Serialize, ToSchema)]
pub struct ConnectionList {
    /// Empty if there are none.
    bindings: Vec<Connection>,
}

/// A connection, without its tokens.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// Identifies the connection in this API. It does not change when the connection is reconnected.
    #[schema(value_type = String)]
    id: BindingId,
    /// Xero's id of the tenant, for the xero-tenant-id header.
    tenant_id: String,
    /// The tenant's name in Xero.
    tenant_name: String,
    /// ORGANISATION or PRACTICE, as reported by Xero.
    tenant_type: String,
    #[schema(schema_with = status_schema)]
    status: BindingStatus,
    /// When it was connected, in unix seconds.
    connected_at: i64,
}

/// Returns the schema of `BindingStatus`, which the browser shares and which can't derive one.
fn status_schema() -> Object {
    let words = BindingStatus::ALL.iter().map(|status| status.as_str());
    let what = "Only an active connection has tokens; needs_reauth means that a person has to reconnect it.";
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).description(Some(what)).build()
}

impl ConnectionList {
    /// Returns the example for the API description.
    fn example() -> Self {
        let one = Connection {
            id: BindingId("7f1c9b0e-54aa-4c55-9f0f-2f0c3a8e1d77".to_owned()),
            tenant_id: "45e4708e-d862-4111-ab3a-dd8cd03913e1".to_owned(),
            tenant_name: "Harbour Coffee".to_owned(),
            tenant_type: "ORGANISATION".to_owned(),
            status: BindingStatus::Active,
            connected_at: 1_800_000_000,
        };
        Self { bindings: vec![one] }
    }
}

/// Lists the connections. Clients may cache the list and revalidate it by its `ETag`; it varies by API key.
#[utoipa::path(
    get,
    path = paths::V1_BINDINGS,
    tag = "connections",
    operation_id = "listBindings",
    summary = "List the connections",
    description = "Lists all connections of the key's organisation, including those that have to be reconnected.",
    params(
        ("If-None-Match" = Option<String>, Header, nullable = false,
            description = "The ETag of a list that you have: 304 without a body if it is still current."),
    ),
    security(("apiKey" = [Scope::BindingsRead.as_str()])),
    responses(
        (status = 200, description = "The connections, with an ETag.",
            headers(("ETag" = String, description = "Identifies this version of the list.")),
            body = ConnectionList, example = json!(ConnectionList::example())),
        (status = 304, description = "The list has not changed."),
        KeyProblems,
    ),
)]
pub async fn list(State(state): State<AppState>, headers: HeaderMap) -> Result<Response, Problem> {
    let key = api_keys::authenticate(&state.store, &headers).await?;
    let work = async {
        let bound = state.store.bindings_of_org(&key.org).await?;
        let bindings = bound.into_iter().map(|bound| Connection::from(bound.binding)).collect();
        Ok(respond_with_etag(&headers, &ConnectionList { bindings }))
    };
    Ok(rate_limited(&state, &key, Scope::BindingsRead, work).await)
}

impl From<Binding> for Connection {
    fn from(binding: Binding) -> Self {
        Self {
            id: binding.id,
            tenant_id: binding.tenant.id,
            tenant_name: binding.tenant.name,
            tenant_type: binding.tenant.tenant_type,
            status: binding.status,
            connected_at: binding.created_at,
        }
    }
}

/// Responds with the list and its ETag, or with 304 if the client has this version.
fn respond_with_etag(request: &HeaderMap, list: &ConnectionList) -> Response {
    let body = match serde_json::to_vec(list) {
        Ok(body) => body,
        // Strings and numbers always serialize to JSON.
        Err(error) => return InternalError::logged(&error).into_response(),
    };
    let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&Sha256::digest(&body)[..16]));
    let is_unchanged = etag_matches(request, &tag);
    let fields = [(CACHE_CONTROL, "private, no-cache"), (VARY, "Authorization"), (ETAG, &tag)];
    if is_unchanged {
        return (StatusCode::NOT_MODIFIED, fields).into_response();
    }
    (fields, [(CONTENT_TYPE, "application/json")], body).into_response()
}

/// Returns whether `If-None-Match` contains the tag, by weak comparison (RFC 9110, 13.1.2).
fn etag_matches(request: &HeaderMap, tag: &str) -> bool {
    let said = request.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut named = said.flat_map(|value| value.split(',')).map(str::trim);
    named.any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etag_matches_in_a_list_weakly_or_by_wildcard() {
        let named = |value: &str| {
            let headers = HeaderMap::from_iter([(IF_NONE_MATCH, value.parse().unwrap())]);
            etag_matches(&headers, "\"abc\"")
        };
        assert!(named("\"abc\"") && named("\"x\", \"abc\"") && named("W/\"abc\"") && named("*"));
        assert!(!named("\"x\"") && !named("abc") && !etag_matches(&HeaderMap::new(), "\"abc\""));
    }
}
