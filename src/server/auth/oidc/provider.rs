//! The provider: its discovery document, its token endpoint and its keys.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Deserialize;
use url::Url;

use super::ProviderSession;
use super::flow::Flow;
use super::id_token::{self, Expected, IdTokenRejection, Identity};
use crate::model::{LoginProblem, OrgId};
use crate::server::auth::clerk::jwks::{JwksError, VerificationKeys};
use crate::server::clock::Clock;
use crate::server::config::{OidcConfig, is_https_or_loopback};
use crate::server::crypto::random::hash_secret;
use crate::server::domain::Secret;
use crate::server::outbound::with_shared_roots;

/// After this many seconds the discovery document is read again.
const REDISCOVER_AFTER_SECONDS: i64 = 60 * 60;
/// How long the provider has to answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest response. Far more than any token or discovery document needs.
const MAX_RESPONSE_BYTES: usize = 256 * 1024;
/// What is asked of the provider: who the person is.
const SCOPES: &str = "openid profile email";

/// Why nobody could be identified.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// The provider could not be reached, or did not answer as one.
    #[error("the provider is not usable: {0}")]
    Unavailable(String),
    /// The provider did not exchange the code.
    #[error("the provider refused the code: {0}")]
    CodeRefused(String),
    /// The ID token is not for this sign-in.
    #[error("the ID token was rejected: {0}")]
    Rejected(#[from] IdTokenRejection),
}

/// One OpenID Connect provider. Cheap to clone; clones share what was discovered.
#[derive(Clone)]
pub struct OidcProvider(Arc<Inner>);

struct Inner {
    issuer: String,
    client_id: String,
    client_secret: Secret,
    domains: Vec<String>,
    org: Option<OrgId>,
    client: reqwest::Client,
    clock: Clock,
    discovered: Mutex<Option<Discovered>>,
}

#[derive(Clone)]
struct Discovered {
    at: i64,
    document: Arc<Document>,
    keys: Arc<VerificationKeys>,
}

/// The discovery document, as far as we use it.
#[derive(Deserialize, PartialEq)]
struct Document {
    issuer: String,
    #[serde(deserialize_with = "read_url")]
    authorization_endpoint: Url,
    #[serde(deserialize_with = "read_url")]
    token_endpoint: Url,
    #[serde(deserialize_with = "read_url")]
    jwks_uri: Url,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
}

#[derive(Deserialize)]
struct TokenResponse {
    id_token: String,
}

#[derive(Deserialize)]
struct TokenError {
    error: String,
}

impl OidcError {
    /// Returns what the login page says about it.
    pub fn problem(&self) -> LoginProblem {
        match self {
            Self::Unavailable(_) => LoginProblem::ProviderUnavailable,
            Self::CodeRefused(_) | Self::Rejected(_) => LoginProblem::ProviderRejected,
        }
    }
}

impl From<JwksError> for OidcError {
    fn from(error: JwksError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl OidcProvider {
    /// Creates the client. Asks nothing of the provider yet.
    pub fn new(config: &OidcConfig, clock: Clock) -> Result<Self, JwksError> {
        let builder = with_shared_roots(reqwest::Client::builder())
            .user_agent(concat!("evergrant/", env!("CARGO_PKG_VERSION")))
            .timeout(REQUEST_TIMEOUT)
            // A redirect could carry the client secret to an address that nobody configured.
            .redirect(reqwest::redirect::Policy::none());
        // Plain http is only used for this machine, which no proxy can reach.
        let builder = if config.issuer.starts_with("http:") { builder.no_proxy() } else { builder };
        Ok(Self(Arc::new(Inner {
            issuer: config.issuer.clone(),
            client_id: config.client_id.clone(),
            client_secret: Secret::new(config.client_secret.expose()),
            domains: config.domains.clone(),
            org: config.org.clone(),
            client: builder.build().map_err(JwksError::Client)?,
            clock,
            discovered: Mutex::default(),
        })))
    }

    /// Returns the issuer.
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// Reads the discovery document and the keys, as the first sign-in does. Returns how many keys there are.
    pub async fn probe(&self) -> Result<usize, OidcError> {
        // `None` only for a configured key, which a provider has none of.
        Ok(self.discover().await?.keys.fetch_count().await?.unwrap_or_default())
    }

    /// Returns the organization that people of the admitted domains join.
    pub(super) fn org(&self) -> Option<&OrgId> {
        self.0.org.as_ref()
    }

    /// Returns whether the address, in lower case, is of an admitted domain.
    pub(super) fn admits(&self, email: &str) -> bool {
        email.rsplit_once('@').is_some_and(|(_, domain)| self.0.domains.iter().any(|admitted| admitted == domain))
    }

    /// Returns the URL that asks the provider who the person is.
    pub async fn authorize_url(&self, flow: &Flow, redirect_uri: &str) -> Result<Url, OidcError> {
        let mut url = self.discover().await?.document.authorization_endpoint.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.0.client_id)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("scope", SCOPES)
            .append_pair("state", flow.state().expose())
            .append_pair("nonce", flow.nonce().expose())
            .append_pair("code_challenge", &hash_secret(&flow.verifier()))
            .append_pair("code_challenge_method", "S256");
        if flow.session == ProviderSession::SignInAgain {
            // With `max_age`, the token says when the person signed in (OpenID Connect Core, 3.1.2.1).
            url.query_pairs_mut().append_pair("prompt", "login").append_pair("max_age", "0");
        }
        Ok(url)
    }

    /// Exchanges the code for an ID token, verifies it, and returns who signed in.
    pub(super) async fn identify(&self, flow: &Flow, code: &Secret, redirect_uri: &str) -> Result<Identity, OidcError> {
        let discovered = self.discover().await?;
        let token = self.exchange(&discovered.document, flow, code, redirect_uri).await?;
        let kid = id_token::key_id(&token)?;
        let key = discovered.keys.find(kid.as_deref()).await?.ok_or(IdTokenRejection::UnknownKey)?;
        let expected = Expected {
            issuer: &self.0.issuer,
            client_id: &self.0.client_id,
            nonce: &flow.nonce(),
            now: self.0.clock.now(),
        };
        Ok(id_token::verify(&token, &key, &expected)?)
    }

    async fn exchange(
        &self,
        document: &Document,
        flow: &Flow,
        code: &Secret,
        redirect_uri: &str,
    ) -> Result<Secret, OidcError> {
        let Inner { client_id, client_secret, client, .. } = &*self.0;
        let verifier = flow.verifier();
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code.expose()),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier.expose()),
        ];
        let request = client.post(document.token_endpoint.clone()).header("accept", "application/json");
        let methods = &document.token_endpoint_auth_methods_supported;
        let has = |method: &str| methods.iter().any(|known| known == method);
        let request = if has("client_secret_post") && !has("client_secret_basic") {
            form.extend([("client_id", client_id.as_str()), ("client_secret", client_secret.expose())]);
            request
        } else {
            // Both are form-encoded first (RFC 6749, 2.3.1).
            request.basic_auth(form_encode(client_id), Some(form_encode(client_secret.expose())))
        };
        let (status, body) = self.send(request.form(&form)).await?;
        if status.is_success() {
            let answer: TokenResponse = serde_json::from_slice(&body)
                .map_err(|_| OidcError::Unavailable("the token response has no id_token".to_owned()))?;
            return Ok(Secret::new(answer.id_token));
        }
        match serde_json::from_slice::<TokenError>(&body) {
            Ok(answer) if status.is_client_error() => Err(OidcError::CodeRefused(fixed_error_code(&answer.error))),
            _ => Err(OidcError::Unavailable(format!("its token endpoint answers with status {}", status.as_u16()))),
        }
    }

    /// Returns the discovery document and the keys, which are read at the first sign-in and then hourly. Those that are
    /// known stay in use while the provider is down.
    async fn discover(&self) -> Result<Discovered, OidcError> {
        let now = self.0.clock.monotonic_seconds();
        let known = self.0.discovered.lock().clone();
        if let Some(known) = known.as_ref().filter(|known| now - known.at < REDISCOVER_AFTER_SECONDS) {
            return Ok(known.clone());
        }
        let document = match (self.fetch_document().await, &known) {
            (Ok(document), _) => Arc::new(document),
            (Err(error), Some(known)) => {
                tracing::warn!(issuer = self.issuer(), %error, "failed to read oidc discovery document, using cached one");
                return Ok(known.clone());
            }
            (Err(error), None) => return Err(error),
        };
        // The keys have their own cache, which an unchanged address keeps.
        let keys = match known.filter(|known| known.document.jwks_uri == document.jwks_uri) {
            Some(known) => known.keys,
            None => Arc::new(VerificationKeys::from_url(document.jwks_uri.as_str(), self.0.clock.clone())?),
        };
        let discovered = Discovered { at: now, document, keys };
        *self.0.discovered.lock() = Some(discovered.clone());
        Ok(discovered)
    }

    async fn fetch_document(&self) -> Result<Document, OidcError> {
        let url = format!("{}/.well-known/openid-configuration", self.0.issuer.trim_end_matches('/'));
        let (status, body) = self.send(self.0.client.get(url)).await?;
        let unusable = |why: &str| OidcError::Unavailable(format!("its discovery document {why}"));
        if !status.is_success() {
            return Err(unusable(&format!("answers with status {}", status.as_u16())));
        }
        let document: Document = serde_json::from_slice(&body).map_err(|_| unusable("can't be read"))?;
        if document.issuer != self.0.issuer {
            return Err(unusable("names another issuer than EVERGRANT_OIDC_ISSUER"));
        }
        let endpoints = [&document.authorization_endpoint, &document.token_endpoint, &document.jwks_uri];
        if !endpoints.into_iter().all(is_https_or_loopback) {
            return Err(unusable("names an address that isn't https"));
        }
        Ok(document)
    }

    /// Sends a request and reads the response up to a limit.
    async fn send(&self, request: reqwest::RequestBuilder) -> Result<(reqwest::StatusCode, Vec<u8>), OidcError> {
        let unreachable = |error: reqwest::Error| OidcError::Unavailable(error.without_url().to_string());
        let mut response = request.send().await.map_err(unreachable)?;
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(unreachable)? {
            body.extend_from_slice(&part);
            if body.len() > MAX_RESPONSE_BYTES {
                return Err(OidcError::Unavailable("its response is too long".to_owned()));
            }
        }
        Ok((response.status(), body))
    }
}

fn read_url<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

fn form_encode(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Returns the error code if it is one of the standard's (RFC 6749, 5.2), so that no other text reaches the log.
fn fixed_error_code(code: &str) -> String {
    let known = [
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
    ];
    known.into_iter().find(|known| *known == code).unwrap_or("an unknown error").to_owned()
}
