//! The calls that concern tokens and connections: authorize, exchange, refresh, revoke, list, disconnect.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::ACCEPT;
use reqwest::{Method, RequestBuilder};
use url::Url;
use url::form_urlencoded::byte_serialize;

use super::alarm::Alarm;
use super::answer::{Answer, fetch};
use super::api_client::XeroApiClient;
use super::breaker::{Asker, Breaker, Endpoint, Pass};
use super::endpoints::{Endpoints, is_loopback, under};
use super::error::XeroError;
use super::reading;
use super::wire::{self, Connection, Tokens};
use crate::server::clock::Clock;
use crate::server::domain::{AccessToken, RefreshToken, Secret, TokenSet};

/// The longest that a connection may take to stand; the rest of the time-out is the answer's.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest that a probe waits: whoever asks for one sits in front of it.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Our app at Xero. Cheap to clone; clones share their connections. Sends each request once and never retries.
#[derive(Clone)]
pub struct XeroClient(Arc<Inner>);

struct Inner {
    endpoints: Endpoints,
    client_id: String,
    client_secret: Secret,
    clock: Clock,
    timeout: Duration,
    /// Before the exchange of refresh tokens, and before the API. Revocations always go: they are few, nobody repeats
    /// them, and a token that isn't revoked outlives its grant.
    token: Breaker,
    api: Breaker,
    alarm: Alarm,
    /// For this machine: a system proxy would look for the sandbox on a machine of its own.
    direct: reqwest::Client,
    /// For the world, through the system's proxy where there is one.
    outward: reqwest::Client,
}

/// The HTTP client can't be made on this machine.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client for Xero can't be made")]
pub struct ClientError(#[source] reqwest::Error);

/// A token set that Xero handed out, and the evidence of it.
pub struct Exchanged {
    pub tokens: TokenSet,
    pub correlation_id: Option<String>,
    pub status: u16,
}

/// What an authorization code bought.
pub enum CodeGrant {
    Lasting(Exchanged),
    /// The consent left `offline_access` out: nothing that could be kept fresh.
    NoRefreshToken,
}

/// How a disconnect ended; both are what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    Deleted,
    /// Xero didn't know the connection any more.
    AlreadyGone,
}

impl XeroClient {
    /// `timeout` bounds a whole call, from connecting to the last byte of the answer.
    pub fn new(
        endpoints: Endpoints,
        client_id: String,
        client_secret: Secret,
        timeout: Duration,
        clock: Clock,
    ) -> Result<Self, ClientError> {
        let builder = || {
            reqwest::Client::builder()
                .user_agent(concat!("evergrant/", env!("CARGO_PKG_VERSION")))
                .timeout(timeout)
                .connect_timeout(timeout.min(CONNECT_TIMEOUT))
                // A redirect would carry tokens to an address that nobody configured.
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
        };
        let finish = |builder: reqwest::ClientBuilder| builder.build().map_err(|e| ClientError(e.without_url()));
        let direct = finish(builder().no_proxy())?;
        let outward = finish(builder())?;
        let breaker = |endpoint| Breaker::new(endpoint, clock.clone());
        let (token, api, alarm) = (breaker(Endpoint::Token), breaker(Endpoint::Api), Alarm::default());
        Ok(Self(Arc::new(Inner {
            endpoints,
            client_id,
            client_secret,
            clock,
            timeout,
            token,
            api,
            alarm,
            direct,
            outward,
        })))
    }

    /// Before the token endpoint: whoever refreshes asks it for a pass.
    pub fn breaker(&self) -> &Breaker {
        &self.0.token
    }

    /// What Xero calls its refusal of our own credentials, while that lasts.
    pub fn alarm(&self) -> Option<String> {
        self.0.alarm.raised()
    }

    /// The page at Xero where a person consents. `scopes` are separated by spaces; `code_challenge` is S256's.
    pub fn authorize_url(&self, redirect_uri: &str, scopes: &str, state: &Secret, code_challenge: &str) -> Url {
        let mut url = under(&self.0.endpoints.login, &["identity", "connect", "authorize"]);
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.0.client_id)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("scope", scopes)
            .append_pair("state", state.expose())
            .append_pair("code_challenge", code_challenge)
            .append_pair("code_challenge_method", "S256");
        url
    }

    /// Trades a code for tokens. `redirect_uri` must be the one that the code was asked for with.
    pub async fn exchange_code(
        &self,
        code: &Secret,
        redirect_uri: &str,
        verifier: &Secret,
    ) -> Result<CodeGrant, XeroError> {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.expose()),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier.expose()),
        ];
        // A code lives five minutes and a person waits: it is always sent.
        let pass = self.0.token.admit(Asker::CannotWait).ok();
        let asked = self.ask_for_tokens(&form).await;
        if let Some(pass) = pass {
            pass.tell(asked.as_ref().err());
        }
        let (answer, tokens, asked_at) = asked?;
        Ok(exchanged(&answer, tokens, asked_at).map_or(CodeGrant::NoRefreshToken, CodeGrant::Lasting))
    }

    /// Trades a refresh token for the next token set. Whatever error comes back, the stored token must be kept: Xero
    /// honours it for 30 minutes more. `pass` is the breaker's, which hears how it went.
    pub async fn refresh_tokens(&self, refresh_token: &RefreshToken, pass: Pass) -> Result<Exchanged, XeroError> {
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose())];
        let asked = self.ask_for_tokens(&form).await;
        let asked = asked.and_then(|(answer, tokens, asked_at)| {
            exchanged(&answer, tokens, asked_at).ok_or_else(|| XeroError::malformed(&answer))
        });
        pass.tell(asked.as_ref().err());
        asked
    }

    /// The tenants that this token's user opened to us, over all consents or over one.
    pub async fn connections(
        &self,
        access: &AccessToken,
        auth_event_id: Option<&str>,
    ) -> Result<Vec<Connection>, XeroError> {
        let mut url = under(&self.0.endpoints.api, &["connections"]);
        if let Some(event) = auth_event_id {
            url.query_pairs_mut().append_pair("authEventId", event);
        }
        let request = self.request(Method::GET, url).bearer_auth(access.expose());
        self.ask_api(request, |answer| reading::connections(answer, access)).await
    }

    /// Ends one tenant's connection and leaves the user's others standing.
    pub async fn delete_connection(&self, access: &AccessToken, connection_id: &str) -> Result<Deletion, XeroError> {
        let url = under(&self.0.endpoints.api, &["connections", connection_id]);
        let request = self.request(Method::DELETE, url).bearer_auth(access.expose());
        self.ask_api(request, |answer| match answer.status {
            404 => Ok(Deletion::AlreadyGone),
            _ if answer.is_success() => Ok(Deletion::Deleted),
            _ => Err(XeroError::of_api(answer, access)),
        })
        .await
    }

    /// Ends a grant, and with it **all** connections that this user made to our app, also other organisations'.
    pub async fn revoke(&self, refresh_token: &RefreshToken) -> Result<(), XeroError> {
        let answer = self.post_form("revocation", &[("token", refresh_token.expose())]).await?;
        let revoked = if answer.is_success() { Ok(()) } else { Err(XeroError::of_identity(&answer)) };
        self.0.alarm.hear(revoked.as_ref().err());
        revoked
    }

    /// Reads the identity host's discovery document, which needs no credentials, and says how many seconds that
    /// host's clock is ahead of ours: negative where it is behind, `None` where it doesn't say.
    pub async fn probe(&self) -> Result<Option<i64>, XeroError> {
        let url = under(&self.0.endpoints.identity, &[".well-known", "openid-configuration"]);
        let request = self.request(Method::GET, url).timeout(self.0.timeout.min(PROBE_TIMEOUT));
        let asked_at = self.0.clock.now();
        let answer = fetch(request, &self.0.clock).await?;
        if answer.status != 200 {
            return Err(XeroError::of_identity(&answer));
        }
        if !answer.json().is_some_and(wire::is_discovery) {
            return Err(XeroError::malformed(&answer));
        }
        Ok(answer.date.map(|date| ahead(date, asked_at, self.0.clock.now())))
    }

    /// The accounting API as one tenant sees it.
    pub fn api(&self, access: AccessToken, tenant_id: String) -> XeroApiClient {
        XeroApiClient::new(self.clone(), access, tenant_id)
    }

    /// Answer, tokens and the moment before the request left, from which their life is counted.
    async fn ask_for_tokens(&self, form: &[(&str, &str)]) -> Result<(Answer, Tokens, i64), XeroError> {
        let asked_at = self.0.clock.now();
        let answer = self.post_form("token", form).await?;
        let tokens = reading::tokens(&answer);
        self.0.alarm.hear(tokens.as_ref().err());
        Ok((answer, tokens?, asked_at))
    }

    /// Sends a request to the API host, where its breaker lets one through, and reads the answer. Somebody waits for
    /// each of them, so all may probe as a person may.
    pub(super) async fn ask_api<T>(
        &self,
        request: RequestBuilder,
        read: impl FnOnce(&Answer) -> Result<T, XeroError>,
    ) -> Result<T, XeroError> {
        let now = self.0.clock.now();
        let pass = self.0.api.admit(Asker::Person).map_err(|resting| XeroError::resting(resting.until - now))?;
        let read = fetch(request, &self.0.clock).await.and_then(|answer| read(&answer));
        pass.tell(read.as_ref().err());
        read
    }

    /// Whether the API host is left alone for now, but for people.
    pub fn api_rests(&self) -> bool {
        self.0.api.look(Asker::Automatic).is_err()
    }

    async fn post_form(&self, leaf: &str, form: &[(&str, &str)]) -> Result<Answer, XeroError> {
        let url = under(&self.0.endpoints.identity, &["connect", leaf]);
        // Both are form-encoded before they go into the header (RFC 6749, 2.3.1).
        let user: String = byte_serialize(self.0.client_id.as_bytes()).collect();
        let password: String = byte_serialize(self.0.client_secret.expose().as_bytes()).collect();
        let request = self.request(Method::POST, url).basic_auth(user, Some(password)).form(form);
        fetch(request, &self.0.clock).await
    }

    pub(super) fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let client = if is_loopback(&url) { &self.0.direct } else { &self.0.outward };
        client.request(method, url).header(ACCEPT, "application/json")
    }

    pub fn endpoints(&self) -> &Endpoints {
        &self.0.endpoints
    }
}

/// How far a clock that read `date` at some moment between these two of ours is ahead, at the least.
fn ahead(date: i64, asked_at: i64, answered_at: i64) -> i64 {
    if date > answered_at { date - answered_at } else { (date - asked_at).min(0) }
}

/// `None` where there is no refresh token to keep.
fn exchanged(answer: &Answer, tokens: Tokens, asked_at: i64) -> Option<Exchanged> {
    let tokens = TokenSet {
        refresh_token: tokens.refresh_token?,
        access_token: tokens.access_token,
        expires_at: asked_at + tokens.expires_in,
        scopes: tokens.scopes,
    };
    Some(Exchanged { tokens, correlation_id: answer.correlation_id.clone(), status: answer.status })
}
