//! `/api/v1/bindings`: lists, reads, labels, refreshes and disconnects the connections of the key's organization.

pub mod disconnect;
mod list_query;
mod page;
mod patch;

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::{Object, ObjectBuilder, Type};

use self::list_query::{ListQuery, cursor_after};
use self::page::read_page;
use self::patch::read_patch;
use super::binding_path::BindingPath;
use super::call_origin::CallOrigin;
use super::etag::{etag_of, matches_etag, respond_with_etag};
use super::idempotency::IdempotencyKey;
use super::problem::Problem;
use super::problem_responses::{BindingProblems, ListProblems, RefreshProblems};
use super::rate_limit::rate_limited;
use crate::model::{BindingId, BindingStatus, ProblemCode, Scope, missing_scopes, paths};
use crate::server::auth::api_keys;
use crate::server::domain::Binding;
use crate::server::http::state::AppState;
use crate::server::store::{ApiKeyRow, BindingChange, LabelError, LabeledBinding};

/// A page of the connections of the key's organization.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionList {
    /// Empty if there are none.
    bindings: Vec<Connection>,
    /// Present if there are more: the value for cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A connection, without its tokens.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// Identifies the connection in this API. It does not change when the connection is reconnected.
    #[schema(value_type = String)]
    id: BindingId,
    /// Your own id of it, which a PATCH sets.
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
    /// Your tags, sorted.
    tags: Vec<String>,
    /// The email addresses of its contacts, who get a letter with a link if it needs reconnecting.
    contacts: Vec<String>,
    /// Xero's id of the tenant, for the xero-tenant-id header.
    tenant_id: String,
    /// The tenant's name in Xero.
    tenant_name: String,
    /// ORGANISATION or PRACTICE, as reported by Xero.
    tenant_type: String,
    #[schema(schema_with = status_schema)]
    status: BindingStatus,
    /// The scopes that its consent granted; empty if they are not known.
    granted_scopes: Vec<String>,
    /// The configured scopes that an active connection lacks. It works without them, until
    /// somebody consents again.
    missing_scopes: Vec<String>,
    /// When it was connected, in unix seconds.
    connected_at: i64,
    /// When it was moved to another system, in unix seconds. That system keeps it alive now, and nobody has to reconnect
    /// it.
    #[serde(skip_serializing_if = "Option::is_none")]
    moved_at: Option<i64>,
}

/// A refreshed token.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Refreshed {
    /// When the access token expires, in unix seconds.
    expires_at: i64,
}

/// Returns the schema of `BindingStatus`, which the browser shares and which can't derive one.
fn status_schema() -> Object {
    let words = BindingStatus::ALL.iter().map(|status| status.as_str());
    let what = "Only an active connection has tokens; needs_reauth means that a person has to reconnect it, unless it has a \
                movedAt.";
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).description(Some(what)).build()
}

impl Connection {
    /// Returns the example for the API description.
    fn example() -> Self {
        Self {
            id: BindingId("7f1c9b0e-54aa-4c55-9f0f-2f0c3a8e1d77".to_owned()),
            external_id: Some("customer-4711".to_owned()),
            tags: vec!["gold".to_owned()],
            contacts: vec!["books@example.com".to_owned()],
            tenant_id: "45e4708e-d862-4111-ab3a-dd8cd03913e1".to_owned(),
            tenant_name: "Harbour Coffee".to_owned(),
            tenant_type: "ORGANISATION".to_owned(),
            status: BindingStatus::Active,
            granted_scopes: vec!["openid".to_owned(), "offline_access".to_owned()],
            missing_scopes: vec!["accounting.contacts.read".to_owned()],
            connected_at: 1_800_000_000,
            moved_at: None,
        }
    }
}

impl ConnectionList {
    /// Returns the example for the API description.
    fn example() -> Self {
        Self { bindings: vec![Connection::example()], next_cursor: None }
    }
}

impl Connection {
    /// Returns the connection, with what it lacks of the wanted scopes.
    fn new(LabeledBinding { binding, labels, scopes, contacts }: LabeledBinding, wanted: &str) -> Self {
        let Binding { id, tenant, status, created_at, moved_at, .. } = binding;
        Self {
            id,
            external_id: labels.external_id,
            tags: labels.tags,
            contacts,
            tenant_id: tenant.id,
            tenant_name: tenant.name,
            tenant_type: tenant.tenant_type,
            status,
            missing_scopes: if status == BindingStatus::Active { missing_scopes(&scopes, wanted) } else { Vec::new() },
            granted_scopes: scopes.split_whitespace().map(str::to_owned).collect(),
            connected_at: created_at,
            moved_at,
        }
    }
}

/// Lists the connections. Clients may cache the list and revalidate it by its `ETag`; it varies by API key.
#[utoipa::path(
    get,
    path = paths::V1_BINDINGS,
    tag = "connections",
    operation_id = "listBindings",
    summary = "List the connections",
    description = "Lists the connections of the key's organisation, oldest first, including those that have to be \
        reconnected. All filters have to match.",
    params(
        ListQuery,
        ("If-None-Match" = Option<String>, Header, nullable = false,
            description = "The ETag of a list that you have: 304 without a body if it is still current."),
    ),
    security(("apiKey" = [Scope::BindingsRead.as_str()])),
    responses(
        (status = 200, description = "The connections, with an ETag.",
            headers(("ETag" = String, description = "Identifies this version of the list.")),
            body = ConnectionList, example = json!(ConnectionList::example())),
        (status = 304, description = "The list has not changed."),
        ListProblems,
    ),
)]
pub async fn list(
    State(state): State<AppState>,
    origin: CallOrigin,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let key = api_keys::authenticate(&state.store, &headers).await?;
    let work = async {
        let mut query = ListQuery::parse(query.as_deref().unwrap_or_default())?;
        query.filter.limited_by = key.limited_by();
        let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
        let mut bindings = read_page(&state, &key.org, &query).await?;
        let has_more = bindings.len() > limit;
        bindings.truncate(limit);
        let last = bindings.last().filter(|_| has_more);
        let next_cursor = last.map(|last| cursor_after(last.connected_at, last.id.as_str()));
        Ok(respond_with_etag(&headers, &ConnectionList { bindings, next_cursor }))
    };
    Ok(rate_limited(&state, &key, &origin, Scope::BindingsRead, work).await)
}

/// Returns one connection.
#[utoipa::path(
    get,
    path = paths::V1_BINDING,
    tag = "connections",
    operation_id = "getBinding",
    summary = "Read a connection",
    description = "Returns one connection. Its ETag is what If-Match of a change names.",
    params(
        ("id" = String, Path, description = "The connection's id, from the list."),
        ("If-None-Match" = Option<String>, Header, nullable = false,
            description = "The ETag of a version that you have: 304 without a body if it is still current."),
    ),
    security(("apiKey" = [Scope::BindingsRead.as_str()])),
    responses(
        (status = 200, description = "The connection, with an ETag.",
            headers(("ETag" = String, description = "Identifies this version of the connection.")),
            body = Connection, example = json!(Connection::example())),
        (status = 304, description = "The connection has not changed."),
        BindingProblems,
    ),
)]
pub async fn read(
    State(state): State<AppState>,
    origin: CallOrigin,
    BindingPath(id): BindingPath,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let key = api_keys::authenticate(&state.store, &headers).await?;
    let work = async {
        let found = find(&state, &key, &id).await?;
        Ok(respond_with_etag(&headers, &Connection::new(found, &state.config.xero.scopes)))
    };
    Ok(rate_limited(&state, &key, &origin, Scope::BindingsRead, work).await)
}

/// Changes a connection's labels and contacts.
#[utoipa::path(
    patch,
    path = paths::V1_BINDING,
    tag = "connections",
    operation_id = "labelBinding",
    summary = "Label a connection",
    description = "Sets externalId, your own id of the connection, tags, and contacts. A field that is missing stays as it \
        is; null removes externalId.",
    params(
        ("id" = String, Path, description = "The connection's id, from the list."),
        ("If-Match" = Option<String>, Header, nullable = false,
            description = "The ETag of the version that you have read: 412 if it has changed since."),
    ),
    request_body(content = patch::LabelPatch, example = json!({ "externalId": "customer-4711", "tags": ["gold"] })),
    security(("apiKey" = [Scope::BindingsWrite.as_str()])),
    responses(
        (status = 200, description = "The connection as it is now, with an ETag.", body = Connection,
            example = json!(Connection::example())),
        BindingProblems,
    ),
)]
pub async fn label(
    State(state): State<AppState>,
    origin: CallOrigin,
    BindingPath(id): BindingPath,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Result<Response, Problem> {
    let key = api_keys::authenticate(&state.store, &headers).await?;
    let work = async {
        let patch = read_patch(&body)?;
        let found = find(&state, &key, &id).await?;
        let (contacts, has_labels) = (patch.contacts()?, patch.has_labels());
        let labels = patch.apply(found.labels.clone())?;
        if !matches_etag(&headers, &etag_of(&Connection::new(found, &state.config.xero.scopes))?) {
            return Err(Problem::of(ProblemCode::PreconditionFailed));
        }
        let store = state.store.as_actor(origin.actor(&key));
        let change = BindingChange {
            labels: has_labels.then_some(&labels),
            contacts: contacts.as_deref(),
            version: labels.version,
        };
        store.change_binding(&key.org, &id, change).await.map_err(|error| match error {
            LabelError::NotFound => Problem::of(ProblemCode::NoSuchConnection),
            LabelError::Changed => Problem::of(ProblemCode::PreconditionFailed),
            LabelError::ExternalIdTaken => Problem::of(ProblemCode::ExternalIdTaken),
            LabelError::Store(error) => error.into(),
        })?;
        let changed = find(&state, &key, &id).await?;
        Ok(respond_with_etag(&HeaderMap::new(), &Connection::new(changed, &state.config.xero.scopes)))
    };
    Ok(rate_limited(&state, &key, &origin, Scope::BindingsWrite, work).await)
}

/// Refreshes a connection's token now.
#[utoipa::path(
    post,
    path = paths::V1_REFRESH,
    tag = "connections",
    operation_id = "refreshBinding",
    summary = "Refresh a connection",
    description = "Exchanges the refresh token now, although it may not be due. Programs need this only after a change \
        in Xero. A token that was refreshed in the last minute is not refreshed again, so a repeated call does no harm.",
    params(
        ("id" = String, Path, description = "The connection's id, from the list."),
        IdempotencyKey,
    ),
    security(("apiKey" = [Scope::BindingsWrite.as_str()])),
    responses(
        (status = 200, description = "The token is new.", body = Refreshed,
            example = json!(Refreshed { expires_at: 1_800_001_800 })),
        RefreshProblems,
    ),
)]
pub async fn refresh(
    State(state): State<AppState>,
    origin: CallOrigin,
    BindingPath(id): BindingPath,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (key, bound) = api_keys::authenticate_with_binding(&state.store, &headers, &id).await?;
    let work = async {
        let bound = bound.ok_or_else(|| Problem::of(ProblemCode::NoSuchConnection))?;
        let refreshed = state.tokens.refresh_for_program(bound).await;
        let now = state.store.clock().now();
        let expires_at = refreshed.map_err(|error| Problem::of_token_error(error, now))?;
        Ok(axum::Json(Refreshed { expires_at }).into_response())
    };
    Ok(rate_limited(&state, &key, &origin, Scope::BindingsWrite, work).await)
}

async fn find(state: &AppState, key: &ApiKeyRow, id: &BindingId) -> Result<LabeledBinding, Problem> {
    let found = state.store.labeled_binding(&key.org, id).await?;
    let found = if state.store.key_opens(key, id).await? { found } else { None };
    found.ok_or_else(|| Problem::of(ProblemCode::NoSuchConnection))
}
