//! Rejects URLs and forms that contain a NUL character, which PostgreSQL text can't store. Forms are buffered for this
//! check, so the time limit for reading a form is enforced here too, and the organization that it names is read.

use std::error::Error;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use http_body_util::LengthLimitError;
use tokio::time::timeout;

use crate::model::paths;

use super::form_organization::FormOrganization;
use super::limits::{FORM_READ_TIMEOUT, MAX_BODY_BYTES};

/// Responds with 400 if the URL or the form contains a NUL. Runs inside of the body and timeout limits.
pub async fn reject_nul(request: Request, next: Next) -> Response {
    if has_nul(request.uri().to_string().as_bytes()) {
        return nul_response();
    }
    if !is_checked(&request) {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    match timeout(FORM_READ_TIMEOUT, to_bytes(body, MAX_BODY_BYTES)).await {
        Ok(Ok(form)) if has_nul(&form) => nul_response(),
        Ok(Ok(form)) => {
            let organization = FormOrganization::in_form(&form);
            let mut request = Request::from_parts(head, Body::from(form));
            request.extensions_mut().insert(organization);
            next.run(request).await
        }
        Ok(Err(error)) if is_too_long(&error) => {
            (StatusCode::PAYLOAD_TOO_LARGE, "This form is too long.\n").into_response()
        }
        Ok(Err(_)) | Err(_) => (StatusCode::REQUEST_TIMEOUT, "This form was not received in time.\n").into_response(),
    }
}

/// Returns whether a body was longer than its limit.
pub fn is_too_long(error: &(dyn Error + 'static)) -> bool {
    error.is::<LengthLimitError>() || error.source().is_some_and(is_too_long)
}

fn nul_response() -> Response {
    (StatusCode::BAD_REQUEST, "This request contains a NUL character, which can't be stored.\n").into_response()
}

/// Returns whether the body is read as a form. Server functions do so whatever its content type says, as a
/// `text/plain` form of another page has one too. Bodies of programs are JSON or Xero's, and Clerk's are signed.
fn is_checked(request: &Request) -> bool {
    let path = request.uri().path();
    let has_form = !matches!(*request.method(), Method::GET | Method::HEAD);
    has_form && !path.starts_with(paths::V1) && path != paths::CLERK_WEBHOOK
}

/// Finds a raw or a percent-encoded NUL.
pub fn has_nul(text: &[u8]) -> bool {
    text.contains(&0) || text.windows(3).any(|three| three == b"%00")
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use axum::Router;
    use axum::http::header::CONTENT_TYPE;
    use axum::middleware::from_fn;
    use axum::routing::post;
    use futures::stream;
    use tokio::time::{Instant, sleep};
    use tower::ServiceExt;

    use super::*;
    use crate::server::http::middleware::limits;

    /// Posts a form in parts, with a pause in seconds before each. Returns the status and the seconds until the
    /// response.
    async fn post_form(part: &'static str, pauses: impl Iterator<Item = u64> + Send + 'static) -> (StatusCode, u64) {
        let router = Router::new().route("/", post(async |form: String| form));
        let router = router.layer(from_fn(reject_nul)).layer(limits::body_limit()).layer(limits::body_stall_timeout());
        let parts = stream::unfold(pauses, move |mut pauses| async move {
            sleep(Duration::from_secs(pauses.next()?)).await;
            Some((Ok::<_, Infallible>(part), pauses))
        });
        let form = Request::post("/").header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let started = Instant::now();
        let answer = router.oneshot(form.body(Body::from_stream(parts)).unwrap()).await.unwrap();
        (answer.status(), started.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn slow_form_is_accepted_and_stalled_or_endless_form_times_out() {
        assert_eq!(post_form("a=b&", [1, 9, 9].into_iter()).await, (StatusCode::OK, 19));
        assert_eq!(post_form("a=b&", [1, 11].into_iter()).await, (StatusCode::REQUEST_TIMEOUT, 11));
        assert_eq!(post_form("a", std::iter::repeat(9)).await, (StatusCode::REQUEST_TIMEOUT, 30));
    }

    #[tokio::test(start_paused = true)]
    async fn form_without_content_length_is_limited_while_it_is_read() {
        let kilobyte = "0123456789abcdef".repeat(64).leak();
        assert_eq!(post_form(kilobyte, std::iter::repeat_n(0, 128)).await, (StatusCode::OK, 0));
        assert_eq!(post_form(kilobyte, std::iter::repeat_n(0, 129)).await, (StatusCode::PAYLOAD_TOO_LARGE, 0));
    }

    #[tokio::test]
    async fn raw_and_encoded_nul_are_rejected_whatever_the_content_type_says() {
        let router = || Router::new().fallback(async |body: String| body).layer(from_fn(reject_nul));
        let send = async |path: &str, kind: Option<&str>, body: &'static str| {
            let mut request = Request::post(path);
            if let Some(kind) = kind {
                request = request.header(CONTENT_TYPE, kind);
            }
            router().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap().status()
        };
        for kind in [
            Some("application/x-www-form-urlencoded"),
            Some("text/plain"),
            Some("text/plain;charset=UTF-8"),
            Some("application/json"),
            Some("multipart/form-data; boundary=x"),
            None,
        ] {
            for part in ["a=%00", "a=\0"] {
                let status = send("/api/members/invite", kind, part).await;
                assert_eq!(status, StatusCode::BAD_REQUEST, "{kind:?} {part:?}");
            }
            assert_eq!(send("/api/members/invite", kind, "a=b").await, StatusCode::OK, "{kind:?}");
        }
        let program = send("/api/v1/bindings/b/xero/Invoices", Some("application/json"), "{\"a\":\"%00\"}").await;
        assert_eq!(program, StatusCode::OK, "a program's text is not a form");
    }
}
