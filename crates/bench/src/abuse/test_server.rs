//! A server process with users and sessions, and the latency of ordinary requests to it.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use reqwest::header::COOKIE;
use reqwest::{Client, RequestBuilder};
use tokio::time::Instant;

use crate::process::{EvergrantBinary, Process};
use crate::{BenchError, FIXED_KEY_RING};
use evergrant::model::{ApiKeyLifetime, BindingId, Scope};
use evergrant::server::auth::api_keys;
use evergrant::server::auth::api_keys::{CreatedApiKey, RequestedApiKey};
use evergrant::server::auth::cookie::SESSION_COOKIE;
use evergrant::server::clock::Clock;
use evergrant::server::crypto::key_ring::KeyRing;
use evergrant::server::crypto::random::{hash_secret, new_secret};
use evergrant::server::domain::{Actor, ApiKey, Secret};
use evergrant::server::store::{Database, NewSession, NewUser, Store, UserOrg};

/// The demo organization whose connection works.
const DEMO_ORG: &str = "Harbour Group";
/// Streams per user. The limit is 64, which leaves some for the measurements.
const STREAMS_PER_USER: usize = 60;
/// How often each request is sent in a row.
const REQUESTS_PER_MEASUREMENT: usize = 1000;
/// How long the server has to start, and to answer a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// The latency of a request in milliseconds: median and 99th percentile.
pub struct Latency {
    pub p50: f64,
    pub p99: f64,
}

/// A server process, its users and an API key.
pub struct TestServer {
    pub address: SocketAddr,
    server: Process,
    client: Client,
    /// One session cookie per user. The first is for the measurements.
    cookies: Vec<String>,
    key: ApiKey,
    binding: BindingId,
}

impl TestServer {
    /// Starts the server and creates as many users as `streams` event streams need. Nothing is due afterwards.
    pub async fn start(binary: &EvergrantBinary, folder: &Path, streams: usize) -> Result<Self, BenchError> {
        if folder.exists() {
            std::fs::remove_dir_all(folder)?;
        }
        std::fs::create_dir_all(folder)?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let url = format!("sqlite://{}", folder.join("bench.db").display());
        let mut command = binary.command()?;
        command.args(["serve", "--listen", &address.to_string(), "--public-url", &format!("http://{address}")]);
        command.args(["--database-url", &url, "--api-rate", "1000000"]);
        command.env("EVERGRANT_DATA_DIR", folder).env("EVERGRANT_KEYS", FIXED_KEY_RING).env("RUST_LOG", "warn");
        let server = Process::start(&mut command)?;
        let client = Client::builder().no_proxy().timeout(REQUEST_TIMEOUT).build()?;
        wait_until_ready(&client, address).await?;

        let store =
            Store::new(Database::connect(&url).await?, KeyRing::parse(&Secret::new(FIXED_KEY_RING))?, Clock::system());
        let demo = store.database().org_summaries(Some(DEMO_ORG), None).await?.pop();
        let org = demo.ok_or("the demo organization is missing")?.id;
        let mut cookies = Vec::new();
        for number in 0..streams.div_ceil(STREAMS_PER_USER) + 1 {
            let new = NewUser {
                email: &format!("{number}@example.com"),
                password_hash: &Secret::new("nobody signs in with it"),
                org: Some(UserOrg::Existing(&org)),
            };
            let added = store.add_user(new).await?;
            let session = new_secret()?;
            _ = store.add_session(NewSession::new(&hash_secret(&session), &added.user, Some(&org))).await?;
            cookies.push(format!("{SESSION_COOKIE}={}", session.expose()));
        }
        let wanted =
            RequestedApiKey { name: "bench", scopes: Scope::ALL, life: ApiKeyLifetime::Month, created_by: None };
        let CreatedApiKey { key, .. } = api_keys::create(&store.as_actor(Actor::operator()), &org, wanted).await?;
        let bound = store.bindings_of_org(&org).await?.into_iter().next().ok_or("the demo connection is missing")?;
        store.database().close().await;
        let this = Self { address, server, client, cookies, key, binding: bound.binding.id };
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
        self.server.resident_memory_kb()
    }

    /// Returns the server's CPU time in seconds.
    pub fn cpu_seconds(&self) -> f64 {
        self.server.cpu_seconds()
    }

    /// Measures the health check.
    pub async fn measure_health_check(&self) -> Result<Latency, BenchError> {
        measure_latency(|| self.client.get(self.url("/healthz"))).await
    }

    /// Measures a page.
    pub async fn measure_page(&self) -> Result<Latency, BenchError> {
        measure_latency(|| self.signed_in(self.client.get(self.url("/settings/integrations")))).await
    }

    /// Measures the refresh call with nothing due.
    pub async fn measure_refresh(&self) -> Result<Latency, BenchError> {
        measure_latency(|| self.refresh_request()).await
    }

    /// Measures the token API.
    pub async fn measure_token_api(&self) -> Result<Latency, BenchError> {
        let path = format!("/api/v1/bindings/{}/token", self.binding);
        measure_latency(|| self.client.get(self.url(&path)).bearer_auth(self.key.expose())).await
    }

    /// Refreshes the connection, which sends an event to every stream of the organization.
    pub async fn trigger_event(&self) -> Result<(), BenchError> {
        let request = self.client.post(self.url("/api/integrations/xero/refresh-connection"));
        let request = self.signed_in(request).form(&[("binding_id", self.binding.as_str())]);
        request.header("accept", "application/json").send().await?.error_for_status()?;
        Ok(())
    }

    fn refresh_request(&self) -> RequestBuilder {
        let request = self.client.post(self.url("/api/integrations/xero/refresh")).form(&[("clicked", "false")]);
        self.signed_in(request).header("accept", "application/json")
    }

    fn signed_in(&self, request: RequestBuilder) -> RequestBuilder {
        request.header(COOKIE, &self.cookies[0])
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

async fn wait_until_ready(client: &Client, address: SocketAddr) -> Result<(), BenchError> {
    let begun = Instant::now();
    loop {
        match client.get(format!("http://{address}/readyz")).send().await {
            Ok(response) if response.status().is_success() => return Ok(()),
            _ if begun.elapsed() > REQUEST_TIMEOUT => return Err("the server didn't start".into()),
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
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
