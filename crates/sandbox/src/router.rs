//! The routes of the sandbox.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, DATE};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{any, delete, get, post};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use uuid::Uuid;

use crate::responses::{format_utc, not_found};
use crate::sandbox::Sandbox;
use crate::{accounting, authorize, bank_feeds, connections, control, invoices, token_endpoint};

impl Sandbox {
    /// Returns all routes, with paths relative to where the router is mounted.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/identity/connect/authorize", get(authorize::show).post(authorize::decide))
            .route("/identity/connect/page.css", get(authorize::stylesheet))
            .route("/connect/token", post(token_endpoint::token))
            .route("/connect/revocation", post(token_endpoint::revoke))
            .route("/connect/userinfo", get(connections::userinfo))
            .route("/.well-known/openid-configuration", get(connections::discovery))
            .route("/.well-known/openid-configuration/jwks", get(connections::jwks))
            .route("/connections", get(connections::list))
            .route("/connections/{id}", delete(connections::remove))
            .merge(api_routes())
            .nest("/_control", control::router(self))
            .fallback(any(not_found))
            .layer(middleware::from_fn_with_state(self.clone(), common_headers))
            .with_state(self.clone())
    }
}

/// Returns Xero's API for a tenant. Its responses are compressed if the caller accepts that, errors too.
fn api_routes() -> Router<Sandbox> {
    Router::new()
        .route("/api.xro/2.0/Organisation", get(accounting::organization))
        .route("/bankfeeds.xro/1.0/Statements", post(bank_feeds::create_statements))
        .merge(invoices::router())
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
}

/// Adds to every response: no caching, a correlation id, and the sandbox's own time.
async fn common_headers(State(sandbox): State<Sandbox>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(&Uuid::new_v4().to_string()) {
        headers.insert(HeaderName::from_static("xero-correlation-id"), id);
    }
    let date = format_utc(sandbox.now(), "%a, %d %b %Y %H:%M:%S GMT");
    if let Ok(date) = HeaderValue::from_str(&date) {
        headers.insert(DATE, date);
    }
    response
}
