//! Verification of the key that a request presents.

use axum::http::HeaderMap;

use super::format::{hash_key, is_well_formed};
use crate::model::BindingId;
use crate::server::auth::bearer::bearer_token;
use crate::server::domain::ApiKey;
use crate::server::store::{ApiKeyRow, BindingWithGrant, Store, StoreError};

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

#[cfg(test)]
mod tests {
    use axum::http::header::AUTHORIZATION;

    use super::*;
    use crate::model::{ApiKeyLifetime, Scope};
    use crate::server::auth::api_keys::format::generate_key;
    use crate::server::auth::api_keys::{CreatedApiKey, RequestedApiKey, RotatedApiKey, create, rotate};
    use crate::server::domain::Secret;
    use crate::server::store::testing::{START, each_store};
    use crate::server::store::{NewUser, RowChange, UserOrg};

    const DAY: i64 = 24 * 60 * 60;

    fn with(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])
    }

    fn presenting(key: &ApiKey) -> HeaderMap {
        with(&format!("Bearer {}", key.expose()))
    }

    fn requested<'a>(name: &'a str, scopes: &'a [Scope]) -> RequestedApiKey<'a> {
        RequestedApiKey { name, scopes, life: ApiKeyLifetime::Month, created_by: None }
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
    async fn key_of_a_person_is_accepted_only_if_evergrant_learns_when_they_leave(store: Store) {
        let hash = Secret::new("hash");
        let ann = NewUser { email: "ann@example.com", password_hash: &hash, org: Some(UserOrg::New("Harbour Group")) };
        let ann = store.add_user(ann).await.unwrap();
        let (org, ann) = (ann.org.unwrap().0, ann.user);
        let hers = RequestedApiKey { created_by: Some(&ann), ..requested("Hers", Scope::ALL) };
        let hers = presenting(&create(&store, &org, hers).await.unwrap().key);
        let operators = presenting(&create(&store, &org, requested("Export", Scope::ALL)).await.unwrap().key);
        assert!(authenticate(&store, &hers).await.is_ok() && authenticate(&store, &operators).await.is_ok());
        let store = store.with_personal_keys(false);
        let refused = authenticate(&store, &hers).await;
        assert!(matches!(refused, Err(KeyError::Rejected(KeyRejection::PersonalKey))), "{refused:?}");
        assert!(authenticate(&store, &operators).await.is_ok());
    }

    #[apply(each_store!)]
    async fn old_secret_works_until_its_overlap_ends_and_the_new_one_as_long_as_it_did(store: Store) {
        let org = store.add_org("Harbour Group").await.unwrap();
        let CreatedApiKey { id, key: old, .. } = create(&store, &org, requested("Export", Scope::ALL)).await.unwrap();
        store.clock().advance(20 * DAY);
        let RotatedApiKey { key: new, replaced } = rotate(&store, &org, &id, 2 * DAY, None).await.unwrap();
        assert_eq!(
            (replaced.previous_ends_at, replaced.expires_at),
            (START + 22 * DAY, Some(START + 50 * DAY)),
            "30 days, as the first"
        );
        let (by_old, by_new) = (presenting(&old), presenting(&new));
        let read = async |headers| authenticate(&store, headers).await;
        let (one, other) = (read(&by_old).await.unwrap(), read(&by_new).await.unwrap());
        assert_eq!((one.is_previous, other.is_previous, one.id, other.id), (true, false, id.clone(), id.clone()));
        store.clock().advance(2 * DAY);
        let ended = read(&by_old).await;
        assert!(
            matches!(ended, Err(KeyError::Rejected(KeyRejection::Expired { at })) if at == START + 22 * DAY),
            "{ended:?}"
        );
        assert!(read(&by_new).await.is_ok());

        // The old secret never outlasts its own expiry.
        store.clock().advance(27 * DAY);
        let again = rotate(&store, &org, &id, 7 * DAY, None).await.unwrap();
        assert_eq!(again.replaced.previous_ends_at, START + 50 * DAY);
        let never = read(&by_old).await;
        assert!(matches!(never, Err(KeyError::Rejected(KeyRejection::Unknown))), "{never:?}");
    }
}
