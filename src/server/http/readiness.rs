//! Whether this instance belongs in a load balancer: the database accepts writes, the key ring opens what is sealed, and
//! no clock has just jumped.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use crate::server::store::{Store, StoreError, WriteProbe};

/// How long a result is repeated instead of asking again.
const MAX_RESULT_AGE: Duration = Duration::from_secs(1);
/// The database is stuck if a write takes longer.
const WRITE_TIMEOUT: Duration = Duration::from_millis(1500);
/// The key ring's check reads tables that may be locked, which says nothing about the ring.
const RING_TIMEOUT: Duration = Duration::from_secs(1);

/// Asks the database at most once a second, however many requests there are. Cheap to clone.
#[derive(Clone)]
pub struct Readiness(Arc<Inner>);

struct Inner {
    store: Store,
    last: tokio::sync::Mutex<LastCheck>,
    /// Whether the key ring's last check that ended found that it opens what is sealed.
    is_ring_good: Mutex<bool>,
}

struct LastCheck {
    result: Option<(Instant, Result<(), &'static str>)>,
    probe: WriteProbe,
}

impl Readiness {
    /// Creates the check for an instance.
    pub fn new(store: Store, instance: &str) -> Self {
        let last = LastCheck { result: None, probe: WriteProbe::new(store.clone(), instance) };
        Self(Arc::new(Inner { store, last: tokio::sync::Mutex::new(last), is_ring_good: Mutex::new(true) }))
    }

    /// Returns why the instance is not ready. Ends within two seconds.
    pub async fn check(&self) -> Result<(), &'static str> {
        let mut last = self.0.last.lock().await;
        if let Some((at, result)) = last.result
            && at.elapsed() < MAX_RESULT_AGE
        {
            return result;
        }
        let result = self.check_now(&mut last.probe).await;
        last.result = Some((Instant::now(), result));
        result
    }

    /// Closes the database's connection, at the end of a server.
    pub async fn close(&self) {
        self.0.last.lock().await.probe.close().await;
    }

    async fn check_now(&self, probe: &mut WriteProbe) -> Result<(), &'static str> {
        let Inner { store, is_ring_good, .. } = &*self.0;
        if store.clock().jump().is_some() {
            return Err("this machine's clock or the database's has jumped, see the log");
        }
        let write = timeout(WRITE_TIMEOUT, probe.write());
        let ring = timeout(RING_TIMEOUT, store.check_ring_opens());
        let (written, ring) = tokio::join!(write, ring);
        match ring {
            Ok(Ok(())) => *is_ring_good.lock() = true,
            Ok(Err(error @ StoreError::Cipher { .. })) => {
                tracing::warn!(%error, "the key ring does not open what is sealed");
                *is_ring_good.lock() = false;
            }
            Ok(Err(_)) | Err(_) => {}
        }
        match written {
            Err(_) => Err("the database does not answer"),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the database accepted no write");
                Err("the database accepts no writes, see the log")
            }
            Ok(Ok(())) if *is_ring_good.lock() => Ok(()),
            Ok(Ok(())) => Err("the key ring does not open what is sealed, see the log"),
        }
    }
}
