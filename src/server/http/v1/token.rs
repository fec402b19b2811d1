//! `GET /api/v1/bindings/{id}/token`: vends an access token for one tenant.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::binding_path::BindingPath;
use super::call_origin::CallOrigin;
use super::problem::Problem;
use super::problem_responses::TokenProblems;
use super::rate_limit::rate_limited;
use crate::model::{Action, BindingId, ProblemCode, Scope, paths};
use crate::server::auth::api_keys;
use crate::server::config::SharedUsers;
use crate::server::domain::AuditEvent;
use crate::server::http::state::AppState;
use crate::server::store::ApiKeyRow;
use crate::server::tokens::{MAX_TTL, VendedToken};

/// The query of the samples in the description.
pub const SAMPLE_QUERY: &str = "?min_ttl=300";
/// The default of `min_ttl`, in seconds.
const DEFAULT_MIN_TTL: i64 = 300;

/// The warning beside a token that the operator allows although it reaches beyond the organization.
const SHARED_USER_WARNING: &str = "The Xero user who made this connection also connected another organisation's Xero, which this token opens, too. Call Xero through Evergrant instead.";

/// Vends a token, refreshed first if needed. Key and binding are read in one statement. The response has no `ETag`,
/// because it must not be stored.
#[utoipa::path(
    get,
    path = paths::V1_TOKEN,
    tag = "connections",
    operation_id = "getToken",
    summary = "Get an access token",
    description = "If the stored token is valid for at least min_ttl seconds, it is returned at once; otherwise it is \
        refreshed first. While Xero is down, a token that is still valid is returned with a warning. Request a token \
        each time that you need one, and do not store it.",
    params(("id" = String, Path, description = "The connection's id, from the list."), TokenQuery),
    security(("apiKey" = [Scope::TokensRead.as_str()])),
    responses(
        (status = 200, description = "The token. It must not be cached (no-store).", body = AccessTokenView,
            example = json!(AccessTokenView::example())),
        TokenProblems,
    ),
)]
pub async fn vend(
    State(state): State<AppState>,
    origin: CallOrigin,
    BindingPath(id): BindingPath,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (key, bound) = api_keys::authenticate_with_binding(&state.store, &headers, &id).await?;
    let work = async {
        let TokenQuery { min_ttl } = TokenQuery::parse(query.as_deref().unwrap_or_default())?;
        let bound = bound.ok_or_else(|| Problem::of(ProblemCode::NoSuchConnection))?;
        let audited = (bound.binding.id.clone(), bound.binding.tenant.name.clone());
        let reaches_other_orgs = bound.reaches_other_orgs;
        if state.store.token_reaches_beyond(&key, &bound.binding).await? || reaches_other_orgs && key.is_limited {
            return Err(Problem::token_of_limited_key());
        }
        if reaches_other_orgs && state.config.api.shared_users == SharedUsers::Refuse {
            return Err(Problem::of(ProblemCode::TokenReachesOtherOrganizations));
        }
        let token = state.tokens.get_token_for(bound, min_ttl).await;
        let mut token = token.map_err(|error| Problem::of_token_error(error, state.store.clock().now()))?;
        if reaches_other_orgs {
            let earlier = token.warning.take().map_or_else(String::new, |warning| format!("{warning} "));
            token.warning = Some(format!("{earlier}{SHARED_USER_WARNING}"));
        }
        audit_issue(&state, &key, &origin, audited).await;
        Ok(token_response(&token))
    };
    Ok(rate_limited(&state, &key, &origin, Scope::TokensRead, work).await)
}

/// The query of a call for a token.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct TokenQuery {
    /// The minimum remaining lifetime of the token, in seconds.
    #[param(required = false, minimum = 0, maximum = 1800, default = json!(DEFAULT_MIN_TTL))]
    min_ttl: i64,
}

impl TokenQuery {
    /// Parses `min_ttl` as whole seconds. The token service checks its range.
    fn parse(query: &str) -> Result<Self, Problem> {
        let said = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "min_ttl");
        let Some((_, said)) = said else { return Ok(Self { min_ttl: DEFAULT_MIN_TTL }) };
        said.parse().map(|min_ttl| Self { min_ttl }).map_err(|_| Problem::malformed_min_ttl(&said))
    }
}

// The attribute above takes numbers only.
const _: () = assert!(MAX_TTL == 1800);

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
    /// Present if a refresh is due but failed, in which case the token is valid until it expires; or if the token also
    /// opens another organisation's Xero, which the operator of Evergrant has allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<&'a str>,
}

impl AccessTokenView<'static> {
    /// Returns the example for the API description.
    fn example() -> Self {
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

/// Records the vend in the audit log. If the database does not accept it within a second, the token is vended anyway,
/// and the event is written later.
async fn audit_issue(state: &AppState, key: &ApiKeyRow, origin: &CallOrigin, bound: (BindingId, String)) {
    let (binding, tenant) = bound;
    let actor = origin.actor(key);
    let event = AuditEvent::new(&actor, Action::TokenVended).in_org(&key.org).subject("binding", &binding);
    state.tokens.notes().record_vend(key, &tenant, &event.detail("connection", &tenant)).await;
}

#[cfg(test)]
mod tests {
    use super::TokenQuery;

    #[test]
    fn min_ttl_is_whole_seconds_or_absent() {
        let parsed = |query| TokenQuery::parse(query).ok().map(|query| query.min_ttl);
        assert_eq!(parsed(""), Some(300));
        assert_eq!(parsed("a=b&min_ttl=600"), Some(600));
        assert_eq!(parsed("min_ttl=-1"), Some(-1));
        for wrong in ["min_ttl=", "min_ttl=soon", "min_ttl=1.5", "min_ttl=99999999999999999999", "min_ttl=5m"] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }
}
