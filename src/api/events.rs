//! Server functions for the events that people are notified of.

use leptos::prelude::*;
use leptos::server_fn::codec::{Json, PostUrl};

use crate::model::{ApiError, BindingId, EventsView};

/// Returns one page of the events of the organization and of the whole app for `/events`, newest first.
#[server(prefix = "/api", endpoint = "events/view", input = PostUrl, output = Json)]
pub async fn events(
    /// Only events of this kind; an unknown value is ignored.
    #[server(default)]
    kind: Option<String>,
    /// Only events about this connection.
    #[server(default)]
    connection: Option<BindingId>,
    /// Only events older than this cursor of an earlier response.
    #[server(default)]
    before: Option<String>,
) -> Result<EventsView, ApiError> {
    use crate::model::{Cursor, EventKind, EventListFilter};
    use crate::server::http::server_fn::ServerFnContext;
    use crate::server::views;

    let filter = EventListFilter {
        kind: kind.and_then(|kind| EventKind::parse(&kind)).filter(|kind| kind.is_for_people()),
        connection: connection.filter(|id| !id.0.is_empty()),
    };
    let after = before.and_then(|before| Cursor::parse(&before));
    let ctx = ServerFnContext::authenticated().await?;
    ctx.run(async |ctx| {
        let reader = (ctx.org()?, &ctx.caller.user_id, &ctx.viewer()?);
        Ok(views::events(&ctx.state.store, reader, ctx.caller.read, filter, after.as_ref()).await?)
    })
    .await
    .without_flash()
}

/// Marks events up to `up_to` (unix seconds, the page's `as_of`) as read.
#[server(prefix = "/api", endpoint = "events/read", input = PostUrl, output = Json)]
pub async fn mark_read(
    up_to: i64,
    /// How many unread events the page showed.
    #[server(default)]
    seen: Option<u32>,
) -> Result<(), ApiError> {
    use crate::model::paths;
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::EVENT_LIST);
    ctx.run(async |ctx| {
        let up_to = up_to.min(ctx.state.store.clock().now());
        Ok(ctx.state.store.mark_events_read(&ctx.org()?.id, &ctx.caller.user_id, up_to, seen).await?)
    })
    .await
    .without_flash()
}
