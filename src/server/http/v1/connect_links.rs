//! `/api/v1/connect-links`: creates, lists, reads and cancels links by which anybody can connect Xero for the key's
//! organization.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::call_origin::CallOrigin;
use super::idempotency::IdempotencyKey;
use super::json_body::require_object;
use super::problem::Problem;
use super::problem_responses::LinkProblems;
use super::rate_limit::{rate_limited, require_unlimited};
use crate::model::{BindingId, ConnectLinkId, DEFAULT_LINK_LIFETIME, ProblemCode, Scope, paths};
use crate::server::auth::api_keys;
use crate::server::http::internal_error::InternalError;
use crate::server::http::routes::connect_links::{LinkRequestError, RequestedLink, create};
use crate::server::http::state::AppState;
use crate::server::store::{ConnectLink, CreateLinkError, LinkCreator, MailLimitError};

/// A link to create.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewLink {
    /// The connection to reconnect. Without it, the link makes a new one.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    binding_id: Option<BindingId>,
    /// Who asks, as the page says it: at most 100 characters.
    #[serde(default)]
    requested_by: String,
    /// What for, as the page says it: at most 300 characters.
    #[serde(default)]
    note: String,
    /// Your own ID of the connection that the link makes.
    #[serde(default)]
    external_id: Option<String>,
    /// Tags of the connection that the link makes.
    #[serde(default)]
    tags: Vec<String>,
    /// Where the browser goes afterwards, with status and id in its query. It has to begin with one of the organisation's
    /// return addresses.
    #[serde(default)]
    return_url: Option<String>,
    /// How long the link lives, in seconds: 300 to 2592000. Seven days if missing.
    #[serde(default)]
    expires_in: Option<i64>,
    /// Where Evergrant sends the link. The person becomes a contact of the connection that the link makes.
    #[serde(default)]
    email: Option<String>,
}

/// A new link.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreatedConnectLink {
    /// Identifies the link in this API.
    id: String,
    /// The URL to send, with its secret. It is not shown again.
    url: String,
    /// When it expires, in unix seconds.
    expires_at: i64,
}

/// A link, without its secret.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// Identifies the link in this API.
    id: String,
    /// open, used, cancelled or expired.
    status: &'static str,
    /// What became of the last consent, such as connected, declined or wrong_organization.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    /// The connection that it reconnects.
    #[serde(skip_serializing_if = "Option::is_none")]
    binding_id: Option<String>,
    /// Who asks.
    requested_by: String,
    /// What for.
    note: String,
    /// Your own ID of the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
    /// Tags of the connection.
    tags: Vec<String>,
    /// Where the browser goes afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    return_url: Option<String>,
    /// Where Evergrant sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    /// When it was created, in unix seconds.
    created_at: i64,
    /// When it expires, in unix seconds.
    expires_at: i64,
}

/// The open links.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkList {
    /// The newest first.
    links: Vec<Link>,
}

impl From<ConnectLink> for Link {
    fn from(link: ConnectLink) -> Self {
        Self {
            id: link.id.0,
            status: link.status.as_str(),
            outcome: link.outcome.map(|outcome| outcome.as_str()),
            binding_id: link.binding.map(|id| id.0),
            requested_by: link.requested_by,
            note: link.note,
            external_id: link.external_id,
            tags: link.tags,
            return_url: link.return_url,
            email: link.email,
            created_at: link.created_at,
            expires_at: link.expires_at,
        }
    }
}

impl Link {
    /// Returns the example for the API description.
    fn example() -> Self {
        Self {
            id: "7f1c9b0e-54aa-4c55-9f0f-2f0c3a8e1d77".to_owned(),
            status: "open",
            outcome: None,
            binding_id: None,
            requested_by: "Ann of Harbour Group".to_owned(),
            note: "Your monthly books".to_owned(),
            external_id: Some("customer-4711".to_owned()),
            tags: vec!["gold".to_owned()],
            return_url: None,
            email: Some("books@example.com".to_owned()),
            created_at: 1_800_000_000,
            expires_at: 1_800_604_800,
        }
    }
}

impl CreatedConnectLink {
    /// Returns the example for the API description.
    fn example() -> Self {
        let id = "7f1c9b0e-54aa-4c55-9f0f-2f0c3a8e1d77".to_owned();
        let url = format!("https://evergrant.example.com{}{id}?token=…", paths::CONNECT_LINKS);
        Self { id, url, expires_at: 1_800_604_800 }
    }
}

impl From<LinkRequestError> for Problem {
    fn from(error: LinkRequestError) -> Self {
        match error {
            LinkRequestError::Invalid(rule) | LinkRequestError::InvalidLabels(rule) => {
                Self::invalid_argument(&format!("{rule}."))
            }
            LinkRequestError::InvalidEmail => Self::invalid_argument("email is not an email address."),
            LinkRequestError::NoMailServer => Self::invalid_argument(
                "This Evergrant has no mail server. Leave email out, and send the link yourself.",
            ),
            LinkRequestError::Mail(MailLimitError::TooMany) => Self::of(ProblemCode::TooManyMails),
            LinkRequestError::Mail(MailLimitError::Store(error)) => error.into(),
            // The key was revoked meanwhile.
            LinkRequestError::Create(CreateLinkError::NotAllowed) => Self::of(ProblemCode::InvalidKey),
            LinkRequestError::Create(CreateLinkError::NoSuchConnection) => Self::of(ProblemCode::NoSuchConnection),
            LinkRequestError::Create(CreateLinkError::ReturnUrlNotAllowed) => {
                Self::of(ProblemCode::ReturnUrlNotAllowed)
            }
            LinkRequestError::Create(CreateLinkError::ExternalIdTaken) => Self::of(ProblemCode::ExternalIdTaken),
            LinkRequestError::Create(CreateLinkError::TooMany) => Self::of(ProblemCode::TooManyLinks),
            LinkRequestError::Create(CreateLinkError::Store(error)) => error.into(),
            LinkRequestError::Random(error) => InternalError::from(error).into(),
        }
    }
}

/// Creates a link.
#[utoipa::path(
    post,
    path = paths::V1_CONNECT_LINKS,
    tag = "connect links",
    operation_id = "createConnectLink",
    summary = "Create a connect link",
    description = "Creates a link by which a person without an account connects Xero, once. The URL is in this response \
        only.",
    params(IdempotencyKey),
    request_body(content = NewLink, example = json!({ "requestedBy": "Ann of Harbour Group",
        "note": "Your monthly books", "externalId": "customer-4711", "expiresIn": 604800 })),
    security(("apiKey" = [Scope::LinksWrite.as_str()])),
    responses(
        (status = 201, description = "The new link.", body = CreatedConnectLink,
            example = json!(CreatedConnectLink::example())),
        LinkProblems,
    ),
)]
pub async fn post(
    State(state): State<AppState>,
    origin: CallOrigin,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let key = api_keys::authenticate(&state.store, &headers).await?;
    let work = async {
        require_unlimited(&key)?;
        require_object(&body, "The body is a JSON object.")?;
        let new: NewLink = serde_json::from_slice(&body)
            .map_err(|error| Problem::invalid_argument(&format!("The body is not valid: {error}.")))?;
        let lifetime = new.expires_in.unwrap_or(DEFAULT_LINK_LIFETIME);
        let requested = RequestedLink {
            binding: new.binding_id,
            requested_by: new.requested_by,
            note: new.note,
            external_id: new.external_id,
            tags: new.tags,
            return_url: new.return_url,
            lifetime,
            email: new.email,
        };
        let store = state.store.as_actor(origin.actor(&key));
        // A lifetime that is too long is refused below.
        let expires_at = store.clock().now().saturating_add(lifetime);
        let created = create(&store, &state.notifier, &key.org, requested, LinkCreator::Program(&key.id)).await?;
        let url = created.url(&state);
        let created = CreatedConnectLink { id: created.id.0, url, expires_at };
        Ok((StatusCode::CREATED, Json(created)).into_response())
    };
    Ok(rate_limited(&state, &key, &origin, Scope::LinksWrite, work).await)
}

/// Lists the open links.
#[utoipa::path(
    get,
    path = paths::V1_CONNECT_LINKS,
    tag = "connect links",
    operation_id = "listConnectLinks",
    summary = "List the open connect links",
    description = "Lists the links that can be used now, newest first, without their secrets.",
    security(("apiKey" = [Scope::LinksWrite.as_str()])),
    responses(
        (status = 200, description = "The links.", body = LinkList,
            example = json!(LinkList { links: vec![Link::example()] })),
        LinkProblems,
    ),
)]
pub async fn list(State(state): State<AppState>, origin: CallOrigin, headers: HeaderMap) -> Result<Response, Problem> {
    let key = api_keys::authenticate(&state.store, &headers).await?;
    let work = async {
        require_unlimited(&key)?;
        let links = state.store.open_connect_links(&key.org).await?;
        Ok(Json(LinkList { links: links.into_iter().map(Link::from).collect() }).into_response())
    };
    Ok(rate_limited(&state, &key, &origin, Scope::LinksWrite, work).await)
}

/// Returns one link.
#[utoipa::path(
    get,
    path = paths::V1_CONNECT_LINK,
    tag = "connect links",
    operation_id = "getConnectLink",
    summary = "Read a connect link",
    description = "Returns a link and what became of it. Links are kept for 90 days after they expire.",
    params(("id" = String, Path, description = "The link's id.")),
    security(("apiKey" = [Scope::LinksWrite.as_str()])),
    responses(
        (status = 200, description = "The link.", body = Link, example = json!(Link::example())),
        LinkProblems,
    ),
)]
pub async fn read(
    State(state): State<AppState>,
    origin: CallOrigin,
    Path(id): Path<ConnectLinkId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let key = api_keys::authenticate(&state.store, &headers).await?;
    let work = async {
        require_unlimited(&key)?;
        let link = state.store.connect_link(&id).await?.filter(|link| link.org == key.org);
        let link = link.ok_or_else(|| Problem::of(ProblemCode::NoSuchLink))?;
        Ok(Json(Link::from(link)).into_response())
    };
    Ok(rate_limited(&state, &key, &origin, Scope::LinksWrite, work).await)
}

/// Cancels an open link.
#[utoipa::path(
    delete,
    path = paths::V1_CONNECT_LINK,
    tag = "connect links",
    operation_id = "cancelConnectLink",
    summary = "Cancel a connect link",
    description = "Ends an open link. A link that was used, cancelled or has expired is not found.",
    params(("id" = String, Path, description = "The link's id.")),
    security(("apiKey" = [Scope::LinksWrite.as_str()])),
    responses((status = 204, description = "It is cancelled."), LinkProblems),
)]
pub async fn cancel(
    State(state): State<AppState>,
    origin: CallOrigin,
    Path(id): Path<ConnectLinkId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let key = api_keys::authenticate(&state.store, &headers).await?;
    let work = async {
        require_unlimited(&key)?;
        let store = state.store.as_actor(origin.actor(&key));
        let cancelled = store.cancel_connect_link(&key.org, &id).await?;
        cancelled.ok_or_else(|| Problem::of(ProblemCode::NoSuchLink))?;
        Ok(StatusCode::NO_CONTENT.into_response())
    };
    Ok(rate_limited(&state, &key, &origin, Scope::LinksWrite, work).await)
}
