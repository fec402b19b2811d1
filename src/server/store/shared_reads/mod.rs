//! Lets callers that want something of the same place at the same moment share one read.
//!
//! A program with several workers asks for a connection's token with each of its calls. Without this, each of them waits
//! for a statement of its own, and all of these for the database's processors.
//!
//! Nobody gets a value that was read before they asked: who comes while a read runs waits for the next one.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

/// How many items one read is of, at most.
pub(super) const MAX_ITEMS: usize = 16;

/// The reads that are wanted now, by the place `K` that they read. Each is of some items `I`, and returns `V`.
pub(super) struct SharedReads<K, I, V>(Mutex<HashMap<K, Entry<I, V>>>);

/// One place's callers and its reads.
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
    /// Returns what `read` returns of this item and of those of other callers. If another caller's read has them, it
    /// began after this call. If that one fails, or its caller goes away, this one reads for itself.
    pub(super) async fn get<E>(
        &self,
        key: &K,
        item: I,
        read: impl AsyncFnOnce(Vec<I>) -> Result<V, E>,
    ) -> Result<V, E> {
        let caller = self.enter(key);
        let queue = &caller.queue;
        let joined = queue.join(item.clone());
        let turn = queue.turn.lock().await;
        match joined.result.get() {
            Some(Some(value)) => return Ok(value.clone()),
            Some(None) => {
                // A database that does not answer would keep them waiting one after the other.
                drop(turn);
                return read(vec![item]).await;
            }
            None => {}
        }
        queue.close(&joined);
        let items = joined.items.lock().clone();
        let result = read(items).await;
        // Only this caller has it if nobody else waits for it.
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

    /// Lets nobody else join the read, which begins.
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
