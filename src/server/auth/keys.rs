//! API keys: how one is made, how a request presents it, and whether it counts.

use std::fmt::Write as _;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use sha2::{Digest, Sha256};

use super::cookie::hashed;
use crate::model::{ApiKeyId, BindingId, KeyLife, OrgId, Scope, UserId};
use crate::server::cipher::{CipherError, random};
use crate::server::domain::{Actor, ApiKey, Secret};
use crate::server::store::{Bound, KeyRow, NewApiKey, Store, StoreError};

/// What every key begins with, so that people and scanners of leaked secrets know one.
pub const PREFIX: &str = "egk_";
/// The letters of a key's 256 random bits, and of the checksum after them, in hex.
const RANDOM: usize = 64;
const CHECKSUM: usize = 8;
/// As many letters are kept in the clear.
const SHOWN: usize = PREFIX.len() + 8;
/// The longest name, in letters.
pub const LONGEST_NAME: usize = 100;

/// What a new key is to be.
pub struct Wanted<'a> {
    pub name: &'a str,
    pub scopes: &'a [Scope],
    pub life: KeyLife,
    pub by: Option<&'a UserId>,
}

/// A key that was just made, in the only hands that it is in.
pub struct Made {
    pub id: ApiKeyId,
    pub key: ApiKey,
    pub expires_at: Option<i64>,
}

/// Why no key was made.
#[derive(Debug, thiserror::Error)]
pub enum NotMade {
    #[error("a key needs a name of at most {LONGEST_NAME} letters")]
    Name,
    #[error("a key needs at least one scope")]
    Scope,
    #[error("the organisation has as many API keys as it may")]
    TooMany,
    #[error("no new key could be made: {0}")]
    Random(#[from] CipherError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why nobody is taken for asking.
#[derive(Clone, Debug, PartialEq)]
pub enum NoKey {
    /// No `Authorization: Bearer` at all.
    Missing,
    /// Not how a key of ours is spelt: another kind of token, or a letter lost on the way.
    Misspelt,
    /// None of ours, or revoked: which of them, nobody is told.
    Unknown,
    Expired {
        at: i64,
    },
}

/// Makes a key. It is handed over once: afterwards nobody knows more of it than its hash.
pub async fn make(store: &Store, org: &OrgId, wanted: Wanted<'_>, actor: &Actor) -> Result<Made, NotMade> {
    let name = wanted.name.trim();
    if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(NotMade::Name);
    }
    if wanted.scopes.is_empty() {
        return Err(NotMade::Scope);
    }
    let key = new_key()?;
    let expires_at = wanted.life.seconds().map(|seconds| store.clock().now() + seconds);
    let new = NewApiKey {
        name,
        hash: &hash(&key),
        prefix: shown(key.expose()),
        scopes: wanted.scopes,
        expires_at,
        by: wanted.by,
    };
    let id = store.add_api_key(org, new, actor).await?.ok_or(NotMade::TooMany)?;
    Ok(Made { id, key, expires_at })
}

/// Who asks with the key that a request presents.
pub async fn program(store: &Store, headers: &HeaderMap) -> Result<Result<KeyRow, NoKey>, StoreError> {
    let key = match presented(headers) {
        Ok(key) => key,
        Err(why) => return Ok(Err(why)),
    };
    let row = store.api_key(&hash(&key)).await?;
    Ok(counts(row, store.clock().now()))
}

/// The same, with a binding of the key's organisation read along.
pub async fn program_and_binding(
    store: &Store,
    headers: &HeaderMap,
    binding: &BindingId,
) -> Result<Result<(KeyRow, Option<Bound>), NoKey>, StoreError> {
    let key = match presented(headers) {
        Ok(key) => key,
        Err(why) => return Ok(Err(why)),
    };
    let (row, bound) = store.api_key_and_binding(&hash(&key), binding).await?.unzip();
    Ok(counts(row, store.clock().now()).map(|row| (row, bound.flatten())))
}

/// Whether a text means to be a key of ours: as a bearer it is nobody's session then.
pub fn is_a_key(token: &str) -> bool {
    token.starts_with(PREFIX)
}

/// The letters by which people tell a key from others.
pub fn shown(key: &str) -> &str {
    key.get(..SHOWN).unwrap_or(key)
}

fn counts(row: Option<KeyRow>, now: i64) -> Result<KeyRow, NoKey> {
    let row = row.filter(|row| row.revoked_at.is_none()).ok_or(NoKey::Unknown)?;
    match row.expires_at.filter(|end| *end <= now) {
        Some(at) => Err(NoKey::Expired { at }),
        None => Ok(row),
    }
}

/// The key that a request shows, spelt as ours are. The scheme's name is spelt in any case (RFC 9110, 11.1).
pub fn presented(headers: &HeaderMap) -> Result<ApiKey, NoKey> {
    let text = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or(NoKey::Missing)?;
    let (scheme, key) = text.split_once(' ').ok_or(NoKey::Missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(NoKey::Missing);
    }
    let key = key.trim();
    if is_well_spelt(key) { Ok(ApiKey::new(key)) } else { Err(NoKey::Misspelt) }
}

fn new_key() -> Result<ApiKey, CipherError> {
    Ok(spelt(&random()?))
}

/// How the key of these bits is written.
pub fn spelt(bits: &[u8; RANDOM / 2]) -> ApiKey {
    let body = hex(bits);
    let checksum = checksum(&body);
    ApiKey::new(format!("{PREFIX}{body}{checksum}"))
}

/// Tells a typing error from a key that isn't known, without asking the database.
pub fn is_well_spelt(key: &str) -> bool {
    let Some(rest) = key.strip_prefix(PREFIX).filter(|rest| rest.len() == RANDOM + CHECKSUM) else { return false };
    let digits = |body: &str| body.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    rest.split_at_checked(RANDOM).is_some_and(|(body, sum)| digits(body) && checksum(body) == sum)
}

fn checksum(body: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(format!("{PREFIX}{body}")).into();
    hex(&digest[..CHECKSUM / 2])
}

fn hash(key: &ApiKey) -> String {
    hashed(&Secret::new(key.expose()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string doesn't fail.
        _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::testing::{START, stores};

    const DAY: i64 = 24 * 60 * 60;

    fn with(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])
    }

    fn wanted<'a>(name: &'a str, scopes: &'a [Scope]) -> Wanted<'a> {
        Wanted { name, scopes, life: KeyLife::Month, by: None }
    }

    #[test]
    fn keys_differ_and_a_typing_error_shows() {
        let (one, other) = (new_key().unwrap(), new_key().unwrap());
        assert_ne!(one.expose(), other.expose());
        let key = one.expose();
        assert_eq!((key.len(), shown(key).len()), (76, 12));
        assert!(is_well_spelt(key) && is_a_key(key));
        for place in 4..key.len() {
            let letter = if &key[place..=place] == "0" { "1" } else { "0" };
            let wrong = format!("{}{letter}{}", &key[..place], &key[place + 1..]);
            assert!(!is_well_spelt(&wrong), "{place}");
        }
        for wrong in ["", "egk_", &key[..75], &format!("{key}0"), &key[4..], &"é".repeat(38), "egk_é"] {
            assert!(!is_well_spelt(wrong), "{wrong}");
        }
        // A checksum of its own makes no key of what isn't hex as we write it.
        for body in ["z".repeat(64), key[4..68].to_uppercase(), "é".repeat(32)] {
            let summed = format!("{PREFIX}{body}{}", checksum(&body));
            assert_eq!(is_well_spelt(&summed), summed == key, "{summed}");
        }
    }

    #[test]
    fn a_key_is_presented_as_a_bearer_alone() {
        let key = new_key().unwrap();
        let key = key.expose();
        let found = |value: &str| presented(&with(value)).map(|key| key.expose().to_owned());
        assert_eq!(found(&format!("Bearer {key}")).as_deref(), Ok(key));
        assert_eq!(found(&format!("bearer  {key} ")).as_deref(), Ok(key));
        assert_eq!(found(&format!("Basic {key}")), Err(NoKey::Missing));
        assert_eq!(found(key), Err(NoKey::Missing));
        assert_eq!(found("Bearer eyJhbGciOiJSUzI1NiJ9.e30.sig"), Err(NoKey::Misspelt));
        assert_eq!(presented(&HeaderMap::new()).err(), Some(NoKey::Missing));
    }

    #[tokio::test]
    async fn a_key_counts_until_it_expires_or_is_revoked() {
        for (name, store) in stores().await {
            let org = store.add_org("Harbour Group").await.unwrap().unwrap();
            let made = make(&store, &org, wanted(" Nightly export ", Scope::ALL), &Actor::operator()).await;
            let Made { id, key, expires_at } = made.ok().unwrap();
            assert_eq!(expires_at, Some(START + 30 * DAY), "{name}");
            let asks = with(&format!("Bearer {}", key.expose()));
            let row = program(&store, &asks).await.unwrap().unwrap();
            assert_eq!((&row.id, &row.org, row.name.as_str()), (&id, &org, "Nightly export"), "{name}");
            assert_eq!(row.scopes, Scope::ALL, "{name}");
            store.clock().advance(30 * DAY);
            let expired = Err(NoKey::Expired { at: START + 30 * DAY });
            assert_eq!(program(&store, &asks).await.unwrap(), expired, "{name}");
            assert!(store.revoke_api_key(&org, &id, &Actor::operator()).await.unwrap(), "{name}");
            assert_eq!(program(&store, &asks).await.unwrap(), Err(NoKey::Unknown), "{name}");
            let never = with(&format!("Bearer {}", new_key().unwrap().expose()));
            assert_eq!(program(&store, &never).await.unwrap(), Err(NoKey::Unknown), "{name}");
        }
    }

    #[tokio::test]
    async fn a_key_needs_a_name_and_something_to_do() {
        for (name, store) in stores().await {
            let org = store.add_org("Harbour Group").await.unwrap().unwrap();
            for wrong in ["", "  ", "a\nb", &"x".repeat(101)] {
                let made = make(&store, &org, wanted(wrong, Scope::ALL), &Actor::operator()).await;
                assert!(matches!(made, Err(NotMade::Name)), "{name} {wrong:?}");
            }
            let made = make(&store, &org, wanted("Nightly export", &[]), &Actor::operator()).await;
            assert!(matches!(made, Err(NotMade::Scope)), "{name}");
            assert!(store.api_keys(&org).await.unwrap().is_empty(), "{name}");
        }
    }
}
