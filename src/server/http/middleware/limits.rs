//! Limits on the size and the duration of requests.

use std::time::Duration;

use axum::http::StatusCode;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::{RequestBodyTimeoutLayer, TimeoutLayer};

/// The maximum body size, far above our largest form: twenty rows of an import with the longest tokens fit.
pub const MAX_BODY_BYTES: usize = 128 * 1024;

/// How long a request body may stall between two chunks.
const BODY_STALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a complete form may take to arrive.
pub const FORM_READ_TIMEOUT: Duration = Duration::from_secs(30);

/// The timeout of routes that only need the database.
const DATABASE_ROUTE_TIMEOUT: Duration = Duration::from_secs(30);

/// The timeout of routes that may wait for several Xero calls. An exchange continues in its own task.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(150);

/// Limits the body size to `MAX_BODY_BYTES`.
pub fn body_limit() -> RequestBodyLimitLayer {
    RequestBodyLimitLayer::new(MAX_BODY_BYTES)
}

/// Aborts a request whose body stalls.
pub fn body_stall_timeout() -> RequestBodyTimeoutLayer {
    RequestBodyTimeoutLayer::new(BODY_STALL_TIMEOUT)
}

/// Responds with 503 when a database-only route takes too long.
pub fn database_route_timeout() -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, DATABASE_ROUTE_TIMEOUT)
}

/// Responds with 503 when any route takes too long.
pub fn request_timeout() -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_TIMEOUT)
}
