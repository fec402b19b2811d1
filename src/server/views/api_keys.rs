//! What `/settings/api-keys` shows, made from rows.

use crate::model::{ApiKeysView, OrgView};
use crate::server::store::{Store, StoreError};

/// Everything on `/settings/api-keys`, for those who may see it.
pub async fn api_keys(store: &Store, org: &OrgView, origin: String) -> Result<ApiKeysView, StoreError> {
    let keys = store.api_keys(&org.id).await?;
    Ok(ApiKeysView { organisation: org.name.clone(), keys, origin, as_of: store.clock().now() })
}
