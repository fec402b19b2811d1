//! Single flight inside one process: whoever asks while a grant's exchange runs joins it.
//!
//! The flight runs in a task of its own, so a caller that goes away cancels nothing (rule 5), and its entry goes
//! with the task however that ends.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tokio_util::task::TaskTracker;
use tracing::Span;
use tracing::instrument::Instrumented;

use crate::model::GrantId;
use crate::server::traces;

type Joinable<T> = Shared<BoxFuture<'static, Option<T>>>;
/// A flight with the span that it flies in.
type UnderWay<T> = (Joinable<T>, Span);

/// The flights under way, by grant.
pub struct Flights<T> {
    under_way: Arc<Mutex<HashMap<GrantId, UnderWay<T>>>>,
    tasks: TaskTracker,
}

impl<T: Clone + Send + Sync + 'static> Flights<T> {
    /// `tasks` is what shutdown waits for.
    pub fn new(tasks: TaskTracker) -> Self {
        Self { under_way: Arc::default(), tasks }
    }

    /// Starts a flight whose start can't wait, because it has been given the right to fly already. `None` where the
    /// grant is in flight: then that right has to be given back.
    pub fn start<F>(
        &self,
        grant: &GrantId,
        start: impl FnOnce() -> Instrumented<F>,
    ) -> Option<BoxFuture<'static, Option<T>>>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let (flight, started) = self.join_or_start(grant, start);
        started.then(|| flight.boxed())
    }

    /// Joins the grant's flight, or starts one, and says whether it did. The flight is `None` when its task died (a
    /// panic, or the runtime going down).
    pub fn join_or_start<F>(&self, grant: &GrantId, start: impl FnOnce() -> Instrumented<F>) -> (Joinable<T>, bool)
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut under_way = lock(&self.under_way);
        if let Some((flight, span)) = under_way.get(grant) {
            traces::joined(span);
            return (flight.clone(), false);
        }
        let landing = Landing { under_way: Arc::clone(&self.under_way), grant: grant.clone() };
        let work = start();
        let span = work.span().clone();
        let task = self.tasks.spawn(async move {
            let _landing = landing;
            work.await
        });
        let flight = task.map(Result::ok).boxed().shared();
        under_way.insert(grant.clone(), (flight.clone(), span));
        (flight, true)
    }
}

/// Removes the flight's entry when its task ends, also by a panic.
struct Landing<T: Clone + Send + Sync + 'static> {
    under_way: Arc<Mutex<HashMap<GrantId, UnderWay<T>>>>,
    grant: GrantId,
}

impl<T: Clone + Send + Sync + 'static> Drop for Landing<T> {
    fn drop(&mut self) {
        lock(&self.under_way).remove(&self.grant);
    }
}

/// The map stays whole whatever its holders did: a panic elsewhere doesn't make it unusable.
fn lock<V>(mutex: &Mutex<V>) -> MutexGuard<'_, V> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;
    use tracing::Instrument as _;

    use super::*;

    #[tokio::test]
    async fn everyone_who_asks_meanwhile_gets_the_one_result() {
        let flights = Arc::new(Flights::new(TaskTracker::new()));
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
        while flights.under_way.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        go.notify_one();
        for caller in callers {
            assert_eq!(caller.await.unwrap(), Some(1));
        }
        assert_eq!(starts.load(Ordering::SeqCst), 1);
        assert!(flights.under_way.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_flight_that_cannot_wait_starts_only_where_there_is_none() {
        let flights = Flights::new(TaskTracker::new());
        let (go, grant) = (Arc::new(Notify::new()), GrantId::from("g"));
        let wait = Arc::clone(&go);
        let waits = async move {
            wait.notified().await;
            1
        };
        let first = flights.start(&grant, || waits.in_current_span());
        assert!(flights.start(&grant, || async { 2 }.in_current_span()).is_none());
        go.notify_one();
        assert_eq!(
            flights.join_or_start(&grant, || async { 3 }.in_current_span()).0.await,
            Some(1),
            "whoever asks meanwhile joins it"
        );
        assert_eq!(first.unwrap().await, Some(1));
        assert_eq!(flights.start(&grant, || async { 4 }.in_current_span()).unwrap().await, Some(4));
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_cancels_nothing() {
        let tasks = TaskTracker::new();
        let flights = Flights::new(tasks.clone());
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
            _ = caller => panic!("the flight waits for its signal"),
            () = begun.notified() => {}
        }
        go.notify_one();
        tasks.close();
        tasks.wait().await;
        assert_eq!(done.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_flight_that_dies_leaves_no_entry() {
        let flights: Flights<()> = Flights::new(TaskTracker::new());
        let died = flights.join_or_start(&"g".into(), || async { panic!("on purpose") }.in_current_span()).0.await;
        assert_eq!(died, None);
        assert!(flights.under_way.lock().unwrap_or_else(PoisonError::into_inner).is_empty());
        assert_eq!(flights.join_or_start(&"g".into(), || async {}.in_current_span()).0.await, Some(()));
    }
}
