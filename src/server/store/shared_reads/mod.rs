//! Coalesces reads: callers with the same key that wait at the same time share the next read.
//!
//! A program with several workers requests a token before each of its calls. Without sharing, each request runs a
//! statement of its own, and all of them compete for the database's processors.
//!
//! No caller gets a value that was read before its call. A call that begins during a read waits for the next one.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::timeout;

/// The most items of one read.
pub(super) const MAX_ITEMS: usize = 16;

/// How long a caller waits for the reads before its own. Reads that work take milliseconds.
const MAX_TURN_WAIT: Duration = Duration::from_secs(1);

/// The reads that callers wait for, by key `K`. Each reads the items `I` of its callers, and returns `V`.
pub(super) struct SharedReads<K, I, V>(Mutex<HashMap<K, Entry<I, V>>>);

/// One key's callers and its reads.
struct Entry<I, V> {
    callers: usize,
    queue: Arc<Queue<I, V>>,
}

/// One read runs at a time.
struct Queue<I, V> {
    turn: tokio::sync::Mutex<()>,
    /// The read that further callers join.
    next: Mutex<Arc<Read<I, V>>>,
}

/// A read and its callers' items.
struct Read<I, V> {
    items: Mutex<Vec<I>>,
    /// `None` if it failed.
    result: OnceLock<Option<V>>,
}

/// Removes the entry with its last caller, also if that one went away.
struct Caller<'a, K: Hash + Eq, I, V> {
    reads: &'a SharedReads<K, I, V>,
    key: &'a K,
    queue: Arc<Queue<I, V>>,
}

impl<K, I, V> Default for SharedReads<K, I, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<I, V> Default for Read<I, V> {
    fn default() -> Self {
        Self { items: Mutex::default(), result: OnceLock::new() }
    }
}

impl<K: Hash + Eq + Clone, I: PartialEq + Clone, V: Clone> SharedReads<K, I, V> {
    /// Returns what `read` returns for this item and those of other callers. If another caller's read returned it, that
    /// read began after this call. If that read fails, or it is not this caller's turn in time, it reads on its own.
    pub(super) async fn get<E>(
        &self,
        key: &K,
        item: I,
        read: impl AsyncFnOnce(Vec<I>) -> Result<V, E>,
    ) -> Result<V, E> {
        let caller = self.enter(key);
        let queue = &caller.queue;
        let joined = queue.join(item.clone());
        // If the database does not answer, callers do not wait for it one after the other.
        let Ok(turn) = timeout(MAX_TURN_WAIT, queue.turn.lock()).await else { return read(vec![item]).await };
        match joined.result.get() {
            Some(Some(value)) => return Ok(value.clone()),
            Some(None) => {
                drop(turn);
                return read(vec![item]).await;
            }
            None => {}
        }
        queue.close(&joined);
        let items = joined.items.lock().clone();
        let result = read(items).await;
        // Stored only if other callers wait for it.
        if Arc::strong_count(&joined) > 1 {
            _ = joined.result.set(result.as_ref().ok().cloned());
        }
        result
    }

    fn enter<'a>(&'a self, key: &'a K) -> Caller<'a, K, I, V> {
        let mut entries = self.0.lock();
        let new = || Entry {
            callers: 0,
            queue: Arc::new(Queue { turn: tokio::sync::Mutex::default(), next: Mutex::default() }),
        };
        let entry = entries.entry(key.clone()).or_insert_with(new);
        entry.callers += 1;
        Caller { reads: self, key, queue: Arc::clone(&entry.queue) }
    }
}

impl<I: PartialEq, V> Queue<I, V> {
    /// Adds the item to the next read, or to the one after that if it is full.
    fn join(&self, item: I) -> Arc<Read<I, V>> {
        let mut next = self.next.lock();
        let items = next.items.lock();
        let (is_full, has_it) = (items.len() >= MAX_ITEMS, items.contains(&item));
        drop(items);
        if is_full && !has_it {
            *next = Arc::default();
        }
        if !has_it {
            next.items.lock().push(item);
        }
        Arc::clone(&next)
    }

    /// Closes the read to further callers, because it begins.
    fn close(&self, read: &Arc<Read<I, V>>) {
        let mut next = self.next.lock();
        if Arc::ptr_eq(&next, read) {
            *next = Arc::default();
        }
    }
}

impl<K: Hash + Eq, I, V> Drop for Caller<'_, K, I, V> {
    fn drop(&mut self) {
        let mut entries = self.reads.0.lock();
        if let Some(entry) = entries.get_mut(self.key) {
            entry.callers -= 1;
            if entry.callers == 0 {
                entries.remove(self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests;
