//! Server functions for connections: view, refresh, test, disconnect.

use leptos::prelude::*;
use leptos::server_fn::codec::{Json, PostUrl};

use crate::model::{ApiError, BindingId, OrgId, OrganizationDetails, OverviewView, RefreshReport, SettingsView};

/// Refreshes the grants of the caller's organization that are due. Responds 401 if nobody is signed in.
#[server(prefix = "/api", endpoint = "integrations/xero/refresh", input = PostUrl, output = Json)]
pub async fn refresh_integrations(
    /// `true` if a person clicked: a click may skip the backoff of a failed connection.
    #[server(default)]
    clicked: bool,
    /// The organization that the page was rendered for. `ServerFnContext` reads it from the form and compares it.
    #[server(default)]
    org_id: Option<OrgId>,
) -> Result<RefreshReport, ApiError> {
    use crate::model::{Flash, Trigger};
    use crate::server::http::server_fn::ServerFnContext;
    use crate::server::tokens::RefreshRequest;

    drop(org_id);
    let ctx = ServerFnContext::authenticated().await?.returning_to_its_page();
    let ctx = if clicked { ctx } else { ctx.by_itself() };
    let Some(org) = ctx.caller.org.clone() else {
        let nothing_to_refresh = RefreshReport { success: true, ..RefreshReport::default() };
        return ctx.run(async |_| Ok(nothing_to_refresh)).await.without_flash();
    };
    let request =
        if clicked { RefreshRequest::manual(&ctx.caller.email) } else { RefreshRequest::automatic(Trigger::OrgSwitch) };
    ctx.run(async |ctx| Ok(ctx.state.tokens.proactive_refresh_for_org(&org.id, &request).await?))
        .await
        .flash(Flash::from_refresh_report)
}

/// Exchanges one connection's refresh token now, even if it is not due. For a person's click.
#[server(prefix = "/api", endpoint = "integrations/xero/refresh-connection", input = PostUrl, output = Json)]
pub async fn refresh_connection(
    /// The connection whose grant is refreshed.
    binding_id: BindingId,
    /// The organization that the page was rendered for. `ServerFnContext` reads it from the form and compares it.
    #[server(default)]
    org_id: Option<OrgId>,
) -> Result<RefreshReport, ApiError> {
    use crate::model::Flash;
    use crate::server::http::server_fn::ServerFnContext;
    use crate::server::tokens::RefreshRequest;

    drop(org_id);
    let ctx = ServerFnContext::authenticated().await?.returning_to_its_page();
    ctx.run(async |ctx| {
        let request = RefreshRequest::manual(&ctx.caller.email).forced();
        Ok(ctx.state.tokens.refresh_binding(&ctx.org()?.id, &binding_id, &request).await?)
    })
    .await
    .flash(Flash::from_refresh_report)
}

/// Fetches the organization's details from Xero to show that the connection works.
#[server(prefix = "/api", endpoint = "integrations/xero/test", input = PostUrl, output = Json)]
pub async fn test_connection(
    /// The connection to test.
    binding_id: BindingId,
    /// The organization that the page was rendered for. `ServerFnContext` reads it from the form and compares it.
    #[server(default)]
    org_id: Option<OrgId>,
) -> Result<OrganizationDetails, ApiError> {
    use crate::model::ConnectionFlash;
    use crate::server::http::server_fn::ServerFnContext;
    use crate::server::proxy;

    drop(org_id);
    let ctx = ServerFnContext::authenticated().await?.returning_to_its_page();
    ctx.run(async |ctx| {
        let by = (&ctx.state.tokens, &ctx.state.proxy.limiter);
        Ok(proxy::test_connection(by, ctx.actor(), &ctx.org()?.id, &binding_id).await?)
    })
    .await
    .flash(|_| ConnectionFlash::TestPassed)
}

/// Deletes the connection at Xero and in Evergrant. Owners and admins only.
#[server(prefix = "/api", endpoint = "integrations/xero/disconnect", input = PostUrl, output = Json)]
pub async fn disconnect(
    /// The connection to delete.
    binding_id: BindingId,
    /// The organization that the page was rendered for. `ServerFnContext` reads it from the form and compares it.
    #[server(default)]
    org_id: Option<OrgId>,
) -> Result<(), ApiError> {
    use crate::model::{ConnectionFlash, Permission};
    use crate::server::http::server_fn::ServerFnContext;
    use crate::server::tokens::DisconnectOutcome;

    drop(org_id);
    let ctx = ServerFnContext::authenticated().await?.returning_to_its_page();
    ctx.run(async |ctx| {
        ctx.require(Permission::ManageConnections)?;
        ctx.require_recent_proof()?;
        let outcome = ctx.state.tokens.disconnect_as(ctx.actor(), &ctx.org()?.id, &binding_id).await?;
        Ok(match outcome {
            DisconnectOutcome::RemovedAtXero => ConnectionFlash::Disconnected,
            DisconnectOutcome::LocalOnly => ConnectionFlash::DisconnectedHere,
            DisconnectOutcome::KeptForAnotherOrg => ConnectionFlash::DisconnectedShared,
        })
    })
    .await
    .flash(|flash| *flash)
    .map(drop)
}

/// Assigns a connection to the caller if the member who connected it has left, which keeps it. Owners and admins only.
#[server(prefix = "/api", endpoint = "integrations/xero/keep", input = PostUrl, output = Json)]
pub async fn keep_connection(
    /// The connection to assign to the caller.
    binding_id: BindingId,
) -> Result<(), ApiError> {
    use crate::model::{ConnectionFlash, Permission};
    use crate::server::http::server_fn::{ServerFnContext, connection_not_found};

    let ctx = ServerFnContext::authenticated().await?.returning_to_its_page();
    ctx.run(async |ctx| {
        ctx.require(Permission::ManageConnections)?;
        let (store, org, by) = (&ctx.state.store, &ctx.org()?.id, &ctx.caller.user_id);
        store.as_actor(ctx.actor()).reassign_connection(org, &binding_id, by).await?.ok_or_else(connection_not_found)
    })
    .await
    .flash(|()| ConnectionFlash::Kept)
}

/// Returns what `/settings/integrations` shows.
#[server(prefix = "/api", endpoint = "integrations/view", input = PostUrl, output = Json)]
pub async fn settings(
    /// What a name, an external id or a tag contains.
    #[server(default)]
    q: String,
    /// Only connections in this state; an unknown value is ignored.
    #[server(default)]
    state: Option<String>,
    /// The number of the list's page, from 1.
    #[server(default)]
    page: Option<usize>,
    /// The connection that comes first.
    #[server(default)]
    connection: Option<BindingId>,
    /// The connection that the viewer is asked to confirm disconnecting.
    #[server(default)]
    disconnect: Option<BindingId>,
) -> Result<SettingsView, ApiError> {
    use crate::model::{ListQuery, ListState};
    use crate::server::http::server_fn::ServerFnContext;
    use crate::server::views::{self, SettingsRequest};

    let state = state.and_then(|state| ListState::parse(&state));
    let ctx = ServerFnContext::authenticated().await?;
    ctx.run(async |ctx| {
        let (app, org) = (&ctx.state, ctx.org()?);
        let request = SettingsRequest {
            query: ListQuery { search: q, state, page: page.unwrap_or(1), first: connection },
            asked: disconnect.as_ref(),
            allows_least_access: app.config.xero.allows_least_access(),
        };
        Ok(views::settings(&app.store, org, &ctx.viewer()?, &app.config.xero.scopes, request).await?)
    })
    .await
    .without_flash()
}

/// Returns what `/` shows.
#[server(prefix = "/api", endpoint = "overview", input = PostUrl, output = Json)]
pub async fn overview() -> Result<OverviewView, ApiError> {
    use crate::server::http::server_fn::ServerFnContext;
    use crate::server::views;

    let ctx = ServerFnContext::authenticated().await?;
    ctx.run(async |ctx| {
        let (state, org) = (&ctx.state, &ctx.org()?.id);
        let alarm = state.notifier.credentials_alarm();
        Ok(views::overview(&state.store, org, &ctx.viewer()?, alarm.as_ref()).await?)
    })
    .await
    .without_flash()
}
