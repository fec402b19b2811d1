//! The routes that aren't pages or server functions, and what stands around all of them.

pub mod asked;
mod callback;
mod client_address;
mod confirm;
mod connect;
mod consent;
mod events;
mod export;
mod failure;
mod headers;
mod health;
mod invite;
mod limits;
pub mod metrics;
mod notice;
mod nul;
mod once;
pub mod pages;
mod path;
mod request_id;
mod session;
mod v1;
mod webhook;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::csrf::CsrfLayer;

pub use connect::CALLBACK;
pub use v1::reference;

use super::state::AppState;

/// Sessions, the consent's three steps, what changes, health, and what programs ask.
pub fn router() -> Router<AppState> {
    let quick = Router::new()
        .route("/api/session", get(session::current))
        .route("/api/session/login", post(session::login))
        .route("/api/session/logout", post(session::logout))
        .route("/api/session/switch-organization", post(session::switch))
        .route("/api/invitations/accept", post(invite::accept))
        .route("/api/session/theme", post(session::theme))
        .route("/api/integrations/xero/connect", post(connect::connect))
        .route("/activity.csv", get(export::activity))
        .route("/api/events", get(events::events))
        .route("/api/webhooks/clerk", post(webhook::take))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::guarded))
        .layer(limits::short());
    let waits_for_xero = Router::new()
        .route(CALLBACK, get(callback::callback))
        .route("/api/integrations/xero/confirm", post(confirm::confirm));
    quick.merge(waits_for_xero).merge(v1::quick()).merge(v1::waits_for_xero())
}

/// Puts around everything of ours what holds for every request: cross-site posts are refused, bodies and time are
/// bounded, a panic is one answer's end and not the server's, and answers carry the security headers and an id. The sandbox
/// stands outside: it is another site.
pub fn protect(router: Router, state: &AppState) -> Router {
    router
        .layer(from_fn(nul::refuse))
        .layer(limits::body())
        .layer(limits::silence())
        .layer(limits::long())
        .layer(csrf(state))
        .layer(CatchPanicLayer::new())
        .layer(from_fn_with_state(state.clone(), headers::secure))
        .layer(from_fn(request_id::with_id))
}

/// Refuses posts that another site's page sent. The public origin is trusted by name, because a proxy may hand on
/// another `Host`. A program that sends neither header isn't a browser and passes on to authentication.
fn csrf(state: &AppState) -> CsrfLayer {
    let origin = state.config.public_url.origin();
    // A checked public URL is a plain origin, which the layer never refuses; without it the layer is only stricter.
    CsrfLayer::new().add_trusted_origin(origin).unwrap_or_default()
}
