//! Server functions for connect links and contacts.

#![expect(clippy::too_many_arguments, reason = "the form of a link has that many fields")]

use leptos::prelude::*;
use leptos::server_fn::codec::{Json, PostUrl};

use crate::model::{ApiError, BindingId, ConnectLinkId, ConnectLinksView, NewLinksView, OrgId};

/// Returns what `/settings/integrations/links` shows. Owners and admins only.
#[server(prefix = "/api", endpoint = "integrations/links/view", input = PostUrl, output = Json)]
pub async fn connect_links() -> Result<ConnectLinksView, ApiError> {
    use crate::model::Permission;
    use crate::server::http::server_fn::ServerFnContext;
    use crate::server::views;

    let ctx = ServerFnContext::authenticated().await?;
    ctx.run(async |ctx| {
        let (org, scopes) = (ctx.require(Permission::ManageConnections)?, &ctx.state.config.xero.scopes);
        let can_send_email = ctx.state.notifier.channels().await?.mail;
        Ok(views::connect_links(&ctx.state.store, org, &ctx.viewer()?, scopes, can_send_email).await?)
    })
    .await
    .without_flash()
}

/// Creates a link and returns its URL. It is shown once: after a plain form post, on the next page.
#[server(prefix = "/api", endpoint = "integrations/links/create", input = PostUrl, output = Json)]
pub async fn create_connect_link(
    /// The connection to reconnect; empty for a new one.
    #[server(default)]
    binding_id: String,
    /// Who asks.
    #[server(default)]
    requested_by: String,
    /// What for.
    #[server(default)]
    note: String,
    /// The program's own id of the connection; empty for none.
    #[server(default)]
    external_id: String,
    /// Tags with spaces between them.
    #[server(default)]
    tags: String,
    /// Where the browser goes afterwards; empty for the link's page.
    #[server(default)]
    return_url: String,
    /// Where the link is sent; empty if the person sends it.
    #[server(default)]
    email: String,
    /// How long the link lives, in seconds; seven days if missing.
    #[server(default)]
    lifetime: Option<i64>,
) -> Result<String, ApiError> {
    use crate::model::{ConnectionFlash, DEFAULT_LINK_LIFETIME, Permission, paths};
    use crate::server::http::routes::connect_links::RequestedLink;
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::CONNECT_LINK_LIST);
    ctx.run(async |ctx| {
        let org = ctx.require(Permission::ManageConnections)?;
        let filled = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let requested = RequestedLink {
            binding: filled(&binding_id).map(BindingId),
            requested_by: requested_by.clone(),
            note: note.clone(),
            external_id: filled(&external_id),
            tags: tags.split_whitespace().map(str::to_owned).collect(),
            return_url: filled(&return_url),
            lifetime: lifetime.unwrap_or(DEFAULT_LINK_LIFETIME),
            email: filled(&email),
        };
        ctx.create_connect_link(org, requested).await
    })
    .await
    .flash(|_| if email.trim().is_empty() { ConnectionFlash::LinkCreated } else { ConnectionFlash::LinkMailed })
}

/// Creates a link for each connection that lacks access which the app asks for and has no open link, and returns their
/// URLs. They are shown once: after a plain form post, on the next page.
#[server(prefix = "/api", endpoint = "integrations/links/create-for-missing", input = PostUrl, output = Json)]
pub async fn create_links_for_missing_access(
    /// The organization that the page was rendered for. `ServerFnContext` reads it from the form and compares it.
    #[server(default)]
    org_id: Option<OrgId>,
) -> Result<NewLinksView, ApiError> {
    use crate::model::{ConnectionFlash, Flash, Permission, paths};
    use crate::server::http::server_fn::ServerFnContext;

    drop(org_id);
    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::CONNECT_LINK_LIST);
    ctx.run(async |ctx| {
        let org = ctx.require(Permission::ManageConnections)?;
        ctx.create_links_for_missing_access(org).await
    })
    .await
    .flash(|made| match (made.urls.len(), made.already_open) {
        (0, 0) => ConnectionFlash::NothingMissing.into(),
        (created, already_open) => {
            Flash::LinksCreated { created: u32::try_from(created).unwrap_or(u32::MAX), already_open }
        }
    })
}

/// Cancels an open link.
#[server(prefix = "/api", endpoint = "integrations/links/cancel", input = PostUrl, output = Json)]
pub async fn cancel_connect_link(link_id: ConnectLinkId) -> Result<(), ApiError> {
    use crate::model::{ConnectionFlash, Permission, paths};
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::CONNECT_LINK_LIST).returning_to_its_page();
    ctx.run(async |ctx| {
        let org = ctx.require(Permission::ManageConnections)?;
        ctx.cancel_connect_link(org, &link_id).await
    })
    .await
    .flash(|()| ConnectionFlash::LinkCancelled)
}

/// Replaces who gets a letter if the connection needs reconnecting, one address a line. Owners and admins only.
#[server(prefix = "/api", endpoint = "integrations/contacts/set", input = PostUrl, output = Json)]
pub async fn set_contacts(
    /// The connection.
    binding_id: BindingId,
    /// The addresses.
    #[server(default)]
    contacts: String,
) -> Result<(), ApiError> {
    use crate::model::{ConnectionFlash, Permission};
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to_its_page();
    ctx.run(async |ctx| {
        let org = ctx.require(Permission::ManageConnections)?;
        ctx.set_contacts(org, &binding_id, &contacts).await
    })
    .await
    .flash(|()| ConnectionFlash::ContactsSaved)
}

/// Replaces the addresses that links may return to, one a line. Owners only.
#[server(prefix = "/api", endpoint = "integrations/links/return-urls", input = PostUrl, output = Json)]
pub async fn set_return_urls(#[server(default)] urls: String) -> Result<(), ApiError> {
    use crate::model::{ConnectionFlash, Permission, paths};
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::CONNECT_LINK_LIST);
    ctx.run(async |ctx| {
        let org = ctx.require(Permission::ManageReturnUrls)?;
        ctx.set_return_urls(org, &urls).await
    })
    .await
    .flash(|()| ConnectionFlash::ReturnUrlsSaved)
}
