//! Server functions over connections: look, refresh, test, disconnect.

use leptos::prelude::*;
use leptos::server_fn::codec::{Json, PostUrl};

use crate::model::{ApiError, AttemptView, BindingId, OrganisationDetails, OverviewView, RefreshReport, SettingsView};

/// Refreshes what is due in the caller's organisation. 401 when nobody is signed in.
#[server(prefix = "/api", endpoint = "integrations/xero/refresh", input = PostUrl, output = Json)]
pub async fn refresh_integrations() -> Result<RefreshReport, ApiError> {
    todo!()
}

/// Exchanges one connection's refresh token now, due or not: a person's click.
#[server(prefix = "/api", endpoint = "integrations/xero/refresh-connection", input = PostUrl, output = Json)]
pub async fn refresh_connection(binding_id: BindingId) -> Result<RefreshReport, ApiError> {
    todo!()
}

/// Fetches the organisation's details from Xero, to show that the connection works.
#[server(prefix = "/api", endpoint = "integrations/xero/test", input = PostUrl, output = Json)]
pub async fn test_connection(binding_id: BindingId) -> Result<OrganisationDetails, ApiError> {
    todo!()
}

/// The connection's last attempts, newest first, at most fifty.
#[server(prefix = "/api", endpoint = "integrations/xero/history", input = PostUrl, output = Json)]
pub async fn connection_history(binding_id: BindingId) -> Result<Vec<AttemptView>, ApiError> {
    todo!()
}

/// Removes the connection at Xero and here. Owners and admins only.
#[server(prefix = "/api", endpoint = "integrations/xero/disconnect", input = PostUrl, output = Json)]
pub async fn disconnect(binding_id: BindingId) -> Result<(), ApiError> {
    todo!()
}

/// What `/settings/integrations` shows.
#[server(prefix = "/api", endpoint = "integrations/view", input = PostUrl, output = Json)]
pub async fn settings() -> Result<SettingsView, ApiError> {
    todo!()
}

/// What `/` shows.
#[server(prefix = "/api", endpoint = "overview", input = PostUrl, output = Json)]
pub async fn overview() -> Result<OverviewView, ApiError> {
    todo!()
}
