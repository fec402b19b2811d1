//! Loads the view of `/settings/api-keys`.

use crate::model::{ApiKeysView, BindingStatus, KeyConnection, OrgView};
use crate::server::store::{Store, StoreError};

/// Loads the API keys of `org`. The caller checks the permission; `origin` is the public URL for the example calls.
pub async fn api_keys(store: &Store, org: &OrgView, origin: String) -> Result<ApiKeysView, StoreError> {
    let keys = store.api_keys(&org.id).await?;
    let bound = store.bindings_of_org(&org.id).await?.into_iter().map(|bound| bound.binding);
    let connections = bound
        .filter(|binding| binding.status != BindingStatus::Disconnected)
        .map(|binding| KeyConnection { id: binding.id, name: binding.tenant.name })
        .collect();
    Ok(ApiKeysView { organisation: org.name.clone(), keys, connections, origin, as_of: store.clock().now() })
}
