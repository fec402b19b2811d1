//! Hands a grant's refresh token to another system: stops the grant here, under its lease, and returns the token.

use std::sync::Arc;

use super::Exchange;
use super::rescue::RescueError;
use crate::model::{GrantId, GrantStatus};
use crate::server::domain::{Grant, RefreshToken};
use crate::server::store::{ExportedGrant, LeaseGuard, Store, StoreError};
use crate::server::tokens::outcome::RefreshRequest;
use crate::server::tokens::state::ServiceState;

/// Why a grant was not exported. It is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Another holder has the lease, or a token set waits in the spool.
    #[error("a server is refreshing it. Export it again in a moment")]
    Busy,
    /// A reply may be lost, a refusal is not believed yet, or the token has to be used soon: it may not be the newest.
    #[error("its last refresh isn't settled. Run evergrant grants refresh --grant {0}, then export it again")]
    Unsettled(GrantId),
    /// It was exported before.
    #[error(
        "it was exported before. evergrant grants retry --grant {0} takes it back, if the other system has stopped"
    )]
    AlreadyExported(GrantId),
    /// Xero does not accept its token, or it was disconnected.
    #[error("it has no working token")]
    Ended,
    /// Its tokens belong to another app.
    #[error("its tokens belong to another Xero app than this one's")]
    AnotherApp,
    /// It was rotated or ended while it was exported, or serves a connection of another organization.
    #[error("it was changed meanwhile, or another organization's connection uses it")]
    Changed,
    /// The store or its database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Stops the grant and returns it with its refresh token. Waits for a held lease, as long as an exchange does.
///
/// The token is opened before the grant is marked, and belongs to what is marked, because the mark is fenced by the
/// generation. A crash after the mark loses nothing: the row keeps the token, and `retry` takes the grant back.
pub(in crate::server::tokens) async fn export(
    shared: Arc<ServiceState>,
    grant_id: GrantId,
    recipient: &str,
) -> Result<(ExportedGrant, RefreshToken), ExportError> {
    let exchange = Exchange { shared, grant_id, request: RefreshRequest::cli() };
    let store = &exchange.shared.store;
    // A spooled rotation is newer than the row.
    if !exchange.replay_spooled().await? {
        return Err(ExportError::Busy);
    }
    let lease = match exchange.acquire_lease().await {
        Ok(lease) => lease,
        Err(RescueError::Store(error)) => return Err(error.into()),
        Err(RescueError::Busy) => return Err(ExportError::Busy),
        Err(RescueError::AnotherApp(_)) => return Err(ExportError::AnotherApp),
        Err(_) => return Err(ExportError::Ended),
    };
    let handed_over = hand_over(store, &lease, recipient).await;
    if handed_over.is_err() {
        // If this fails too, the lease expires.
        _ = store.release_lease(&lease).await;
    }
    handed_over
}

async fn hand_over(
    store: &Store,
    lease: &LeaseGuard,
    recipient: &str,
) -> Result<(ExportedGrant, RefreshToken), ExportError> {
    if let Some(error) = obstacle(lease) {
        return Err(error);
    }
    let token = store.open_refresh(lease)?;
    let exported = store.export_grant(lease, recipient).await?.ok_or(ExportError::Changed)?;
    Ok((exported, token))
}

/// Returns why the leased grant's token must not be handed over.
fn obstacle(grant: &Grant) -> Option<ExportError> {
    let id = || grant.id.clone();
    match grant.status {
        GrantStatus::Active if is_settled(grant) => None,
        GrantStatus::Active => Some(ExportError::Unsettled(id())),
        GrantStatus::RefreshFailed if grant.exported_at.is_some() => Some(ExportError::AlreadyExported(id())),
        GrantStatus::RefreshFailed | GrantStatus::Revoked => Some(ExportError::Ended),
    }
}

/// Returns whether the stored token is certainly the newest one.
fn is_settled(grant: &Grant) -> bool {
    grant.reply_lost_at.is_none() && grant.prove_by.is_none() && grant.refused_at.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_that_may_not_be_the_newest_is_not_handed_over() {
        let grant = || Grant::for_test(1_800, 0);
        assert!(obstacle(&grant()).is_none());
        for unsettled in [
            Grant { reply_lost_at: Some(1), ..grant() },
            Grant { prove_by: Some(1), ..grant() },
            Grant { refused_at: Some(1), ..grant() },
        ] {
            assert!(matches!(obstacle(&unsettled), Some(ExportError::Unsettled(_))), "{unsettled:?}");
        }
        let ended = Grant { status: GrantStatus::RefreshFailed, ..grant() };
        assert!(matches!(obstacle(&ended), Some(ExportError::Ended)));
        let exported = Grant { exported_at: Some(1), ..ended };
        assert!(matches!(obstacle(&exported), Some(ExportError::AlreadyExported(_))));
    }
}
