//! A server in a process of its own, its people, and what those who mean well notice of it.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use reqwest::header::COOKIE;
use reqwest::{Client, RequestBuilder};
use tokio::time::Instant;

use crate::model::{BindingId, KeyLife, Scope};
use crate::server::auth::cookie::{SESSION_COOKIE, hashed, new_secret};
use crate::server::auth::keys::{self, Made, Wanted};
use crate::server::cipher::KeyRing;
use crate::server::cli::Failed;
use crate::server::cli::process::{Process, ours};
use crate::server::clock::Clock;
use crate::server::domain::{Actor, ApiKey, Secret};
use crate::server::store::{Database, NewUser, Store};

/// The demo's organisation whose connection works.
const ORG: &str = "Harbour Group";
/// A person may have 64 streams open, which leaves some for the measurement.
const STREAMS_EACH: usize = 60;
/// How often each call is made in a row.
const CALLS: usize = 1000;
const PATIENCE: Duration = Duration::from_secs(20);
/// Guards nothing: what it seals opens the sandbox alone.
const KEYS: &str = "bench:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// How long a call takes: in the middle, and at worst but for one in a hundred. Milliseconds.
pub struct Times {
    pub p50: f64,
    pub p99: f64,
}

pub struct House {
    pub address: SocketAddr,
    server: Process,
    client: Client,
    /// A session's cookie of each person.
    cookies: Vec<String>,
    key: ApiKey,
    binding: BindingId,
}

impl House {
    /// Starts the server and lets in as many people as so many streams need. Nothing is due in it.
    pub async fn open(folder: &Path, streams: usize) -> Result<Self, Failed> {
        if folder.exists() {
            std::fs::remove_dir_all(folder)?;
        }
        std::fs::create_dir_all(folder)?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let url = format!("sqlite://{}", folder.join("bench.db").display());
        let mut command = ours()?;
        command.args(["serve", "--listen", &address.to_string(), "--public-url", &format!("http://{address}")]);
        command.args(["--database-url", &url, "--api-rate", "1000000"]);
        command.env("EVERGRANT_DATA_DIR", folder).env("EVERGRANT_KEYS", KEYS).env("RUST_LOG", "warn");
        let server = Process::start(&mut command)?;
        let client = Client::builder().no_proxy().timeout(PATIENCE).build()?;
        wait_for(&client, address).await?;

        let store = Store::new(Database::connect(&url).await?, KeyRing::parse(&Secret::new(KEYS))?, Clock::system());
        let org = store.database().org_named(ORG).await?.ok_or("the demo's organisation is missing")?;
        let mut cookies = Vec::new();
        for number in 0..streams.div_ceil(STREAMS_EACH) + 1 {
            let new = NewUser {
                email: &format!("{number}@example.com"),
                password_hash: &Secret::new("nobody signs in with it"),
                org: Some(ORG),
            };
            let added = store.add_user(new).await?.ok_or("somebody of this name is there")?;
            let session = new_secret()?;
            store.add_session(&hashed(&session), &added.user, Some(&org)).await?;
            cookies.push(format!("{SESSION_COOKIE}={}", session.expose()));
        }
        let wanted = Wanted { name: "bench", scopes: Scope::ALL, life: KeyLife::Month, by: None };
        let Made { key, .. } = keys::make(&store, &org, wanted, &Actor::operator()).await?;
        let bound = store.bindings_of_org(&org).await?.into_iter().next().ok_or("the demo's connection is missing")?;
        store.database().close().await;
        let house = Self { address, server, client, cookies, key, binding: bound.binding.id };
        // What is due at the start is done.
        house.refresh_request().send().await?.error_for_status()?;
        Ok(house)
    }

    /// The cookie of whoever opens this stream.
    pub fn cookie(&self, stream: usize) -> &str {
        &self.cookies[1 + stream / STREAMS_EACH]
    }

    pub fn memory(&self) -> u64 {
        self.server.memory()
    }

    pub fn busy(&self) -> f64 {
        self.server.busy()
    }

    pub async fn health(&self) -> Result<Times, Failed> {
        times(|| self.client.get(self.at("/healthz"))).await
    }

    pub async fn page(&self) -> Result<Times, Failed> {
        times(|| self.signed_in(self.client.get(self.at("/settings/integrations")))).await
    }

    /// With nothing due.
    pub async fn refresh(&self) -> Result<Times, Failed> {
        times(|| self.refresh_request()).await
    }

    pub async fn token(&self) -> Result<Times, Failed> {
        let path = format!("/api/v1/bindings/{}/token", self.binding);
        times(|| self.client.get(self.at(&path)).bearer_auth(self.key.expose())).await
    }

    /// Exchanges the connection's token, of which every page of the organisation is told.
    pub async fn cause_an_event(&self) -> Result<(), Failed> {
        let request = self.client.post(self.at("/api/integrations/xero/refresh-connection"));
        let request = self.signed_in(request).form(&[("binding_id", self.binding.as_str())]);
        request.header("accept", "application/json").send().await?.error_for_status()?;
        Ok(())
    }

    fn refresh_request(&self) -> RequestBuilder {
        let request = self.client.post(self.at("/api/integrations/xero/refresh")).form(&[("clicked", "false")]);
        self.signed_in(request).header("accept", "application/json")
    }

    fn signed_in(&self, request: RequestBuilder) -> RequestBuilder {
        request.header(COOKIE, &self.cookies[0])
    }

    fn at(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

async fn wait_for(client: &Client, address: SocketAddr) -> Result<(), Failed> {
    let begun = Instant::now();
    loop {
        match client.get(format!("http://{address}/readyz")).send().await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            _ if begun.elapsed() > PATIENCE => return Err("the server doesn't start".into()),
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Makes a call over and over on one connection. One that fails ends the measurement.
async fn times(request: impl Fn() -> RequestBuilder) -> Result<Times, Failed> {
    let mut took = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let begun = Instant::now();
        request().send().await?.error_for_status()?.bytes().await?;
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    let at = |share: usize| took[CALLS * share / 100].as_secs_f64() * 1000.0;
    Ok(Times { p50: at(50), p99: at(99) })
}
