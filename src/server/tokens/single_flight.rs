//! Single flight within one process: callers that request a grant's exchange while one is running join it.
//!
//! The work runs in its own task, so a disconnected caller cancels nothing (rule 5). Its entry is removed when the task
//! ends, also after a panic.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tracing::Span;
use tracing::instrument::Instrumented;

use crate::model::GrantId;
use crate::server::lifecycle::Lifecycle;
use crate::server::telemetry::traces;

type SharedWork<T> = Shared<BoxFuture<'static, Option<T>>>;
/// The work in flight and its tracing span.
type InFlight<T> = (SharedWork<T>, Span);

/// The work in flight, by grant.
pub struct SingleFlight<T> {
    in_flight: Arc<Mutex<HashMap<GrantId, InFlight<T>>>>,
    lifecycle: Lifecycle,
}

/// Whether a caller's work was in flight before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// The caller joined work in flight.
    Existing,
    /// The caller started the work.
    Started,
}

impl<T: Clone + Send + Sync + 'static> SingleFlight<T> {
    /// The work runs in tasks of `lifecycle`, so that shutdown waits for it.
    pub fn new(lifecycle: Lifecycle) -> Self {
        Self { in_flight: Arc::default(), lifecycle }
    }

    /// Starts work that must not join another's, because its lease is already taken. Returns `None` if the grant has
    /// work in flight: the caller must then release the lease.
    pub fn try_start<F>(
        &self,
        grant: &GrantId,
        start: impl FnOnce() -> Instrumented<F>,
    ) -> Option<BoxFuture<'static, Option<T>>>
    where
        F: Future<Output = T> + Send + 'static,
    {
        match self.join_or_start(grant, start) {
            (flight, Joined::Started) => Some(flight.boxed()),
            (_, Joined::Existing) => None,
        }
    }

    /// Joins the grant's work in flight, or starts it. Returns the work and which of the two it is. The work resolves
    /// to `None` if its task panicked or the runtime shut down.
    pub fn join_or_start<F>(&self, grant: &GrantId, start: impl FnOnce() -> Instrumented<F>) -> (SharedWork<T>, Joined)
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut in_flight = self.in_flight.lock();
        if let Some((flight, span)) = in_flight.get(grant) {
            traces::link_exchange(span);
            return (flight.clone(), Joined::Existing);
        }
        let landing = RemoveOnDrop { in_flight: Arc::clone(&self.in_flight), grant: grant.clone() };
        let work = start();
        let span = work.span().clone();
        let task = self.lifecycle.spawn(async move {
            let _landing = landing;
            work.await
        });
        let flight = task.map(Result::ok).boxed().shared();
        in_flight.insert(grant.clone(), (flight.clone(), span));
        (flight, Joined::Started)
    }
}

/// Removes the grant's entry when its task ends, also after a panic.
struct RemoveOnDrop<T: Clone + Send + Sync + 'static> {
    in_flight: Arc<Mutex<HashMap<GrantId, InFlight<T>>>>,
    grant: GrantId,
}

impl<T: Clone + Send + Sync + 'static> Drop for RemoveOnDrop<T> {
    fn drop(&mut self) {
        self.in_flight.lock().remove(&self.grant);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;
    use tracing::Instrument as _;

    use super::*;

    #[tokio::test]
    async fn concurrent_callers_share_one_result() {
        let flights = Arc::new(SingleFlight::new(Lifecycle::default()));
        let (starts, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let callers: Vec<_> = (0..200)
            .map(|_| {
                let (flights, starts, go) = (Arc::clone(&flights), Arc::clone(&starts), Arc::clone(&go));
                tokio::spawn(async move {
                    let work = async move {
                        go.notified().await;
                        starts.fetch_add(1, Ordering::SeqCst) + 1
                    };
                    let work = || work.in_current_span();
                    flights.join_or_start(&"g".into(), work).0.await
                })
            })
            .collect();
        while flights.in_flight.lock().is_empty() {
            tokio::task::yield_now().await;
        }
        go.notify_one();
        for caller in callers {
            assert_eq!(caller.await.unwrap(), Some(1));
        }
        assert_eq!(starts.load(Ordering::SeqCst), 1);
        assert!(flights.in_flight.lock().is_empty());
    }

    #[tokio::test]
    async fn try_start_fails_while_work_is_in_flight() {
        let flights = SingleFlight::new(Lifecycle::default());
        let (go, grant) = (Arc::new(Notify::new()), GrantId::from("g"));
        let wait = Arc::clone(&go);
        let waits = async move {
            wait.notified().await;
            1
        };
        let first = flights.try_start(&grant, || waits.in_current_span());
        assert!(flights.try_start(&grant, || async { 2 }.in_current_span()).is_none());
        go.notify_one();
        assert_eq!(
            flights.join_or_start(&grant, || async { 3 }.in_current_span()).0.await,
            Some(1),
            "a caller meanwhile joins it"
        );
        assert_eq!(first.unwrap().await, Some(1));
        assert_eq!(flights.try_start(&grant, || async { 4 }.in_current_span()).unwrap().await, Some(4));
    }

    #[tokio::test]
    async fn dropped_caller_does_not_cancel_the_work() {
        let lifecycle = Lifecycle::default();
        let flights = SingleFlight::new(lifecycle.clone());
        let (begun, go, done) = (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
        let (begun_in, go_in, done_in) = (Arc::clone(&begun), Arc::clone(&go), Arc::clone(&done));
        let grant = "g".into();
        let work = async move {
            begun_in.notify_one();
            go_in.notified().await;
            done_in.fetch_add(1, Ordering::SeqCst);
        };
        let caller = flights.join_or_start(&grant, || work.in_current_span()).0;
        tokio::select! {
            _ = caller => panic!("the work ended before its signal"),
            () = begun.notified() => {}
        }
        go.notify_one();
        lifecycle.wait_for_tasks().await;
        assert_eq!(done.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn panicked_work_leaves_no_entry() {
        let flights: SingleFlight<()> = SingleFlight::new(Lifecycle::default());
        let died = flights.join_or_start(&"g".into(), || async { panic!("on purpose") }.in_current_span()).0.await;
        assert_eq!(died, None);
        assert!(flights.in_flight.lock().is_empty());
        assert_eq!(flights.join_or_start(&"g".into(), || async {}.in_current_span()).0.await, Some(()));
    }
}
