//! Publishes changes to the listeners that show them: on PostgreSQL with the commit, to every instance; on SQLite after
//! the commit, to this process.
//!
//! A change is a hint: it holds ids and a status, nothing secret, and listeners read the rows again. Every transaction
//! that changes a binding's status, a grant's tokens or an attempt's outcome publishes it through `ChangeTx`. An audit
//! event publishes that something of its organization has changed.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::select_all;
use serde::{Deserialize, Serialize};
use sqlx::AnyConnection;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::model::{BindingId, BindingStatus, GrantId, OrgId, Outcome, UserId};
use crate::server::store::pool::PooledTransaction;
use crate::server::store::{DatabaseKind, Store, StoreError};

/// The `LISTEN` channel. PostgreSQL scopes it to the database.
pub(in crate::server::store) const CHANNEL: &str = "evergrant";

/// How many changes are buffered for a listener. One that lags further behind gets `ChangeSignal::Lagged`.
const BUFFERED_CHANGES: usize = 32;

/// Upper bound of an attempt's duration in seconds. Limits how far back `changed_since` reads the journal.
const MAX_ATTEMPT_DURATION: i64 = 30 * 60;

/// A change that listeners are notified of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Change {
    /// A binding's status was written. It may be the same as before.
    Binding {
        /// Organization that owns the binding.
        org: OrgId,
        /// Id of the binding.
        binding: BindingId,
        /// The status that was written.
        status: BindingStatus,
    },
    /// An attempt finished, or a spooled rotation was committed.
    Refresh {
        /// Organization that owns the grant.
        org: OrgId,
        /// Id of the grant.
        grant: GrantId,
        /// How the attempt ended.
        outcome: Outcome,
    },
    /// Something else of an organization changed, such as its members, links or keys.
    Org {
        /// Id of the organization.
        org: OrgId,
    },
    /// A person marked events as read, which another of their pages may count.
    Read {
        /// Id of the person's user.
        user: UserId,
    },
    /// A person signed out, switched organizations, or got another role.
    Person {
        /// Id of the person's user.
        user: UserId,
    },
}

/// Which changes a listener gets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Changes of an organization's bindings and grants.
    Org(OrgId),
    /// Those that change an organization's summary (its name, and how many connections have which state), which its
    /// members see while they work in another organization: all but successful refreshes.
    OrgSummary(OrgId),
    /// Changes of a person's sessions and role.
    Person(UserId),
}

/// What a listener receives.
#[derive(Clone, Debug, PartialEq)]
pub enum ChangeSignal {
    /// A change of the topic.
    Change(Arc<Change>),
    /// Changes may have been lost: read the rows again.
    Lagged,
}

/// The listeners in this process. Cheap to clone; clones share their listeners.
#[derive(Clone, Default)]
pub struct ChangeHub(Arc<Mutex<HashMap<Topic, broadcast::Sender<ChangeSignal>>>>);

/// A listener. Dropping it unsubscribes.
pub struct Subscription {
    changes: ChangeHub,
    topic: Topic,
    /// `None` only while it is dropped.
    receiver: Option<broadcast::Receiver<ChangeSignal>>,
}

/// A transaction that publishes changes if it commits.
pub struct ChangeTx {
    transaction: PooledTransaction,
    kind: DatabaseKind,
    changes: ChangeHub,
    /// Changes to publish after the commit, on SQLite.
    unpublished: Vec<Change>,
    /// The organizations that something has changed of.
    changed_orgs: Vec<OrgId>,
    /// Those of which a change says what it is.
    described_orgs: Vec<OrgId>,
}

impl Change {
    /// Returns the topic that the change is published to.
    pub fn topic(&self) -> Topic {
        match self {
            Self::Binding { org, .. } | Self::Refresh { org, .. } | Self::Org { org } => Topic::Org(org.clone()),
            Self::Person { user } | Self::Read { user } => Topic::Person(user.clone()),
        }
    }

    /// Returns the topic of the organization's summary if the change may show there.
    fn summary_topic(&self) -> Option<Topic> {
        match self {
            Self::Refresh { outcome: Outcome::Refreshed, .. } | Self::Person { .. } | Self::Read { .. } => None,
            Self::Binding { org, .. } | Self::Refresh { org, .. } | Self::Org { org } => {
                Some(Topic::OrgSummary(org.clone()))
            }
        }
    }

    /// Returns the payload of the notification, which is far below PostgreSQL's limit of 8000 bytes.
    fn payload(&self) -> String {
        // Cannot fail: the type holds only strings.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Parses a payload. Returns `None` if it is unknown: another version may have sent it.
    pub(in crate::server::store) fn parse(payload: &str) -> Option<Self> {
        serde_json::from_str(payload).ok()
    }
}

impl ChangeHub {
    /// Subscribes to changes from now on.
    pub fn subscribe(&self, topic: Topic) -> Subscription {
        let mut listeners = self.lock();
        let sender = listeners.entry(topic.clone()).or_insert_with(|| broadcast::channel(BUFFERED_CHANGES).0);
        let heard = sender.subscribe();
        Subscription { changes: self.clone(), topic, receiver: Some(heard) }
    }

    /// Counts the listeners to a topic.
    pub fn listener_count(&self, topic: &Topic) -> usize {
        self.lock().get(topic).map_or(0, broadcast::Sender::receiver_count)
    }

    /// Counts the listeners to organizations, which are the open event streams.
    pub fn org_listener_count(&self) -> usize {
        let listeners = self.lock();
        let of_orgs = listeners.iter().filter(|(topic, _)| matches!(topic, Topic::Org(_)));
        of_orgs.map(|(_, sender)| sender.receiver_count()).sum()
    }

    pub(in crate::server::store) fn publish(&self, change: Change) {
        let topics = [Some(change.topic()), change.summary_topic()];
        let change = Arc::new(change);
        let listeners = self.lock();
        for sender in topics.iter().flatten().filter_map(|topic| listeners.get(topic)) {
            // Fails only if nobody listens any more.
            let _ = sender.send(ChangeSignal::Change(Arc::clone(&change)));
        }
    }

    /// Notifies every listener that changes may have been lost.
    pub fn publish_lagged(&self) {
        for sender in self.lock().values() {
            let _ = sender.send(ChangeSignal::Lagged);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Topic, broadcast::Sender<ChangeSignal>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscription {
    /// Waits for the next signal. Cancel safe: no signal is lost if the future is dropped.
    pub async fn next(&mut self) -> ChangeSignal {
        let Some(heard) = &mut self.receiver else { return std::future::pending().await };
        match heard.recv().await {
            Ok(heard) => heard,
            Err(RecvError::Lagged(_)) => ChangeSignal::Lagged,
            // Does not happen: the sender lives as long as a subscription.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Waits for the next signal of any of the subscriptions. Cancel safe: no signal is lost if the future is dropped.
pub async fn next_of_any(subscriptions: &mut [Subscription]) -> ChangeSignal {
    if subscriptions.is_empty() {
        return std::future::pending().await;
    }
    select_all(subscriptions.iter_mut().map(|one| Box::pin(one.next()))).await.0
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut listeners = self.changes.lock();
        // Under the lock, so that the later of two concurrent drops sees that nobody listens any more.
        self.receiver = None;
        if listeners.get(&self.topic).is_some_and(|sender| sender.receiver_count() == 0) {
            listeners.remove(&self.topic);
        }
    }
}

impl Store {
    /// Returns the listeners in this process.
    pub fn changes(&self) -> &ChangeHub {
        self.database.changes()
    }

    /// Returns whether the organization's rows show a published change at or after `since` (unix seconds).
    pub async fn changed_since(&self, org: &OrgId, since: i64) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "SELECT id FROM integration_tenant_bindings WHERE org_id = $1 AND updated_at >= $2 \
             UNION ALL SELECT id FROM integration_grants WHERE org_id = $1 AND last_refreshed_at >= $2 \
             UNION ALL SELECT a.id FROM integration_grants g JOIN refresh_attempts a ON a.grant_id = g.id \
             WHERE g.org_id = $1 AND a.started_at >= $3 AND a.finished_at >= $2 \
             UNION ALL SELECT id FROM audit_events WHERE org_id = $1 AND at >= $2 LIMIT 1",
        )
        .bind(org.as_str())
        .bind(since)
        .bind(since - MAX_ATTEMPT_DURATION)
        .fetch_optional(self.pool())
        .await?;
        Ok(row.is_some())
    }

    /// Begins a transaction that publishes changes if it commits.
    pub(in crate::server::store) async fn begin_change_tx(&self) -> Result<ChangeTx, StoreError> {
        self.database.begin().await
    }
}

impl ChangeTx {
    /// Wraps a transaction whose changes are published to these listeners.
    pub(in crate::server::store) fn new(
        transaction: PooledTransaction,
        kind: DatabaseKind,
        changes: ChangeHub,
    ) -> Self {
        let (unpublished, changed_orgs, described_orgs) = (Vec::new(), Vec::new(), Vec::new());
        Self { transaction, kind, changes, unpublished, changed_orgs, described_orgs }
    }

    /// Publishes that something of the organization has changed, if the transaction commits and no other change says so.
    pub(in crate::server::store) fn mark_changed(&mut self, org: &OrgId) {
        if !self.changed_orgs.contains(org) {
            self.changed_orgs.push(org.clone());
        }
    }

    /// Publishes a change if the transaction commits.
    pub(in crate::server::store) async fn publish(&mut self, change: Change) -> Result<(), StoreError> {
        if let Some(payload) = self.publish_payload(change) {
            sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(payload).execute(&mut *self.transaction).await?;
        }
        Ok(())
    }

    /// Returns the payload for a statement that calls `pg_notify` itself, which saves a round trip. Returns `None` on
    /// SQLite, where the change is published after the commit.
    pub(in crate::server::store) fn publish_payload(&mut self, change: Change) -> Option<String> {
        if let Topic::Org(org) = change.topic() {
            self.described_orgs.push(org);
        }
        match self.kind {
            DatabaseKind::Postgres => Some(change.payload()),
            DatabaseKind::Sqlite => {
                self.unpublished.push(change);
                None
            }
        }
    }

    /// Commits, and on SQLite publishes the changes.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        for org in std::mem::take(&mut self.changed_orgs) {
            if !self.described_orgs.contains(&org) {
                self.publish(Change::Org { org }).await?;
            }
        }
        self.transaction.commit().await?;
        for change in self.unpublished {
            self.changes.publish(change);
        }
        Ok(())
    }

    /// Ends the transaction without a change.
    pub async fn rollback(self) -> Result<(), StoreError> {
        Ok(self.transaction.rollback().await?)
    }
}

impl Deref for ChangeTx {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.transaction
    }
}

impl DerefMut for ChangeTx {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.transaction
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn concurrent_drops_leave_no_listeners() {
        let changes = ChangeHub::default();
        for round in 0..2_000 {
            let topic = Topic::Org(OrgId(round.to_string()));
            let both = [changes.subscribe(topic.clone()), changes.subscribe(topic)];
            let together = Barrier::new(both.len());
            std::thread::scope(|scope| {
                for one in both {
                    scope.spawn(|| {
                        together.wait();
                        drop(one);
                    });
                }
            });
        }
        assert!(changes.lock().is_empty());
    }

    #[tokio::test]
    async fn successful_refresh_does_not_change_the_summary() {
        let changes = ChangeHub::default();
        let (org, other) = (OrgId::from("o"), OrgId::from("p"));
        let mut summaries = [&other, &org].map(|org| changes.subscribe(Topic::OrgSummary(org.clone())));
        let refresh = |outcome| Change::Refresh { org: org.clone(), grant: "g".into(), outcome };
        let seen = [
            refresh(Outcome::Reconnect),
            Change::Binding { org: org.clone(), binding: "b".into(), status: BindingStatus::Active },
            Change::Org { org: other.clone() },
        ];
        for change in [refresh(Outcome::Refreshed), Change::Person { user: "u".into() }].into_iter().chain(seen.clone())
        {
            changes.publish(change);
        }
        let mut heard = Vec::new();
        for _ in &seen {
            heard.push(next_of_any(&mut summaries).await);
        }
        assert!(
            seen.map(|change| ChangeSignal::Change(Arc::new(change))).iter().all(|one| heard.contains(one)),
            "{heard:?}"
        );
        assert!(next_of_any(&mut summaries).now_or_never().is_none());
        assert!(next_of_any(&mut []).now_or_never().is_none());
        assert_eq!(changes.org_listener_count(), 0, "they count as no event stream");
    }
}
