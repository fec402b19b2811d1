//! What is noted beside an answer: that a token was vended, and when a grant or an API key was last used.
//!
//! Nothing here holds up a valid token. Notes are queued in memory and written in the background, each kind by one task
//! on one connection, so that a locked table occupies no more. Audit events are written again until the database accepts
//! them; a use that can't be written is dropped, because the next one says more.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::vend_audit::{Decision, MAX_EVENTS, SPAN, Summary, VendAudit};
use crate::model::{Action, OrgId};
use crate::server::domain::{Actor, AuditEvent, Grant};
use crate::server::lifecycle::Lifecycle;
use crate::server::store::{ApiKeyRow, KeyUse, PendingEvent, Store, StoreError, bounded};
use crate::server::telemetry::metrics::Metrics;

/// How long an answer waits for its note, unless notes are failing already.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// The pause before audit events are written again.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// The most notes of a kind that wait. Further audit events go to the log, further uses nowhere.
const MAX_WAITING: usize = 10_000;
/// The most audit events in one transaction.
const BATCH_SIZE: usize = 200;

/// Writes notes in the background. Cheap to clone; clones share the queues.
#[derive(Clone)]
pub struct Notes(Arc<Inner>);

struct Inner {
    store: Store,
    metrics: Metrics,
    lifecycle: Lifecycle,
    vends: VendAudit,
    events: Mutex<Queue<PendingEvent>>,
    uses: Mutex<Queue<Use>>,
}

/// The use of a grant or a key.
enum Use {
    Grant(Box<Grant>),
    Key(Box<(ApiKeyRow, KeyUse)>),
}

struct Queue<T> {
    waiting: VecDeque<(T, oneshot::Sender<()>)>,
    /// Whether a task writes the queue.
    has_writer: bool,
    /// Whether the last write failed.
    is_failing: bool,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), has_writer: false, is_failing: false }
    }
}

impl<T> Queue<T> {
    /// Takes up to `limit` notes. If there is none, the queue has no writer from then on.
    fn take(&mut self, limit: usize) -> Vec<(T, oneshot::Sender<()>)> {
        self.has_writer = !self.waiting.is_empty();
        self.waiting.drain(..limit.min(self.waiting.len())).collect()
    }

    /// Puts notes back that were taken and not written.
    fn put_back(&mut self, notes: impl DoubleEndedIterator<Item = (T, oneshot::Sender<()>)>) {
        notes.rev().for_each(|note| self.waiting.push_front(note));
    }
}

impl Notes {
    /// Creates the queues. Their writers are tasks of `lifecycle`, which shutdown waits for.
    pub fn new(store: Store, metrics: Metrics, lifecycle: Lifecycle) -> Self {
        let (vends, events, uses) = (VendAudit::default(), Mutex::default(), Mutex::default());
        Self(Arc::new(Inner { store, metrics, lifecycle, vends, events, uses }))
    }

    /// Notes an event that accompanies no change. Waits until it is written, but for no longer than a second.
    pub async fn record_event(&self, event: &AuditEvent<'_>) {
        let event = self.0.store.pending_event(event);
        wait(push(&self.0.events, event, |event| self.give_up(&event), || self.spawn(Self::write_events))).await;
    }

    /// Notes that a token of `connection` was vended to a key, in an event of its own or, beyond a number a minute, in
    /// the organization's summary. Waits like `record_event`.
    pub async fn record_vend(&self, key: &ApiKeyRow, connection: &str, event: &AuditEvent<'_>) {
        let Decision { is_recorded, first_thinned_in, ended } =
            self.0.vends.count(&key.org, &key.name, connection, self.0.store.clock().now());
        if let Some(ended) = ended {
            self.record_summary(&key.org, &ended).await;
        }
        if let Some(starts_at) = first_thinned_in {
            tracing::warn!(org = %key.org, limit = MAX_EVENTS, "further vended tokens of this minute are recorded in one audit event");
            let (notes, org) = (self.clone(), key.org.clone());
            self.0.lifecycle.spawn(async move { notes.end_vend_span(&org, starts_at).await });
        }
        if is_recorded {
            self.record_event(event).await;
        }
    }

    /// Records the summary at the end of the span, or when shutdown begins.
    async fn end_vend_span(&self, org: &OrgId, starts_at: i64) {
        let span = Duration::from_secs(SPAN.unsigned_abs());
        _ = self.0.lifecycle.stopping().run_until_cancelled(tokio::time::sleep(span)).await;
        if let Some(ended) = self.0.vends.end(org, starts_at) {
            self.record_summary(org, &ended).await;
        }
    }

    async fn record_summary(&self, org: &OrgId, Summary { count, keys, connections }: &Summary) {
        let names = |names: &BTreeSet<String>| names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let system = Actor::system();
        let event = AuditEvent::new(&system, Action::TokensVended).in_org(org);
        let event = event.detail("count", count).detail("keys", names(keys)).detail("connections", names(connections));
        self.record_event(&event).await;
    }

    /// Notes by whom a key was used.
    pub fn record_key_use(&self, key: &ApiKeyRow, by: KeyUse) {
        if self.0.store.is_key_use_due(key) {
            drop(self.push_use(Use::Key(Box::new((key.clone(), by)))));
        }
    }

    /// Notes that a grant was used. The future waits until it is written, but for no longer than a second.
    pub fn record_grant_use(&self, grant: &Grant) -> impl Future<Output = ()> + use<> {
        let noted = self.0.store.is_use_due(grant).then(|| self.push_use(Use::Grant(Box::new(grant.clone()))));
        wait(noted.flatten())
    }

    fn push_use(&self, used: Use) -> Option<oneshot::Receiver<()>> {
        push(&self.0.uses, used, drop, || self.spawn(Self::write_uses))
    }

    fn spawn<F: Future<Output = ()> + Send + 'static>(&self, writer: impl FnOnce(Self) -> F) {
        self.0.lifecycle.spawn(writer(self.clone()));
    }

    /// Writes the queued events. After shutdown has begun, a failure is final.
    async fn write_events(self) {
        let Inner { store, lifecycle, events: queue, .. } = &*self.0;
        let stopping = lifecycle.stopping();
        loop {
            let is_last_attempt = stopping.is_cancelled();
            let (events, waiters): (Vec<_>, Vec<_>) = queue.lock().take(BATCH_SIZE).into_iter().unzip();
            if events.is_empty() {
                return;
            }
            let written = bounded(store.record_pending(&events)).await;
            let was_failing = std::mem::replace(&mut queue.lock().is_failing, written.is_err());
            let Err(error) = written else {
                waiters.into_iter().for_each(|waiter| _ = waiter.send(()));
                continue;
            };
            if is_last_attempt {
                events.iter().for_each(|event| self.give_up(event));
                continue;
            }
            if !was_failing {
                tracing::error!(%error, waiting = events.len(), "failed to record vended tokens in the audit log, will retry");
            }
            queue.lock().put_back(events.into_iter().zip(waiters));
            _ = stopping.run_until_cancelled(tokio::time::sleep(RETRY_INTERVAL)).await;
        }
    }

    /// Writes the queued uses, each once.
    async fn write_uses(self) {
        let Inner { store, uses: queue, .. } = &*self.0;
        loop {
            let Some((used, waiter)) = queue.lock().take(1).pop() else { return };
            let write: BoxFuture<'_, Result<(), StoreError>> = match &used {
                Use::Grant(grant) => Box::pin(store.mark_used(&grant.id)),
                Use::Key(used) => Box::pin(store.record_key_use(&used.0, &used.1)),
            };
            let written = bounded(write).await;
            let mut queue = queue.lock();
            let was_failing = std::mem::replace(&mut queue.is_failing, written.is_err());
            match written {
                Ok(()) => _ = waiter.send(()),
                Err(error) => {
                    // The others would fail likewise, and each of them slowly.
                    queue.waiting.clear();
                    if !was_failing {
                        tracing::warn!(%error, "failed to record the use of a grant or an API key");
                    }
                }
            }
        }
    }

    /// Counts and logs an event that is not written: the log then has what the audit log lacks.
    fn give_up(&self, event: &PendingEvent) {
        self.0.metrics.count_lost_audit_event();
        let (actor, subject) = (event.actor_id(), event.subject_id());
        tracing::error!(
            action = event.action(),
            key = actor,
            binding = subject,
            from = event.address(),
            at = event.at(),
            "audit event not recorded"
        );
    }
}

/// Queues a note, or passes it to `refuse` if too many wait. Returns the receiver for the end of its write, or `None` if
/// there is no use in waiting.
fn push<T>(
    queue: &Mutex<Queue<T>>,
    note: T,
    refuse: impl FnOnce(T),
    spawn_writer: impl FnOnce(),
) -> Option<oneshot::Receiver<()>> {
    let mut queue = queue.lock();
    if queue.waiting.len() >= MAX_WAITING {
        drop(queue);
        refuse(note);
        return None;
    }
    let (sender, receiver) = oneshot::channel();
    queue.waiting.push_back((note, sender));
    let (has_writer, is_failing) = (std::mem::replace(&mut queue.has_writer, true), queue.is_failing);
    drop(queue);
    if !has_writer {
        spawn_writer();
    }
    (!is_failing).then_some(receiver)
}

async fn wait(written: Option<oneshot::Receiver<()>>) {
    if let Some(written) = written {
        // Neither a late write nor a dropped note concerns the answer.
        _ = tokio::time::timeout(MAX_WAIT, written).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::time::Instant;

    use super::*;

    fn notes(taken: &[(u32, oneshot::Sender<()>)]) -> Vec<u32> {
        taken.iter().map(|(note, _)| *note).collect()
    }

    #[test]
    fn queue_has_one_writer_until_it_is_empty_and_keeps_its_order() {
        let (queue, writers) = (Mutex::new(Queue::default()), Cell::new(0));
        let add = |note: u32| push(&queue, note, |note| panic!("{note} is refused"), || writers.set(writers.get() + 1));
        assert!([1, 2, 3].map(add).iter().all(Option::is_some));
        assert_eq!(writers.get(), 1);
        let taken = queue.lock().take(2);
        assert_eq!(notes(&taken), [1, 2]);
        queue.lock().put_back(taken.into_iter());
        assert_eq!(notes(&queue.lock().take(BATCH_SIZE)), [1, 2, 3]);
        add(4);
        assert_eq!(writers.get(), 1, "the writer has not seen an empty queue");
        assert_eq!(notes(&queue.lock().take(BATCH_SIZE)), [4]);
        assert!(queue.lock().take(BATCH_SIZE).is_empty());
        add(5);
        assert_eq!(writers.get(), 2);
    }

    #[test]
    fn full_queue_refuses_a_note_and_a_failing_one_is_not_waited_for() {
        let (queue, refused) = (Mutex::new(Queue::default()), Cell::new(None));
        let add = |note: usize| push(&queue, note, |note| refused.set(Some(note)), || ());
        assert!((1..MAX_WAITING).all(|note| add(note).is_some()));
        queue.lock().is_failing = true;
        assert!(add(MAX_WAITING).is_none());
        assert_eq!((queue.lock().waiting.len(), refused.get()), (MAX_WAITING, None), "it is written later");
        queue.lock().is_failing = false;
        assert!(add(0).is_none());
        assert_eq!((queue.lock().waiting.len(), refused.get()), (MAX_WAITING, Some(0)));
    }

    #[tokio::test(start_paused = true)]
    async fn answer_waits_for_its_note_and_for_no_longer_than_a_second() {
        let begun = Instant::now();
        let (sender, receiver) = oneshot::channel();
        wait(Some(receiver)).await;
        assert!((MAX_WAIT..MAX_WAIT * 2).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        drop(sender);
        let begun = Instant::now();
        let (sender, receiver) = oneshot::channel();
        sender.send(()).unwrap();
        wait(Some(receiver)).await;
        wait(None).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
