//! The server function for a connection's own page.

use leptos::prelude::*;
use leptos::server_fn::codec::{Json, PostUrl};

use crate::model::{ApiError, BindingId, ConnectionPageView};

/// Returns what a connection's page shows. Responds 404 if the organization has no such connection.
#[server(prefix = "/api", endpoint = "integrations/connection/view", input = PostUrl, output = Json)]
pub async fn connection(
    /// The connection.
    binding_id: BindingId,
    /// Only attempts older than this cursor of an earlier response.
    #[server(default)]
    before: Option<String>,
) -> Result<ConnectionPageView, ApiError> {
    use crate::model::Cursor;
    use crate::server::http::server_fn::{ServerFnContext, connection_not_found};
    use crate::server::views;

    let after = before.and_then(|before| Cursor::parse(&before));
    let ctx = ServerFnContext::authenticated().await?;
    ctx.run(async |ctx| {
        let (store, scopes) = (&ctx.state.store, &ctx.state.config.xero.scopes);
        let (reader, can_send_email) = ((ctx.org()?, &ctx.viewer()?), ctx.state.notifier.channels().await?.mail);
        let page = views::connection(store, reader, &binding_id, scopes, after.as_ref(), can_send_email).await?;
        page.ok_or_else(connection_not_found)
    })
    .await
    .without_flash()
}
