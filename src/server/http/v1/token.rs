//! `GET /api/v1/bindings/{id}/token`: vends an access token for one tenant.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::Problem;
use super::rate_limited;
use crate::model::{Action, BindingId, Scope};
use crate::server::auth::api_keys;
use crate::server::domain::{Actor, AuditEvent};
use crate::server::http::middleware::client_ip::ClientIp;
use crate::server::http::state::AppState;
use crate::server::store::ApiKeyRow;
use crate::server::tokens::{TokenError, VendedToken};

/// The default of `min_ttl`, in seconds.
pub const DEFAULT_MIN_TTL: i64 = 300;

/// Vends a token, refreshed first if needed. Key and binding are read in one statement. The response has no `ETag`,
/// because it must not be stored.
pub async fn vend(
    State(state): State<AppState>,
    whence: ClientIp,
    binding: Result<Path<BindingId>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    // An id that is not UTF-8 matches no binding.
    let binding = binding.map_or_else(|_| BindingId(String::new()), |Path(id)| id);
    let (key, bound) = match api_keys::authenticate_with_binding(&state.store, &headers, &binding).await {
        Ok(read) => read,
        Err(error) => return Problem::from(error).respond(&state),
    };
    let work = async {
        let min_ttl = parse_min_ttl(query.as_deref().unwrap_or_default())?;
        let bound = bound.ok_or(TokenError::NotFound)?;
        let audited = (bound.binding.id.clone(), bound.binding.tenant.name.clone());
        let token = state.tokens.get_token_for(bound, min_ttl).await?;
        audit_issue(&state, &key, whence, audited).await;
        Ok(token_response(&token))
    };
    rate_limited(&state, &key, Scope::TokensRead, work).await
}

/// An access token for one tenant.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessTokenView<'a> {
    /// The token for the header Authorization: Bearer at Xero.
    access_token: &'a str,
    /// The value of the header xero-tenant-id at Xero.
    tenant_id: &'a str,
    /// When the token expires, in unix seconds.
    expires_at: i64,
    /// Present if a refresh is due but failed. The token is valid until it expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<&'a str>,
}

impl AccessTokenView<'static> {
    /// Returns the example for the API description.
    pub fn example() -> Self {
        let tenant_id = "45e4708e-d862-4111-ab3a-dd8cd03913e1";
        Self { access_token: "eyJhbGciOiJSUzI1NiIsInR5cCI6…", tenant_id, expires_at: 1_800_001_800, warning: None }
    }
}

/// Builds the response. This is the only place that exposes the token.
fn token_response(VendedToken { access, tenant_id, expires_at, warning }: &VendedToken) -> Response {
    let warning = warning.as_deref();
    let answer = AccessTokenView { access_token: access.expose(), tenant_id, expires_at: *expires_at, warning };
    ([(CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(answer)).into_response()
}

/// Records the vend in the audit log. If the database rejects writes, the token is vended anyway, and the log has what
/// the audit log lacks.
async fn audit_issue(state: &AppState, key: &ApiKeyRow, whence: ClientIp, bound: (BindingId, String)) {
    let (binding, tenant) = bound;
    let actor = Actor::api_key(key.id.as_str(), &key.name, Some(whence.0.to_string()));
    let event = AuditEvent::new(&actor, Action::TokenVended).in_org(&key.org).subject("binding", &binding);
    if let Err(error) = state.store.record_standalone(&event.detail("connection", tenant)).await {
        let from = actor.address.as_deref();
        tracing::error!(key = %key.id, %binding, from, %error, "failed to record a vended token in the audit log");
    }
}

/// Parses `min_ttl` as whole seconds. The token service checks its range.
fn parse_min_ttl(query: &str) -> Result<i64, Problem> {
    let said = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "min_ttl");
    let Some((_, said)) = said else { return Ok(DEFAULT_MIN_TTL) };
    said.parse().map_err(|_| Problem::malformed_min_ttl(&said))
}

#[cfg(test)]
mod tests {
    use super::parse_min_ttl;

    #[test]
    fn min_ttl_is_whole_seconds_or_absent() {
        assert_eq!(parse_min_ttl("").ok(), Some(300));
        assert_eq!(parse_min_ttl("a=b&min_ttl=600").ok(), Some(600));
        assert_eq!(parse_min_ttl("min_ttl=-1").ok(), Some(-1));
        for wrong in ["min_ttl=", "min_ttl=soon", "min_ttl=1.5", "min_ttl=99999999999999999999", "min_ttl=5m"] {
            assert!(parse_min_ttl(wrong).is_err(), "{wrong}");
        }
    }
}
