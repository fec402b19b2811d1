//! A server process under measurement, and the people and programs that call it.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use reqwest::Client;
use tokio::time::{Instant, sleep};

use crate::process::{EvergrantBinary, Process};
use crate::{BenchError, FIXED_KEY_RING};
use evergrant::model::{ApiKeyLifetime, OrgId, Scope};
use evergrant::server::auth::api_keys::{self, RequestedApiKey};
use evergrant::server::auth::cookie::SESSION_COOKIE;
use evergrant::server::clock::Clock;
use evergrant::server::crypto::key_ring::KeyRing;
use evergrant::server::crypto::random::{hash_secret, new_secret};
use evergrant::server::domain::{Actor, ApiKey, Secret};
use evergrant::server::store::{Database, NewSession, NewUser, Store, UserOrg};

/// How long the server has to start, and to answer a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// How often a starting server is asked.
const START_POLL_INTERVAL: Duration = Duration::from_millis(1);

/// A running server.
pub struct BenchServer {
    pub address: SocketAddr,
    pub process: Process,
    pub client: Client,
    /// The time from its start until it was ready.
    pub started_in: Duration,
}

impl BenchServer {
    /// Starts the server on the database at `url`, with its data directory in `folder`, and waits until it is ready.
    /// `settings` are further environment variables. `cores` are the processor cores that it may use, in the notation of
    /// `taskset`; without them, all.
    pub async fn start(
        binary: &EvergrantBinary,
        folder: &Path,
        url: &str,
        settings: &[(&str, String)],
        cores: Option<&str>,
    ) -> Result<Self, BenchError> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = match cores {
            Some(cores) => binary.command_on(cores)?,
            None => binary.command()?,
        };
        command.arg("serve").env("DATABASE_URL", url).env("EVERGRANT_DATA_DIR", folder.join("data"));
        command.env("EVERGRANT_LISTEN", address.to_string()).env("EVERGRANT_PUBLIC_URL", format!("http://{address}"));
        command.env("EVERGRANT_KEYS", FIXED_KEY_RING).env("EVERGRANT_API_RATE", "4000000").env("RUST_LOG", "warn");
        command.envs(settings.iter().map(|(name, value)| (name, value)));
        let client = new_client()?;
        let begun = Instant::now();
        let process = Process::start(&mut command)?;
        wait_until_ready(&client, address).await?;
        Ok(Self { address, process, client, started_in: begun.elapsed() })
    }

    /// Returns the `Cookie` header of a session. On this machine, the port is a part of the cookie's name.
    pub fn cookie(&self, session: &str) -> String {
        format!("{SESSION_COOKIE}_{}={session}", self.address.port())
    }

    /// Returns the address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// Returns a client with connections of its own.
pub fn new_client() -> Result<Client, BenchError> {
    Ok(Client::builder().no_proxy().timeout(REQUEST_TIMEOUT).build()?)
}

async fn wait_until_ready(client: &Client, address: SocketAddr) -> Result<(), BenchError> {
    let begun = Instant::now();
    loop {
        match client.get(format!("http://{address}/readyz")).send().await {
            Ok(response) if response.status().is_success() => return Ok(()),
            _ if begun.elapsed() > REQUEST_TIMEOUT => return Err("the server didn't start".into()),
            _ => sleep(START_POLL_INTERVAL).await,
        }
    }
}

/// Opens the database at `url` as the server does.
pub async fn open_store(url: &str) -> Result<Store, BenchError> {
    Ok(Store::new(Database::connect(url).await?, KeyRing::parse(&Secret::new(FIXED_KEY_RING))?, Clock::system()))
}

/// Adds a person to an organization and signs them in. Returns the session's secret.
pub async fn add_session(store: &Store, org: &OrgId, email: &str) -> Result<String, BenchError> {
    let new =
        NewUser { email, password_hash: &Secret::new("nobody signs in with it"), org: Some(UserOrg::Existing(org)) };
    let added = store.add_user(new).await?;
    let session = new_secret()?;
    _ = store.add_session(NewSession::new(&hash_secret(&session), &added.user, Some(org))).await?;
    Ok(session.expose().to_owned())
}

/// Creates an API key of an organization with every scope.
pub async fn add_api_key(store: &Store, org: &OrgId) -> Result<ApiKey, BenchError> {
    let wanted = RequestedApiKey { name: "bench", scopes: Scope::ALL, life: ApiKeyLifetime::Month, created_by: None };
    Ok(api_keys::create(&store.as_actor(Actor::operator()), org, wanted).await?.key)
}
