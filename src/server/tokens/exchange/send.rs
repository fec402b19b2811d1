//! Sends the refresh token while the lease is held, and takes the answer whatever the database does meanwhile.

use std::convert::Infallible;
use std::time::Duration;

use tokio::time::Instant;

use super::Exchange;
use crate::server::domain::RefreshToken;
use crate::server::store::{Fenced, JournaledLease, LeaseGuard, ProtocolStep, StoreError, bounded};
use crate::server::xero::{BreakerPermit, ExchangedTokens, XeroError};

/// How often a lease is renewed before the request is given up, because each renewal took too long.
const MAX_RENEWALS: usize = 3;

impl Exchange {
    /// Makes sure that the request leaves well before the lease ends. The wait for the journal may have been long, and
    /// another holder may have taken over since. Returns whether the request may leave.
    pub(super) async fn secure_lease(&self, lease: &LeaseGuard) -> Result<bool, StoreError> {
        let ttl = self.shared.policy.lease_ttl;
        let (mut age, mut until) = (lease.age(), lease.lease.as_ref().map_or(0, |lease| lease.until));
        for _ in 0..MAX_RENEWALS {
            // By both clocks: one may have been set, the other stops while the machine sleeps.
            let now = self.shared.store.clock().now();
            if age < ttl / 3 && now < until {
                return Ok(true);
            }
            let asked = Instant::now();
            until = self.shared.policy.lease_until(now);
            if bounded(self.shared.store.renew_lease(lease, until)).await? == Fenced::Superseded {
                break;
            }
            age = asked.elapsed();
        }
        Ok(false)
    }

    /// Sends the refresh token and renews the lease until Xero answers. Holds no database connection across the call. A
    /// renewal that waits for the database does not keep the answer waiting.
    pub(super) async fn send_renewing_lease(
        &self,
        lease: &JournaledLease,
        token: &RefreshToken,
        permit: BreakerPermit,
    ) -> Result<ExchangedTokens, XeroError> {
        ProtocolStep::Sent.log(&lease.id, lease.generation);
        let answer = tokio::select! {
            biased;
            answer = self.shared.xero.refresh_tokens(token, permit) => answer,
            never = self.keep_lease(lease) => match never {},
        };
        if let Ok(exchanged) = &answer {
            exchanged.log_oddities(&lease.org_id, Some(&lease.id));
        }
        answer
    }

    /// Renews the lease every third of its life. Stops when another holder has it.
    async fn keep_lease(&self, lease: &LeaseGuard) -> Infallible {
        let pause = (self.shared.policy.lease_ttl / 3).max(Duration::from_millis(50));
        loop {
            tokio::time::sleep(pause).await;
            let until = self.shared.policy.lease_until(self.shared.store.clock().now());
            match bounded(self.shared.store.renew_lease(lease, until)).await {
                Ok(Fenced::Applied) => {}
                Ok(Fenced::Superseded) => return std::future::pending().await,
                // The lease may expire, but the fence prevents a stale commit.
                Err(error) => tracing::warn!(grant = %lease.id, %error, "lease renewal failed"),
            }
        }
    }
}
