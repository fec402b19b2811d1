//! API keys: creation, format and verification.

use std::fmt::Write as _;

use axum::http::HeaderMap;
use sha2::{Digest, Sha256};

use super::bearer::bearer_token;
use crate::model::{ApiKeyId, ApiKeyLifetime, BindingId, OrgId, Scope, UserId};
use crate::server::crypto::random::{RandomError, hash_secret, random_bytes};
use crate::server::domain::{ApiKey, Secret};
use crate::server::store::{AddApiKeyError, ApiKeyRow, BindingWithGrant, NewApiKeyRow, Store, StoreError};

/// The prefix of every key, by which people and secret scanners recognize it.
pub const PREFIX: &str = "egk_";
/// The hex digits of a key's 256 random bits.
const RANDOM_DIGITS: usize = 64;
/// The hex digits of the checksum after them.
const CHECKSUM_DIGITS: usize = 8;
/// The length of the part that is stored in clear text.
const DISPLAY_PREFIX_LENGTH: usize = PREFIX.len() + 8;
/// The longest name, in characters.
pub const MAX_NAME_LENGTH: usize = 100;

/// The properties of a key to create.
pub struct RequestedApiKey<'a> {
    /// The name by which people recognize the key. Surrounding spaces are removed.
    pub name: &'a str,
    /// What the key permits. Must not be empty.
    pub scopes: &'a [Scope],
    /// How long the key is valid.
    pub life: ApiKeyLifetime,
    /// The user who creates the key. `None` for an operator at the command line.
    pub created_by: Option<&'a UserId>,
}

/// A key that was just created. The only copy of its text.
pub struct CreatedApiKey {
    /// The id by which the key is listed and revoked.
    pub id: ApiKeyId,
    /// The key's text.
    pub key: ApiKey,
    /// Unix seconds at which the key expires. `None` if it never does.
    pub expires_at: Option<i64>,
}

/// Why no key was created.
#[derive(Debug, thiserror::Error)]
pub enum CreateKeyError {
    /// The name is empty, too long or contains control characters.
    #[error("a key needs a name of at most {MAX_NAME_LENGTH} characters")]
    InvalidName,
    /// No scope was requested.
    #[error("a key needs at least one scope")]
    NoScopes,
    /// The organization has reached its limit of API keys.
    #[error("the organization has reached its limit of API keys")]
    TooMany,
    /// The system returned no random bytes for the key.
    #[error("could not create a key: {0}")]
    Random(#[from] RandomError),
    /// People's keys are not accepted: see `Store::accepts_personal_keys`.
    #[error("keys that people create are not accepted")]
    PersonalKeysRefused,
    /// The store or its database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a request has no valid key.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyRejection {
    /// There is no `Authorization: Bearer` header.
    Missing,
    /// Not in the format of our keys: another kind of token, or a typing error.
    Malformed,
    /// Unknown or revoked. The response doesn't say which.
    Unknown,
    /// A person created the key, and Evergrant does not learn when that person leaves the organization.
    PersonalKey,
    /// The key was valid until it expired.
    Expired {
        /// Unix seconds at which the key expired.
        at: i64,
    },
}

/// Why no key authenticates a request.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The request has no valid key.
    #[error("the API key was refused: {0:?}")]
    Rejected(KeyRejection),
    /// The store or its database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<KeyRejection> for KeyError {
    fn from(why: KeyRejection) -> Self {
        Self::Rejected(why)
    }
}

/// Creates a key. Its text is returned once; only its hash is stored.
pub async fn create(store: &Store, org: &OrgId, wanted: RequestedApiKey<'_>) -> Result<CreatedApiKey, CreateKeyError> {
    let name = wanted.name.trim();
    if name.is_empty() || name.chars().count() > MAX_NAME_LENGTH || name.chars().any(char::is_control) {
        return Err(CreateKeyError::InvalidName);
    }
    if wanted.scopes.is_empty() {
        return Err(CreateKeyError::NoScopes);
    }
    if wanted.created_by.is_some() && !store.accepts_personal_keys() {
        return Err(CreateKeyError::PersonalKeysRefused);
    }
    let key = generate_key()?;
    let expires_at = wanted.life.seconds().map(|seconds| store.clock().now() + seconds);
    let new = NewApiKeyRow {
        name,
        hash: &hash_key(&key),
        prefix: display_prefix(key.expose()),
        scopes: wanted.scopes,
        expires_at,
        created_by: wanted.created_by,
    };
    let id = store.add_api_key(org, new).await.map_err(|error| match error {
        AddApiKeyError::TooMany => CreateKeyError::TooMany,
        AddApiKeyError::Store(error) => error.into(),
    })?;
    Ok(CreatedApiKey { id, key, expires_at })
}

/// Returns the key that authenticates the request.
pub async fn authenticate(store: &Store, headers: &HeaderMap) -> Result<ApiKeyRow, KeyError> {
    let row = store.api_key(&hash_key(&bearer_key(headers)?)).await?;
    Ok(validate(row, store)?)
}

/// Like `authenticate`, and reads a binding of the key's organization in the same query.
pub async fn authenticate_with_binding(
    store: &Store,
    headers: &HeaderMap,
    binding: &BindingId,
) -> Result<(ApiKeyRow, Option<BindingWithGrant>), KeyError> {
    let (row, bound) = store.api_key_and_binding(&hash_key(&bearer_key(headers)?), binding).await?.unzip();
    Ok((validate(row, store)?, bound.flatten()))
}

/// Returns whether a bearer token has the prefix of our keys, and so can't be a session token.
pub fn has_key_prefix(token: &str) -> bool {
    token.starts_with(PREFIX)
}

/// Returns the prefix by which people tell keys apart.
pub fn display_prefix(key: &str) -> &str {
    key.get(..DISPLAY_PREFIX_LENGTH).unwrap_or(key)
}

fn validate(row: Option<ApiKeyRow>, store: &Store) -> Result<ApiKeyRow, KeyRejection> {
    let row = row.filter(|row| row.revoked_at.is_none()).ok_or(KeyRejection::Unknown)?;
    if row.created_by.is_some() && !store.accepts_personal_keys() {
        return Err(KeyRejection::PersonalKey);
    }
    match row.expires_at.filter(|end| *end <= store.clock().now()) {
        Some(at) => Err(KeyRejection::Expired { at }),
        None => Ok(row),
    }
}

/// Parses the key in the request's headers.
pub fn bearer_key(headers: &HeaderMap) -> Result<ApiKey, KeyRejection> {
    let token = bearer_token(headers).filter(|token| !token.expose().is_empty()).ok_or(KeyRejection::Missing)?;
    if is_well_formed(token.expose()) { Ok(ApiKey::new(token.expose())) } else { Err(KeyRejection::Malformed) }
}

fn generate_key() -> Result<ApiKey, RandomError> {
    Ok(format_key(&random_bytes()?))
}

/// Formats a key: prefix, bits and checksum.
pub fn format_key(bits: &[u8; RANDOM_DIGITS / 2]) -> ApiKey {
    let body = hex(bits);
    let checksum = checksum(&body);
    ApiKey::new(format!("{PREFIX}{body}{checksum}"))
}

/// Returns whether format and checksum are right. Detects typing errors without the database.
pub fn is_well_formed(key: &str) -> bool {
    let Some(rest) = key.strip_prefix(PREFIX).filter(|rest| rest.len() == RANDOM_DIGITS + CHECKSUM_DIGITS) else {
        return false;
    };
    let digits = |body: &str| body.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    rest.split_at_checked(RANDOM_DIGITS).is_some_and(|(body, sum)| digits(body) && checksum(body) == sum)
}

fn checksum(body: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(format!("{PREFIX}{body}")).into();
    hex(&digest[..CHECKSUM_DIGITS / 2])
}

fn hash_key(key: &ApiKey) -> String {
    hash_secret(&Secret::new(key.expose()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string can't fail.
        _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use axum::http::header::AUTHORIZATION;

    use super::*;
    use crate::server::store::RowChange;
    use crate::server::store::testing::{START, each_store};

    const DAY: i64 = 24 * 60 * 60;

    fn with(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])
    }

    fn requested<'a>(name: &'a str, scopes: &'a [Scope]) -> RequestedApiKey<'a> {
        RequestedApiKey { name, scopes, life: ApiKeyLifetime::Month, created_by: None }
    }

    #[test]
    fn keys_are_unique_and_typing_errors_are_detected() {
        let (one, other) = (generate_key().unwrap(), generate_key().unwrap());
        assert_ne!(one.expose(), other.expose());
        let key = one.expose();
        assert_eq!((key.len(), display_prefix(key).len()), (76, 12));
        assert!(is_well_formed(key) && has_key_prefix(key));
        for place in 4..key.len() {
            let letter = if &key[place..=place] == "0" { "1" } else { "0" };
            let wrong = format!("{}{letter}{}", &key[..place], &key[place + 1..]);
            assert!(!is_well_formed(&wrong), "{place}");
        }
        for wrong in ["", "egk_", &key[..75], &format!("{key}0"), &key[4..], &"é".repeat(38), "egk_é"] {
            assert!(!is_well_formed(wrong), "{wrong}");
        }
        // A right checksum is not enough: the digits must be lower-case hex.
        for body in ["z".repeat(64), key[4..68].to_uppercase(), "é".repeat(32)] {
            let summed = format!("{PREFIX}{body}{}", checksum(&body));
            assert_eq!(is_well_formed(&summed), summed == key, "{summed}");
        }
    }

    #[test]
    fn key_is_accepted_only_as_a_bearer_token() {
        let key = generate_key().unwrap();
        let key = key.expose();
        let found = |value: &str| bearer_key(&with(value)).map(|key| key.expose().to_owned());
        assert_eq!(found(&format!("Bearer {key}")).as_deref(), Ok(key));
        assert_eq!(found(&format!("bearer  {key} ")).as_deref(), Ok(key));
        assert_eq!(found(&format!("Basic {key}")), Err(KeyRejection::Missing));
        assert_eq!(found(key), Err(KeyRejection::Missing));
        assert_eq!(found("Bearer"), Err(KeyRejection::Missing));
        assert_eq!(found("Bearer eyJhbGciOiJSUzI1NiJ9.e30.sig"), Err(KeyRejection::Malformed));
        assert_eq!(bearer_key(&HeaderMap::new()).err(), Some(KeyRejection::Missing));
    }

    #[apply(each_store!)]
    async fn key_is_valid_until_it_expires_or_is_revoked(store: Store) {
        let org = store.add_org("Harbour Group").await.unwrap();
        let made = create(&store, &org, requested(" Nightly export ", Scope::ALL)).await;
        let CreatedApiKey { id, key, expires_at } = made.ok().unwrap();
        assert_eq!(expires_at, Some(START + 30 * DAY));
        let asks = with(&format!("Bearer {}", key.expose()));
        let row = authenticate(&store, &asks).await.unwrap();
        assert_eq!((&row.id, &row.org, row.name.as_str()), (&id, &org, "Nightly export"));
        assert_eq!(row.scopes, Scope::ALL);
        store.clock().advance(30 * DAY);
        let refused = async |headers: &HeaderMap| match authenticate(&store, headers).await {
            Err(KeyError::Rejected(why)) => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(&asks).await, KeyRejection::Expired { at: START + 30 * DAY });
        assert_eq!(store.revoke_api_key(&org, &id).await.unwrap(), RowChange::Applied);
        assert_eq!(refused(&asks).await, KeyRejection::Unknown);
        let never = with(&format!("Bearer {}", generate_key().unwrap().expose()));
        assert_eq!(refused(&never).await, KeyRejection::Unknown);
    }

    #[apply(each_store!)]
    async fn key_needs_a_name_and_a_scope(store: Store) {
        let org = store.add_org("Harbour Group").await.unwrap();
        for wrong in ["", "  ", "a\nb", &"x".repeat(101)] {
            let made = create(&store, &org, requested(wrong, Scope::ALL)).await;
            assert!(matches!(made, Err(CreateKeyError::InvalidName)), "{wrong:?}");
        }
        let made = create(&store, &org, requested("Nightly export", &[])).await;
        assert!(matches!(made, Err(CreateKeyError::NoScopes)));
        assert!(store.api_keys(&org).await.unwrap().is_empty());
    }
}
