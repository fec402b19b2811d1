//! The routes that a server has now: at first those of one that starts, which say what it waits for.

use std::convert::Infallible;
use std::fmt::Display;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use parking_lot::RwLock;
use tower::ServiceExt;

use super::routes::health;
use crate::model::paths;

/// What a person or a program reads that asks for anything but the health.
const STARTING: &str = "Evergrant is starting. Try again in a moment.";

/// The routes that are served now. Cheap to clone; clones serve the same.
#[derive(Clone)]
pub struct CurrentRouter(Arc<RwLock<Router>>);

impl CurrentRouter {
    /// Starts with the routes of a server that waits for `reason`.
    pub fn starting(reason: &impl Display) -> Self {
        Self(Arc::new(RwLock::new(starting_routes(reason))))
    }

    /// Says that the server waits for something else now.
    pub fn wait_for(&self, reason: &impl Display) {
        self.replace(starting_routes(reason));
    }

    /// Serves other routes from the next request on.
    pub fn replace(&self, router: Router) {
        *self.0.write() = router;
    }

    /// Returns a router that passes each request to the current routes.
    pub fn router(&self) -> Router {
        let current = self.clone();
        Router::new().fallback(move |request: Request| {
            let router = current.0.read().clone();
            async move { router.oneshot(request).await.unwrap_or_else(|never: Infallible| match never {}) }
        })
    }
}

/// Returns the routes of a server that has not started. It is alive, not ready, and answers everything else with 503.
fn starting_routes(reason: &impl Display) -> Router {
    let words = format!("not ready: {reason}\n");
    Router::new()
        .route(paths::HEALTHZ, get(health::healthz))
        .route(paths::READYZ, get(|| async { unavailable(words) }))
        .fallback(|uri: Uri| async move {
            if uri.path().starts_with("/api/v1/") {
                return problem();
            }
            unavailable(format!("{STARTING}\n"))
        })
}

/// Returns a problem without a type of its own (RFC 9457, 4.2.1).
fn problem() -> Response {
    let body = serde_json::json!({
        "type": "about:blank", "title": "Service Unavailable", "status": 503, "detail": STARTING,
    });
    let mut response = unavailable(body.to_string());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}

fn unavailable(words: String) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(CACHE_CONTROL, "no-store"), (RETRY_AFTER, "2")], words).into_response()
}
