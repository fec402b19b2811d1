//! Text with a NUL character in it, which PostgreSQL can't hold. Nothing of ours has one, so that whoever sends one is
//! told so before anything is looked up, and SQLite's users are told the same. For that a form is read whole here, and so
//! it is here that one is sent away that never comes whole.

use std::error::Error;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use http_body_util::LengthLimitError;
use tokio::time::timeout;

use super::limits::{BODY_BYTES, WHOLE};

/// Refuses an address or a form with a NUL in it. Stands inside of what bounds bodies and time.
pub async fn refuse(request: Request, next: Next) -> Response {
    if has_nul(request.uri().to_string().as_bytes()) {
        return refused();
    }
    if !is_form(request.headers()) {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    match timeout(WHOLE, to_bytes(body, BODY_BYTES)).await {
        Ok(Ok(form)) if has_nul(&form) => refused(),
        Ok(Ok(form)) => next.run(Request::from_parts(head, Body::from(form))).await,
        Ok(Err(error)) if is_too_long(&error) => {
            (StatusCode::PAYLOAD_TOO_LARGE, "This form is too long.\n").into_response()
        }
        Ok(Err(_)) | Err(_) => (StatusCode::REQUEST_TIMEOUT, "This form didn't come whole in time.\n").into_response(),
    }
}

fn is_too_long(error: &(dyn Error + 'static)) -> bool {
    error.is::<LengthLimitError>() || error.source().is_some_and(is_too_long)
}

fn refused() -> Response {
    (StatusCode::BAD_REQUEST, "This request has a NUL character in it, which nothing here holds.\n").into_response()
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.trim_start().to_ascii_lowercase().starts_with("application/x-www-form-urlencoded")
}

/// As it is, or percent-encoded.
fn has_nul(text: &[u8]) -> bool {
    text.contains(&0) || text.windows(3).any(|three| three == b"%00")
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use axum::Router;
    use axum::middleware::from_fn;
    use axum::routing::post;
    use futures::stream;
    use tokio::time::{Instant, sleep};
    use tower::ServiceExt;

    use super::super::limits;
    use super::*;

    /// What a form is answered that comes in such parts, with so many seconds before each, and after how many seconds.
    async fn answered(part: &'static str, pauses: impl Iterator<Item = u64> + Send + 'static) -> (StatusCode, u64) {
        let router = Router::new().route("/", post(async |form: String| form));
        let router = router.layer(from_fn(refuse)).layer(limits::body()).layer(limits::silence());
        let parts = stream::unfold(pauses, move |mut pauses| async move {
            sleep(Duration::from_secs(pauses.next()?)).await;
            Some((Ok::<_, Infallible>(part), pauses))
        });
        let form = Request::post("/").header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let begun = Instant::now();
        let answer = router.oneshot(form.body(Body::from_stream(parts)).unwrap()).await.unwrap();
        (answer.status(), begun.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_form_may_be_slow_but_not_silent_or_endless() {
        assert_eq!(answered("a=b&", [1, 9, 9].into_iter()).await, (StatusCode::OK, 19));
        assert_eq!(answered("a=b&", [1, 11].into_iter()).await, (StatusCode::REQUEST_TIMEOUT, 11));
        assert_eq!(answered("a", std::iter::repeat(9)).await, (StatusCode::REQUEST_TIMEOUT, 30));
    }

    #[tokio::test(start_paused = true)]
    async fn a_form_without_a_length_is_counted_as_it_comes() {
        let kilobyte = "0123456789abcdef".repeat(64).leak();
        assert_eq!(answered(kilobyte, std::iter::repeat_n(0, 64)).await, (StatusCode::OK, 0));
        assert_eq!(answered(kilobyte, std::iter::repeat_n(0, 65)).await, (StatusCode::PAYLOAD_TOO_LARGE, 0));
    }

    #[tokio::test]
    async fn a_form_with_a_nul_is_refused_however_it_is_written() {
        for part in ["a=%00", "a=\0"] {
            assert_eq!(answered(part, [0].into_iter()).await.0, StatusCode::BAD_REQUEST, "{part:?}");
        }
    }
}
