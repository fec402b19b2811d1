//! A token service on a test database, with a sandbox provider over TCP and a manual clock.

use std::num::NonZeroU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use evergrant::model::{GrantId, OrgId};
use evergrant::server::clock::Clock;
use evergrant::server::crypto::key_ring::KeyRing;
use evergrant::server::domain::{AppIdentity, Grant, KeepHot, Plan, Secret};
use evergrant::server::jobs::sweeper;
use evergrant::server::jobs::sweeper::{SweepReport, Sweeper};
use evergrant::server::lifecycle::Lifecycle;
use evergrant::server::store::{Store, Timeouts};
use evergrant::server::tokens::{Policy, Spool, TokenService};
use evergrant::server::xero::{Endpoints, XeroClient};
use evergrant_sandbox::SANDBOX_CLIENT_SECRET;
use sqlx::{AssertSqlSafe, SqlSafeStr};
use tempfile::TempDir;

use super::consents::{ConnectedOrg, TestConsent};
use super::databases::TestDatabase;
use crate::sandbox::{Provider, START};

/// Seconds of a day.
pub const DAY: i64 = 24 * 60 * 60;
/// Longer than Xero honors a spent refresh token, in seconds.
pub const PAST_REPLAY_WINDOW: i64 = 31 * 60;

/// A token service and its dependencies, without the HTTP server.
pub struct TestService {
    pub database: TestDatabase,
    pub provider: Provider,
    pub clock: Clock,
    pub store: Store,
    pub service: TokenService,
    pub lifecycle: Lifecycle,
    pub spool: TempDir,
    options: ServiceOptions,
}

/// The lease's lifetime, the time-out of requests to Xero, which grants are kept hot, and the waits in the database.
#[derive(Clone, Copy)]
pub struct ServiceOptions {
    pub lease_ttl: Duration,
    pub xero_timeout: Duration,
    pub keep_hot: KeepHot,
    pub timeouts: Timeouts,
}

impl Default for ServiceOptions {
    fn default() -> Self {
        Self {
            lease_ttl: Duration::from_secs(60),
            xero_timeout: Duration::from_secs(60),
            keep_hot: KeepHot::Used,
            timeouts: Timeouts::default(),
        }
    }
}

impl ServiceOptions {
    /// For tests of requests that are never answered. With the default, a busy machine makes no request time out.
    pub fn impatient() -> Self {
        Self { xero_timeout: Duration::from_millis(500), ..Self::default() }
    }
}

impl TestService {
    /// Creates a service on `database` with the default options.
    pub async fn start(database: TestDatabase) -> Self {
        Self::on(database, ServiceOptions::default()).await
    }

    pub async fn on(database: TestDatabase, options: ServiceOptions) -> Self {
        Self::with_clock(database, options, Provider::start().await, Clock::manual(START)).await
    }

    /// Creates a service on the machine's time, corrected by the database's. Its provider has the machine's time.
    pub async fn on_system_time(database: TestDatabase, options: ServiceOptions) -> Self {
        let provider = Provider::on_system_time().await;
        Self::with_clock(database, options, provider, Clock::system()).await
    }

    async fn with_clock(database: TestDatabase, options: ServiceOptions, provider: Provider, clock: Clock) -> Self {
        let (lifecycle, spool) = (Lifecycle::default(), TempDir::new().unwrap());
        let store = open_store(&database, &clock, options).await;
        let service = token_service(&store, &provider.base, &clock, &spool, &lifecycle, options);
        Self { database, provider, clock, store, service, lifecycle, spool, options }
    }

    /// Returns the store of another instance on the same database.
    pub async fn second_store(&self) -> Store {
        Store::new(self.database.open().await, test_key_ring(), self.clock.clone())
    }

    fn consent(&self) -> TestConsent<'_> {
        TestConsent::new(&self.store, &self.provider)
    }

    /// Adds a new consent to `tenants` in the same organization.
    pub async fn reconnect(&self, before: &ConnectedOrg, tenants: &[&str]) -> ConnectedOrg {
        self.consent().tenants(tenants).connect(before.org.clone()).await
    }

    /// Returns the token service of another instance, on the same database and with the same provider.
    pub async fn second_service(&self) -> TokenService {
        self.second_service_with(self.options).await
    }

    /// Returns the token service of another instance with other options.
    pub async fn second_service_with(&self, options: ServiceOptions) -> TokenService {
        let store = open_store(&self.database, &self.clock, options).await;
        token_service(&store, &self.provider.base, &self.clock, &self.spool, &self.lifecycle, options)
    }

    /// Returns the token service of another instance, on a machine whose clock is `seconds` ahead.
    pub async fn second_service_off_by(&self, seconds: i64) -> (TokenService, Store) {
        let clock = Clock::system_off_by(seconds);
        let store = open_store(&self.database, &clock, self.options).await;
        let base = &self.provider.base;
        (token_service(&store, base, &clock, &self.spool, &self.lifecycle, self.options), store)
    }

    /// Returns the token service of an instance whose Xero base URL is `base`.
    pub async fn service_with_xero_at(&self, base: &str) -> TokenService {
        let store = open_store(&self.database, &self.clock, self.options).await;
        token_service(&store, base, &self.clock, &self.spool, &self.lifecycle, self.options)
    }

    /// Returns a sweeper for `service` that runs up to `concurrency` exchanges concurrently.
    pub fn sweeper(&self, service: &TokenService, concurrency: usize) -> Sweeper {
        let options =
            sweeper::SweeperOptions { interval: Duration::from_secs(30), concurrency, per_minute: NonZeroU32::MAX };
        Sweeper::new(service.clone(), options, self.lifecycle.stopping().clone())
    }

    /// Runs one sweep of this service.
    pub async fn sweep(&self) -> SweepReport {
        self.sweeper(&self.service, 8).sweep_once().await.unwrap()
    }

    /// Advances the service's clock and the provider's, in seconds.
    pub fn advance(&self, seconds: i64) {
        self.clock.advance(seconds);
        self.provider.clock.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Sets the service's clock, and not the provider's, back by `seconds`; forward if negative.
    pub fn set_clock_back(&self, seconds: i64) {
        self.clock.advance(-seconds);
    }

    /// Creates an organization with Mere's consent; the access token expires in `access_seconds_left`.
    pub async fn connect(&self, org: &str, tenants: &[&str], access_seconds_left: i64) -> ConnectedOrg {
        let org = self.store.add_org(org).await.unwrap();
        self.consent().tenants(tenants).access_seconds_left(access_seconds_left).connect(org).await
    }

    /// Adds a grant of Mere's without bindings to an existing organization.
    pub async fn add_grant(&self, org: &OrgId, access_seconds_left: i64) -> GrantId {
        self.consent().access_seconds_left(access_seconds_left).insert_grant(org).await.0
    }

    pub async fn read_grant(&self, grant: &GrantId) -> Grant {
        self.store.grant(grant).await.unwrap().unwrap()
    }

    /// Counts the refresh requests that reached the token endpoint.
    pub async fn exchange_count(&self) -> usize {
        self.provider.exchange_count().await
    }

    /// Gives every grant's lease to another holder until `until`, in unix seconds.
    pub async fn steal_lease(&self, until: i64) {
        let stolen = format!("UPDATE integration_grants SET lease_owner = 'another', lease_until = {until}");
        self.execute(AssertSqlSafe(stolen)).await;
    }

    /// Commits every grant's first exchange as another holder does, without new tokens.
    pub async fn commit_elsewhere(&self) {
        self.execute("UPDATE integration_grants SET generation = 1, lease_owner = NULL, lease_until = NULL").await;
    }

    /// Restores the grant's row from a backup that was taken when no exchange was running.
    pub async fn restore_grant(&self, backup: &Grant) {
        let restore = "UPDATE integration_grants SET generation = $1, access_token_enc = $2, refresh_token_enc = $3, \
                       lease_owner = NULL, lease_until = NULL WHERE id = $4";
        let restore = sqlx::query(restore).bind(backup.generation).bind(&backup.sealed.access);
        let restore = restore.bind(&backup.sealed.refresh).bind(backup.id.as_str());
        restore.execute(self.store.database().pool()).await.unwrap();
        self.execute("DELETE FROM refresh_attempts").await;
    }

    /// Marks every grant dead as another holder does that got a refusal.
    pub async fn mark_dead_elsewhere(&self) {
        self.execute("UPDATE integration_grants SET status = 'refresh_failed', lease_owner = NULL, lease_until = NULL")
            .await;
        self.execute("UPDATE integration_tenant_bindings SET status = 'needs_reauth'").await;
    }

    async fn execute(&self, statement: impl SqlSafeStr) {
        sqlx::query(statement).execute(self.store.database().pool()).await.unwrap();
    }
}

async fn open_store(database: &TestDatabase, clock: &Clock, options: ServiceOptions) -> Store {
    let plan = Plan { keep_hot: options.keep_hot, ..Plan::default() };
    let database = database.open_with(options.timeouts).await;
    // As a server does when it starts.
    database.adopt_clock(clock).await.unwrap();
    Store::new(database, test_key_ring(), clock.clone()).with_plan(plan)
}

/// The key ring of the tests, with the single key `test`, as `EVERGRANT_KEYS` has it.
pub const TEST_KEYS: &str = "test:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// Returns the key ring of the tests.
pub fn test_key_ring() -> KeyRing {
    KeyRing::parse(&Secret::new(TEST_KEYS)).unwrap()
}

/// Returns a token service on `store`, whose Xero base URL is `base`.
pub fn token_service(
    store: &Store,
    base: &str,
    clock: &Clock,
    spool: &TempDir,
    lifecycle: &Lifecycle,
    options: ServiceOptions,
) -> TokenService {
    let endpoints = Endpoints::parse(base, base, base).unwrap();
    let secret = Secret::new(SANDBOX_CLIENT_SECRET);
    // Whatever the address: a test may replace it by one that leads nowhere.
    let app = AppIdentity::sandbox();
    let xero = XeroClient::new(endpoints, app, secret, options.xero_timeout, clock.clone()).unwrap();
    let policy = Policy {
        buffer: 600,
        roll_after: 45 * DAY,
        lease_ttl: options.lease_ttl,
        wait_limit: Duration::from_secs(20),
        concurrency: 4,
    };
    let spool = Spool::open(spool.path()).unwrap();
    TokenService::new(store.clone(), xero, policy, spool, lifecycle.clone())
}
