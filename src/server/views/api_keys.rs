//! Loads the view of `/settings/api-keys`.

use crate::model::{ApiKeysView, OrgView};
use crate::server::store::{Store, StoreError};

/// Loads the API keys of `org`. The caller checks the permission; `origin` is the public URL for the example calls.
pub async fn api_keys(store: &Store, org: &OrgView, origin: String) -> Result<ApiKeysView, StoreError> {
    let keys = store.api_keys(&org.id).await?;
    Ok(ApiKeysView { organisation: org.name.clone(), keys, origin, as_of: store.clock().now() })
}
