//! Connect links: created for people and programs alike, and the data of the page behind one.

use axum::http::HeaderMap;
use axum::http::header::USER_AGENT;

use crate::model::{
    BindingId, ConnectLinkId, ConnectLinkPage, LinkOutcome, MAX_LINK_LIFETIME, MIN_LINK_LIFETIME, OrgId, paths,
    scope_sentences,
};
use crate::server::auth::normalize_email;
use crate::server::crypto::random::{RandomError, hash_secret, new_secret};
use crate::server::domain::Secret;
use crate::server::domain::labels::{EXTERNAL_ID_RULE, TAGS_RULE, is_external_id, sorted_tags};
use crate::server::http::internal_error::InternalError;
use crate::server::http::link_secret::CONNECT_LINK;
use crate::server::http::oauth::scopes::refusal_view;
use crate::server::http::state::AppState;
use crate::server::notify::Notifier;
use crate::server::store::{
    ConnectLink, CreateLinkError, LinkCreator, MailLimitError, NewConnectLink, Store, StoreError, count_mail,
};

/// How much of a browser's name is kept, in characters.
const MAX_BROWSER_CHARACTERS: usize = 200;
/// The longest name of who asks, in characters.
const MAX_REQUESTED_BY_CHARACTERS: usize = 100;
/// The longest note, in characters.
const MAX_NOTE_CHARACTERS: usize = 300;

/// What `create` requires of the texts.
const TEXT_RULE: &str = "requestedBy is a line of at most 100 characters, note of at most 300";
/// What `create` requires of the lifetime.
const LIFETIME_RULE: &str = "expiresIn is a whole number of seconds from 300 to 2592000";

/// A link that a person or a program asks for. Nothing of it is checked yet.
#[derive(Default)]
pub struct RequestedLink {
    /// The connection to reconnect; `None` for a new one.
    pub binding: Option<BindingId>,
    /// Who asks.
    pub requested_by: String,
    /// What for.
    pub note: String,
    /// The program's own id of the connection.
    pub external_id: Option<String>,
    /// Tags of the connection.
    pub tags: Vec<String>,
    /// Where the browser goes afterwards.
    pub return_url: Option<String>,
    /// How long it lives, in seconds.
    pub lifetime: i64,
    /// Where it is sent; `None` if its creator sends it.
    pub email: Option<String>,
}

/// A new link.
pub struct CreatedLink {
    /// Identifies the link.
    pub id: ConnectLinkId,
    /// Whoever has it can use the link.
    pub secret: Secret,
}

/// Why a link was not created.
#[derive(Debug, thiserror::Error)]
pub enum LinkRequestError {
    /// A text or the lifetime breaks this rule.
    #[error("{0}")]
    Invalid(&'static str),
    /// The external id or a tag breaks this rule.
    #[error("{0}")]
    InvalidLabels(&'static str),
    /// The address is none.
    #[error("email is not an email address")]
    InvalidEmail,
    /// It is to be sent, and no server can send email.
    #[error("this Evergrant has no mail server, so it can't send the link; leave email out and send it yourself")]
    NoMailServer,
    /// Too many mails went to the address, or the database failed to count them.
    #[error(transparent)]
    Mail(#[from] MailLimitError),
    /// The store refused it.
    #[error(transparent)]
    Create(#[from] CreateLinkError),
    /// The system returned no random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl From<StoreError> for LinkRequestError {
    fn from(error: StoreError) -> Self {
        Self::Create(error.into())
    }
}

/// Checks the request and creates the link. The store audits its actor, and the notifier sends the link.
pub async fn create(
    store: &Store,
    notifier: &Notifier,
    org: &OrgId,
    requested: RequestedLink,
    created_by: LinkCreator<'_>,
) -> Result<CreatedLink, LinkRequestError> {
    let RequestedLink { binding, requested_by, note, external_id, tags, return_url, lifetime, email } = requested;
    let (requested_by, note) = (requested_by.trim(), note.trim());
    let is_line = |text: &str, most: usize| text.chars().count() <= most && !text.chars().any(char::is_control);
    if !is_line(requested_by, MAX_REQUESTED_BY_CHARACTERS) || !is_line(note, MAX_NOTE_CHARACTERS) {
        return Err(LinkRequestError::Invalid(TEXT_RULE));
    }
    if !(MIN_LINK_LIFETIME..=MAX_LINK_LIFETIME).contains(&lifetime) {
        return Err(LinkRequestError::Invalid(LIFETIME_RULE));
    }
    if external_id.as_deref().is_some_and(|id| !is_external_id(id)) {
        return Err(LinkRequestError::InvalidLabels(EXTERNAL_ID_RULE));
    }
    let email = match email {
        Some(email) => Some(normalize_email(&email).ok_or(LinkRequestError::InvalidEmail)?),
        None => None,
    };
    if email.is_some() && !notifier.channels().await?.mail {
        return Err(LinkRequestError::NoMailServer);
    }
    let tags = sorted_tags(tags).ok_or(LinkRequestError::InvalidLabels(TAGS_RULE))?;
    if let Some(email) = &email {
        count_mail(store, org.as_str(), email).await?;
    }
    let secret = new_secret()?;
    let new = NewConnectLink {
        secret_hash: &hash_secret(&secret),
        binding: binding.as_ref(),
        requested_by,
        note,
        external_id: external_id.as_deref(),
        tags: &tags,
        return_url: return_url.as_deref(),
        lifetime,
        email: email.as_deref(),
        created_by: Some(created_by),
    };
    let id = store.create_connect_link(org, new).await?;
    Ok(CreatedLink { id, secret })
}

impl CreatedLink {
    /// Returns the absolute URL, with the secret.
    pub fn url(&self, state: &AppState) -> String {
        link_url(state, &self.id, &self.secret)
    }

    /// Returns what the cookie of the page that shows the link holds.
    pub fn in_cookie(&self) -> Secret {
        Secret::new(format!("{}.{}", self.id, self.secret.expose()))
    }
}

/// Returns the URL of the link in such a cookie.
pub fn url_in_cookie(state: &AppState, cookie: &Secret) -> Option<String> {
    let (id, secret) = cookie.expose().split_once('.')?;
    Some(link_url(state, &id.into(), &Secret::new(secret)))
}

pub(super) fn link_url(state: &AppState, id: &ConnectLinkId, secret: &Secret) -> String {
    state.config.public_url.url_for(&format!("{}?token={}", paths::connect_link(id), secret.expose()))
}

/// Returns the link if this browser has opened it: its cookie holds the secret.
pub async fn opened_link(
    state: &AppState,
    headers: &HeaderMap,
    id: &ConnectLinkId,
) -> Result<Option<ConnectLink>, StoreError> {
    let Some(secret) = CONNECT_LINK.read_at(state, headers, &paths::connect_link(id)) else { return Ok(None) };
    let link = state.store.connect_link(id).await?;
    let hash = hash_secret(&secret);
    Ok(link.filter(|link| link.secret_hash == hash || link.mail_secret_hash.as_ref() == Some(&hash)))
}

/// Loads the page behind a link, whose secret is in its cookie by now.
pub async fn load_page(
    state: &AppState,
    headers: &HeaderMap,
    path: &str,
) -> Result<Option<ConnectLinkPage>, InternalError> {
    let Some(id) = path.strip_prefix(paths::CONNECT_LINKS) else { return Ok(None) };
    let Some(link) = opened_link(state, headers, &id.into()).await? else { return Ok(None) };
    let refusal = refusal_view(state, &link.org).await?.filter(|_| link.outcome == Some(LinkOutcome::ScopeRefused));
    Ok(Some(ConnectLinkPage {
        id: link.id,
        status: link.status,
        organisation: link.org_name,
        requested_by: link.requested_by,
        note: link.note,
        tenant_name: link.tenant.map(|(_, name)| name),
        works: link.works,
        permissions: scope_sentences(state.config.xero.scopes.split_whitespace()),
        expires_at: link.expires_at,
        outcome: link.outcome,
        chosen: link.chosen,
        least_access_lacks: refusal.and_then(|refusal| refusal.least_access_lacks),
    }))
}

/// Returns how the browser names itself, for the audit log.
pub fn browser_name(headers: &HeaderMap) -> String {
    let name = headers.get(USER_AGENT).map(|name| String::from_utf8_lossy(name.as_bytes())).unwrap_or_default();
    name.chars().filter(|one| !one.is_control()).take(MAX_BROWSER_CHARACTERS).collect()
}
