//! The server function for Xero's state.

use leptos::prelude::*;
use leptos::server_fn::codec::{Json, PostUrl};

use crate::model::{ApiError, XeroStateView};

/// Returns what `/xero` shows. Members see it without the details.
#[server(prefix = "/api", endpoint = "xero/view", input = PostUrl, output = Json)]
pub async fn xero_state() -> Result<XeroStateView, ApiError> {
    use crate::server::http::server_fn::ServerFnContext;
    use crate::server::views;

    let ctx = ServerFnContext::authenticated().await?;
    ctx.run(async |ctx| {
        let state = &ctx.state;
        let alarm = state.notifier.credentials_alarm();
        Ok(views::xero_state(&state.store, ctx.org()?, alarm, state.xero.endpoint_states()).await?)
    })
    .await
    .without_flash()
}
