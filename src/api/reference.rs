//! Server function for the API reference page.

use leptos::prelude::*;
use leptos::server_fn::codec::{Json, PostUrl};

use crate::model::{ApiError, ReferenceView};

/// Returns what `/api-reference` shows. Needs no session.
#[server(prefix = "/api", endpoint = "docs/view", input = PostUrl, output = Json)]
pub async fn reference() -> Result<ReferenceView, ApiError> {
    use crate::server::http::reference::reference;
    use crate::server::http::server_fn;

    Ok(reference(&server_fn::state()?.config.public_url.url_for("")))
}
