//! A server process with users and sessions, and the latency of ordinary requests to it.

use std::net::SocketAddr;
use std::path::Path;

use reqwest::RequestBuilder;
use reqwest::header::COOKIE;
use tokio::time::Instant;

use crate::BenchError;
use crate::databases::create_folder;
use crate::process::EvergrantBinary;
use crate::server::{BenchServer, add_api_key, add_session, open_store};
use evergrant::model::BindingId;
use evergrant::server::domain::ApiKey;

/// The demo organization whose connection works.
const DEMO_ORG: &str = "Harbour Group";
/// Streams per user. The limit is 64, which leaves some for the measurements.
const STREAMS_PER_USER: usize = 60;
/// How often each request is sent in a row.
const REQUESTS_PER_MEASUREMENT: usize = 1000;

/// The latency of a request in milliseconds: median and 99th percentile.
pub struct Latency {
    pub p50: f64,
    pub p99: f64,
}

/// A server process, its users and an API key.
pub struct TestServer {
    pub address: SocketAddr,
    server: BenchServer,
    /// One session cookie per user. The first is for the measurements.
    cookies: Vec<String>,
    key: ApiKey,
    binding: BindingId,
}

impl TestServer {
    /// Starts the server and creates as many users as `streams` event streams need. Nothing is due afterwards.
    pub async fn start(binary: &EvergrantBinary, folder: &Path, streams: usize) -> Result<Self, BenchError> {
        create_folder(folder)?;
        let url = format!("sqlite://{}", folder.join("bench.db").display());
        let server = BenchServer::start(binary, folder, &url, &[], None).await?;
        let store = open_store(&url).await?;
        let demo = store.database().org_summaries(Some(DEMO_ORG), None).await?.pop();
        let org = demo.ok_or("the demo organization is missing")?.id;
        let mut cookies = Vec::new();
        for number in 0..streams.div_ceil(STREAMS_PER_USER) + 1 {
            cookies.push(server.cookie(&add_session(&store, &org, &format!("{number}@example.com")).await?));
        }
        let key = add_api_key(&store, &org).await?;
        let bound = store.bindings_of_org(&org).await?.into_iter().next().ok_or("the demo connection is missing")?;
        store.database().close().await;
        let this = Self { address: server.address, server, cookies, key, binding: bound.binding.id };
        // Refreshes what is due at the start.
        this.refresh_request().send().await?.error_for_status()?;
        Ok(this)
    }

    /// Returns the session cookie for a stream.
    pub fn session_cookie(&self, stream: usize) -> &str {
        &self.cookies[1 + stream / STREAMS_PER_USER]
    }

    /// Returns the server's resident memory in kilobytes.
    pub fn resident_memory_kb(&self) -> u64 {
        self.server.process.resident_memory_kb()
    }

    /// Returns the server's CPU time in seconds.
    pub fn cpu_seconds(&self) -> f64 {
        self.server.process.cpu_seconds()
    }

    /// Measures the health check.
    pub async fn measure_health_check(&self) -> Result<Latency, BenchError> {
        measure_latency(|| self.server.client.get(self.server.url("/healthz"))).await
    }

    /// Measures a page.
    pub async fn measure_page(&self) -> Result<Latency, BenchError> {
        measure_latency(|| self.signed_in(self.server.client.get(self.server.url("/settings/integrations")))).await
    }

    /// Measures the refresh call with nothing due.
    pub async fn measure_refresh(&self) -> Result<Latency, BenchError> {
        measure_latency(|| self.refresh_request()).await
    }

    /// Measures the token API.
    pub async fn measure_token_api(&self) -> Result<Latency, BenchError> {
        let path = format!("/api/v1/bindings/{}/token", self.binding);
        measure_latency(|| self.server.client.get(self.server.url(&path)).bearer_auth(self.key.expose())).await
    }

    /// Refreshes the connection, which sends an event to every stream of the organization.
    pub async fn trigger_event(&self) -> Result<(), BenchError> {
        let request = self.server.client.post(self.server.url("/api/integrations/xero/refresh-connection"));
        let request = self.signed_in(request).form(&[("binding_id", self.binding.as_str())]);
        request.header("accept", "application/json").send().await?.error_for_status()?;
        Ok(())
    }

    fn refresh_request(&self) -> RequestBuilder {
        let request =
            self.server.client.post(self.server.url("/api/integrations/xero/refresh")).form(&[("clicked", "false")]);
        self.signed_in(request).header("accept", "application/json")
    }

    fn signed_in(&self, request: RequestBuilder) -> RequestBuilder {
        request.header(COOKIE, &self.cookies[0])
    }
}

/// Sends the request `REQUESTS_PER_MEASUREMENT` times on one connection. Fails if one of them fails.
async fn measure_latency(request: impl Fn() -> RequestBuilder) -> Result<Latency, BenchError> {
    let mut took = Vec::with_capacity(REQUESTS_PER_MEASUREMENT);
    for _ in 0..REQUESTS_PER_MEASUREMENT {
        let begun = Instant::now();
        request().send().await?.error_for_status()?.bytes().await?;
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    let at = |share: usize| took[REQUESTS_PER_MEASUREMENT * share / 100].as_secs_f64() * 1000.0;
    Ok(Latency { p50: at(50), p99: at(99) })
}
