//! Sends one kind of request over and over, on several connections at once.

use std::time::Duration;

use futures::future::try_join_all;
use reqwest::{Client, RequestBuilder};
use tokio::time::Instant;

use crate::BenchError;
use crate::server::{BenchServer, new_client};

/// How many connections send, and for how long.
#[derive(Clone, Copy)]
pub struct Load {
    pub connections: usize,
    pub time: Duration,
}

/// What the requests cost.
pub struct Cost {
    /// Responses a second.
    pub rate: f64,
    /// Milliseconds until the response was read: median and 99th percentile.
    pub p50: f64,
    pub p99: f64,
    /// Milliseconds of the server's processor time for each.
    pub cpu: f64,
}

impl Load {
    /// Sends the request after a warm-up. Fails if one request fails.
    #[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^53")]
    pub async fn measure(
        self,
        server: &BenchServer,
        request: impl Fn(&Client) -> RequestBuilder,
    ) -> Result<Cost, BenchError> {
        let clients = (0..self.connections).map(|_| new_client()).collect::<Result<Vec<_>, _>>()?;
        send_for(&clients, self.time / 5, &request).await?;
        let (before, begun) = (server.process.cpu_seconds(), Instant::now());
        let mut took = send_for(&clients, self.time, &request).await?;
        let (elapsed, cpu) = (begun.elapsed(), server.process.cpu_seconds() - before);
        let count = took.len();
        took.sort_unstable();
        let at = |share: usize| took[(count * share / 100).min(count - 1)].as_secs_f64() * 1000.0;
        Ok(Cost {
            rate: count as f64 / elapsed.as_secs_f64(),
            p50: at(50),
            p99: at(99),
            cpu: cpu * 1000.0 / count as f64,
        })
    }
}

/// Sends the request on each client again and again. Returns how long each response took: one for each client at least.
async fn send_for(
    clients: &[Client],
    time: Duration,
    request: impl Fn(&Client) -> RequestBuilder,
) -> Result<Vec<Duration>, BenchError> {
    let (end, request) = (Instant::now() + time, &request);
    let all = clients.iter().map(|client| async move {
        let mut took = Vec::new();
        loop {
            let begun = Instant::now();
            let response = request(client).send().await?;
            let (status, body) = (response.status(), response.bytes().await?);
            if !status.is_success() {
                return Err(format!("{status}: {}", String::from_utf8_lossy(&body)).into());
            }
            took.push(begun.elapsed());
            if Instant::now() >= end {
                return Ok::<_, BenchError>(took);
            }
        }
    });
    Ok(try_join_all(all).await?.concat())
}
