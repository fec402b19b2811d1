//! Gives back and renews the slots for calls to Xero, and writes down what programs used.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::server::proxy::{ProxyUsage, TenantLimiter};
use crate::server::store::{StoreError, bounded};

const INTERVAL: Duration = Duration::from_secs(1);

/// Runs until the last request has ended, and once more then: a call counts when it ends, and its slot is given back.
pub async fn run(limiter: TenantLimiter, usage: ProxyUsage, requests_ended: CancellationToken) {
    let mut was_failing = false;
    loop {
        let stopped = requests_ended.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_none();
        let done = step(&limiter, &usage, stopped).await;
        if let Err(error) = &done
            && !was_failing
        {
            tracing::warn!(%error, "failed to store the calls to Xero, will retry");
        }
        was_failing = done.is_err();
        if stopped {
            return;
        }
    }
}

async fn step(limiter: &TenantLimiter, usage: &ProxyUsage, stopping: bool) -> Result<(), StoreError> {
    let maintained = bounded(limiter.maintain(stopping)).await;
    usage.flush().await.and(maintained)
}
