//! The operations of server functions on connect links and contacts, and their errors.

use axum::http::StatusCode;

use super::rejection::{Rejection, reject_with_flash};
use super::{ServerFnContext, append_cookie};
use crate::model::{BindingId, ConnectLinkId, ConnectionFlash, NewLinksView, OrgView};
use crate::server::domain::return_url::{MAX_RETURN_URLS, normalize_return_url};
use crate::server::http::contact_addresses::contact_addresses;
use crate::server::http::internal_error::InternalError;
use crate::server::http::one_time_secret;
use crate::server::http::routes::connect_links::{LinkRequestError, RequestedLink, create};
use crate::server::http::routes::link_batches::LinkBatch;
use crate::server::store::{CreateLinkError, LinkCreator, MailLimitError};

impl ServerFnContext {
    /// Creates a link and returns its URL. A plain form also receives it in a cookie for the next page.
    pub async fn create_connect_link(&self, org: &OrgView, requested: RequestedLink) -> Result<String, Rejection> {
        let store = self.state.store.as_actor(self.actor());
        let creator = LinkCreator::Person(&self.caller.user_id);
        let created = create(&store, &self.state.notifier, &org.id, requested, creator).await?;
        if self.is_plain_form {
            append_cookie(one_time_secret::CONNECT_LINK.cookie(&self.state, &created.in_cookie()));
        }
        Ok(created.url(&self.state))
    }

    /// Creates a link for each connection that lacks access which the app asks for and has no open link, and returns their
    /// URLs. A plain form also receives the secret of them all in a cookie for the next page.
    pub async fn create_links_for_missing_access(&self, org: &OrgView) -> Result<NewLinksView, Rejection> {
        let store = self.state.store.as_actor(self.actor());
        let batch = LinkBatch::create(&self.state, &store, &org.id, &self.caller.user_id).await?;
        let Some((batch, made)) = batch else { return Ok(NewLinksView::default()) };
        if self.is_plain_form && !made.created.is_empty() {
            append_cookie(one_time_secret::CONNECT_LINKS.cookie(&self.state, &batch.in_cookie()));
        }
        let links = batch.open_links(&self.state, &org.id).await?;
        let already_open = u32::try_from(made.already_open).unwrap_or(u32::MAX);
        Ok(NewLinksView { urls: links.into_iter().map(|(_, url)| url).collect(), already_open })
    }

    /// Cancels an open link, or fails with 404.
    pub async fn cancel_connect_link(&self, org: &OrgView, id: &ConnectLinkId) -> Result<(), Rejection> {
        let cancelled = self.state.store.as_actor(self.actor()).cancel_connect_link(&org.id, id).await?;
        cancelled.ok_or_else(|| reject_link(ConnectionFlash::NoSuchLink))
    }

    /// Replaces the addresses that links may return to, one a line.
    pub async fn set_return_urls(&self, org: &OrgView, lines: &str) -> Result<(), Rejection> {
        let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty());
        let urls: Option<Vec<String>> = lines.map(normalize_return_url).collect();
        let urls = urls.filter(|urls| urls.len() <= MAX_RETURN_URLS);
        let urls = urls.ok_or_else(|| reject_link(ConnectionFlash::ReturnUrlsInvalid))?;
        Ok(self.state.store.as_actor(self.actor()).set_return_urls(&org.id, &urls).await?)
    }
}

impl ServerFnContext {
    /// Replaces a connection's contacts, one address a line.
    pub async fn set_contacts(&self, org: &OrgView, binding: &BindingId, lines: &str) -> Result<(), Rejection> {
        let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty());
        let emails = contact_addresses(lines).ok_or_else(|| reject_link(ConnectionFlash::ContactsInvalid))?;
        let changed = self.state.store.as_actor(self.actor()).set_contacts(&org.id, binding, &emails).await?;
        changed.ok_or_else(|| reject_link(ConnectionFlash::NotFound))
    }
}

impl From<LinkRequestError> for Rejection {
    fn from(error: LinkRequestError) -> Self {
        match error {
            LinkRequestError::Invalid(_) => reject_link(ConnectionFlash::LinkInvalid),
            LinkRequestError::InvalidLabels(_) => reject_link(ConnectionFlash::LinkLabels),
            LinkRequestError::InvalidEmail => reject_link(ConnectionFlash::LinkEmailInvalid),
            LinkRequestError::Mail(MailLimitError::TooMany) => reject_link(ConnectionFlash::TooManyMails),
            LinkRequestError::Mail(MailLimitError::Store(error)) => error.into(),
            LinkRequestError::NoMailServer => reject_link(ConnectionFlash::LinkNoMailServer),
            LinkRequestError::Create(CreateLinkError::NotAllowed) => reject_link(ConnectionFlash::NotAllowed),
            LinkRequestError::Create(CreateLinkError::NoSuchConnection) => reject_link(ConnectionFlash::NotFound),
            LinkRequestError::Create(CreateLinkError::ReturnUrlNotAllowed) => {
                reject_link(ConnectionFlash::ReturnUrlNotAllowed)
            }
            LinkRequestError::Create(CreateLinkError::ExternalIdTaken) => reject_link(ConnectionFlash::ExternalIdTaken),
            LinkRequestError::Create(CreateLinkError::TooMany) => reject_link(ConnectionFlash::TooManyLinks),
            LinkRequestError::Create(CreateLinkError::Store(error)) => error.into(),
            LinkRequestError::Random(error) => InternalError::logged(&error).into(),
        }
    }
}

fn reject_link(notice: ConnectionFlash) -> Rejection {
    let status = match notice {
        ConnectionFlash::NotAllowed => StatusCode::FORBIDDEN,
        ConnectionFlash::NoSuchLink | ConnectionFlash::NotFound => StatusCode::NOT_FOUND,
        ConnectionFlash::TooManyLinks | ConnectionFlash::ExternalIdTaken => StatusCode::CONFLICT,
        ConnectionFlash::TooManyMails => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    reject_with_flash(status, notice)
}
