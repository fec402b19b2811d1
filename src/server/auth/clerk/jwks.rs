//! The public keys that session tokens are verified with: configured, or fetched and cached.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, JwkSet};

use crate::server::clock::Clock;

/// After this many seconds the keys are fetched again, so that a removed key stops working.
const REFETCH_AFTER_SECONDS: i64 = 60 * 60;
/// The shortest time between two fetches, in seconds. It bounds the fetches that made-up key ids cause.
const MIN_FETCH_INTERVAL_SECONDS: i64 = 30;
/// How long cached keys are used while Clerk is unreachable, in seconds.
const MAX_CACHE_AGE_SECONDS: i64 = 24 * 60 * 60;
/// How long Clerk has to answer.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest response. Far more than any key set needs.
const MAX_RESPONSE_BYTES: usize = 256 * 1024;

/// The source of the keys.
pub enum VerificationKeys {
    Configured(Box<DecodingKey>),
    Fetched(Arc<FetchedKeys>),
}

/// The result of looking up a key id.
pub enum Lookup {
    Found(DecodingKey),
    Unknown,
}

/// Why there are no keys to verify with. A server error, not the client's.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    #[error("can't create the HTTP client for Clerk: {0}")]
    Client(#[source] reqwest::Error),
    #[error("can't fetch Clerk's keys from {url}: {why}")]
    Unavailable { url: String, why: String },
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
    /// When they were last fetched.
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
        let builder = reqwest::Client::builder()
            .user_agent(concat!("evergrant/", env!("CARGO_PKG_VERSION")))
            .timeout(FETCH_TIMEOUT)
            // A redirect could supply keys from an address that nobody configured.
            .redirect(reqwest::redirect::Policy::none());
        // Plain http is only used for this machine, which no proxy can reach.
        let builder = if frontend_api.starts_with("http:") { builder.no_proxy() } else { builder };
        Ok(Self::Fetched(Arc::new(FetchedKeys {
            url: format!("{frontend_api}/.well-known/jwks.json"),
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

    /// Returns the key with this id. A configured key has every id.
    pub async fn find(&self, kid: Option<&str>) -> Result<Lookup, JwksError> {
        match (self, kid) {
            (Self::Configured(key), _) => Ok(Lookup::Found(DecodingKey::clone(key))),
            (Self::Fetched(_), None) => Ok(Lookup::Unknown),
            (Self::Fetched(fetched), Some(kid)) => fetched.find(kid).await,
        }
    }
}

impl FetchedKeys {
    async fn find(self: &Arc<Self>, kid: &str) -> Result<Lookup, JwksError> {
        if let Some(key) = self.fresh_key(kid) {
            return Ok(Lookup::Found(key));
        }
        // One task fetches at a time. If the key is cached, there is no need to wait.
        match Arc::clone(&self.fetch_lock).try_lock_owned() {
            Ok(turn) => self.fetch_in_task(turn).await,
            Err(_) if self.usable_key(kid).is_some() => {}
            Err(_) => {
                let turn = Arc::clone(&self.fetch_lock).lock_owned().await;
                if self.fresh_key(kid).is_none() {
                    self.fetch_in_task(turn).await;
                }
            }
        }
        match self.usable_key(kid) {
            Some(key) => Ok(Lookup::Found(key)),
            None => self.rejection(),
        }
    }

    fn fresh_key(&self, kid: &str) -> Option<DecodingKey> {
        let known = self.lock_cache();
        known.age(self.clock.now()).filter(|age| *age < REFETCH_AFTER_SECONDS)?;
        known.keys.get(kid).cloned()
    }

    fn usable_key(&self, kid: &str) -> Option<DecodingKey> {
        let known = self.lock_cache();
        known.age(self.clock.now()).filter(|age| *age < MAX_CACHE_AGE_SECONDS)?;
        known.keys.get(kid).cloned()
    }

    /// Returns `Unknown` if there are usable keys, else why there are none.
    fn rejection(&self) -> Result<Lookup, JwksError> {
        let known = self.lock_cache();
        if known.age(self.clock.now()).is_some_and(|age| age < MAX_CACHE_AGE_SECONDS) {
            return Ok(Lookup::Unknown);
        }
        let why = known.last_error.clone().unwrap_or_else(|| "never fetched".to_owned());
        Err(JwksError::Unavailable { url: self.url.clone(), why })
    }

    /// Fetches in its own task, so that a dropped request doesn't cancel the fetch for others.
    async fn fetch_in_task(self: &Arc<Self>, turn: FetchLockGuard) {
        let this = Arc::clone(self);
        let fetched = tokio::spawn(async move { this.fetch_if_due(turn).await });
        if let Err(error) = fetched.await {
            tracing::error!(%error, "fetch task for clerk keys failed");
        }
    }

    async fn fetch_if_due(&self, _turn: FetchLockGuard) {
        let now = self.clock.now();
        {
            let mut known = self.lock_cache();
            if known.attempted_at.is_some_and(|at| (0..MIN_FETCH_INTERVAL_SECONDS).contains(&(now - at))) {
                return;
            }
            known.attempted_at = Some(now);
        }
        let answer = self.fetch().await;
        let mut known = self.lock_cache();
        match answer {
            Ok(keys) => *known = CachedKeys { keys, fetched_at: Some(now), attempted_at: Some(now), last_error: None },
            Err(why) => {
                tracing::warn!(url = %self.url, %why, "failed to fetch clerk keys, using cached ones");
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

    fn lock_cache(&self) -> MutexGuard<'_, CachedKeys> {
        // Nothing panics while holding it, and the keys would still be valid.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
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
mod tests {
    use super::*;
    use crate::server::auth::clerk::testing::{Issuer, JwksServer, NOW};

    struct Setup {
        jwks: JwksServer,
        clock: Clock,
        keys: VerificationKeys,
    }

    async fn setup(named: &[&str]) -> Setup {
        let issuers: Vec<Issuer> = named.iter().map(|kid| Issuer::new(kid)).collect();
        let (jwks, clock) = (JwksServer::serve(&issuers).await, Clock::manual(NOW));
        let keys = VerificationKeys::from_frontend_api(&jwks.origin, clock.clone()).unwrap();
        Setup { jwks, clock, keys }
    }

    impl Setup {
        /// `None` for an error.
        async fn finds(&self, kid: &str) -> Option<bool> {
            self.keys.find(Some(kid)).await.ok().map(|found| matches!(found, Lookup::Found(_)))
        }
    }

    #[tokio::test]
    async fn keys_are_cached_for_an_hour() {
        let it = setup(&["k1"]).await;
        for _ in 0..3 {
            assert_eq!(it.finds("k1").await, Some(true));
        }
        assert_eq!(it.jwks.request_count(), 1);
        it.clock.advance(REFETCH_AFTER_SECONDS - 1);
        assert_eq!((it.finds("k1").await, it.jwks.request_count()), (Some(true), 1));
        it.jwks.publish(&[Issuer::new("k2")]);
        it.clock.advance(1);
        assert_eq!((it.finds("k1").await, it.jwks.request_count()), (Some(false), 2), "the key was removed");
    }

    #[tokio::test]
    async fn new_key_is_fetched_and_unknown_ids_cause_no_extra_fetches() {
        let it = setup(&["k1"]).await;
        assert_eq!(it.finds("k1").await, Some(true));
        it.clock.advance(MIN_FETCH_INTERVAL_SECONDS);
        it.jwks.publish(&[Issuer::new("k1"), Issuer::new("k2")]);
        assert_eq!((it.finds("k2").await, it.jwks.request_count()), (Some(true), 2));
        for made_up in 0..20 {
            assert_eq!(it.finds(&format!("made-up-{made_up}")).await, Some(false));
        }
        assert_eq!(it.jwks.request_count(), 2, "not within {MIN_FETCH_INTERVAL_SECONDS} seconds");
        it.clock.advance(MIN_FETCH_INTERVAL_SECONDS);
        assert_eq!((it.finds("made-up").await, it.jwks.request_count()), (Some(false), 3));
        assert_eq!(it.keys.find(None).await.ok().map(|found| matches!(found, Lookup::Found(_))), Some(false));
    }

    #[tokio::test]
    async fn concurrent_lookups_share_one_fetch() {
        let it = setup(&["k1"]).await;
        let all = futures::future::join_all((0..20).map(|_| it.finds("k1"))).await;
        assert!(all.iter().all(|known| *known == Some(true)));
        assert_eq!(it.jwks.request_count(), 1);
    }

    #[tokio::test]
    async fn a_dropped_lookup_does_not_cancel_the_fetch() {
        let it = setup(&["k1"]).await;
        tokio::select! {
            biased;
            _ = it.finds("k1") => panic!("an answer without waiting"),
            () = std::future::ready(()) => {}
        }
        assert_eq!((it.finds("k1").await, it.jwks.request_count()), (Some(true), 1));
    }

    #[tokio::test]
    async fn cached_keys_are_used_for_a_day_while_the_issuer_is_unreachable() {
        let it = setup(&["k1"]).await;
        assert_eq!(it.finds("k1").await, Some(true));
        it.jwks.set_failing(true);
        it.clock.advance(REFETCH_AFTER_SECONDS);
        assert_eq!((it.finds("k1").await, it.jwks.request_count()), (Some(true), 2));
        assert_eq!((it.finds("k1").await, it.jwks.request_count()), (Some(true), 2), "not fetched again so soon");
        assert_eq!(it.finds("k2").await, Some(false));
        it.clock.advance(MAX_CACHE_AGE_SECONDS - REFETCH_AFTER_SECONDS);
        assert_eq!(it.finds("k1").await, None, "a day is over");
        it.jwks.set_failing(false);
        it.clock.advance(MIN_FETCH_INTERVAL_SECONDS);
        assert_eq!(it.finds("k1").await, Some(true));
    }

    #[tokio::test]
    async fn missing_keys_are_an_error_and_not_a_rejection() {
        let it = setup(&["k1"]).await;
        it.jwks.set_failing(true);
        let error = it.keys.find(Some("k1")).await.err().unwrap().to_string();
        assert!(error.contains("503") && error.contains("/.well-known/jwks.json"), "{error}");
        it.jwks.publish(&[]);
        it.jwks.set_failing(false);
        it.clock.advance(MIN_FETCH_INTERVAL_SECONDS);
        let error = it.keys.find(Some("k1")).await.err().unwrap().to_string();
        assert!(error.contains("no RSA key"), "{error}");
    }
}
