//! The public keys that session tokens are checked with: given once, or fetched, remembered and rotated.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, JwkSet};

use crate::server::clock::Clock;

/// Keys are looked at again after an hour: a key that was taken back goes by then.
const FRESH: i64 = 60 * 60;
/// Between two fetches, in seconds. A token with a made-up key name causes no more of them than this.
const REST: i64 = 30;
/// While the issuer is away its keys are used on for so long, in seconds.
const STALE: i64 = 24 * 60 * 60;
/// How long the issuer has to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Far more than any issuer's keys take.
const MOST_BYTES: usize = 256 * 1024;

/// Where keys come from.
pub enum Keys {
    Given(Box<DecodingKey>),
    Fetched(Arc<Fetched>),
}

/// What a name leads to.
pub enum Lookup {
    Found(DecodingKey),
    Unknown,
}

/// Why there is nothing to check with. Nobody's fault who asks.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error("the HTTP client for Clerk can't be made: {0}")]
    Client(#[source] reqwest::Error),
    #[error("Clerk's keys at {url} can't be had: {why}")]
    Away { url: String, why: String },
}

pub struct Fetched {
    url: String,
    client: reqwest::Client,
    clock: Clock,
    known: Mutex<Known>,
    /// Whoever holds it fetches; the others wait for what comes, or use what is there.
    turn: Arc<tokio::sync::Mutex<()>>,
}

type Turn = tokio::sync::OwnedMutexGuard<()>;

#[derive(Default)]
struct Known {
    keys: HashMap<String, DecodingKey>,
    /// When they were last seen at the issuer.
    seen_at: Option<i64>,
    /// When that was last tried.
    tried_at: Option<i64>,
    /// How that failed, where it did.
    trouble: Option<String>,
}

impl Keys {
    pub fn given(key: DecodingKey) -> Self {
        Self::Given(Box::new(key))
    }

    /// The keys of the application whose frontend API this is. Nothing is fetched yet.
    pub fn of(frontend_api: &str, clock: Clock) -> Result<Self, KeysError> {
        let builder = reqwest::Client::builder()
            .user_agent(concat!("evergrant/", env!("CARGO_PKG_VERSION")))
            .timeout(PATIENCE)
            // Keys from an address that nobody configured would open everything.
            .redirect(reqwest::redirect::Policy::none());
        // Plain http is for this machine alone, which no proxy knows.
        let builder = if frontend_api.starts_with("http:") { builder.no_proxy() } else { builder };
        Ok(Self::Fetched(Arc::new(Fetched {
            url: format!("{frontend_api}/.well-known/jwks.json"),
            client: builder.build().map_err(KeysError::Client)?,
            clock,
            known: Mutex::default(),
            turn: Arc::default(),
        })))
    }

    /// How many there are, asked for now; `None` for one that was given.
    pub async fn count(&self) -> Result<Option<usize>, KeysError> {
        let Self::Fetched(fetched) = self else { return Ok(None) };
        let away = |why| KeysError::Away { url: fetched.url.clone(), why };
        fetched.fetch().await.map(|keys| Some(keys.len())).map_err(away)
    }

    /// The key of this name. A key that was given is the only one, whatever a token calls it.
    pub async fn find(&self, kid: Option<&str>) -> Result<Lookup, KeysError> {
        match (self, kid) {
            (Self::Given(key), _) => Ok(Lookup::Found(DecodingKey::clone(key))),
            (Self::Fetched(_), None) => Ok(Lookup::Unknown),
            (Self::Fetched(fetched), Some(kid)) => fetched.find(kid).await,
        }
    }
}

impl Fetched {
    async fn find(self: &Arc<Self>, kid: &str) -> Result<Lookup, KeysError> {
        if let Some(key) = self.fresh(kid) {
            return Ok(Lookup::Found(key));
        }
        // One asks at a time. Who knows the key from before needn't wait for that.
        match Arc::clone(&self.turn).try_lock_owned() {
            Ok(turn) => self.fetch_if_rested(turn).await,
            Err(_) if self.usable(kid).is_some() => {}
            Err(_) => {
                let turn = Arc::clone(&self.turn).lock_owned().await;
                if self.fresh(kid).is_none() {
                    self.fetch_if_rested(turn).await;
                }
            }
        }
        match self.usable(kid) {
            Some(key) => Ok(Lookup::Found(key)),
            None => self.why_not(),
        }
    }

    fn fresh(&self, kid: &str) -> Option<DecodingKey> {
        let known = self.known();
        known.age(self.clock.now()).filter(|age| *age < FRESH)?;
        known.keys.get(kid).cloned()
    }

    fn usable(&self, kid: &str) -> Option<DecodingKey> {
        let known = self.known();
        known.age(self.clock.now()).filter(|age| *age < STALE)?;
        known.keys.get(kid).cloned()
    }

    /// A name that the issuer's keys don't have is unknown; without keys nothing can be said.
    fn why_not(&self) -> Result<Lookup, KeysError> {
        let known = self.known();
        if known.age(self.clock.now()).is_some_and(|age| age < STALE) {
            return Ok(Lookup::Unknown);
        }
        let why = known.trouble.clone().unwrap_or_else(|| "they were never fetched".to_owned());
        Err(KeysError::Away { url: self.url.clone(), why })
    }

    /// In a task of its own: who asks and hangs up must not take the answer from the others.
    async fn fetch_if_rested(self: &Arc<Self>, turn: Turn) {
        let this = Arc::clone(self);
        let fetched = tokio::spawn(async move { this.fetch_in_turn(turn).await });
        if let Err(error) = fetched.await {
            tracing::error!(%error, "the task that fetches Clerk's keys died");
        }
    }

    async fn fetch_in_turn(&self, _turn: Turn) {
        let now = self.clock.now();
        {
            let mut known = self.known();
            if known.tried_at.is_some_and(|at| (0..REST).contains(&(now - at))) {
                return;
            }
            known.tried_at = Some(now);
        }
        let answer = self.fetch().await;
        let mut known = self.known();
        match answer {
            Ok(keys) => *known = Known { keys, seen_at: Some(now), tried_at: Some(now), trouble: None },
            Err(why) => {
                tracing::warn!(url = %self.url, %why, "Clerk's keys can't be fetched; those from before are used on");
                known.trouble = Some(why);
            }
        }
    }

    async fn fetch(&self) -> Result<HashMap<String, DecodingKey>, String> {
        let unreachable = |error: reqwest::Error| error.without_url().to_string();
        let mut answer = self.client.get(&self.url).send().await.map_err(unreachable)?;
        if !answer.status().is_success() {
            return Err(format!("it answers {}", answer.status().as_u16()));
        }
        let mut text = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(unreachable)? {
            text.extend_from_slice(&part);
            if text.len() > MOST_BYTES {
                return Err("its answer is too long".to_owned());
            }
        }
        read(&text)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Nobody panics while holding it; and keys stay keys if somebody did.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn age(&self, now: i64) -> Option<i64> {
        self.seen_at.map(|at| now - at)
    }
}

/// RSA keys with a name; of other kinds we know nothing. None at all is trouble: no issuer means that.
fn read(text: &[u8]) -> Result<HashMap<String, DecodingKey>, String> {
    let set: JwkSet = serde_json::from_slice(text).map_err(|_| "its answer isn't a set of keys".to_owned())?;
    let rsa = set.keys.iter().filter(|key| matches!(key.algorithm, AlgorithmParameters::RSA(_)));
    let keys: HashMap<_, _> =
        rsa.filter_map(|key| Some((key.common.key_id.clone()?, DecodingKey::from_jwk(key).ok()?))).collect();
    if keys.is_empty() { Err("its answer holds no RSA key".to_owned()) } else { Ok(keys) }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Issuer, Jwks, NOW};
    use super::*;

    struct Setup {
        jwks: Jwks,
        clock: Clock,
        keys: Keys,
    }

    async fn setup(named: &[&str]) -> Setup {
        let issuers: Vec<Issuer> = named.iter().map(|kid| Issuer::new(kid)).collect();
        let (jwks, clock) = (Jwks::serve(&issuers).await, Clock::manual(NOW));
        let keys = Keys::of(&jwks.origin, clock.clone()).unwrap();
        Setup { jwks, clock, keys }
    }

    impl Setup {
        /// `None` for an error.
        async fn knows(&self, kid: &str) -> Option<bool> {
            self.keys.find(Some(kid)).await.ok().map(|found| matches!(found, Lookup::Found(_)))
        }
    }

    #[tokio::test]
    async fn keys_are_fetched_once_and_looked_at_again_after_an_hour() {
        let it = setup(&["k1"]).await;
        for _ in 0..3 {
            assert_eq!(it.knows("k1").await, Some(true));
        }
        assert_eq!(it.jwks.asked(), 1);
        it.clock.advance(FRESH - 1);
        assert_eq!((it.knows("k1").await, it.jwks.asked()), (Some(true), 1));
        it.jwks.publish(&[Issuer::new("k2")]);
        it.clock.advance(1);
        assert_eq!((it.knows("k1").await, it.jwks.asked()), (Some(false), 2), "a key that was taken back");
    }

    #[tokio::test]
    async fn a_new_key_is_found_and_made_up_names_cause_no_fetching() {
        let it = setup(&["k1"]).await;
        assert_eq!(it.knows("k1").await, Some(true));
        it.clock.advance(REST);
        it.jwks.publish(&[Issuer::new("k1"), Issuer::new("k2")]);
        assert_eq!((it.knows("k2").await, it.jwks.asked()), (Some(true), 2));
        for made_up in 0..20 {
            assert_eq!(it.knows(&format!("made-up-{made_up}")).await, Some(false));
        }
        assert_eq!(it.jwks.asked(), 2, "not within {REST} seconds");
        it.clock.advance(REST);
        assert_eq!((it.knows("made-up").await, it.jwks.asked()), (Some(false), 3));
        assert_eq!(it.keys.find(None).await.ok().map(|found| matches!(found, Lookup::Found(_))), Some(false));
    }

    #[tokio::test]
    async fn many_at_once_fetch_once() {
        let it = setup(&["k1"]).await;
        let all = futures::future::join_all((0..20).map(|_| it.knows("k1"))).await;
        assert!(all.iter().all(|known| *known == Some(true)));
        assert_eq!(it.jwks.asked(), 1);
    }

    #[tokio::test]
    async fn who_hangs_up_takes_nothing_from_the_others() {
        let it = setup(&["k1"]).await;
        tokio::select! {
            biased;
            _ = it.knows("k1") => panic!("an answer without waiting"),
            () = std::future::ready(()) => {}
        }
        assert_eq!((it.knows("k1").await, it.jwks.asked()), (Some(true), 1));
    }

    #[tokio::test]
    async fn while_the_issuer_is_away_its_keys_are_used_for_a_day() {
        let it = setup(&["k1"]).await;
        assert_eq!(it.knows("k1").await, Some(true));
        it.jwks.fail(true);
        it.clock.advance(FRESH);
        assert_eq!((it.knows("k1").await, it.jwks.asked()), (Some(true), 2));
        assert_eq!((it.knows("k1").await, it.jwks.asked()), (Some(true), 2), "no hammering");
        assert_eq!(it.knows("k2").await, Some(false));
        it.clock.advance(STALE - FRESH);
        assert_eq!(it.knows("k1").await, None, "a day is over");
        it.jwks.fail(false);
        it.clock.advance(REST);
        assert_eq!(it.knows("k1").await, Some(true));
    }

    #[tokio::test]
    async fn without_any_keys_nobody_is_refused_for_it() {
        let it = setup(&["k1"]).await;
        it.jwks.fail(true);
        let error = it.keys.find(Some("k1")).await.err().unwrap().to_string();
        assert!(error.contains("503") && error.contains("/.well-known/jwks.json"), "{error}");
        it.jwks.publish(&[]);
        it.jwks.fail(false);
        it.clock.advance(REST);
        let error = it.keys.find(Some("k1")).await.err().unwrap().to_string();
        assert!(error.contains("no RSA key"), "{error}");
    }
}
