//! The server function over the API's description.

use leptos::prelude::*;
use leptos::server_fn::codec::{Json, PostUrl};

use crate::model::{ApiError, ReferenceView};

/// What `/api-reference` shows to anybody.
#[server(prefix = "/api", endpoint = "docs/view", input = PostUrl, output = Json)]
pub async fn reference() -> Result<ReferenceView, ApiError> {
    use crate::server::http::reference::reference;
    use crate::server::state::AppState;

    let state = use_context::<AppState>().ok_or_else(|| ApiError::new("There is no request to answer."))?;
    Ok(reference(&state.config.public_url.at("")))
}
