//! Reads the list of connections while everything goes wrong, and shows that no connection ends by a list that was odd
//! once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use evergrant::model::BindingStatus;
use evergrant::server::lifecycle::Lifecycle;
use evergrant::server::tokens::{ReconcileReport, TokenService};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::support::cluster::TestCluster;
use crate::support::test_service::{ServiceOptions, token_service};

/// The longest wait for Xero.
const XERO_TIMEOUT: Duration = Duration::from_secs(1);
/// The seconds after which a list that lacks a connection is confirmed by another.
const UNTIL_CONFIRMATION: i64 = 60;

/// One more instance, which refreshes nothing and reads the list when it is told to.
pub struct ListReader {
    service: TokenService,
    /// The lists that were read while everything went wrong, by all readers.
    read: Arc<AtomicUsize>,
    _spool: TempDir,
}

impl ListReader {
    pub fn of(cluster: &TestCluster, read: Arc<AtomicUsize>) -> Self {
        let (spool, lifecycle) = (TempDir::new().unwrap(), Lifecycle::default());
        let options = ServiceOptions { xero_timeout: XERO_TIMEOUT, ..ServiceOptions::default() };
        let base = &cluster.provider.base;
        let service = token_service(&cluster.store, base, cluster.store.clock(), &spool, &lifecycle, options);
        Self { service, read, _spool: spool }
    }

    /// Reads the list. It may fail: Xero or the database may be out of order.
    pub fn start(&self) -> JoinHandle<()> {
        let (service, read) = (self.service.clone(), Arc::clone(&self.read));
        tokio::spawn(async move {
            let report = service.reconcile_due().await.unwrap_or_default();
            read.fetch_add(report.read, Ordering::SeqCst);
        })
    }

    /// Asserts that a list that is read a minute later finds each connection as it was: whatever the list before said,
    /// none has ended.
    pub async fn assert_nothing_ended(&self, cluster: &TestCluster, case: &str) {
        let pool = cluster.store.database().pool();
        let waited = "UPDATE integration_tenant_bindings SET missing_since = missing_since - $1";
        sqlx::query(waited).bind(UNTIL_CONFIRMATION).execute(pool).await.unwrap();
        self.make_due(cluster).await;
        let read = self.service.reconcile_due().await.unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(read, ReconcileReport { read: 1, ..ReconcileReport::default() }, "{case}");
        for id in &cluster.connected.bindings {
            let bound = cluster.store.binding(&cluster.connected.org, id).await.unwrap().unwrap();
            let (status, unlisted_at) = (bound.binding.status, bound.binding.unlisted_at);
            assert_eq!((status, unlisted_at), (BindingStatus::Active, None), "{case}");
        }
    }

    /// Makes the list due.
    pub async fn make_due(&self, cluster: &TestCluster) {
        let due = sqlx::query("UPDATE integration_grants SET connections_due_at = $1");
        due.bind(cluster.store.clock().now()).execute(cluster.store.database().pool()).await.unwrap();
    }
}
