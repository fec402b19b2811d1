//! `/_control/…`: the routes by which tests control the sandbox. JSON in and out.
//!
//! Requests that name a foreign origin are refused, so that the page of another site can't reach them.

mod consents;
mod observation;
mod response;
mod settings;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::ORIGIN;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use url::Url;

use crate::sandbox::Sandbox;
use response::error_response;

pub(crate) fn router(sandbox: &Sandbox) -> Router<Sandbox> {
    Router::new()
        .route("/clock", get(settings::clock).post(settings::advance_clock))
        .route("/settings", get(settings::settings).post(settings::change_settings))
        .route("/faults", get(settings::faults).post(settings::add_fault).delete(settings::clear_faults))
        .route("/oddities", get(settings::oddities).post(settings::add_oddity).delete(settings::clear_oddities))
        .route("/clients", get(settings::clients).post(settings::register_client))
        .route("/disconnect", post(consents::disconnect))
        .route("/rename", post(consents::rename))
        .route("/mint", post(consents::mint))
        .route("/mint-many", post(consents::mint_many))
        .route("/revoke-grant", post(consents::revoke_grant))
        .route("/remove-user", post(consents::remove_user))
        .route("/scopes", post(consents::set_scopes))
        .route("/api-calls", get(observation::api_calls))
        .route("/ledger", get(observation::ledger))
        .route("/issued", get(observation::issued))
        .route("/hold", post(observation::hold))
        .route("/release", post(observation::release))
        .route("/waiting", get(observation::waiting))
        .layer(middleware::from_fn_with_state(sandbox.clone(), refuse_foreign_origin))
}

/// Refuses requests of other sites' pages. Programs send neither header; a browser sends at least one with every
/// request that can change something.
async fn refuse_foreign_origin(State(sandbox): State<Sandbox>, request: Request, next: Next) -> Response {
    if has_foreign_origin(request.headers(), &sandbox.options().public_url) {
        return error_response(StatusCode::FORBIDDEN, "control routes refuse requests from another origin");
    }
    next.run(request).await
}

fn has_foreign_origin(headers: &HeaderMap, public_url: &str) -> bool {
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("unreadable"));
    let own_origin = Url::parse(public_url).map(|url| url.origin().ascii_serialization()).ok();
    header("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none")
        || header(ORIGIN.as_str()).is_some_and(|origin| own_origin.as_deref() != Some(origin))
}
