//! Redirects to the name of this machine that the public URL has. Browsers keep the cookies of its names apart.

use axum::extract::{Request, State};
use axum::http::header::HOST;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, Uri};
use axum::middleware::Next;
use axum::response::Response;

use crate::server::http::flash::see_other;
use crate::server::http::state::AppState;

/// Redirects a request that came by another name of this machine, with its query.
pub async fn redirect_to_public_address(State(state): State<AppState>, request: Request, next: Next) -> Response {
    match public_address(&state, request.headers(), request.uri()) {
        Some(elsewhere) => see_other(&elsewhere),
        None => next.run(request).await,
    }
}

/// Returns where a page is, if it was asked for by another name of this machine.
pub fn public_address(state: &AppState, headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let public = &state.config.public_url;
    let host = headers.get(HOST)?.to_str().ok().filter(|host| public.is_other_loopback_name(host));
    host.map(|_| public.url_for(uri.path_and_query().map_or("/", PathAndQuery::as_str)))
}
