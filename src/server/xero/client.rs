//! The calls for tokens and connections: authorize, exchange, refresh, revoke, list, disconnect.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::ACCEPT;
use reqwest::{Method, RequestBuilder};
use url::Url;
use url::form_urlencoded::byte_serialize;

use super::alarm::Alarm;
use super::breaker::{Breaker, BreakerPermit, Endpoint, Priority};
use super::endpoints::{Endpoints, is_loopback, join_path};
use super::error::XeroError;
use super::parse;
use super::response::HttpResponse;
use super::token_response::{TokenOddity, TokenResponse};
use super::transport::fetch;
use super::wire;
use crate::model::{GrantId, OrgId, XeroEndpointView};
use crate::server::clock::Clock;
use crate::server::domain::{AccessToken, AppIdentity, RefreshToken, RemoteConnection, Secret, TokenSet, XeroUserName};
use crate::server::outbound::with_shared_roots;

/// The longest time to connect, within the call's timeout.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest time for `XeroClient::probe`, because a person waits for it.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// The client of Evergrant's app at Xero. Cheap to clone; clones share connections. Never retries a request.
#[derive(Clone)]
pub struct XeroClient(Arc<Inner>);

struct Inner {
    endpoints: Endpoints,
    app: AppIdentity,
    client_secret: Secret,
    clock: Clock,
    timeout: Duration,
    /// The breakers of the token endpoint and the API. Revocations bypass them: they are few and are not retried.
    token_breaker: Breaker,
    api_breaker: Breaker,
    alarm: Alarm,
    /// For loopback addresses, without the system proxy, which would resolve them on its own machine.
    direct: reqwest::Client,
    /// For all other addresses, with the system proxy if one is set.
    proxied: reqwest::Client,
}

/// The HTTP client can't be created.
#[derive(Debug, thiserror::Error)]
#[error("can't create the HTTP client for Xero")]
pub struct ClientError(#[source] reqwest::Error);

/// A token set from Xero, with the response's evidence.
pub struct ExchangedTokens {
    /// The new access token, and the new refresh token or the one that was sent.
    pub tokens: TokenSet,
    /// The Xero user, if the response has an id token.
    pub xero_user: XeroUserName,
    /// Whether the refresh token is new.
    pub refresh_token_issue: RefreshTokenIssue,
    /// What is unusual about the response.
    pub oddities: Vec<TokenOddity>,
    /// Xero's correlation id of the response; `None` if the header is missing or malformed.
    pub correlation_id: Option<String>,
    /// HTTP status of the response.
    pub status: u16,
}

impl ExchangedTokens {
    /// Logs what is unusual about the response, if anything is. A new consent has no grant yet.
    pub fn log_oddities(&self, org: &OrgId, grant: Option<&GrantId>) {
        if !self.oddities.is_empty() {
            let oddities = self.oddities.iter().map(|oddity| oddity.as_str()).collect::<Vec<_>>().join(" ");
            let (grant, correlation_id) = (grant.map(GrantId::as_str), self.correlation_id.as_deref());
            let status = self.status;
            tracing::warn!(%org, grant, oddities, status, correlation_id, "unusual token response, tokens kept");
        }
    }
}

/// Whether a token set's refresh token is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshTokenIssue {
    /// The response has a new refresh token.
    New,
    /// The response has none, so the one that was sent stays valid (RFC 6749, 6). Its age counts on.
    Kept,
}

/// The result of exchanging an authorization code.
pub enum CodeExchange {
    /// A token set that can be refreshed.
    Refreshable(ExchangedTokens),
    /// The consent lacks `offline_access`, so its access token can't be refreshed.
    NoRefreshToken,
}

/// How deleting a connection ended. Both are successes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// Xero deleted the connection.
    Deleted,
    /// Xero no longer had the connection.
    AlreadyDeleted,
}

impl XeroClient {
    /// Returns a client of `app`. `timeout` bounds a whole call, from connecting to the last byte of the response.
    pub fn new(
        endpoints: Endpoints,
        app: AppIdentity,
        client_secret: Secret,
        timeout: Duration,
        clock: Clock,
    ) -> Result<Self, ClientError> {
        let builder = || {
            with_shared_roots(reqwest::Client::builder())
                .user_agent(concat!("evergrant/", env!("CARGO_PKG_VERSION")))
                // Ends before the call's timeout, because nothing has been sent then.
                .connect_timeout(timeout.mul_f32(0.9).min(CONNECT_TIMEOUT))
                // A redirect could send tokens to an address that is not configured.
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
            app,
            client_secret,
            clock,
            timeout,
            token_breaker: token,
            api_breaker: api,
            alarm,
            direct,
            proxied: outward,
        })))
    }

    /// Returns the token endpoint's breaker, which grants the permit that `refresh_tokens` needs.
    pub fn breaker(&self) -> &Breaker {
        &self.0.token_breaker
    }

    /// Opens the token endpoint's circuit because Xero refuses grants of several organizations, so that none of the
    /// refusals is believed. Returns the unix seconds of the next probe.
    pub fn hold_refusals(&self, cause: &XeroError) -> i64 {
        self.0.token_breaker.open_for_refusals(cause)
    }

    /// Returns the app to which the tokens of this client's exchanges belong.
    pub fn app(&self) -> AppIdentity {
        self.0.app.clone()
    }

    /// Returns Xero's error code while Xero refuses the app's credentials.
    pub fn alarm(&self) -> Option<String> {
        self.0.alarm.raised()
    }

    /// Returns the URL of Xero's consent page. `scopes` are separated by spaces; `code_challenge` is for PKCE S256.
    pub fn authorize_url(&self, redirect_uri: &str, scopes: &str, state: &Secret, code_challenge: &str) -> Url {
        let mut url = join_path(&self.0.endpoints.login, &["identity", "connect", "authorize"]);
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.0.app.client_id)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("scope", scopes)
            .append_pair("state", state.expose())
            .append_pair("code_challenge", code_challenge)
            .append_pair("code_challenge_method", "S256");
        url
    }

    /// Exchanges an authorization code for tokens. `redirect_uri` must be the one in the authorize URL.
    pub async fn exchange_code(
        &self,
        code: &Secret,
        redirect_uri: &str,
        verifier: &Secret,
    ) -> Result<CodeExchange, XeroError> {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.expose()),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier.expose()),
        ];
        // A code lives five minutes and a person waits, so it is always sent.
        let pass = self.0.token_breaker.acquire(Priority::MustNotWait).ok();
        let asked = self.request_tokens(&form).await;
        if let Some(pass) = pass {
            pass.report(asked.as_ref().err());
        }
        let (answer, mut tokens) = asked?;
        Ok(match tokens.refresh_token.take() {
            Some(new) => CodeExchange::Refreshable(exchanged_tokens(&answer, tokens, new, RefreshTokenIssue::New)),
            None => CodeExchange::NoRefreshToken,
        })
    }

    /// Exchanges a refresh token for the next token set, and reports the result to the breaker.
    ///
    /// Any response with readable tokens is a success, however unusual the rest of it is. After any error the caller must
    /// keep the stored token, because Xero accepts it for another 30 minutes.
    pub async fn refresh_tokens(
        &self,
        refresh_token: &RefreshToken,
        permit: BreakerPermit,
    ) -> Result<ExchangedTokens, XeroError> {
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose())];
        let asked = self.request_tokens(&form).await;
        permit.report(asked.as_ref().err());
        let (answer, mut tokens) = asked?;
        Ok(match tokens.refresh_token.take() {
            Some(new) => exchanged_tokens(&answer, tokens, new, RefreshTokenIssue::New),
            None => {
                tokens.oddities.push(TokenOddity::RefreshTokenKept);
                let sent = RefreshToken::new(refresh_token.expose());
                exchanged_tokens(&answer, tokens, sent, RefreshTokenIssue::Kept)
            }
        })
    }

    /// Lists the connections of the token's user, from all consents or from one.
    pub async fn connections(
        &self,
        access: &AccessToken,
        auth_event_id: Option<&str>,
    ) -> Result<Vec<RemoteConnection>, XeroError> {
        let mut url = join_path(&self.0.endpoints.api, &["connections"]);
        if let Some(event) = auth_event_id {
            url.query_pairs_mut().append_pair("authEventId", event);
        }
        let request = self.request(Method::GET, url).bearer_auth(access.expose());
        self.call_api(request, |answer| parse::connections(answer, access)).await
    }

    /// Deletes one tenant's connection. The user's others stay.
    pub async fn delete_connection(&self, access: &AccessToken, connection_id: &str) -> Result<Deletion, XeroError> {
        let url = join_path(&self.0.endpoints.api, &["connections", connection_id]);
        let request = self.request(Method::DELETE, url).bearer_auth(access.expose());
        self.call_api(request, |answer| match answer.status {
            404 => Ok(Deletion::AlreadyDeleted),
            _ if answer.is_success() => Ok(Deletion::Deleted),
            _ => Err(XeroError::from_api(answer, access)),
        })
        .await
    }

    /// Revokes a refresh token, and with it **all** of the user's connections to the app, also other organizations'.
    pub async fn revoke(&self, refresh_token: &RefreshToken) -> Result<(), XeroError> {
        let answer = self.post_form("revocation", &[("token", refresh_token.expose())]).await?;
        let revoked = if answer.is_success() { Ok(()) } else { Err(XeroError::from_identity(&answer)) };
        self.0.alarm.report(revoked.as_ref().err());
        revoked
    }

    /// Fetches the identity host's discovery document, which needs no credentials. Returns how many seconds that host's
    /// clock is ahead of Evergrant's (negative if behind), or `None` if the response has no date.
    pub async fn probe(&self) -> Result<Option<i64>, XeroError> {
        let url = join_path(&self.0.endpoints.identity, &[".well-known", "openid-configuration"]);
        let request = self.request(Method::GET, url).timeout(self.0.timeout.min(PROBE_TIMEOUT));
        let asked_at = self.0.clock.now();
        let answer = fetch(request, &self.0.clock).await?;
        if answer.status != 200 {
            return Err(XeroError::from_identity(&answer));
        }
        if !answer.json().is_some_and(wire::is_discovery_document) {
            return Err(XeroError::malformed(&answer));
        }
        Ok(answer.date.map(|date| clock_offset(date, asked_at, self.0.clock.now())))
    }

    /// Posts to the token endpoint. Returns the response and its tokens.
    async fn request_tokens(&self, form: &[(&str, &str)]) -> Result<(HttpResponse, TokenResponse), XeroError> {
        let asked_at = self.0.clock.now();
        let answer = self.post_form("token", form).await?;
        let tokens = parse::tokens(&answer, asked_at);
        self.0.alarm.report(tokens.as_ref().err());
        Ok((answer, tokens?))
    }

    /// Sends a request to the API host if its breaker permits, and parses the response. A person waits for each of
    /// these calls, so each has a person's priority.
    pub(super) async fn call_api<T>(
        &self,
        request: RequestBuilder,
        read: impl FnOnce(&HttpResponse) -> Result<T, XeroError>,
    ) -> Result<T, XeroError> {
        let now = self.0.clock.now();
        let pass = self
            .0
            .api_breaker
            .acquire(Priority::Interactive)
            .map_err(|open_circuit| XeroError::circuit_open(open_circuit.until - now))?;
        let read = fetch(request, &self.0.clock).await.and_then(|answer| read(&answer));
        pass.report(read.as_ref().err());
        read
    }

    /// Returns Xero's endpoints, and for each the pause in which nothing is sent to it.
    pub fn endpoint_states(&self) -> Vec<XeroEndpointView> {
        let breakers = [("Tokens", &self.0.token_breaker), ("API", &self.0.api_breaker)];
        breakers.map(|(name, breaker)| XeroEndpointView { name: name.to_owned(), pause: breaker.pause() }).into()
    }

    /// Returns whether the API's circuit is open for automatic requests.
    pub fn is_api_circuit_open(&self) -> bool {
        self.0.api_breaker.check(Priority::Automatic).is_err()
    }

    async fn post_form(&self, leaf: &str, form: &[(&str, &str)]) -> Result<HttpResponse, XeroError> {
        let url = join_path(&self.0.endpoints.identity, &["connect", leaf]);
        // The credentials are form-encoded before Basic encoding (RFC 6749, 2.3.1).
        let user: String = byte_serialize(self.0.app.client_id.as_bytes()).collect();
        let password: String = byte_serialize(self.0.client_secret.expose().as_bytes()).collect();
        let request = self.request(Method::POST, url).basic_auth(user, Some(password)).form(form);
        fetch(request, &self.0.clock).await
    }

    pub(super) fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.request_to(method, url).timeout(self.0.timeout).header(ACCEPT, "application/json")
    }

    /// Returns a request without a timeout and without headers.
    pub(super) fn request_to(&self, method: Method, url: Url) -> RequestBuilder {
        let client = if is_loopback(&url) { &self.0.direct } else { &self.0.proxied };
        client.request(method, url)
    }

    /// Returns the base URLs.
    pub fn endpoints(&self) -> &Endpoints {
        &self.0.endpoints
    }
}

/// Returns the least number of seconds that a clock is ahead which showed `date` between `asked_at` and `answered_at`.
fn clock_offset(date: i64, asked_at: i64, answered_at: i64) -> i64 {
    if date > answered_at { date - answered_at } else { (date - asked_at).min(0) }
}

fn exchanged_tokens(
    answer: &HttpResponse,
    tokens: TokenResponse,
    refresh_token: RefreshToken,
    refresh_token_issue: RefreshTokenIssue,
) -> ExchangedTokens {
    let TokenResponse { access_token, expires_at, scopes, xero_user, oddities, .. } = tokens;
    ExchangedTokens {
        tokens: TokenSet { access_token, refresh_token, expires_at, scopes },
        xero_user,
        refresh_token_issue,
        oddities,
        correlation_id: answer.correlation_id.clone(),
        status: answer.status,
    }
}
