//! Server functions for the activity pages: refresh attempts and the audit log.

use leptos::prelude::*;
use leptos::server_fn::codec::{Json, PostUrl};

use crate::model::{ActivityView, ApiError, BindingId, ChangesView, ConnectionHistoryView};

/// Returns one page of the organization's refresh attempts for `/activity`, newest first.
#[server(prefix = "/api", endpoint = "activity", input = PostUrl, output = Json)]
pub async fn activity(
    /// Only attempts of this connection.
    #[server(default)]
    connection: Option<BindingId>,
    /// Only attempts with this outcome; an unknown value is ignored.
    #[server(default)]
    outcome: Option<String>,
    /// Only entries older than this cursor of an earlier response.
    #[server(default)]
    before: Option<String>,
) -> Result<ActivityView, ApiError> {
    use crate::model::{ActivityFilter, Cursor, Outcome};
    use crate::server::http::server_fn::ServerFnContext;
    use crate::server::views;

    let outcome = outcome.and_then(|outcome| Outcome::parse(&outcome));
    let filter = ActivityFilter { connection: connection.filter(|id| !id.0.is_empty()), outcome };
    let after = before.and_then(|before| Cursor::parse(&before));
    let ctx = ServerFnContext::authenticated().await?;
    ctx.run(async |ctx| Ok(views::activity(&ctx.state.store, (&ctx.org()?.id, &ctx.viewer()?), filter, after).await?))
        .await
        .without_flash()
}

/// Returns one page of the organization's audit log for `/activity?show=changes`, newest first.
#[server(prefix = "/api", endpoint = "activity/changes", input = PostUrl, output = Json)]
pub async fn changes(
    /// Only this kind of change; an unknown value is ignored.
    #[server(default)]
    action: Option<String>,
    /// Only changes by this kind of actor; an unknown value is ignored.
    #[server(default)]
    actor: Option<String>,
    /// Only entries older than this cursor of an earlier response.
    #[server(default)]
    before: Option<String>,
) -> Result<ChangesView, ApiError> {
    use crate::model::{Action, ActorKind, ChangesFilter, Cursor};
    use crate::server::http::server_fn::ServerFnContext;
    use crate::server::views;

    let filter = ChangesFilter {
        action: action.and_then(|action| Action::parse(&action)),
        actor: actor.and_then(|actor| ActorKind::parse(&actor)),
    };
    let after = before.and_then(|before| Cursor::parse(&before));
    let ctx = ServerFnContext::authenticated().await?;
    ctx.run(async |ctx| Ok(views::changes(&ctx.state.store, (ctx.org()?, &ctx.viewer()?), filter, after).await?))
        .await
        .without_flash()
}

/// Returns the connection's last 50 attempts, newest first. Responds 404 if the organization has no such connection.
#[server(prefix = "/api", endpoint = "integrations/xero/history", input = PostUrl, output = Json)]
pub async fn connection_history(binding_id: BindingId) -> Result<ConnectionHistoryView, ApiError> {
    use crate::server::http::server_fn::{ServerFnContext, connection_not_found};
    use crate::server::views::{self, masked_attempt};

    /// Thirty days, in seconds.
    const USAGE_PERIOD: i64 = 30 * 24 * 60 * 60;

    let ctx = ServerFnContext::authenticated().await?;
    ctx.run(async |ctx| {
        let (store, org) = (&ctx.state.store, &ctx.org()?.id);
        let bound = store.binding(org, &binding_id).await?.ok_or_else(connection_not_found)?;
        let usage = store.proxy_usage_of(org, &binding_id, store.clock().now() - USAGE_PERIOD).await?;
        let (attempts, viewer) = (store.attempts_of_binding(org, &binding_id, 50).await?, ctx.viewer()?);
        let attempts = attempts.into_iter().map(|attempt| masked_attempt(attempt, &viewer)).collect();
        let consent = views::consent(store, org, (&bound, &viewer), &ctx.state.config.xero.scopes).await?;
        Ok(ConnectionHistoryView { attempts, usage, consent })
    })
    .await
    .without_flash()
}
