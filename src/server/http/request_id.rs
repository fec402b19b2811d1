//! Each request has an id: the caller's or its proxy's where that is sane, else one of ours. It stands in every line
//! that is logged on the way, in the answer's `x-request-id`, and is what a failure asks people to quote.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

use crate::server::store::new_id;
use crate::server::traces;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// A UUID has 36 characters, a trace's id 32; nobody needs many more.
const LONGEST: usize = 64;

/// Answers under an id.
pub async fn with_id(request: Request, next: Next) -> Response {
    let id = sane(request.headers()).unwrap_or_else(new_id);
    // No path in the log: it may hold what isn't for one.
    let span = traces::request(&id, request.method(), request.uri().path(), request.headers());
    let mut response = traces::answering(id.clone(), &span, next.run(request)).await;
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HEADER, id);
    }
    response
}

/// What can stand in a log as it is, and be searched for.
fn sane(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(HEADER)?.to_str().ok()?;
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.';
    ((8..=LONGEST).contains(&id.len()) && id.chars().all(good)).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_over_only_where_it_is_one() {
        let taken = |id: &str| sane(&HeaderMap::from_iter([(HEADER, HeaderValue::from_str(id).unwrap())]));
        assert_eq!(taken("5b2f-4c.Z_9").as_deref(), Some("5b2f-4c.Z_9"));
        for wrong in ["", "short", "eight and blank", "a\"},{\"b", "dollar$dollar", &"x".repeat(65)] {
            assert_eq!(taken(wrong), None, "{wrong}");
        }
        assert_eq!(sane(&HeaderMap::new()), None);
    }
}
