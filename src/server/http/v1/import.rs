//! `POST /api/v1/import`: takes over refresh tokens of another system for the key's organization.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::{Object, ObjectBuilder, Type};

use super::call_origin::CallOrigin;
use super::idempotency::IdempotencyKey;
use super::json_body::{objects, require_object};
use super::problem::Problem;
use super::problem_responses::ImportProblems;
use super::rate_limit::{rate_limited, require_unlimited};
use crate::model::{BindingId, ImportOutcome, Scope, paths};
use crate::server::auth::api_keys;
use crate::server::domain::{ImportReport, ImportRow, RefreshToken};
use crate::server::http::internal_error::InternalError;
use crate::server::http::state::AppState;
use crate::server::tokens::{ImportTarget, SharedUsers};

/// The most rows of one call.
const MAX_ROWS: usize = 20;
/// How many rows are imported at once.
const CONCURRENCY: usize = 4;

/// Refresh tokens to import.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImportRequest {
    /// true says that no other system refreshes these tokens any more. Each works once: two that refresh the same one
    /// lose the connection.
    old_system_stopped: bool,
    /// At most 20.
    #[serde(deserialize_with = "objects")]
    rows: Vec<TokenRow>,
}

/// A refresh token, and what it belongs to.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TokenRow {
    /// The refresh token as the other system has it now.
    #[schema(format = Password)]
    refresh_token: String,
    /// The client ID of the Xero app that it was issued to. A row that names another than Evergrant's is not sent.
    #[serde(default)]
    client_id: Option<String>,
    /// Xero's ID of the tenant to connect. Without it, every tenant of the token's own consent is connected.
    #[serde(default)]
    tenant_id: Option<String>,
    /// Your own ID of the connection, as a PATCH sets it.
    #[serde(default)]
    external_id: Option<String>,
    /// Your tags, as a PATCH sets them.
    #[serde(default)]
    tags: Vec<String>,
}

/// What became of the rows, in their order.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportResult {
    /// One report for each row.
    rows: Vec<RowReport>,
}

/// What became of one row.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RowReport {
    #[schema(schema_with = outcome_schema)]
    outcome: ImportOutcome,
    /// What happened, and what to do.
    message: &'static str,
    /// Whether the same row may succeed later without a change.
    try_again: bool,
    /// The IDs of the connections that the token serves.
    #[schema(value_type = Vec<String>)]
    bindings: Vec<BindingId>,
    /// What is wrong with an invalid row, or what was left out of a valid one.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'static str>,
}

/// Returns the schema of `ImportOutcome`, which the browser shares and which can't derive one.
fn outcome_schema() -> Object {
    let words = ImportOutcome::ALL.iter().map(|outcome| outcome.as_str());
    let what = "What became of the row. Outcomes are stable.";
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).description(Some(what)).build()
}

impl From<ImportReport> for RowReport {
    fn from(ImportReport { outcome, bindings, detail }: ImportReport) -> Self {
        Self { outcome, message: outcome.message(), try_again: outcome.is_worth_repeating(), bindings, detail }
    }
}

impl ImportResult {
    /// Returns the example for the API description.
    fn example() -> Self {
        let bindings = vec![BindingId("7f1c9b0e-54aa-4c55-9f0f-2f0c3a8e1d77".to_owned())];
        let imported = ImportReport { bindings, ..ImportReport::of(ImportOutcome::Imported) };
        Self { rows: vec![imported.into(), ImportReport::of(ImportOutcome::Refused).into()] }
    }
}

impl From<TokenRow> for ImportRow {
    fn from(TokenRow { refresh_token, client_id, tenant_id, external_id, tags }: TokenRow) -> Self {
        Self { refresh_token: RefreshToken::new(refresh_token), client_id, tenant_id, external_id, tags }
    }
}

/// Imports refresh tokens.
#[utoipa::path(
    post,
    path = paths::V1_IMPORT,
    tag = "import",
    operation_id = "importTokens",
    summary = "Import refresh tokens",
    description = "Takes over refresh tokens of another system, one report for each row. Each token is exchanged at \
        once and can't be used elsewhere after that, so the other system must have stopped first. A call that was \
        interrupted can be repeated: it goes on where it stopped.",
    params(IdempotencyKey),
    request_body(content = ImportRequest, example = json!({ "oldSystemStopped": true, "rows": [{
        "refreshToken": "the token", "tenantId": "45e4708e-d862-4111-ab3a-dd8cd03913e1", "externalId": "customer-4711"
    }] })),
    security(("apiKey" = [Scope::ImportWrite.as_str()])),
    responses(
        (status = 200, description = "What became of each row. Some may have failed.", body = ImportResult,
            example = json!(ImportResult::example())),
        ImportProblems,
    ),
)]
pub async fn import(
    State(state): State<AppState>,
    origin: CallOrigin,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let key = api_keys::authenticate(&state.store, &headers).await?;
    let work = async {
        require_unlimited(&key)?;
        let ImportRequest { old_system_stopped, rows } = read_request(&body)?;
        if !old_system_stopped {
            return Err(Problem::invalid_argument(
                "Stop the system that refreshes these tokens first, then say so: oldSystemStopped is true.",
            ));
        }
        if !(1..=MAX_ROWS).contains(&rows.len()) {
            return Err(Problem::invalid_argument("rows are 1 to 20 objects."));
        }
        let target = &ImportTarget {
            org: key.org.clone(),
            actor: origin.actor(&key),
            user: None,
            shared_users: SharedUsers::Refuse,
        };
        let reports = stream::iter(rows).map(|row| state.tokens.import(target, row.into())).buffered(CONCURRENCY);
        let reports: Vec<ImportReport> = reports.try_collect().await.map_err(|error| InternalError::logged(&error))?;
        Ok(Json(ImportResult { rows: reports.into_iter().map(RowReport::from).collect() }).into_response())
    };
    Ok(rate_limited(&state, &key, &origin, Scope::ImportWrite, work).await)
}

/// Reads the body. Says where it is wrong, never what it says there: that may be a token.
fn read_request(body: &[u8]) -> Result<ImportRequest, Problem> {
    const SHAPE: &str = "It is {\"oldSystemStopped\": true, \"rows\": [{\"refreshToken\": …}]}.";
    require_object(body, &format!("The body is no JSON object. {SHAPE}"))?;
    serde_json::from_slice(body).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        Problem::invalid_argument(&format!("The body is not valid at {place}. {SHAPE}"))
    })
}
