//! Counts calls and bytes by key, connection and day, and writes them to the database now and then: Xero bills what
//! leaves it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::model::{ApiKeyId, BindingId};
use crate::server::domain::Binding;
use crate::server::store::{ApiKeyRow, Store, StoreError, UsageRow, bounded};

const DAY: i64 = 24 * 60 * 60;
/// The most counts that wait for the database. More are dropped, so that a stuck database costs no memory.
const MAX_WAITING: usize = 10_000;

/// The bytes of one call's bodies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallSize {
    /// Sent to Xero.
    pub sent: u64,
    /// Received from Xero.
    pub received: u64,
}

/// The counts by key, connection and day.
type Counts = HashMap<(ApiKeyId, BindingId, i64), UsageRow>;

/// Counts calls. Cheap to clone; clones share the counts.
#[derive(Clone)]
pub struct ProxyUsage {
    store: Store,
    waiting: Arc<Mutex<Counts>>,
}

impl ProxyUsage {
    /// Creates a counter that writes to `store`.
    pub fn new(store: Store) -> Self {
        Self { store, waiting: Arc::default() }
    }

    /// Counts a call of a key to a connection.
    pub fn record(&self, key: &ApiKeyRow, binding: &Binding, from: IpAddr, size: CallSize) {
        let now = self.store.clock().now();
        let day = now - now.rem_euclid(DAY);
        let mut waiting = self.waiting.lock();
        if waiting.len() >= MAX_WAITING {
            return;
        }
        let row = waiting.entry((key.id.clone(), binding.id.clone(), day)).or_insert_with(|| UsageRow {
            org: key.org.clone(),
            binding: binding.id.clone(),
            tenant_name: binding.tenant.name.clone(),
            key: key.id.clone(),
            key_name: key.name.clone(),
            day,
            address: from.to_string(),
            calls: 0,
            bytes_sent: 0,
            bytes_received: 0,
        });
        row.calls += 1;
        row.bytes_sent += i64::try_from(size.sent).unwrap_or(i64::MAX);
        row.bytes_received += i64::try_from(size.received).unwrap_or(i64::MAX);
    }

    /// Writes what was counted. After a failure it is written with the next call.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let rows: Vec<UsageRow> = std::mem::take(&mut *self.waiting.lock()).into_values().collect();
        if rows.is_empty() {
            return Ok(());
        }
        // Not dropped halfway: what is not written is put back. A write that ends late counts twice.
        let written = bounded(self.store.add_proxy_usage(&rows)).await;
        if written.is_err() {
            let mut waiting = self.waiting.lock();
            for row in rows {
                let newer = UsageRow { calls: 0, bytes_sent: 0, bytes_received: 0, ..row.clone() };
                let newer = waiting.entry((row.key, row.binding, row.day)).or_insert(newer);
                newer.calls += row.calls;
                newer.bytes_sent += row.bytes_sent;
                newer.bytes_received += row.bytes_received;
            }
        }
        written
    }
}
