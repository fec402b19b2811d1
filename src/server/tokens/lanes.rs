//! A lane per organisation: so many exchanges at once, in the order in which they came. However many of one
//! organisation's grants wait for a slow provider, another's have their own lane.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::OrgId;

/// The lanes in use. Cheap to clone; clones share them.
#[derive(Clone)]
pub struct Lanes {
    at_once: usize,
    lanes: Arc<Mutex<HashMap<OrgId, Arc<Semaphore>>>>,
}

/// A place in a lane, until dropped.
pub struct Place {
    lanes: Lanes,
    org: OrgId,
    permit: Option<OwnedSemaphorePermit>,
}

impl Lanes {
    pub fn new(at_once: usize) -> Self {
        Self { at_once: at_once.max(1), lanes: Arc::default() }
    }

    /// Waits for a place in the organisation's lane.
    pub async fn enter(&self, org: &OrgId) -> Place {
        let lane = Arc::clone(self.lock().entry(org.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.at_once))));
        // Made before the wait: whoever goes away while waiting tidies up as well.
        let mut place = Place { lanes: self.clone(), org: org.clone(), permit: None };
        // No lane is ever closed, so it never fails.
        place.permit = lane.acquire_owned().await.ok();
        place
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<OrgId, Arc<Semaphore>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lanes = self.lanes.lock();
        drop(self.permit.take());
        // Whoever is in it or waits for it holds a share; a new one comes under this lock.
        if lanes.get(&self.org).is_some_and(|lane| Arc::strong_count(lane) == 1) {
            lanes.remove(&self.org);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_full_lane_holds_up_its_own_organisation_alone() {
        let lanes = Lanes::new(2);
        let (one, two) = (OrgId::from("one"), OrgId::from("two"));
        let first = lanes.enter(&one).await;
        let _second = lanes.enter(&one).await;
        assert!(lanes.enter(&one).now_or_never().is_none());
        assert!(lanes.enter(&two).now_or_never().is_some());
        drop(first);
        assert!(lanes.enter(&one).now_or_never().is_some());
    }

    #[tokio::test]
    async fn an_empty_lane_is_forgotten() {
        let lanes = Lanes::new(1);
        let org = OrgId::from("one");
        let place = lanes.enter(&org).await;
        let mut waiting = Box::pin(lanes.enter(&org));
        assert!((&mut waiting).now_or_never().is_none());
        drop(place);
        assert_eq!(lanes.lock().len(), 1, "somebody waits for it");
        drop(waiting.await);
        assert!(lanes.lock().is_empty());
    }
}
