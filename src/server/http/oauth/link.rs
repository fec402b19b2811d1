//! A consent by a connect link: `POST /api/connect-links/start`, and the callback of whoever came by the link. They have
//! no session and get none; the link's secret in its cookie is what the consent is bound to.

use std::net::IpAddr;

use axum::Form;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

use super::callback_params::{CallbackParams, ConsentAnswer, explain};
use super::complete::{abandon_unused_grant, cancel_superseded_confirmations};
use super::connect::redirect_uri;
use super::receive::{AuthorizationCode, ConsentError, ReceivedConsent, receive};
use super::repeated::FirstCallback;
use super::scopes::scopes_to_ask_for;
use super::unused::delete_connections_at_xero;
use crate::model::{ConnectLinkId, ConnectionFlash, LinkOutcome, LinkStatus, paths};
use crate::server::auth::{Attempt, AttemptError, AttemptPurpose};
use crate::server::crypto::random::{hash_secret, new_secret};
use crate::server::domain::return_url::allowed_return_url;
use crate::server::domain::{Actor, Tenant};
use crate::server::http::flash::{see_other, see_other_with_flash};
use crate::server::http::internal_error::InternalError;
use crate::server::http::link_secret::{CONNECT_LINK, MAX_OPENED};
use crate::server::http::middleware::client_ip::ClientIp;
use crate::server::http::routes::connect_links::{browser_name, opened_link};
use crate::server::http::state::AppState;
use crate::server::store::{
    ConnectLink, ConsentGiver, ConsumedLinkState, LinkBinding, LinkUse, PendingConsent, RowChange,
};

/// Form of the page behind a link.
#[derive(Deserialize)]
pub struct StartForm {
    id: ConnectLinkId,
    /// Asks for the smallest set of scopes, if Xero has refused the configured one and the operator allows it.
    #[serde(default)]
    least_access: bool,
}

/// Redirects to Xero's authorize URL, if the browser has opened the link and the link is open.
pub async fn start(
    State(state): State<AppState>,
    ClientIp(from): ClientIp,
    headers: HeaderMap,
    Form(StartForm { id, least_access }): Form<StartForm>,
) -> Result<Response, InternalError> {
    let page = paths::connect_link(&id);
    let link = opened_link(&state, &headers, &id).await?.filter(|link| link.status == LinkStatus::Open);
    let Some(link) = link else { return Ok(see_other(&page)) };
    // Only now: whoever knows no more than the id must not use up the attempts of the person who has the link.
    let attempt = Attempt { purpose: AttemptPurpose::ConnectLink, account: id.as_str(), from, known_browser: None };
    match state.link_limiter.check(&attempt).await {
        Ok(()) => {}
        Err(AttemptError::TooMany(scope)) => {
            tracing::warn!(%from, limit = scope.as_str(), "connect link refused: too many attempts");
            return Ok(see_other_with_flash(&state, &page, &ConnectionFlash::TooManyLinkAttempts.into()));
        }
        Err(AttemptError::Store(error)) => return Err(error.into()),
    }
    let scopes = scopes_to_ask_for(&state, &link.org, least_access).await?;
    let (secret, verifier) = (new_secret()?, new_secret()?);
    let store = state.store.as_actor(Actor::connect_link(&id, Some(from.to_string())));
    store.insert_link_state(&hash_secret(&secret), &link, (&verifier, scopes), &browser_name(&headers)).await?;
    let redirect = redirect_uri(&state.config.public_url);
    let challenge = hash_secret(&verifier);
    Ok(see_other(state.xero.authorize_url(&redirect, scopes, &secret, &challenge).as_str()))
}

/// Ends the consent that a link started. Returns `None` if the callback belongs to no link.
pub async fn callback(
    state: &AppState,
    ClientIp(from): ClientIp,
    headers: &HeaderMap,
    query: &str,
) -> Result<Option<Response>, InternalError> {
    let params = CallbackParams::parse(query);
    let Some(hash) = params.state.as_ref().map(hash_secret) else { return Ok(None) };
    let Some(link) = state.store.link_of_state(&hash).await? else { return Ok(None) };
    let page = see_other(&paths::connect_link(&link.id));
    if opened_link(state, headers, &link.id).await?.is_none() {
        // Another browser started the consent. The page says that the link has to be opened first.
        return Ok(Some(page));
    }
    let consent = LinkConsent::new(state, from, headers, link, hash);
    let (verifier, scopes) = match state.store.consume_link_state(&consent.state_hash).await? {
        ConsumedLinkState::Valid { verifier, scopes } => (verifier, scopes),
        ConsumedLinkState::Running | ConsumedLinkState::Ended(_) => return consent.remembered().await.map(Some),
        ConsumedLinkState::Expired => return consent.end(LinkOutcome::Expired, &[]).await.map(Some),
    };
    let scopes = scopes.unwrap_or_else(|| state.config.xero.scopes.clone());
    let code = match params.answer() {
        ConsentAnswer::Code(code) => code,
        without => return consent.end_without_code(without, &scopes).await.map(Some),
    };
    let redirect_uri = redirect_uri(&state.config.public_url);
    let (org, given_by) = (consent.link.org.clone(), ConsentGiver::Link(consent.link.id.clone()));
    let code = AuthorizationCode { org, code, verifier, redirect_uri, scopes, given_by };
    // In a task of its own, so that a disconnecting browser doesn't lose the tokens.
    let work = state.lifecycle.spawn_in_request(consent.complete_or_fail(code)).await;
    work.unwrap_or_else(|error| Err(InternalError::logged(&error))).map(Some)
}

/// Ends a consent of a browser without a session whose callback names no `state`: Xero leaves it out of some errors.
/// Returns `None` if the browser has opened no link.
pub async fn callback_without_state(
    state: &AppState,
    ClientIp(from): ClientIp,
    headers: &HeaderMap,
    params: CallbackParams,
) -> Result<Option<Response>, InternalError> {
    let (mut opened, mut under_way) = (None, Vec::new());
    for id in CONNECT_LINK.opened_ids(state, headers).into_iter().take(MAX_OPENED) {
        let Some(link) = opened_link(state, headers, &ConnectLinkId(id)).await? else { continue };
        opened.get_or_insert_with(|| link.id.clone());
        if state.store.has_link_consent_under_way(&link.id).await? {
            under_way.push(link);
        }
    }
    let Some(opened) = opened else { return Ok(None) };
    let answer = params.answer();
    let link = if under_way.len() == 1 { under_way.pop() } else { None };
    let consumed = match &link {
        Some(link) => state.store.consume_link_consent_under_way(&link.id).await?,
        None => None,
    };
    let (Some(link), Some((state_hash, scopes))) = (link, consumed) else {
        // It came again, or could be of several links.
        if let ConsentAnswer::ScopesRefused(refused) = &answer {
            refused.log_unattributed();
        }
        let page = paths::connect_link(&opened);
        return Ok(Some(see_other_with_flash(state, &page, &explain(&answer).into())));
    };
    let scopes = scopes.unwrap_or_else(|| state.config.xero.scopes.clone());
    let consent = LinkConsent::new(state, from, headers, link, state_hash);
    consent.end_without_code(answer, &scopes).await.map(Some)
}

/// A consent by a link, and who gave it.
struct LinkConsent {
    /// Its store audits whoever came by the link.
    state: AppState,
    link: ConnectLink,
    state_hash: String,
    browser: String,
}

impl LinkConsent {
    fn new(state: &AppState, from: IpAddr, headers: &HeaderMap, link: ConnectLink, state_hash: String) -> Self {
        let actor = Actor::connect_link(&link.id, Some(from.to_string()));
        let state = state.with_store(state.store.as_actor(actor));
        Self { state, link, state_hash, browser: browser_name(headers) }
    }

    fn usage(&self) -> LinkUse<'_> {
        LinkUse { link: &self.link, state_hash: &self.state_hash, browser: &self.browser }
    }

    /// Completes the consent. A failure of ours is remembered too, so that its callback that comes again waits for nothing.
    async fn complete_or_fail(self, code: AuthorizationCode) -> Result<Response, InternalError> {
        let completed = self.complete(code).await;
        if completed.is_err()
            && let Err(error) = self.state.store.note_link_outcome(&self.usage(), LinkOutcome::Failed, &[]).await
        {
            tracing::error!(%error, "the outcome of a connect link's consent was not stored");
        }
        completed
    }

    async fn complete(&self, code: AuthorizationCode) -> Result<Response, InternalError> {
        let received = match receive(&self.state, code).await {
            Ok(received) => received,
            Err(ConsentError::Refused(ConnectionFlash::NoTenants)) => {
                return self.end(LinkOutcome::NothingChosen, &[]).await;
            }
            Err(ConsentError::Refused(_)) => return self.end(LinkOutcome::Failed, &[]).await,
            Err(ConsentError::Internal(error)) => return Err(error),
        };
        let (contested, free) = self.partition(&received).await?;
        let (used, told) = match (free.is_empty(), contested.is_empty()) {
            (true, true) => {
                self.drop_unused(&received, &received.tenants).await?;
                return self.end(LinkOutcome::WrongOrganization, &received.tenants).await;
            }
            (true, false) => self.await_confirmation(&received, contested).await?,
            _ => self.bind(&received, free).await?,
        };
        let is_left = |tenant: &&Tenant| !used.iter().any(|one| one.id == tenant.id);
        let unused: Vec<Tenant> = received.tenants.iter().filter(is_left).cloned().collect();
        self.drop_unused(&received, &unused).await?;
        ending(&self.state, &self.link, told).await
    }

    /// Keeps the consent until a member confirms it. Returns the tenants that it is kept for, and what is told: `None` if
    /// the link was used or cancelled meanwhile, as its page says.
    async fn await_confirmation(
        &self,
        received: &ReceivedConsent,
        tenants: Vec<Tenant>,
    ) -> Result<(Vec<Tenant>, Option<LinkOutcome>), InternalError> {
        let store = &self.state.store;
        match store.await_confirmation_of_link(&self.usage(), &received.grant, &tenants).await? {
            RowChange::Applied => {
                cancel_superseded_confirmations(&self.state, &self.link.org, &tenants, &self.state_hash).await?;
                Ok((tenants, Some(LinkOutcome::Waiting)))
            }
            RowChange::NotFound => Ok((Vec::new(), None)),
        }
    }

    /// Binds the tenants. Returns those that are bound, and what is told, like `await_confirmation`.
    async fn bind(
        &self,
        received: &ReceivedConsent,
        tenants: Vec<Tenant>,
    ) -> Result<(Vec<Tenant>, Option<LinkOutcome>), InternalError> {
        let store = &self.state.store;
        Ok(match store.bind_by_link(&self.usage(), &received.grant, &tenants).await? {
            LinkBinding::Bound => (tenants, Some(LinkOutcome::Connected)),
            LinkBinding::LinkOver => (Vec::new(), None),
            LinkBinding::GrantOver => {
                (Vec::new(), store.note_link_outcome(&self.usage(), LinkOutcome::Failed, &[]).await?)
            }
        })
    }

    /// Splits the tenants like `ReceivedConsent::partition`. A link for one connection takes only its tenant, and takes it
    /// from any Xero user: it was made so that somebody else can reconnect it.
    async fn partition(&self, received: &ReceivedConsent) -> Result<(Vec<Tenant>, Vec<Tenant>), InternalError> {
        let Some((wanted, _)) = &self.link.tenant else { return received.partition(&self.state).await };
        let of_link: Vec<Tenant> = received.tenants.iter().filter(|tenant| tenant.id == *wanted).cloned().collect();
        Ok(match self.state.store.is_shared_user_new_here(&received.grant).await? {
            true => (of_link, Vec::new()),
            false => (Vec::new(), of_link),
        })
    }

    /// Removes the connections at Xero that nothing uses, and the grant if that is all it was for.
    async fn drop_unused(&self, received: &ReceivedConsent, unused: &[Tenant]) -> Result<(), InternalError> {
        if unused.is_empty() {
            return Ok(());
        }
        let pending = PendingConsent { grant: received.grant.clone(), tenants: unused.to_vec() };
        delete_connections_at_xero(&self.state, &self.link.org, &pending).await?;
        if unused.len() == received.tenants.len() {
            abandon_unused_grant(&self.state, &self.link.org, &received.grant).await?;
        }
        Ok(())
    }

    /// Ends a consent for which Xero gave no code.
    async fn end_without_code(&self, answer: ConsentAnswer, scopes: &str) -> Result<Response, InternalError> {
        match answer {
            ConsentAnswer::Declined => self.end(LinkOutcome::Declined, &[]).await,
            ConsentAnswer::ScopesRefused(refused) => {
                // What the person learns first, so that it is remembered whatever becomes of the record for operators.
                let ended = self.end(LinkOutcome::ScopeRefused, &[]).await?;
                refused.record(&self.state, &self.link.org, scopes).await?;
                Ok(ended)
            }
            ConsentAnswer::Code(_) | ConsentAnswer::Failed => self.end(LinkOutcome::Failed, &[]).await,
        }
    }

    /// Remembers an end without a connection, and redirects.
    async fn end(&self, outcome: LinkOutcome, chosen: &[Tenant]) -> Result<Response, InternalError> {
        let told = self.state.store.note_link_outcome(&self.usage(), outcome, chosen).await?;
        ending(&self.state, &self.link, told).await
    }

    /// Redirects like the callback that came before. Waits while that one is still at work.
    async fn remembered(&self) -> Result<Response, InternalError> {
        let first = FirstCallback::at_work();
        loop {
            if let ConsumedLinkState::Ended(told) = self.state.store.consume_link_state(&self.state_hash).await? {
                return ending(&self.state, &self.link, told).await;
            }
            if first.takes_too_long().await {
                let page = paths::connect_link(&self.link.id);
                return Ok(see_other_with_flash(&self.state, &page, &ConnectionFlash::ConsentRunning.into()));
            }
        }
    }
}

/// Redirects to the link's return address, if it has one and it is still allowed, otherwise to the link's page.
async fn ending(state: &AppState, link: &ConnectLink, outcome: Option<LinkOutcome>) -> Result<Response, InternalError> {
    let page = paths::connect_link(&link.id);
    let (Some(url), Some(outcome)) = (&link.return_url, outcome) else { return Ok(see_other(&page)) };
    let Some(mut url) = allowed_return_url(&state.store.return_urls(&link.org).await?, url) else {
        return Ok(see_other(&page));
    };
    url.query_pairs_mut().append_pair("status", outcome.as_str()).append_pair("id", link.id.as_str());
    Ok(see_other(url.as_str()))
}
