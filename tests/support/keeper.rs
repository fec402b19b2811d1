//! A token service on a test's database, with our own Xero on the wire and a clock that stands still.

use std::num::NonZeroU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use evergrant::model::{BindingId, GrantId, OrgId};
use evergrant::sandbox::{Minted, SANDBOX_CLIENT_ID, SANDBOX_CLIENT_SECRET};
use evergrant::server::cipher::KeyRing;
use evergrant::server::clock::Clock;
use evergrant::server::domain::{AccessToken, Grant, KeepHot, Plan, RefreshToken, Secret, Tenant, TokenSet};
use evergrant::server::store::{NewGrant, Store};
use evergrant::server::sweeper::{self, Sweeper, Swept};
use evergrant::server::tokens::{Policy, Spool, TokenService};
use evergrant::server::xero::{Endpoints, XeroClient};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::databases::TestDatabase;
use crate::sandbox::{Provider, START};

pub const DAY: i64 = 24 * 60 * 60;

/// One instance of Evergrant's middle, without a browser's side.
pub struct Keeper {
    pub database: TestDatabase,
    pub provider: Provider,
    pub clock: Clock,
    pub store: Store,
    pub service: TokenService,
    pub tasks: TaskTracker,
    pub stopping: CancellationToken,
    pub spool: TempDir,
    pace: Pace,
}

/// How long a lease lasts, how long Xero may take to answer, and whose access tokens are kept fresh.
#[derive(Clone, Copy)]
pub struct Pace {
    pub lease: Duration,
    pub timeout: Duration,
    pub keep_hot: KeepHot,
}

impl Default for Pace {
    fn default() -> Self {
        Self { lease: Duration::from_secs(60), timeout: Duration::from_millis(500), keep_hot: KeepHot::Used }
    }
}

/// An organisation with a consent's bindings.
pub struct Connected {
    pub org: OrgId,
    pub grant: GrantId,
    pub bindings: Vec<BindingId>,
    pub minted: Minted,
}

impl Keeper {
    pub async fn each() -> Vec<Self> {
        Self::each_at(Pace::default()).await
    }

    pub async fn each_at(pace: Pace) -> Vec<Self> {
        let mut each = Vec::new();
        for database in TestDatabase::each().await {
            each.push(Self::on(database, pace).await);
        }
        each
    }

    pub async fn on(database: TestDatabase, pace: Pace) -> Self {
        let (provider, clock) = (Provider::start().await, Clock::manual(START));
        let (tasks, stopping, spool) = (TaskTracker::new(), CancellationToken::new(), TempDir::new().unwrap());
        let store = store(&database, &clock, pace).await;
        let service = service(&store, &provider.base, &clock, &spool, &tasks, &stopping, pace);
        Self { database, provider, clock, store, service, tasks, stopping, spool, pace }
    }

    /// Another instance's hand on the same database.
    pub async fn another_store(&self) -> Store {
        Store::new(self.database.open().await, ring(), self.clock.clone())
    }

    /// A new consent to the same tenants, in the same organisation.
    pub async fn connect_again(&self, before: &Connected, tenants: &[&str]) -> Connected {
        consent(&self.store, &self.provider, before.org.clone(), tenants, 60).await
    }

    /// Another instance on the same database and against the same provider.
    pub async fn another(&self) -> TokenService {
        self.another_at(self.pace).await
    }

    /// The same with other settings.
    pub async fn another_at(&self, pace: Pace) -> TokenService {
        let store = store(&self.database, &self.clock, pace).await;
        service(&store, &self.provider.base, &self.clock, &self.spool, &self.tasks, &self.stopping, pace)
    }

    /// An instance that looks for Xero at another address.
    pub async fn elsewhere(&self, base: &str) -> TokenService {
        let store = store(&self.database, &self.clock, self.pace).await;
        service(&store, base, &self.clock, &self.spool, &self.tasks, &self.stopping, self.pace)
    }

    /// A sweeper of ours, or of another instance, that has so many exchanges under way at a time.
    pub fn sweeper(&self, service: &TokenService, at_once: usize) -> Sweeper {
        let pace = sweeper::Pace { interval: Duration::from_secs(30), at_once, a_minute: NonZeroU32::MAX };
        Sweeper::new(service.clone(), pace, self.stopping.clone())
    }

    /// One pass of ours.
    pub async fn sweep(&self) -> Swept {
        self.sweeper(&self.service, 8).sweep_once().await.unwrap()
    }

    /// Lets time pass for both sides.
    pub fn advance(&self, seconds: i64) {
        self.clock.advance(seconds);
        self.provider.clock.fetch_add(seconds, Ordering::SeqCst);
    }

    /// An organisation that Mere connected, with so much left on the access token.
    pub async fn connect(&self, org: &str, tenants: &[&str], access_seconds_left: i64) -> Connected {
        let org = self.store.add_org(org).await.unwrap().unwrap();
        consent(&self.store, &self.provider, org, tenants, access_seconds_left).await
    }

    /// One more grant of Mere's in an organisation that is there, with nothing bound to it yet.
    pub async fn grant(&self, org: &OrgId, access_seconds_left: i64) -> GrantId {
        grant(&self.store, &self.provider, org, &["harbour"], access_seconds_left).await.0
    }

    pub async fn read(&self, grant: &GrantId) -> Grant {
        self.store.grant(grant).await.unwrap().unwrap()
    }

    /// How often the token endpoint was asked for a refresh.
    pub async fn exchanges(&self) -> usize {
        let ledger = self.provider.ledger().await;
        ledger.iter().filter(|entry| entry["grant_type"] == "refresh_token").count()
    }
}

/// What Mere's consent leaves behind in an organisation, without the clicking.
pub async fn consent(
    store: &Store,
    provider: &Provider,
    org: OrgId,
    tenants: &[&str],
    access_seconds_left: i64,
) -> Connected {
    let (grant, minted) = grant(store, provider, &org, tenants, access_seconds_left).await;
    let tenants: Vec<Tenant> = minted
        .connections
        .iter()
        .map(|connection| Tenant {
            connection_id: connection.id.clone(),
            tenant_id: connection.tenant_id.clone(),
            tenant_name: connection.tenant_name.clone(),
            tenant_type: connection.tenant_type.clone(),
        })
        .collect();
    let bound = store.bind(&org, &grant, &tenants, None).await.unwrap();
    let bindings = bound.into_iter().map(|bound| bound.binding_id).collect();
    Connected { org, grant, bindings, minted }
}

async fn store(database: &TestDatabase, clock: &Clock, pace: Pace) -> Store {
    let plan = Plan { keep_hot: pace.keep_hot, ..Plan::default() };
    Store::new(database.open().await, ring(), clock.clone()).planned_by(plan)
}

/// A consent's tokens, sealed in their row.
async fn grant(
    store: &Store,
    provider: &Provider,
    org: &OrgId,
    tenants: &[&str],
    access_seconds_left: i64,
) -> (GrantId, Minted) {
    let minted = provider.sandbox.mint("mere", tenants, access_seconds_left).unwrap();
    let tokens = TokenSet {
        access_token: AccessToken::new(minted.access_token.clone()),
        refresh_token: RefreshToken::new(minted.refresh_token.clone()),
        expires_at: minted.expires_at,
        scopes: minted.scopes.clone(),
    };
    let new = NewGrant {
        org_id: org.clone(),
        xero_user_id: minted.xero_user_id.clone(),
        auth_event_id: minted.auth_event_id.clone(),
        tokens,
    };
    (store.insert_grant(new).await.unwrap(), minted)
}

pub fn ring() -> KeyRing {
    KeyRing::parse(&Secret::new(format!("test:{}=", "A".repeat(43)))).unwrap()
}

fn service(
    store: &Store,
    base: &str,
    clock: &Clock,
    spool: &TempDir,
    tasks: &TaskTracker,
    stopping: &CancellationToken,
    pace: Pace,
) -> TokenService {
    let endpoints = Endpoints::parse(base, base, base).unwrap();
    let secret = Secret::new(SANDBOX_CLIENT_SECRET);
    let app = SANDBOX_CLIENT_ID.to_owned();
    let xero = XeroClient::new(endpoints, app, secret, pace.timeout, clock.clone()).unwrap();
    let policy = Policy {
        buffer: 600,
        roll_after: 45 * DAY,
        lease_ttl: pace.lease,
        wait_limit: Duration::from_secs(20),
        at_once: 4,
    };
    let spool = Spool::open(spool.path()).unwrap();
    TokenService::new(store.clone(), xero, policy, spool, tasks.clone(), stopping.clone())
}
