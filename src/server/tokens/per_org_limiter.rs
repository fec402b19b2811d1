//! Limits the concurrent exchanges of each organization, in FIFO order, so that one organization's slow exchanges do
//! not delay another's.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::OrgId;

/// A semaphore per organization with exchanges. Cheap to clone; clones share the semaphores.
#[derive(Clone)]
pub struct PerOrgLimiter {
    concurrency: usize,
    semaphores: Arc<Mutex<HashMap<OrgId, Arc<Semaphore>>>>,
}

/// The right to run one exchange, until dropped.
pub struct Permit {
    limiter: PerOrgLimiter,
    org: OrgId,
    semaphore_permit: Option<OwnedSemaphorePermit>,
}

impl PerOrgLimiter {
    /// Allows `at_once` exchanges per organization, at least one.
    pub fn new(concurrency: usize) -> Self {
        Self { concurrency: concurrency.max(1), semaphores: Arc::default() }
    }

    /// Waits for one of the organization's permits.
    pub async fn acquire(&self, org: &OrgId) -> Permit {
        let semaphore = Arc::clone(
            self.semaphores.lock().entry(org.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.concurrency))),
        );
        // Created before the wait, so that a canceled wait also removes an unused semaphore.
        let mut permit = Permit { limiter: self.clone(), org: org.clone(), semaphore_permit: None };
        // The semaphore is never closed, so this never fails.
        permit.semaphore_permit = semaphore.acquire_owned().await.ok();
        permit
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut semaphores = self.limiter.semaphores.lock();
        drop(self.semaphore_permit.take());
        // Every holder and waiter has a reference, and new ones are created under this lock.
        if semaphores.get(&self.org).is_some_and(|lane| Arc::strong_count(lane) == 1) {
            semaphores.remove(&self.org);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn full_limit_delays_only_its_own_organization() {
        let lanes = PerOrgLimiter::new(2);
        let (one, two) = (OrgId::from("one"), OrgId::from("two"));
        let first = lanes.acquire(&one).await;
        let _second = lanes.acquire(&one).await;
        assert!(lanes.acquire(&one).now_or_never().is_none());
        assert!(lanes.acquire(&two).now_or_never().is_some());
        drop(first);
        assert!(lanes.acquire(&one).now_or_never().is_some());
    }

    #[tokio::test]
    async fn one_exchange_is_always_allowed() {
        let lanes = PerOrgLimiter::new(0);
        let first = lanes.acquire(&"one".into()).now_or_never();
        assert!(first.is_some() && lanes.acquire(&"one".into()).now_or_never().is_none());
    }

    #[tokio::test]
    async fn unused_semaphore_is_removed() {
        let lanes = PerOrgLimiter::new(1);
        let org = OrgId::from("one");
        let place = lanes.acquire(&org).await;
        let mut waiting = Box::pin(lanes.acquire(&org));
        assert!((&mut waiting).now_or_never().is_none());
        drop(place);
        assert_eq!(lanes.semaphores.lock().len(), 1, "a caller waits for it");
        drop(waiting.await);
        assert!(lanes.semaphores.lock().is_empty());
    }
}
