//! Sends the stored token of a grant that Xero refused, because the refusal may have been wrong.

use std::sync::Arc;

use super::Exchange;
use super::failure::attempt_end;
use super::rescue::RescueError;
use crate::model::{GrantId, GrantStatus, Outcome};
use crate::server::tokens::outcome::RefreshRequest;
use crate::server::tokens::state::ServiceState;
use crate::server::xero::ErrorKind;

/// Exchanges the stored token of a `refresh_failed` grant, and commits the result like a rescue: the grant and its
/// bindings become active. The grant does not change unless Xero accepts the token.
pub(in crate::server::tokens) async fn retry(shared: Arc<ServiceState>, id: GrantId) -> Result<(), RescueError> {
    Exchange { shared, grant_id: id, request: RefreshRequest::cli().forced() }.retry().await
}

impl Exchange {
    async fn retry(&self) -> Result<(), RescueError> {
        let store = &self.shared.store;
        // A spooled rotation is newer than the row, and brings the grant back by itself.
        if !self.replay_spooled().await? {
            return Err(RescueError::Busy);
        }
        let lease = self.acquire_lease().await?;
        if lease.status == GrantStatus::Active {
            // Another process brought it back meanwhile.
            store.release_lease(&lease).await?;
            return Ok(());
        }
        let token = match store.open_refresh(&lease) {
            Ok(token) => token,
            Err(error) => {
                store.release_lease(&lease).await?;
                return Err(error.into());
            }
        };
        let (lease, permit) = self.prepare_request(&lease).await?;
        match self.send_renewing_lease(&lease, &token, permit).await {
            Ok(exchanged) => {
                let predecessor = Some(lease.as_predecessor());
                self.commit_rescued(&lease, exchanged, predecessor, None).await.map(|_| ())
            }
            Err(error) => {
                let outcome = match error.kind {
                    ErrorKind::Reconnect => Outcome::Reconnect,
                    ErrorKind::Operator => Outcome::Operator,
                    _ => Outcome::Transient,
                };
                store.finish_and_release(&lease, &attempt_end(outcome, &error)).await?;
                Err(match error.kind {
                    ErrorKind::Reconnect => RescueError::StillRefused,
                    _ => RescueError::Xero(error),
                })
            }
        }
    }
}
