//! Tests of fetching and caching the keys.

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
        self.keys.find(Some(kid)).await.ok().map(|found| found.is_some())
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
    assert_eq!(it.keys.find(None).await.ok().map(|found| found.is_some()), Some(false));
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
