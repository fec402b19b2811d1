//! Addresses of pages that have moved. Bookmarks and old mails lead to them.

use axum::extract::Path;
use axum::http::Uri;
use axum::response::Redirect;

use crate::model::{BindingId, paths};

/// `GET /settings/integrations/{id}/history`: redirects to the connection's page, with the query.
pub async fn connection(Path(id): Path<String>, uri: Uri) -> Redirect {
    let page = paths::connection(&BindingId(url::form_urlencoded::byte_serialize(id.as_bytes()).collect()));
    Redirect::permanent(&uri.query().map_or_else(|| page.clone(), |query| format!("{page}?{query}")))
}
