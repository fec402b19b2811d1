//! The router: pages, server functions and routes, and the middleware around them.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use leptos::prelude::{LeptosOptions, provide_context};
use leptos_axum::{LeptosRoutes, generate_route_list, handle_server_fns_with_context};
use tower_http::CompressionLevel;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;

use super::internal_error::InternalError;
use super::middleware::{
    cross_site, failure_page, limits, page_context, public_address, reader_order, reject_nul, request_id,
    request_metrics, security_headers, trailing_slash, typed_form,
};
use super::state::AppState;
use super::{assets, oauth, routes, v1};
use crate::model::{MalformedArguments, paths};
use crate::ui::{App, shell};

/// Returns the router of the whole server. `sandbox` is the sandbox's router, in sandbox mode.
///
/// The sandbox is a separate site in all but its origin: it sets its own headers and accepts cross-site posts.
pub fn router(state: &AppState, sandbox: Option<Router>) -> Router {
    let ours = wrap_in_middleware(with_proxy(ours(state), state), state);
    match sandbox {
        Some(sandbox) => Router::new().nest(paths::SANDBOX, sandbox).fallback_service(ours),
        None => {
            Router::new().route(&format!("{}/{{*path}}", paths::SANDBOX), any(api_not_found)).fallback_service(ours)
        }
    }
}

/// Adds the route to Xero's API. Its bodies are streamed; all others are limited and buffered. Its paths are Xero's: only
/// ours have no slash at the end.
fn with_proxy(ours: Router, state: &AppState) -> Router {
    // Not what has an encoding already, and no event stream. A higher level would cost more than the page itself.
    let compression = CompressionLayer::new().quality(CompressionLevel::Fastest);
    let ours = ours.layer(from_fn(trailing_slash::redirect_trailing_slash)).layer(compression);
    let checked = ours.layer(from_fn(reject_nul::reject_nul)).layer(from_fn(v1::refuse_nul));
    let limited = checked.layer(limits::body_limit());
    v1::proxy_routes()
        .route_layer(from_fn_with_state(state.clone(), request_metrics::count_request))
        .fallback_service(limited)
        .with_state(state.clone())
}

/// Returns the routes, and the pages behind them.
fn ours(state: &AppState) -> Router {
    let forms = Router::new()
        .route(paths::SERVER_FUNCTIONS, get(api_not_found).post(handle_server_function))
        .merge(database_routes())
        .route_layer(from_fn_with_state(state.clone(), typed_form::keep_typed_form));
    Router::new()
        .merge(forms)
        .merge(xero_routes(state))
        .merge(api_routes(state))
        .merge(assets::asset_routes())
        .route_layer(from_fn_with_state(state.clone(), request_metrics::count_request))
        .fallback_service(pages(state))
        .layer(CatchPanicLayer::custom(|_| InternalError::panicked().into_response()))
        .layer(from_fn_with_state(state.clone(), failure_page::show_failure_page))
        .with_state(state.clone())
}

/// Returns the API for programs, without its route to Xero's, which passes an `Idempotency-Key` on.
fn api_routes(state: &AppState) -> Router<AppState> {
    let routes = v1::database_routes().merge(v1::xero_routes());
    let routes = routes.layer(CatchPanicLayer::custom(|_| v1::problem_of_panic().into_response()));
    routes.route_layer(from_fn_with_state(state.clone(), v1::replay_repeated_posts))
}

/// Returns the routes that only need the database, with the short timeout.
fn database_routes() -> Router<AppState> {
    Router::new()
        .route(paths::SESSION, get(routes::session::get_session))
        .route(paths::SESSION_LOGIN, post(routes::session::login))
        .route(paths::SESSION_OIDC_LINK, post(routes::identity_link::sign_in_and_link))
        .route(paths::SESSION_CODE, post(routes::second_factor::enter_code))
        .route(paths::SESSION_PROOF, post(routes::second_factor::prove))
        .route(paths::SESSION_LOGOUT, post(routes::session::logout))
        .route(paths::SESSION_SWITCH_ORGANIZATION, post(routes::session::switch_organization))
        .route(paths::SESSION_FORGOT, post(routes::account_links::forgot))
        .route(paths::SESSION_RESET, post(routes::account_links::reset))
        .route(paths::SESSION_CONFIRM_EMAIL, post(routes::account_links::confirm_email))
        .route(paths::ACCEPT_INVITATION, post(routes::invitations::accept))
        .route(paths::SESSION_THEME, post(routes::session::set_theme))
        .route(paths::START_CONNECT_LINK, post(oauth::link::start))
        .route(paths::UNSUBSCRIBE_POST, get(routes::unsubscribe::open).post(routes::unsubscribe::unsubscribe))
        .route(paths::CONNECT, post(oauth::connect::connect))
        .route(paths::OLD_CONNECTION, get(routes::moved_pages::connection))
        .route(paths::ACTIVITY_CSV, get(routes::export::activity))
        .route(paths::EVENTS, get(routes::events::events))
        .route(paths::CLERK_WEBHOOK, post(routes::clerk_webhook::receive))
        .route(paths::HEALTHZ, get(routes::health::healthz))
        .route(paths::READYZ, get(routes::health::readyz))
        .route(paths::METRICS, get(routes::metrics::get_metrics))
        .layer(limits::database_route_timeout())
}

/// Returns the routes that may wait for Xero or for the OpenID Connect provider.
fn xero_routes(state: &AppState) -> Router<AppState> {
    // Where a provider sends the browser, and where a browser sets out to one: its cookies must be there.
    let ways = Router::new()
        .route(paths::CALLBACK, get(oauth::callback::callback))
        .route(paths::SESSION_OIDC, get(routes::oidc::start))
        .route(paths::SESSION_OIDC_CALLBACK, get(routes::oidc::callback))
        .route_layer(from_fn_with_state(state.clone(), public_address::redirect_to_public_address));
    Router::new().merge(ways).route(paths::CONFIRM, post(oauth::confirm::confirm))
}

/// Returns the pages, and the page for paths that do not exist.
fn pages(state: &AppState) -> Router {
    let (context, options) = (state.clone(), state.leptos.clone());
    Router::new()
        .leptos_routes_with_context(
            state,
            generate_route_list(App),
            move || page_context::provide_page_context(&context),
            move || shell(options.clone()),
        )
        .fallback(not_found_page)
        .layer(from_fn_with_state(state.clone(), request_metrics::count_request))
        .layer(from_fn_with_state(state.clone(), page_context::with_page_context))
        .layer(from_fn(reader_order::sort_for_reader))
        .with_state(state.clone())
}

/// Wraps the router in the middleware for every request. The last layer is the outermost.
fn wrap_in_middleware(router: Router, state: &AppState) -> Router {
    router
        .layer(limits::body_stall_timeout())
        .layer(limits::request_timeout())
        .layer(from_fn(v1::answer_with_problems))
        .layer(from_fn_with_state(state.clone(), cross_site::refuse_cross_site))
        .layer(CatchPanicLayer::custom(|_| InternalError::panicked().into_response()))
        .layer(from_fn_with_state(state.clone(), security_headers::add_security_headers))
        .layer(from_fn(request_id::assign_request_id))
}

async fn handle_server_function(State(state): State<AppState>, request: Request) -> Response {
    let malformed = MalformedArguments::default();
    let given = (state, malformed.clone());
    let provide = move || {
        provide_context(given.0.clone());
        provide_context(given.1.clone());
    };
    let mut response = handle_server_fns_with_context(provide, request).await.into_response();
    if malformed.is_set() && response.status().is_server_error() {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    response
}

async fn api_not_found() -> Response {
    (StatusCode::NOT_FOUND, axum::Json(serde_json::json!({ "error": "There is nothing at this address." })))
        .into_response()
}

/// Renders the "page not found" page with status 404.
async fn not_found_page(State(state): State<AppState>, request: Request) -> Response {
    let (for_page, options): (AppState, LeptosOptions) = (state.clone(), state.leptos.clone());
    let render = leptos_axum::render_app_to_stream_with_context(
        move || page_context::provide_page_context(&for_page),
        move || shell(options.clone()),
    );
    let mut response = render(request).await.into_response();
    if response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    response
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use leptos::server_fn::axum::server_fn_paths;

    use super::*;

    #[tokio::test]
    async fn page_paths_are_the_pages_of_the_router() {
        let pages: BTreeSet<String> = generate_route_list(App).iter().map(|route| route.path().to_owned()).collect();
        let connection = paths::connection(&"{id}".into());
        let link = paths::connect_link(&"{id}".into());
        let constants = paths::PAGES.iter().map(|page| (*page).to_owned()).chain([connection, link]);
        assert_eq!(pages, constants.collect());
    }

    #[test]
    fn pages_name_only_api_routes_that_exist() {
        let routes = [
            paths::SESSION_LOGIN,
            paths::SESSION_CODE,
            paths::SESSION_PROOF,
            paths::SESSION_LOGOUT,
            paths::SESSION_FORGOT,
            paths::SESSION_RESET,
            paths::SESSION_CONFIRM_EMAIL,
            paths::SESSION_OIDC,
            paths::SESSION_OIDC_LINK,
            paths::SESSION_SWITCH_ORGANIZATION,
            paths::SESSION_THEME,
            paths::ACCEPT_INVITATION,
            paths::START_CONNECT_LINK,
            paths::UNSUBSCRIBE_POST,
            paths::CONNECT,
            paths::CONFIRM,
            paths::EVENTS,
            paths::OPENAPI,
        ];
        let known: BTreeSet<&str> = server_fn_paths().map(|(path, _)| path).chain(routes).collect();
        let mut named = BTreeSet::new();
        collect_api_paths(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ui"), &mut named);
        assert!(!named.is_empty());
        let unknown: Vec<_> = named.iter().filter(|path| !known.contains(path.as_str())).collect();
        assert!(unknown.is_empty(), "no such route: {unknown:?}");
    }

    /// Collects the string literals in the pages that start with `/api/`, without their queries.
    fn collect_api_paths(folder: &Path, into: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect_api_paths(&path, into);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let literals = text.split("\"/api/").skip(1).filter_map(|rest| rest.split(['"', '?']).next());
            into.extend(literals.filter(|rest| !rest.starts_with("v1/")).map(|rest| format!("/api/{rest}")));
        }
    }
}
