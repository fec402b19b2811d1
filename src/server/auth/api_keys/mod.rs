//! API keys: creation, rotation, format and verification.

mod authenticate;
mod format;

pub use self::authenticate::{KeyError, KeyRejection, authenticate, authenticate_with_binding, bearer_key};
pub use self::format::{PREFIX, display_prefix, format_key, has_key_prefix, is_well_formed};
use self::format::{generate_key, hash_key};
use crate::model::{ApiKeyId, ApiKeyLifetime, BindingId, OrgId, Scope, UserId};
use crate::server::crypto::random::RandomError;
use crate::server::domain::ApiKey;
use crate::server::store::{
    AddApiKeyError, NewApiKeyRow, NewSecret, ReplacedSecret, RotateKeyError, RowChange, Store, StoreError,
};

/// The longest name, in characters.
pub const MAX_NAME_LENGTH: usize = 100;

/// The longest time that the old secret works after a rotation, in seconds.
pub const MAX_OVERLAP: i64 = 7 * 24 * 60 * 60;

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
    /// The person who creates it may not create keys.
    #[error("the person may not create API keys")]
    NotAllowed,
    /// The organization has no such connection to limit the key to.
    #[error("the organization has no connection {0}")]
    NoSuchConnection(BindingId),
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

/// A key's new secret. The only copy of its text.
pub struct RotatedApiKey {
    /// The new key's text.
    pub key: ApiKey,
    /// When it expires, and when the one before ends.
    pub replaced: ReplacedSecret,
}

/// Why a key has no new secret.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// The organization has no such key, it has expired, or another rotation has not ended.
    #[error(transparent)]
    Refused(#[from] RotateKeyError),
    /// The overlap is negative or too long.
    #[error("the old secret works for 7 days at most")]
    InvalidOverlap,
    /// People's keys are not accepted: see `Store::accepts_personal_keys`.
    #[error("keys that people create are not accepted")]
    PersonalKeysRefused,
    /// The system returned no random bytes for the key.
    #[error("could not create a key: {0}")]
    Random(#[from] RandomError),
}

/// Why a key was not renamed.
#[derive(Debug, thiserror::Error)]
pub enum RenameKeyError {
    /// The name is empty, too long or contains control characters.
    #[error("a key needs a name of at most {MAX_NAME_LENGTH} characters")]
    InvalidName,
    /// The organization has no such key, or it was revoked.
    #[error("there is no such API key, or it was revoked")]
    NotFound,
    /// The store or its database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Creates a key for all connections, also later ones. Its text is returned once; only its hash is stored.
pub async fn create(store: &Store, org: &OrgId, wanted: RequestedApiKey<'_>) -> Result<CreatedApiKey, CreateKeyError> {
    create_limited(store, org, wanted, &[]).await
}

/// Creates a key that opens only these connections, or all if there are none.
pub async fn create_limited(
    store: &Store,
    org: &OrgId,
    wanted: RequestedApiKey<'_>,
    bindings: &[BindingId],
) -> Result<CreatedApiKey, CreateKeyError> {
    let name = checked_name(wanted.name).ok_or(CreateKeyError::InvalidName)?;
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
        bindings,
    };
    let id = store.add_api_key(org, new).await.map_err(|error| match error {
        AddApiKeyError::TooMany => CreateKeyError::TooMany,
        AddApiKeyError::NotAllowed => CreateKeyError::NotAllowed,
        AddApiKeyError::NoSuchBinding(binding) => CreateKeyError::NoSuchConnection(binding),
        AddApiKeyError::Store(error) => error.into(),
    })?;
    Ok(CreatedApiKey { id, key, expires_at })
}

/// Replaces a key's secret. The one before works for `overlap` seconds more. `by` answers for the new one from then on.
pub async fn rotate(
    store: &Store,
    org: &OrgId,
    id: &ApiKeyId,
    overlap: i64,
    by: Option<&UserId>,
) -> Result<RotatedApiKey, RotationError> {
    if !(0..=MAX_OVERLAP).contains(&overlap) {
        return Err(RotationError::InvalidOverlap);
    }
    if by.is_some() && !store.accepts_personal_keys() {
        return Err(RotationError::PersonalKeysRefused);
    }
    let key = generate_key()?;
    let new = NewSecret { hash: &hash_key(&key), prefix: display_prefix(key.expose()), overlap, by };
    let replaced = store.rotate_api_key(org, id, new).await?;
    Ok(RotatedApiKey { key, replaced })
}

/// Gives a key another name.
pub async fn rename(store: &Store, org: &OrgId, id: &ApiKeyId, name: &str) -> Result<(), RenameKeyError> {
    let name = checked_name(name).ok_or(RenameKeyError::InvalidName)?;
    match store.rename_api_key(org, id, name).await? {
        RowChange::Applied => Ok(()),
        RowChange::NotFound => Err(RenameKeyError::NotFound),
    }
}

/// Returns the name without surrounding spaces. `None` if it is empty, too long or contains control characters.
fn checked_name(name: &str) -> Option<&str> {
    let name = name.trim();
    let is_valid = !name.is_empty() && name.chars().count() <= MAX_NAME_LENGTH && !name.chars().any(char::is_control);
    is_valid.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::testing::each_store;

    fn requested<'a>(name: &'a str, scopes: &'a [Scope]) -> RequestedApiKey<'a> {
        RequestedApiKey { name, scopes, life: ApiKeyLifetime::Month, created_by: None }
    }

    #[apply(each_store!)]
    async fn key_needs_a_name_and_a_scope(store: Store) {
        let org = store.add_org("Harbour Group").await.unwrap();
        for wrong in ["", "  ", "a\nb", &"x".repeat(101)] {
            let made = create(&store, &org, requested(wrong, Scope::ALL)).await;
            assert!(matches!(made, Err(CreateKeyError::InvalidName)), "{wrong:?}");
            let renamed = rename(&store, &org, &"none".into(), wrong).await;
            assert!(matches!(renamed, Err(RenameKeyError::InvalidName)), "{wrong:?}");
        }
        let made = create(&store, &org, requested("Nightly export", &[])).await;
        assert!(matches!(made, Err(CreateKeyError::NoScopes)));
        assert!(store.api_keys(&org).await.unwrap().is_empty());
        // Characters, not bytes.
        create(&store, &org, requested(&"é".repeat(MAX_NAME_LENGTH), Scope::ALL)).await.unwrap();
    }

    #[apply(each_store!)]
    async fn key_is_rotated_once_at_a_time_and_for_seven_days_at_most(store: Store) {
        let org = store.add_org("Harbour Group").await.unwrap();
        let id = create(&store, &org, requested("Export", Scope::ALL)).await.unwrap().id;
        for wrong in [-1, MAX_OVERLAP + 1] {
            let rotated = rotate(&store, &org, &id, wrong, None).await;
            assert!(matches!(rotated, Err(RotationError::InvalidOverlap)), "{wrong}");
        }
        let first = rotate(&store, &org, &id, MAX_OVERLAP, None).await.unwrap();
        let second = rotate(&store, &org, &id, 60, None).await.err();
        let until = first.replaced.previous_ends_at;
        assert!(
            matches!(second, Some(RotationError::Refused(RotateKeyError::StillReplacing { previous_ends_at })) if previous_ends_at == until),
            "{second:?}"
        );
        assert_eq!(store.end_previous_secret(&org, &id).await.unwrap(), RowChange::Applied);
        assert_eq!(store.end_previous_secret(&org, &id).await.unwrap(), RowChange::NotFound, "it has ended");
        rotate(&store, &org, &id, 0, None).await.unwrap();
        _ = store.revoke_api_key(&org, &id).await.unwrap();
        let revoked = rotate(&store, &org, &id, 60, None).await.err();
        assert!(matches!(revoked, Some(RotationError::Refused(RotateKeyError::NotFound))), "{revoked:?}");
    }
}
