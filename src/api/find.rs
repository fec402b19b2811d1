//! Server function for the finder.

use leptos::prelude::*;
use leptos::server_fn::codec::{Json, PostUrl};

use crate::model::{ApiError, FoundView};

/// Searches the names of the organization's connections and of the pages, for `/find`.
#[server(prefix = "/api", endpoint = "find", input = PostUrl, output = Json)]
pub async fn find(
    /// The letters; case and diacritics don't matter.
    #[server(default)]
    query: String,
) -> Result<FoundView, ApiError> {
    use crate::server::http::server_fn::ServerFnContext;
    use crate::server::views;

    let ctx = ServerFnContext::authenticated().await?;
    ctx.run(async |ctx| Ok(views::find(&ctx.state.store, ctx.org()?, &query).await?)).await.without_flash()
}
