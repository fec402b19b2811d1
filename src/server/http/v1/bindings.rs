//! `GET /api/v1/bindings`: the connections of the key's organisation.

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::problem::Problem;
use super::{counted, openapi};
use crate::model::{BindingId, BindingStatus, Scope};
use crate::server::auth::keys;
use crate::server::domain::Binding;
use crate::server::http::failure::Failure;
use crate::server::state::AppState;

/// The connections of the key's organisation.
#[derive(Serialize, ToSchema)]
pub struct List {
    /// Empty where there is none.
    bindings: Vec<Connection>,
}

/// A connection, without its tokens.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// What the token is asked for by. It stays when the connection is connected again.
    #[schema(value_type = String)]
    id: BindingId,
    /// Xero's own id of the tenant, for its xero-tenant-id header.
    tenant_id: String,
    /// What Xero calls it.
    tenant_name: String,
    /// ORGANISATION or PRACTICE, as Xero says it.
    tenant_type: String,
    #[schema(schema_with = openapi::binding_status)]
    status: BindingStatus,
    /// Unix seconds.
    connected_at: i64,
}

impl List {
    /// What an answer looks like.
    pub fn example() -> Self {
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

/// The list may be kept and asked for again by its `ETag`; for whoever has another key it is another list.
pub async fn list(State(state): State<AppState>, headers: HeaderMap) -> Response {
    let key = match keys::program(&state.store, &headers).await {
        Ok(Ok(key)) => key,
        Ok(Err(why)) => return Problem::from(why).answer(&state),
        Err(error) => return Problem::from(error).answer(&state),
    };
    let work = async {
        let bound = state.store.bindings_of_org(&key.org).await?;
        let bindings = bound.into_iter().map(|bound| Connection::from(bound.binding)).collect();
        Ok(validated(&headers, &List { bindings }))
    };
    counted(&state, &key, Scope::BindingsRead, work).await
}

impl From<Binding> for Connection {
    fn from(binding: Binding) -> Self {
        Self {
            id: binding.id,
            tenant_id: binding.tenant_id,
            tenant_name: binding.tenant_name,
            tenant_type: binding.tenant_type,
            status: binding.status,
            connected_at: binding.created_at,
        }
    }
}

/// The list with its tag; nothing but the tag for who has it already.
fn validated(request: &HeaderMap, list: &List) -> Response {
    let body = match serde_json::to_vec(list) {
        Ok(body) => body,
        // Strings and numbers alone, which all have a form in JSON.
        Err(error) => return Failure::of(&error).into_response(),
    };
    let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&Sha256::digest(&body)[..16]));
    let same = is_named(request, &tag);
    let fields = [(CACHE_CONTROL, "private, no-cache"), (VARY, "Authorization"), (ETAG, &tag)];
    if same {
        return (StatusCode::NOT_MODIFIED, fields).into_response();
    }
    (fields, [(CONTENT_TYPE, "application/json")], body).into_response()
}

/// `If-None-Match` names the tag, weakly compared (RFC 9110, 13.1.2).
fn is_named(request: &HeaderMap, tag: &str) -> bool {
    let said = request.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut named = said.flat_map(|value| value.split(',')).map(str::trim);
    named.any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_named_among_others_weakly_or_by_a_star() {
        let named = |value: &str| {
            let headers = HeaderMap::from_iter([(IF_NONE_MATCH, value.parse().unwrap())]);
            is_named(&headers, "\"abc\"")
        };
        assert!(named("\"abc\"") && named("\"x\", \"abc\"") && named("W/\"abc\"") && named("*"));
        assert!(!named("\"x\"") && !named("abc") && !is_named(&HeaderMap::new(), "\"abc\""));
    }
}
