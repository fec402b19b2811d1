//! Loads the view of `/settings/api-keys`.

use crate::model::{ApiKeysView, KeyConnection, OrgView};
use crate::server::store::{Store, StoreError};

/// Loads the API keys of `org`. The caller checks the permission; `origin` is the public URL for the example calls.
pub async fn api_keys(store: &Store, org: &OrgView, origin: String) -> Result<ApiKeysView, StoreError> {
    let keys = store.api_keys(&org.id).await?;
    let names = store.connection_names(&org.id).await?;
    let connections = names.into_iter().map(|(id, name)| KeyConnection { id, name }).collect();
    Ok(ApiKeysView { organisation: org.name.clone(), keys, connections, origin, as_of: store.clock().now() })
}
