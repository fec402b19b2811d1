//! Connect links for every connection that lacks access which the app asks for. One secret, which only the browser
//! keeps for a minute, yields the secrets of them all, so that a cookie holds any number of links.

use super::connect_links::{LinkRequestError, link_url};
use crate::model::{
    BindingId, BindingStatus, ConnectLinkId, DEFAULT_LINK_LIFETIME, GrantStatus, OrgId, OrgView, RevealedSecret,
    UserId, missing_scopes, scope_sentences,
};
use crate::server::crypto::random::{derive_secret, hash_secret, new_secret};
use crate::server::domain::{Grant, Secret};
use crate::server::http::state::AppState;
use crate::server::store::{BindingWithGrant, CreateLinkError, CreatedLinks, NewLinkBatch, Store, StoreError};

/// The longest note, in characters, as for other links.
const MAX_NOTE_CHARACTERS: usize = 300;

/// Links that were created in one step.
pub struct LinkBatch {
    id: String,
    secret: Secret,
}

impl LinkBatch {
    /// Creates the links. Returns `None` if no connection lacks any access, else what became of the connections. The store
    /// audits its actor.
    pub async fn create(
        state: &AppState,
        store: &Store,
        org: &OrgId,
        created_by: &UserId,
    ) -> Result<Option<(Self, CreatedLinks)>, LinkRequestError> {
        let wanted = &state.config.xero.scopes;
        let bound = store.bindings_of_org(org).await.map_err(CreateLinkError::from)?;
        let lacking: Vec<(&BindingId, Vec<String>)> =
            bound.iter().map(|one| (&one.binding.id, missing(one, wanted))).filter(|one| !one.1.is_empty()).collect();
        if lacking.is_empty() {
            return Ok(None);
        }
        let sentences = scope_sentences(lacking.iter().flat_map(|(_, scopes)| scopes.iter().map(String::as_str)));
        let note: String =
            format!("More access than before: {}", sentences.join(", ")).chars().take(MAX_NOTE_CHARACTERS).collect();
        let bindings: Vec<BindingId> = lacking.into_iter().map(|(id, _)| id.clone()).collect();
        let batch = Self { id: uuid::Uuid::new_v4().to_string(), secret: new_secret()? };
        let new = NewLinkBatch {
            id: &batch.id,
            bindings: &bindings,
            requested_by: "",
            note: &note,
            lifetime: DEFAULT_LINK_LIFETIME,
            created_by,
        };
        let hash_of = |link: &ConnectLinkId| hash_secret(&derive_secret(&batch.secret, link.as_str()));
        let made = store.create_link_batch(org, &new, hash_of).await?;
        Ok(Some((batch, made)))
    }

    /// Returns what the cookie of the page that shows the links holds.
    pub fn in_cookie(&self) -> Secret {
        Secret::new(format!("{}.{}", self.id, self.secret.expose()))
    }

    /// Returns the connections' names and the URLs of the links that are still open.
    pub async fn open_links(&self, state: &AppState, org: &OrgId) -> Result<Vec<(String, String)>, StoreError> {
        let mut open = Vec::new();
        for link in state.store.open_links_of_batch(org, &self.id).await? {
            let secret = derive_secret(&self.secret, link.id.as_str());
            // Anything but the batch's own secret yields links that nobody created.
            if hash_secret(&secret) == link.secret_hash {
                open.push((link.tenant.map(|(_, name)| name).unwrap_or_default(), link_url(state, &link.id, &secret)));
            }
        }
        Ok(open)
    }
}

/// Returns the links of such a cookie, for the page that shows them.
pub async fn links_in_cookie(
    state: &AppState,
    org: Option<&OrgView>,
    cookie: Option<Secret>,
) -> Result<Vec<(String, RevealedSecret)>, StoreError> {
    let (Some(org), Some(cookie)) = (org, cookie) else { return Ok(Vec::new()) };
    let Some((id, secret)) = cookie.expose().split_once('.') else { return Ok(Vec::new()) };
    let batch = LinkBatch { id: id.to_owned(), secret: Secret::new(secret) };
    let links = batch.open_links(state, &org.id).await?;
    Ok(links.into_iter().map(|(name, url)| (name, RevealedSecret::new(String::new(), &url))).collect())
}

/// Returns what a connection lacks, if it works.
fn missing(one: &BindingWithGrant, wanted: &str) -> Vec<String> {
    let works = |grant: &&Grant| grant.status == GrantStatus::Active && one.binding.status == BindingStatus::Active;
    one.grant.as_ref().filter(works).map(|grant| missing_scopes(&grant.scopes, wanted)).unwrap_or_default()
}
