//! Leads an address with a slash at its end to the one without it.

use axum::extract::Request;
use axum::http::Uri;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};

/// Redirects for good, with the method and the query, where the path ends with a slash.
pub async fn redirect_trailing_slash(request: Request, next: Next) -> Response {
    match without_trailing_slash(request.uri()) {
        Some(location) => Redirect::permanent(&location).into_response(),
        None => next.run(request).await,
    }
}

/// Returns the path and query without slashes at the end of the path, or `None` if there are none.
fn without_trailing_slash(uri: &Uri) -> Option<String> {
    let path = uri.path().strip_suffix('/').filter(|rest| !rest.is_empty())?;
    // Browsers read two slashes at the start, or a slash and a backslash, as another host.
    let path = path.trim_matches(['/', '\\']);
    Some(match uri.query() {
        Some(query) => format!("/{path}?{query}"),
        None => format!("/{path}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slash_at_the_end_is_left_out_and_leads_to_no_other_host() {
        for (from, to) in [
            ("/", None),
            ("/?a=b/", None),
            ("/activity", None),
            ("/activity/", Some("/activity")),
            ("/activity//?page=2", Some("/activity?page=2")),
            ("//", Some("/")),
            ("//evil.example/", Some("/evil.example")),
            ("/%5Cevil.example/", Some("/%5Cevil.example")),
        ] {
            assert_eq!(without_trailing_slash(&from.parse().unwrap()).as_deref(), to, "{from}");
        }
    }
}
