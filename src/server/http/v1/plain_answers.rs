//! Answers with a problem what the layers around the handlers refuse in plain text: a body that is too long or does not
//! arrive, and a call that takes too long.

use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::problem::{PROBLEM_JSON, Problem};
use crate::model::{ProblemCode, paths};

/// Marks a response of Xero's, which is passed on whatever it is.
#[derive(Clone, Copy)]
pub struct FromXero;

/// Replaces such an answer to a call of the API. Runs outside of the limits on bodies and durations.
pub async fn answer_with_problems(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if !path.starts_with(paths::V1) {
        return next.run(request).await;
    }
    // /api/v1/bindings/{id}/xero/…
    let has_body = matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH);
    let is_proxied = path.split('/').nth(5) == Some("xero");
    let response = next.run(request).await;
    let is_problem = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == PROBLEM_JSON);
    if is_problem || response.extensions().get::<FromXero>().is_some() {
        return response;
    }
    match response.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::of(ProblemCode::BodyTooLarge).into_response(),
        StatusCode::BAD_REQUEST | StatusCode::REQUEST_TIMEOUT if has_body => {
            Problem::of(ProblemCode::BodyIncomplete).into_response()
        }
        // The call may have reached Xero.
        StatusCode::SERVICE_UNAVAILABLE if is_proxied => Problem::of(ProblemCode::XeroNoAnswer).into_response(),
        StatusCode::SERVICE_UNAVAILABLE => Problem::timed_out().into_response(),
        _ => response,
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn;
    use axum::routing::any;
    use tower::ServiceExt as _;

    use super::*;

    /// Returns the status and the content type of the answer to a call whose handler answers with `status` in plain text.
    async fn answered(path: &str, status: StatusCode, is_xeros: bool) -> (StatusCode, String) {
        let handler = move || async move {
            let mut response = (status, "plain").into_response();
            if is_xeros {
                response.extensions_mut().insert(FromXero);
            }
            response
        };
        let router = Router::new().fallback(any(handler)).layer(from_fn(answer_with_problems));
        let response = router.oneshot(Request::post(path).body(Body::empty()).unwrap()).await.unwrap();
        let kind = response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
        (response.status(), kind)
    }

    #[tokio::test]
    async fn plain_refusals_become_problems_and_responses_of_xeros_stay() {
        for (status, expected) in [(413, 413), (400, 400), (408, 400), (503, 503)] {
            let (status, expected) = (StatusCode::from_u16(status).unwrap(), StatusCode::from_u16(expected).unwrap());
            let problem = (expected, PROBLEM_JSON.to_owned());
            assert_eq!(answered("/api/v1/import", status, false).await, problem);
            let plain = (status, "text/plain; charset=utf-8".to_owned());
            assert_eq!(answered("/login", status, false).await, plain);
            assert_eq!(answered("/api/v1/bindings/b/xero/api.xro/2.0/Invoices", status, true).await, plain);
        }
        let lost = (StatusCode::GATEWAY_TIMEOUT, PROBLEM_JSON.to_owned());
        let path = "/api/v1/bindings/b/xero/api.xro/2.0/Invoices";
        assert_eq!(answered(path, StatusCode::SERVICE_UNAVAILABLE, false).await, lost);
    }
}
