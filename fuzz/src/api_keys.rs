//! API keys: a header is taken for a key only where it spells one as we do, and opens nothing but that very key's
//! organisation.

use std::sync::OnceLock;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue};
use evergrant::model::{KeyLife, Scope};
use evergrant::server::auth::keys::{self, NoKey, Wanted};
use evergrant::server::cipher::KeyRing;
use evergrant::server::clock::Clock;
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
            let org = store.add_org("Harbour Group").await.unwrap().unwrap();
            let wanted = Wanted { name: "export", scopes: Scope::ALL, life: KeyLife::Forever, by: None };
            let made = keys::make(&store, &org, wanted, &Actor::operator()).await;
            (store, made.unwrap_or_else(|error| panic!("{error}")).key)
        });
        Bench { runtime, store, key, _folder: folder }
    })
}

/// The input is taken for an `Authorization` header, for a bearer, and for the random bits of a key.
pub fn hold(input: &[u8]) {
    is_spelt_as_ours_or_refused(input);
    is_spelt_as_ours_or_refused(&[b"Bearer ", input].concat());
    what_we_spell_is_read_and_no_near_miss(input);
    let text = String::from_utf8_lossy(input);
    assert!(text.starts_with(keys::shown(&text)));
}

fn with(value: &[u8]) -> Option<HeaderMap> {
    let value = HeaderValue::from_bytes(value).ok()?;
    Some(HeaderMap::from_iter([(AUTHORIZATION, value)]))
}

fn is_spelt_as_ours_or_refused(value: &[u8]) {
    let Some(headers) = with(value) else { return };
    let Ok(key) = keys::presented(&headers) else { return };
    assert!(is_ours(key.expose()), "{value:?} was taken for a key");
    let Bench { runtime, store, key: made, .. } = bench();
    let found = runtime.block_on(keys::program(store, &headers)).unwrap();
    assert_eq!(found.is_ok(), key.expose() == made.expose(), "{value:?}");
}

/// Told from the spelling alone: the bits that it says, written anew, are it.
fn is_ours(key: &str) -> bool {
    let body = key.strip_prefix("egk_").filter(|rest| rest.is_ascii()).and_then(|rest| rest.get(..64));
    let digits = body.map(|body| body.as_bytes().chunks(2).map(|two| std::str::from_utf8(two).unwrap()));
    let bits: Option<Vec<u8>> = digits.and_then(|two| two.map(|two| u8::from_str_radix(two, 16).ok()).collect());
    bits.and_then(|bits| <[u8; 32]>::try_from(bits).ok()).is_some_and(|bits| keys::spelt(&bits).expose() == key)
}

fn what_we_spell_is_read_and_no_near_miss(input: &[u8]) {
    let byte = |at: usize| input.get(at).copied().unwrap_or(0);
    let key = keys::spelt(&std::array::from_fn(byte));
    let read = |text: &str| with(format!("Bearer {text}").as_bytes()).map(|headers| keys::presented(&headers));
    assert!(matches!(read(key.expose()), Some(Ok(same)) if same.expose() == key.expose()));
    let (before, from) = key.expose().split_at(usize::from(byte(32)) % key.expose().len());
    let (letter, after) = (char::from(byte(33) & 0x7f), &from[1..]);
    for near in [format!("{before}{letter}{after}"), format!("{before}{letter}{from}"), format!("{before}{after}")] {
        match read(&near) {
            Some(Ok(taken)) => assert!(is_ours(taken.expose()), "{near:?} was taken for a key"),
            Some(Err(NoKey::Misspelt | NoKey::Missing)) | None => {}
            Some(Err(other)) => panic!("{near:?}: {other:?}"),
        }
    }
}
