//! The server function for all of a person's organizations.

use leptos::prelude::*;
use leptos::server_fn::codec::{Json, PostUrl};

use crate::model::{ApiError, OrganizationsView};

/// Returns what `/organizations` shows: the caller's organizations, whichever of them is the current one.
#[server(prefix = "/api", endpoint = "organizations/view", input = PostUrl, output = Json)]
pub async fn organizations(
    /// What a name contains.
    #[server(default)]
    q: String,
) -> Result<OrganizationsView, ApiError> {
    use crate::server::http::server_fn::ServerFnContext;
    use crate::server::views;

    let ctx = ServerFnContext::authenticated().await?;
    ctx.run(async |ctx| {
        let (store, caller) = (&ctx.state.store, &ctx.caller);
        let open = (caller.orgs.as_slice(), caller.org.as_ref().map(|org| &org.id));
        Ok(views::organizations(store, &caller.user_id, open, &caller.locked_orgs, &q).await?)
    })
    .await
    .without_flash()
}
