//! Server functions for connections: view, refresh, test, disconnect.

use leptos::prelude::*;
use leptos::server_fn::codec::{Json, PostUrl};

use crate::model::{ApiError, BindingId, OrganizationDetails, OverviewView, RefreshReport, SettingsView};

/// Refreshes the grants of the caller's organization that are due. Responds 401 if nobody is signed in.
#[server(prefix = "/api", endpoint = "integrations/xero/refresh", input = PostUrl, output = Json)]
pub async fn refresh_integrations(
    /// `true` if a person clicked: a click may skip the backoff of a failed connection.
    #[server(default)]
    clicked: bool,
) -> Result<RefreshReport, ApiError> {
    use crate::model::{Flash, Trigger};
    use crate::server::http::server_fn::ServerFnContext;
    use crate::server::tokens::RefreshRequest;

    let asked = ServerFnContext::authenticated().await?;
    let Some(org) = asked.caller.org.clone() else {
        return asked.respond(Ok(RefreshReport { success: true, ..RefreshReport::default() }), |_| None);
    };
    let ask = if clicked {
        RefreshRequest::manual(&asked.caller.email)
    } else {
        RefreshRequest::automatic(Trigger::OrgSwitch)
    };
    let report = asked.state.tokens.proactive_refresh_for_org(&org.id, &ask).await;
    asked.respond(report.map_err(Into::into), |report| Some(Flash::from_refresh_report(report)))
}

/// Exchanges one connection's refresh token now, even if it is not due. For a person's click.
#[server(prefix = "/api", endpoint = "integrations/xero/refresh-connection", input = PostUrl, output = Json)]
pub async fn refresh_connection(binding_id: BindingId) -> Result<RefreshReport, ApiError> {
    use crate::model::Flash;
    use crate::server::http::server_fn::ServerFnContext;
    use crate::server::tokens::RefreshRequest;

    let asked = ServerFnContext::authenticated().await?;
    let report = async {
        let ask = RefreshRequest::manual(&asked.caller.email).forced();
        Ok(asked.state.tokens.refresh_binding(&asked.org()?.id, &binding_id, &ask).await?)
    };
    let report = report.await;
    asked.respond(report, |report| Some(Flash::from_refresh_report(report)))
}

/// Fetches the organization's details from Xero to show that the connection works.
#[server(prefix = "/api", endpoint = "integrations/xero/test", input = PostUrl, output = Json)]
pub async fn test_connection(binding_id: BindingId) -> Result<OrganizationDetails, ApiError> {
    use crate::model::Flash;
    use crate::server::http::server_fn::ServerFnContext;

    let asked = ServerFnContext::authenticated().await?;
    let details = async { Ok(asked.state.tokens.test(&asked.org()?.id, &binding_id).await?) };
    let details = details.await;
    asked.respond(details, |_| Some(Flash::TestPassed { binding: binding_id }))
}

/// Deletes the connection at Xero and in Evergrant. Owners and admins only.
#[server(prefix = "/api", endpoint = "integrations/xero/disconnect", input = PostUrl, output = Json)]
pub async fn disconnect(binding_id: BindingId) -> Result<(), ApiError> {
    use crate::model::Flash;
    use crate::server::http::server_fn::ServerFnContext;

    let asked = ServerFnContext::authenticated().await?;
    let done = async {
        asked.require_manage_connections()?;
        asked.state.tokens.disconnect_as(asked.actor(), &asked.org()?.id, &binding_id).await?;
        Ok(())
    };
    let done = done.await;
    asked.respond(done, |()| Some(Flash::Disconnected))
}

/// Assigns a connection to the caller if the member who connected it has left, which keeps it. Owners and admins only.
#[server(prefix = "/api", endpoint = "integrations/xero/keep", input = PostUrl, output = Json)]
pub async fn keep_connection(binding_id: BindingId) -> Result<(), ApiError> {
    use crate::model::Flash;
    use crate::server::http::server_fn::{ServerFnContext, connection_not_found};

    let asked = ServerFnContext::authenticated().await?;
    let kept = async {
        asked.require_manage_connections()?;
        let (store, org, by) = (&asked.state.store, &asked.org()?.id, &asked.caller.user_id);
        if store.as_actor(asked.actor()).reassign_connection(org, &binding_id, by).await? {
            Ok(())
        } else {
            Err(connection_not_found())
        }
    };
    let kept = kept.await;
    asked.respond(kept, |()| Some(Flash::ConnectionKept))
}

/// Returns what `/settings/integrations` shows.
#[server(prefix = "/api", endpoint = "integrations/view", input = PostUrl, output = Json)]
pub async fn settings() -> Result<SettingsView, ApiError> {
    use crate::model::Permission;
    use crate::server::http::server_fn::ServerFnContext;
    use crate::server::views;

    let asked = ServerFnContext::authenticated().await?;
    let view = async {
        Ok(views::settings(&asked.state.store, &asked.org()?.id, asked.caller.may(Permission::ManageConnections))
            .await?)
    };
    let view = view.await;
    asked.respond(view, |_| None)
}

/// Returns what `/` shows.
#[server(prefix = "/api", endpoint = "overview", input = PostUrl, output = Json)]
pub async fn overview() -> Result<OverviewView, ApiError> {
    use crate::server::http::server_fn::ServerFnContext;
    use crate::server::views;

    let asked = ServerFnContext::authenticated().await?;
    let view = async { Ok(views::overview(&asked.state.store, &asked.org()?.id).await?) };
    let view = view.await;
    asked.respond(view, |_| None)
}
