//! The public keys that session tokens are verified with: configured, or fetched and cached.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, JwkSet};
use parking_lot::Mutex;

use crate::server::clock::Clock;
use crate::server::outbound::with_shared_roots;

/// After this many seconds the keys are fetched again, so that a removed key stops working.
const REFETCH_AFTER_SECONDS: i64 = 60 * 60;
/// The shortest time between two fetches, in seconds. It bounds the fetches that made-up key ids cause.
const MIN_FETCH_INTERVAL_SECONDS: i64 = 30;
/// How long cached keys are used while their publisher is unreachable, in seconds.
const MAX_CACHE_AGE_SECONDS: i64 = 24 * 60 * 60;
/// How long the publisher has to answer.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest response. Far more than any key set needs.
const MAX_RESPONSE_BYTES: usize = 256 * 1024;

/// The source of the keys.
pub enum VerificationKeys {
    Configured(Box<DecodingKey>),
    Fetched(Arc<FetchedKeys>),
}

/// Why there are no keys to verify with. A server error, not the client's.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    /// The HTTP client could not be created.
    #[error("can't create the HTTP client for sign-in keys: {0}")]
    Client(#[source] reqwest::Error),
    /// The keys could not be fetched, and no cached ones can still be used.
    #[error("can't fetch the sign-in keys from {url}: {why}")]
    Unavailable {
        /// URL of the key set.
        url: String,
        /// Why the last fetch failed.
        why: String,
    },
}

/// Keys that are fetched and cached.
pub struct FetchedKeys {
    url: String,
    client: reqwest::Client,
    clock: Clock,
    cache: Mutex<CachedKeys>,
    /// Held while fetching. Others wait for the result, or use cached keys.
    fetch_lock: Arc<tokio::sync::Mutex<()>>,
}

type FetchLockGuard = tokio::sync::OwnedMutexGuard<()>;

#[derive(Default)]
struct CachedKeys {
    keys: HashMap<String, DecodingKey>,
    /// When they were last fetched, in monotonic seconds.
    fetched_at: Option<i64>,
    /// When the last fetch started.
    attempted_at: Option<i64>,
    /// Why the last fetch failed, if it did.
    last_error: Option<String>,
}

impl VerificationKeys {
    /// Uses a configured key.
    pub fn configured(key: DecodingKey) -> Self {
        Self::Configured(Box::new(key))
    }

    /// Uses the keys that the frontend API publishes. Fetches nothing yet.
    pub fn from_frontend_api(frontend_api: &str, clock: Clock) -> Result<Self, JwksError> {
        Self::from_url(&format!("{frontend_api}/.well-known/jwks.json"), clock)
    }

    /// Uses the keys that are published at this URL. Fetches nothing yet.
    pub fn from_url(url: &str, clock: Clock) -> Result<Self, JwksError> {
        let builder = with_shared_roots(reqwest::Client::builder())
            .user_agent(concat!("evergrant/", env!("CARGO_PKG_VERSION")))
            .timeout(FETCH_TIMEOUT)
            // A redirect could supply keys from an address that nobody configured.
            .redirect(reqwest::redirect::Policy::none());
        // Plain http is only used for this machine, which no proxy can reach.
        let builder = if url.starts_with("http:") { builder.no_proxy() } else { builder };
        Ok(Self::Fetched(Arc::new(FetchedKeys {
            url: url.to_owned(),
            client: builder.build().map_err(JwksError::Client)?,
            clock,
            cache: Mutex::default(),
            fetch_lock: Arc::default(),
        })))
    }

    /// Fetches the keys and returns how many there are; `None` for a configured key.
    pub async fn fetch_count(&self) -> Result<Option<usize>, JwksError> {
        let Self::Fetched(fetched) = self else { return Ok(None) };
        let away = |why| JwksError::Unavailable { url: fetched.url.clone(), why };
        fetched.fetch().await.map(|keys| Some(keys.len())).map_err(away)
    }

    /// Returns the key with this id; `None` if it isn't published. A configured key has every id.
    pub async fn find(&self, kid: Option<&str>) -> Result<Option<DecodingKey>, JwksError> {
        match (self, kid) {
            (Self::Configured(key), _) => Ok(Some(DecodingKey::clone(key))),
            (Self::Fetched(_), None) => Ok(None),
            (Self::Fetched(fetched), Some(kid)) => fetched.find(kid).await,
        }
    }
}

impl FetchedKeys {
    async fn find(self: &Arc<Self>, kid: &str) -> Result<Option<DecodingKey>, JwksError> {
        if let Some(key) = self.cached_key(kid, REFETCH_AFTER_SECONDS) {
            return Ok(Some(key));
        }
        // One task fetches at a time. If the key is cached, there is no need to wait.
        match Arc::clone(&self.fetch_lock).try_lock_owned() {
            Ok(turn) => self.fetch_in_task(turn).await,
            Err(_) if self.cached_key(kid, MAX_CACHE_AGE_SECONDS).is_some() => {}
            Err(_) => {
                let turn = Arc::clone(&self.fetch_lock).lock_owned().await;
                if self.cached_key(kid, REFETCH_AFTER_SECONDS).is_none() {
                    self.fetch_in_task(turn).await;
                }
            }
        }
        self.usable_key(kid)
    }

    /// Returns the key from the cache if that is younger than `max_age` seconds.
    fn cached_key(&self, kid: &str, max_age: i64) -> Option<DecodingKey> {
        let known = self.cache.lock();
        known.age(self.clock.monotonic_seconds()).filter(|age| *age < max_age)?;
        known.keys.get(kid).cloned()
    }

    /// Returns the key from the cache, or why there are no keys that can still be used.
    fn usable_key(&self, kid: &str) -> Result<Option<DecodingKey>, JwksError> {
        let known = self.cache.lock();
        if known.age(self.clock.monotonic_seconds()).is_some_and(|age| age < MAX_CACHE_AGE_SECONDS) {
            return Ok(known.keys.get(kid).cloned());
        }
        let why = known.last_error.clone().unwrap_or_else(|| "never fetched".to_owned());
        Err(JwksError::Unavailable { url: self.url.clone(), why })
    }

    /// Fetches in its own task, so that a dropped request doesn't cancel the fetch for others.
    async fn fetch_in_task(self: &Arc<Self>, turn: FetchLockGuard) {
        let this = Arc::clone(self);
        let fetched = tokio::spawn(async move { this.fetch_if_due(turn).await });
        if let Err(error) = fetched.await {
            tracing::error!(%error, "fetch task for sign-in keys failed");
        }
    }

    async fn fetch_if_due(&self, _turn: FetchLockGuard) {
        let now = self.clock.monotonic_seconds();
        {
            let mut known = self.cache.lock();
            if known.attempted_at.is_some_and(|at| (0..MIN_FETCH_INTERVAL_SECONDS).contains(&(now - at))) {
                return;
            }
            known.attempted_at = Some(now);
        }
        let answer = self.fetch().await;
        let mut known = self.cache.lock();
        match answer {
            Ok(keys) => *known = CachedKeys { keys, fetched_at: Some(now), attempted_at: Some(now), last_error: None },
            Err(why) => {
                tracing::warn!(url = %self.url, %why, "failed to fetch sign-in keys, using cached ones");
                known.last_error = Some(why);
            }
        }
    }

    async fn fetch(&self) -> Result<HashMap<String, DecodingKey>, String> {
        let unreachable = |error: reqwest::Error| error.without_url().to_string();
        let mut answer = self.client.get(&self.url).send().await.map_err(unreachable)?;
        if !answer.status().is_success() {
            return Err(format!("status {}", answer.status().as_u16()));
        }
        let mut text = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(unreachable)? {
            text.extend_from_slice(&part);
            if text.len() > MAX_RESPONSE_BYTES {
                return Err("the response is too long".to_owned());
            }
        }
        parse_key_set(&text)
    }
}

impl CachedKeys {
    fn age(&self, now: i64) -> Option<i64> {
        self.fetched_at.map(|at| now - at)
    }
}

/// Parses the RSA keys that have an id, and ignores others. No key at all is an error.
fn parse_key_set(text: &[u8]) -> Result<HashMap<String, DecodingKey>, String> {
    let set: JwkSet = serde_json::from_slice(text).map_err(|_| "the response isn't a key set".to_owned())?;
    let rsa = set.keys.iter().filter(|key| matches!(key.algorithm, AlgorithmParameters::RSA(_)));
    let keys: HashMap<_, _> =
        rsa.filter_map(|key| Some((key.common.key_id.clone()?, DecodingKey::from_jwk(key).ok()?))).collect();
    if keys.is_empty() { Err("the response has no RSA key".to_owned()) } else { Ok(keys) }
}

#[cfg(test)]
mod tests;
