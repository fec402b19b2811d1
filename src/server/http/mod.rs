//! The routes that are neither pages nor server functions, and the middleware around every route.

pub mod assets;
mod flash;
mod internal_error;
pub mod listener;
pub mod middleware;
mod oauth;
mod one_time_secret;
pub mod routes;
mod safe_redirect;
pub mod server_fn;
pub mod state;
mod v1;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::csrf::CsrfLayer;

pub use oauth::connect::CALLBACK_PATH;
pub use v1::reference;

use state::AppState;

/// Returns the routes for sessions, the OAuth flow, events, exports, health and the API.
pub fn router() -> Router<AppState> {
    let database_routes = Router::new()
        .route("/api/session", get(routes::session::get_session))
        .route("/api/session/login", post(routes::session::login))
        .route("/api/session/logout", post(routes::session::logout))
        .route("/api/session/switch-organization", post(routes::session::switch_organization))
        .route("/api/invitations/accept", post(routes::invitations::accept))
        .route("/api/session/theme", post(routes::session::set_theme))
        .route("/api/integrations/xero/connect", post(oauth::connect::connect))
        .route("/activity.csv", get(routes::export::activity))
        .route("/api/events", get(routes::events::events))
        .route("/api/webhooks/clerk", post(routes::clerk_webhook::receive))
        .route("/healthz", get(routes::health::healthz))
        .route("/readyz", get(routes::health::readyz))
        .route("/metrics", get(routes::metrics::get_metrics))
        .layer(middleware::limits::database_route_timeout());
    let xero_routes = Router::new()
        .route(CALLBACK_PATH, get(oauth::callback::callback))
        .route("/api/integrations/xero/confirm", post(oauth::confirm::confirm));
    database_routes.merge(xero_routes).merge(v1::database_routes()).merge(v1::xero_routes())
}

/// Wraps the router in the middleware for every request, from the outside in:
///
/// - request id, security headers
/// - panics become a 500 response
/// - cross-site posts are refused
/// - timeouts, body limits, no NUL characters
///
/// The sandbox is not wrapped: it counts as another site.
pub fn apply_middleware(router: Router, state: &AppState) -> Router {
    router
        .layer(from_fn(middleware::reject_nul::reject_nul))
        .layer(middleware::limits::body_limit())
        .layer(middleware::limits::body_stall_timeout())
        .layer(middleware::limits::request_timeout())
        .layer(csrf_layer(state))
        .layer(CatchPanicLayer::new())
        .layer(from_fn_with_state(state.clone(), middleware::security_headers::add_security_headers))
        .layer(from_fn(middleware::request_id::assign_request_id))
}

/// Refuses posts from pages of other sites. The public origin is trusted explicitly, because a proxy may forward a
/// different `Host`. A request without `Origin` and `Sec-Fetch-Site` is not from a browser and passes.
fn csrf_layer(state: &AppState) -> CsrfLayer {
    let origin = state.config.public_url.origin();
    // A checked public URL is a plain origin, which the layer accepts. Without it the layer is only stricter.
    CsrfLayer::new().add_trusted_origin(origin).unwrap_or_default()
}
