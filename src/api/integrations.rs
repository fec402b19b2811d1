//! Server functions over connections: look, refresh, test, disconnect.

use leptos::prelude::*;
use leptos::server_fn::codec::{Json, PostUrl};

use crate::model::{ApiError, BindingId, OrganisationDetails, OverviewView, RefreshReport, SettingsView};

/// Refreshes what is due in the caller's organisation. 401 when nobody is signed in.
#[server(prefix = "/api", endpoint = "integrations/xero/refresh", input = PostUrl, output = Json)]
pub async fn refresh_integrations(
    /// `true` where a person clicked: a click may pass a failed connection's wait.
    #[server(default)]
    clicked: bool,
) -> Result<RefreshReport, ApiError> {
    use crate::model::{Notice, Trigger};
    use crate::server::{http::asked::Asked, tokens::Ask};

    let asked = Asked::by_somebody().await?;
    let Some(org) = asked.caller.org.clone() else {
        return asked.answer(Ok(RefreshReport { success: true, ..RefreshReport::default() }), |_| None);
    };
    let ask = if clicked { Ask::by(&asked.caller.email, false) } else { Ask::automatic(Trigger::OrgSwitch) };
    let report = asked.state.tokens.proactive_refresh_for_org(&org.id, &ask).await;
    asked.answer(report.map_err(Into::into), |report| Some(Notice::of_refresh(report)))
}

/// Exchanges one connection's refresh token now, due or not: a person's click.
#[server(prefix = "/api", endpoint = "integrations/xero/refresh-connection", input = PostUrl, output = Json)]
pub async fn refresh_connection(binding_id: BindingId) -> Result<RefreshReport, ApiError> {
    use crate::model::Notice;
    use crate::server::{http::asked::Asked, tokens::Ask};

    let asked = Asked::by_somebody().await?;
    let report = async {
        let ask = Ask::by(&asked.caller.email, true);
        Ok(asked.state.tokens.refresh_binding(&asked.org()?.id, &binding_id, &ask).await?)
    };
    let report = report.await;
    asked.answer(report, |report| Some(Notice::of_refresh(report)))
}

/// Fetches the organisation's details from Xero, to show that the connection works.
#[server(prefix = "/api", endpoint = "integrations/xero/test", input = PostUrl, output = Json)]
pub async fn test_connection(binding_id: BindingId) -> Result<OrganisationDetails, ApiError> {
    use crate::model::Notice;
    use crate::server::http::asked::Asked;

    let asked = Asked::by_somebody().await?;
    let details = async { Ok(asked.state.tokens.test(&asked.org()?.id, &binding_id).await?) };
    let details = details.await;
    asked.answer(details, |_| Some(Notice::TestPassed { binding: binding_id }))
}

/// Removes the connection at Xero and here. Owners and admins only.
#[server(prefix = "/api", endpoint = "integrations/xero/disconnect", input = PostUrl, output = Json)]
pub async fn disconnect(binding_id: BindingId) -> Result<(), ApiError> {
    use crate::model::Notice;
    use crate::server::http::asked::Asked;

    let asked = Asked::by_somebody().await?;
    let done = async {
        asked.may_manage()?;
        asked.state.tokens.disconnect_as(asked.actor(), &asked.org()?.id, &binding_id).await?;
        Ok(())
    };
    let done = done.await;
    asked.answer(done, |()| Some(Notice::Disconnected))
}

/// Makes a connection the caller's whose person has left, so that it stays. Owners and admins only.
#[server(prefix = "/api", endpoint = "integrations/xero/keep", input = PostUrl, output = Json)]
pub async fn keep_connection(binding_id: BindingId) -> Result<(), ApiError> {
    use crate::model::Notice;
    use crate::server::http::asked::{Asked, not_found};

    let asked = Asked::by_somebody().await?;
    let kept = async {
        asked.may_manage()?;
        let (store, org, by) = (&asked.state.store, &asked.org()?.id, &asked.caller.user_id);
        if store.acting(asked.actor()).keep_departing(org, &binding_id, by).await? { Ok(()) } else { Err(not_found()) }
    };
    let kept = kept.await;
    asked.answer(kept, |()| Some(Notice::ReplacementKept))
}

/// What `/settings/integrations` shows.
#[server(prefix = "/api", endpoint = "integrations/view", input = PostUrl, output = Json)]
pub async fn settings() -> Result<SettingsView, ApiError> {
    use crate::model::Permission;
    use crate::server::{http::asked::Asked, views};

    let asked = Asked::by_somebody().await?;
    let view = async {
        Ok(views::settings(&asked.state.store, &asked.org()?.id, asked.caller.may(Permission::ManageConnections))
            .await?)
    };
    let view = view.await;
    asked.answer(view, |_| None)
}

/// What `/` shows.
#[server(prefix = "/api", endpoint = "overview", input = PostUrl, output = Json)]
pub async fn overview() -> Result<OverviewView, ApiError> {
    use crate::server::{http::asked::Asked, views};

    let asked = Asked::by_somebody().await?;
    let view = async { Ok(views::overview(&asked.state.store, &asked.org()?.id).await?) };
    let view = view.await;
    asked.answer(view, |_| None)
}
