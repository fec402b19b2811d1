//! How much a request may bring, and how long it may take.

use std::time::Duration;

use axum::http::StatusCode;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::{RequestBodyTimeoutLayer, TimeoutLayer};

/// Our longest form is a password; 64 kB leaves room to spare.
pub const BODY_BYTES: usize = 64 * 1024;

/// A body of which nothing comes for so long is no body.
const SILENCE: Duration = Duration::from_secs(10);

/// How long a form may take to come whole, however steadily it comes.
pub const WHOLE: Duration = Duration::from_secs(30);

/// For what the database alone answers.
const SHORT: Duration = Duration::from_secs(30);

/// For what waits for Xero, each of whose calls has a time-out of its own. The work itself goes on in its task.
const LONG: Duration = Duration::from_secs(150);

pub fn body() -> RequestBodyLimitLayer {
    RequestBodyLimitLayer::new(BODY_BYTES)
}

pub fn silence() -> RequestBodyTimeoutLayer {
    RequestBodyTimeoutLayer::new(SILENCE)
}

pub fn short() -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, SHORT)
}

pub fn long() -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, LONG)
}
