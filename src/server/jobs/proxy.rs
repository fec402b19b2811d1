//! Gives back and renews the slots for calls to Xero, and writes down what programs used.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::server::proxy::{ProxyUsage, TenantLimiter};
use crate::server::store::{StoreError, bounded};

const INTERVAL: Duration = Duration::from_secs(1);

/// Runs until `stopping` is canceled, and once more then.
pub async fn run(limiter: TenantLimiter, usage: ProxyUsage, stopping: CancellationToken) {
    let mut was_failing = false;
    loop {
        let stopped = stopping.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_none();
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
    bounded(limiter.maintain(stopping)).await?;
    usage.flush().await
}
