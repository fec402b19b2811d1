//! The pause between two passes of a loop.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Sleeps for `interval` ±25 %, so that instances that started together drift apart. Returns `false` if shutdown began.
pub async fn sleep_with_jitter(interval: Duration, stopping: &CancellationToken) -> bool {
    let pause = interval.mul_f64(0.75 + rand::random::<f64>() / 2.0);
    stopping.run_until_cancelled(tokio::time::sleep(pause)).await.is_some()
}
