//! The page that a browser gets in place of a bare 500 or 503: with an id to quote and a way out. It needs no database.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use leptos::prelude::LeptosOptions;

use super::page_context::provide_page_context;
use crate::model::{FailurePage, Page, Theme, paths};
use crate::server::auth::cookie::{THEME_COOKIE, read_cookie, session_hashes};
use crate::server::http::safe_redirect::referer_path;
use crate::server::http::state::AppState;
use crate::server::store::new_id;
use crate::server::telemetry::traces;
use crate::ui::shell;

/// Replaces the text of an internal error by a page, if a browser shows it.
pub async fn show_failure_page(State(state): State<AppState>, request: Request, next: Next) -> Response {
    if !is_shown(&request) {
        return next.run(request).await;
    }
    let headers = request.headers().clone();
    let again = match request.method() {
        &Method::GET => request.uri().path_and_query().map_or(paths::HOME, |here| here.as_str()).to_owned(),
        _ => referer_path(&state.config.public_url, &headers),
    };
    let response = next.run(request).await;
    let has_failed = [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::SERVICE_UNAVAILABLE].contains(&response.status());
    // A page that could not read its data says so itself.
    let is_page = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if !has_failed || is_page { response } else { render(&state, &headers, again, response).await }
}

/// What operators and their programs read, in a browser, too.
const PROBES: [&str; 3] = [paths::HEALTHZ, paths::READYZ, paths::METRICS];

/// Returns whether a browser shows the response: not that of a program or a script, and not a file's.
fn is_shown(request: &Request) -> bool {
    let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let path = request.uri().path();
    let is_ours = !path.starts_with(paths::V1) && !PROBES.contains(&path);
    is_ours && accept.is_some_and(|accept| accept.contains("text/html"))
}

async fn render(state: &AppState, headers: &HeaderMap, again: String, failed: Response) -> Response {
    // The log has the cause under the request's id.
    let id = traces::request_id().unwrap_or_else(new_id);
    let url = &state.config.public_url;
    let theme = read_cookie(url, headers, THEME_COOKIE).and_then(|text| Theme::parse(&text)).unwrap_or_default();
    let failure = FailurePage { id, again, has_session: !session_hashes(url, headers).is_empty() };
    let page = Page { failure: Some(failure), theme, sandbox: state.is_sandbox(), ..Page::default() };
    let (for_page, options): (AppState, LeptosOptions) = (state.clone(), state.leptos.clone());
    let render = leptos_axum::render_app_to_stream_with_context(
        move || provide_page_context(&for_page),
        move || shell(options.clone()),
    );
    let mut request = Request::default();
    request.extensions_mut().insert(Arc::new(page));
    let mut response = render(request).await.into_response();
    *response.status_mut() = failed.status();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
