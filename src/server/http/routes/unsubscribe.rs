//! Contacts who want no more letters: by the page's form, or by a mail program in one click (RFC 8058). Opening a link
//! changes nothing, because scanners open links, too.

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::model::{UnsubscribePage, paths};
use crate::server::crypto::random::hash_secret;
use crate::server::domain::{Actor, Secret};
use crate::server::http::flash::see_other;
use crate::server::http::internal_error::InternalError;
use crate::server::http::link_secret::UNSUBSCRIBE;
use crate::server::http::middleware::client_ip::ClientIp;
use crate::server::http::state::AppState;
use crate::server::store::RowChange;

/// `GET /api/unsubscribe`: leads to the page that asks, for mail programs that open the address of the header.
pub async fn open(RawQuery(query): RawQuery) -> Response {
    see_other(&format!("{}?{}", paths::UNSUBSCRIBE, query.unwrap_or_default()))
}

/// `POST /api/unsubscribe`: stops the letters. Responds to a mail program, which sends the secret in the query, with a
/// status, and to the page's form with the page.
pub async fn unsubscribe(
    State(state): State<AppState>,
    ClientIp(from): ClientIp,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, InternalError> {
    let query = query.unwrap_or_default();
    let token = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "token");
    let in_query = token.map(|(_, token)| Secret::new(token.into_owned()));
    let is_one_click = in_query.is_some();
    let done = match in_query.or_else(|| UNSUBSCRIBE.read(&state, &headers)) {
        Some(secret) => {
            let store = state.store.as_actor(Actor::contact(Some(from.to_string())));
            store.unsubscribe(&hash_secret(&secret)).await?
        }
        None => RowChange::NotFound,
    };
    Ok(match (is_one_click, done) {
        (false, _) => see_other(paths::UNSUBSCRIBE),
        (true, RowChange::Applied) => (StatusCode::OK, "You are unsubscribed.\n").into_response(),
        (true, RowChange::NotFound) => (StatusCode::NOT_FOUND, "This link is unknown.\n").into_response(),
    })
}

/// Loads the page that asks, whose secret is in its cookie by now.
pub async fn load_page(
    state: &AppState,
    headers: &HeaderMap,
    path: &str,
) -> Result<Option<UnsubscribePage>, InternalError> {
    if path != paths::UNSUBSCRIBE {
        return Ok(None);
    }
    let Some(secret) = UNSUBSCRIBE.read(state, headers) else { return Ok(None) };
    Ok(state.store.unsubscribe_page(&hash_secret(&secret)).await?)
}
