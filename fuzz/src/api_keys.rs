//! API keys: a header is accepted as a key only in our exact format, and authenticates only the key that was created.

use std::sync::OnceLock;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue};
use evergrant::model::{ApiKeyLifetime, Scope};
use evergrant::server::auth::api_keys;
use evergrant::server::auth::api_keys::{KeyError, KeyRejection, RequestedApiKey};
use evergrant::server::clock::Clock;
use evergrant::server::crypto::key_ring::KeyRing;
use evergrant::server::domain::Actor;
use evergrant::server::domain::ApiKey;
use evergrant::server::store::{Database, Store};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// A store that holds one key.
struct Bench {
    runtime: Runtime,
    store: Store,
    key: ApiKey,
    _folder: TempDir,
}

fn bench() -> &'static Bench {
    static BENCH: OnceLock<Bench> = OnceLock::new();
    BENCH.get_or_init(|| {
        let (runtime, folder) = (Builder::new_current_thread().enable_all().build().unwrap(), TempDir::new().unwrap());
        let (store, key) = runtime.block_on(async {
            let database = Database::connect(&format!("sqlite://{}/keys.db", folder.path().display())).await.unwrap();
            database.migrate().await.unwrap();
            let ring = KeyRing::parse(&KeyRing::generate().unwrap()).unwrap();
            let store = Store::new(database, ring, Clock::manual(1_800_000_000));
            let org = store.add_org("Harbour Group").await.unwrap();
            let wanted = RequestedApiKey {
                name: "export",
                scopes: Scope::ALL,
                life: ApiKeyLifetime::NoExpiry,
                created_by: None,
            };
            let made = api_keys::create(&store.as_actor(Actor::operator()), &org, wanted).await;
            (store, made.unwrap_or_else(|error| panic!("{error}")).key)
        });
        Bench { runtime, store, key, _folder: folder }
    })
}

/// Uses the input as an `Authorization` header, as a bearer token and as the random bytes of a key.
pub fn hold(input: &[u8]) {
    is_spelt_as_ours_or_refused(input);
    is_spelt_as_ours_or_refused(&[b"Bearer ", input].concat());
    what_we_spell_is_read_and_no_near_miss(input);
    let text = String::from_utf8_lossy(input);
    assert!(text.starts_with(api_keys::display_prefix(&text)));
}

fn with(value: &[u8]) -> Option<HeaderMap> {
    let value = HeaderValue::from_bytes(value).ok()?;
    Some(HeaderMap::from_iter([(AUTHORIZATION, value)]))
}

fn is_spelt_as_ours_or_refused(value: &[u8]) {
    let Some(headers) = with(value) else { return };
    let Ok(key) = api_keys::bearer_key(&headers) else { return };
    assert!(is_ours(key.expose()), "{value:?} was accepted as a key");
    let Bench { runtime, store, key: made, .. } = bench();
    let found = runtime.block_on(api_keys::authenticate(store, &headers));
    assert!(!matches!(found, Err(KeyError::Store(_))), "{value:?}");
    assert_eq!(found.is_ok(), key.expose() == made.expose(), "{value:?}");
}

/// Returns whether the text is the format of a key: decoding and formatting its bytes returns the same text.
fn is_ours(key: &str) -> bool {
    let body = key.strip_prefix("egk_").filter(|rest| rest.is_ascii()).and_then(|rest| rest.get(..64));
    let digits = body.map(|body| body.as_bytes().chunks(2).map(|two| std::str::from_utf8(two).unwrap()));
    let bits: Option<Vec<u8>> = digits.and_then(|two| two.map(|two| u8::from_str_radix(two, 16).ok()).collect());
    bits.and_then(|bits| <[u8; 32]>::try_from(bits).ok())
        .is_some_and(|bits| api_keys::format_key(&bits).expose() == key)
}

fn what_we_spell_is_read_and_no_near_miss(input: &[u8]) {
    let byte = |at: usize| input.get(at).copied().unwrap_or(0);
    let key = api_keys::format_key(&std::array::from_fn(byte));
    let read = |text: &str| with(format!("Bearer {text}").as_bytes()).map(|headers| api_keys::bearer_key(&headers));
    assert!(matches!(read(key.expose()), Some(Ok(same)) if same.expose() == key.expose()));
    let (before, from) = key.expose().split_at(usize::from(byte(32)) % key.expose().len());
    let (letter, after) = (char::from(byte(33) & 0x7f), &from[1..]);
    for near in [format!("{before}{letter}{after}"), format!("{before}{letter}{from}"), format!("{before}{after}")] {
        match read(&near) {
            Some(Ok(taken)) => assert!(is_ours(taken.expose()), "{near:?} was accepted as a key"),
            Some(Err(KeyRejection::Malformed | KeyRejection::Missing)) | None => {}
            Some(Err(other)) => panic!("{near:?}: {other:?}"),
        }
    }
}
