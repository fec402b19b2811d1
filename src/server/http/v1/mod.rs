//! `/api/v1`: the API for other programs, authenticated by API keys of an organization.

mod binding_path;
mod bindings;
mod call_origin;
mod connect_links;
mod etag;
mod events;
mod idempotency;
mod import;
mod json_body;
mod openapi;
mod paging;
mod plain_answers;
mod problem;
mod problem_responses;
mod rate_limit;
pub mod reference;
mod token;
mod xero;

use axum::Router;
use axum::extract::Request;
use axum::http::header::ALLOW;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};

pub use self::idempotency::replay_repeated_posts;
pub use self::plain_answers::answer_with_problems;
use self::problem::Problem;
use super::internal_error::InternalError;
use super::middleware::limits;
use super::middleware::reject_nul::has_nul;
use super::state::AppState;
use crate::model::{ProblemCode, paths};

/// Returns the problem that programs get if a handler panics.
pub fn problem_of_panic() -> impl IntoResponse {
    Problem::from(InternalError::panicked())
}

/// Returns the routes that only need the database, with the short timeout.
pub fn database_routes() -> Router<AppState> {
    let links = get(connect_links::list).post(connect_links::post);
    let link = get(connect_links::read).delete(connect_links::cancel);
    Router::new()
        .route(paths::OPENAPI, get(openapi::get_document))
        .route(paths::V1_BINDINGS, get(bindings::list).fallback(method_not_allowed))
        .route(paths::V1_CONNECT_LINKS, links.fallback(method_not_allowed))
        .route(paths::V1_CONNECT_LINK, link.fallback(method_not_allowed))
        .route(paths::V1_EVENTS, get(events::list).fallback(method_not_allowed))
        .route("/api/v1", any(not_found))
        .route("/api/v1/{*path}", any(not_found))
        .layer(limits::database_route_timeout())
}

/// Returns the routes that may wait for Xero.
pub fn xero_routes() -> Router<AppState> {
    // A HEAD would refresh and vend a token, and discard it.
    let vend = get(token::vend).head(get_only).fallback(get_only);
    let binding = get(bindings::read).patch(bindings::label).delete(bindings::disconnect::disconnect);
    Router::new()
        .route(paths::V1_TOKEN, vend)
        .route(paths::V1_BINDING, binding.fallback(method_not_allowed))
        .route(paths::V1_IMPORT, post(import::import).fallback(method_not_allowed))
        .route(paths::V1_REFRESH, post(bindings::refresh).fallback(method_not_allowed))
}

/// Returns the route that passes calls on to Xero. It has no limit on bodies.
pub fn proxy_routes() -> Router<AppState> {
    let forward = get(xero::forward).post(xero::forward).put(xero::forward).patch(xero::forward);
    Router::new().route(paths::V1_XERO, forward.delete(xero::forward).fallback(method_not_allowed))
}

/// Answers calls of programs whose URL contains a NUL with a problem, before `reject_nul` answers as it does a browser.
pub async fn refuse_nul(request: Request, next: Next) -> Response {
    let is_call = request.uri().path().starts_with(paths::V1);
    if is_call && has_nul(request.uri().to_string().as_bytes()) {
        return Problem::of(ProblemCode::NulCharacter).into_response();
    }
    next.run(request).await
}

async fn not_found() -> Problem {
    Problem::of(ProblemCode::NoSuchRoute)
}

/// Answers where not even a HEAD is allowed, which the router would list.
async fn get_only() -> impl IntoResponse {
    ([(ALLOW, "GET")], Problem::of(ProblemCode::MethodNotAllowed))
}

async fn method_not_allowed() -> Problem {
    Problem::of(ProblemCode::MethodNotAllowed)
}
