//! `GET /api/v1/bindings/{id}/token`: an access token for one tenant, which lasts.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::counted;
use super::problem::Problem;
use crate::model::{Action, BindingId, Scope};
use crate::server::auth::keys;
use crate::server::domain::{Actor, AuditEvent};
use crate::server::http::client_address::Whence;
use crate::server::state::AppState;
use crate::server::store::KeyRow;
use crate::server::tokens::{Token, TokenError};

/// How long a token lasts at least where nobody says, in seconds.
pub const USUAL_TTL: i64 = 300;

/// Who asks and for what is read in one statement. No `ETag` here: what mustn't be stored has nothing to compare.
pub async fn vend(
    State(state): State<AppState>,
    whence: Whence,
    binding: Result<Path<BindingId>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    // What isn't even text is the id of nothing.
    let binding = binding.map_or_else(|_| BindingId(String::new()), |Path(id)| id);
    let (key, bound) = match keys::program_and_binding(&state.store, &headers, &binding).await {
        Ok(Ok(read)) => read,
        Ok(Err(why)) => return Problem::from(why).answer(&state),
        Err(error) => return Problem::from(error).answer(&state),
    };
    let work = async {
        let min_ttl = min_ttl(query.as_deref().unwrap_or_default())?;
        let bound = bound.ok_or(TokenError::NotFound)?;
        let asked = (bound.binding.id.clone(), bound.binding.tenant_name.clone());
        let token = state.tokens.get_token_of(bound, min_ttl).await?;
        write_down(&state, &key, whence, asked).await;
        Ok(sent(&token))
    };
    counted(&state, &key, Scope::TokensRead, work).await
}

/// An access token for one tenant.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answer<'a> {
    /// For Authorization: Bearer at Xero.
    access_token: &'a str,
    /// For xero-tenant-id at Xero.
    tenant_id: &'a str,
    /// Unix seconds at which it ends.
    expires_at: i64,
    /// Said when it is due for a refresh and Xero doesn't give one: it is good until it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<&'a str>,
}

impl Answer<'static> {
    /// What an answer looks like.
    pub fn example() -> Self {
        let tenant_id = "45e4708e-d862-4111-ab3a-dd8cd03913e1";
        Self { access_token: "eyJhbGciOiJSUzI1NiIsInR5cCI6…", tenant_id, expires_at: 1_800_001_800, warning: None }
    }
}

/// Opened here alone, where it is sent.
fn sent(Token { access, tenant_id, expires_at, warning }: &Token) -> Response {
    let warning = warning.as_deref();
    let answer = Answer { access_token: access.expose(), tenant_id, expires_at: *expires_at, warning };
    ([(CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(answer)).into_response()
}

/// Writes down who has a token of what. Where the database takes no writes the token is still the program's, and the
/// log has what the book lacks.
async fn write_down(state: &AppState, key: &KeyRow, whence: Whence, bound: (BindingId, String)) {
    let (binding, tenant) = bound;
    let actor = Actor::api_key(key.id.as_str(), &key.name, Some(whence.0.to_string()));
    let event = AuditEvent::new(&actor, Action::TokenVended).of(&key.org).on("binding", &binding);
    if let Err(error) = state.store.record_alone(&event.with("connection", tenant)).await {
        let from = actor.address.as_deref();
        tracing::error!(key = %key.id, %binding, from, %error, "a token is handed out that couldn't be written down");
    }
}

/// In whole seconds; whether a token can last so long is for who gives them to say.
fn min_ttl(query: &str) -> Result<i64, Problem> {
    let said = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "min_ttl");
    let Some((_, said)) = said else { return Ok(USUAL_TTL) };
    said.parse().map_err(|_| Problem::no_such_ttl(&said))
}

#[cfg(test)]
mod tests {
    use super::min_ttl;

    #[test]
    fn how_long_a_token_lasts_is_said_in_whole_seconds_or_not_at_all() {
        assert_eq!(min_ttl("").ok(), Some(300));
        assert_eq!(min_ttl("a=b&min_ttl=600").ok(), Some(600));
        assert_eq!(min_ttl("min_ttl=-1").ok(), Some(-1));
        for wrong in ["min_ttl=", "min_ttl=soon", "min_ttl=1.5", "min_ttl=99999999999999999999", "min_ttl=5m"] {
            assert!(min_ttl(wrong).is_err(), "{wrong}");
        }
    }
}
