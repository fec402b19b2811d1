//! What changed, told to whoever shows it: on PostgreSQL with the commit, to every instance; on SQLite right after
//! it, to this process.
//!
//! A hint and no record: it holds ids and a word, nothing secret, and whoever hears it reads the rows again. Every
//! transaction that changes a binding's status, a grant's tokens or an attempt's outcome is a `Writing` and says so.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use sqlx::{Any, AnyConnection, Transaction};
use tokio::sync::broadcast::{self, error::RecvError};

use super::{Kind, Store, StoreError};
use crate::model::{BindingId, BindingStatus, GrantId, OrgId, UserId};

/// PostgreSQL's channel; each database has its own of that name.
pub(super) const CHANNEL: &str = "evergrant";

/// How many changes wait for one listener. Who is further behind is told that some were missed instead.
const WAITING: usize = 32;

/// No try at an exchange takes longer, in seconds: so far back are those looked for that ended since.
const LONGEST_ATTEMPT: i64 = 30 * 60;

/// One thing that changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Change {
    /// A binding has a status now, also where it is the one it had.
    Binding { org: OrgId, binding: BindingId, status: BindingStatus },
    /// A try at an exchange ended, or a kept successor was put in place.
    Refresh { org: OrgId, grant: GrantId, outcome: String },
    /// A person signed out, works in another organisation, or is something else in theirs.
    Person { user: UserId },
}

/// Whose changes somebody listens to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    Org(OrgId),
    Person(UserId),
}

/// What a listener is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    Change(Arc<Change>),
    /// Some changes were lost on the way, so that only the rows tell.
    Missed,
}

/// Who listens in this process. Cheap to clone; clones share their listeners.
#[derive(Clone, Default)]
pub struct Changes(Arc<Mutex<HashMap<Topic, broadcast::Sender<Heard>>>>);

/// One listener. Dropping it ends the listening.
pub struct Subscription {
    changes: Changes,
    topic: Topic,
    /// There until it is dropped.
    heard: Option<broadcast::Receiver<Heard>>,
}

/// A transaction that says what it changed.
pub(super) struct Writing {
    transaction: Transaction<'static, Any>,
    kind: Kind,
    changes: Changes,
    /// For after the commit, on SQLite.
    told: Vec<Change>,
}

impl Change {
    pub fn topic(&self) -> Topic {
        match self {
            Self::Binding { org, .. } | Self::Refresh { org, .. } => Topic::Org(org.clone()),
            Self::Person { user } => Topic::Person(user.clone()),
        }
    }

    /// As PostgreSQL carries it: far below its limit of 8000 bytes, for a word and two ids.
    fn payload(&self) -> String {
        // Strings alone, which all have a form in JSON.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// `None` for what another version may say.
    pub(super) fn parse(payload: &str) -> Option<Self> {
        serde_json::from_str(payload).ok()
    }
}

impl Changes {
    /// Listens from now on.
    pub fn subscribe(&self, topic: Topic) -> Subscription {
        let mut listeners = self.lock();
        let sender = listeners.entry(topic.clone()).or_insert_with(|| broadcast::channel(WAITING).0);
        let heard = sender.subscribe();
        Subscription { changes: self.clone(), topic, heard: Some(heard) }
    }

    /// How many listen to this.
    pub fn listeners(&self, topic: &Topic) -> usize {
        self.lock().get(topic).map_or(0, broadcast::Sender::receiver_count)
    }

    /// How many streams follow an organisation, of whatever one.
    pub fn streams(&self) -> usize {
        let listeners = self.lock();
        let of_orgs = listeners.iter().filter(|(topic, _)| matches!(topic, Topic::Org(_)));
        of_orgs.map(|(_, sender)| sender.receiver_count()).sum()
    }

    pub(super) fn publish(&self, change: Change) {
        if let Some(sender) = self.lock().get(&change.topic()) {
            // Refused only where nobody listens any more.
            let _ = sender.send(Heard::Change(Arc::new(change)));
        }
    }

    /// Tells everybody that changes may have been lost.
    pub(super) fn missed(&self) {
        for sender in self.lock().values() {
            let _ = sender.send(Heard::Missed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Topic, broadcast::Sender<Heard>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscription {
    /// Waits for what is told next. May be cut off and called again without losing anything.
    pub async fn next(&mut self) -> Heard {
        let Some(heard) = &mut self.heard else { return std::future::pending().await };
        match heard.recv().await {
            Ok(heard) => heard,
            Err(RecvError::Lagged(_)) => Heard::Missed,
            // The sender stays for as long as one listens.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut listeners = self.changes.lock();
        // Under the lock: of two that end at once, the later one sees that nobody is left.
        self.heard = None;
        if listeners.get(&self.topic).is_some_and(|sender| sender.receiver_count() == 0) {
            listeners.remove(&self.topic);
        }
    }
}

impl Store {
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Whether anything that is told of has changed in an organisation since then, by its rows.
    pub async fn changed_since(&self, org: &OrgId, since: i64) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "SELECT id FROM integration_tenant_bindings WHERE org_id = $1 AND updated_at >= $2 \
             UNION ALL SELECT id FROM integration_grants WHERE org_id = $1 AND last_refreshed_at >= $2 \
             UNION ALL SELECT a.id FROM integration_grants g JOIN refresh_attempts a ON a.grant_id = g.id \
             WHERE g.org_id = $1 AND a.started_at >= $3 AND a.finished_at >= $2 LIMIT 1",
        )
        .bind(org.as_str())
        .bind(since)
        .bind(since - LONGEST_ATTEMPT)
        .fetch_optional(self.pool())
        .await?;
        Ok(row.is_some())
    }

    /// Begins a transaction that says what it changed.
    pub(super) async fn write(&self) -> Result<Writing, StoreError> {
        let (transaction, kind) = (self.database.begin().await?, self.database.kind());
        Ok(Writing { transaction, kind, changes: self.changes.clone(), told: Vec::new() })
    }
}

impl Writing {
    /// Says what changed; it is heard if this commits.
    pub async fn tell(&mut self, change: Change) -> Result<(), StoreError> {
        if let Some(payload) = self.told_beside(change) {
            sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(payload).execute(&mut *self.transaction).await?;
        }
        Ok(())
    }

    /// The same for a statement that tells it by itself, which spares a round trip: what it hands to `pg_notify`.
    /// `None` where the change is told after the commit.
    pub fn told_beside(&mut self, change: Change) -> Option<String> {
        match self.kind {
            Kind::Postgres => Some(change.payload()),
            Kind::Sqlite => {
                self.told.push(change);
                None
            }
        }
    }

    pub async fn commit(self) -> Result<(), StoreError> {
        self.transaction.commit().await?;
        for change in self.told {
            self.changes.publish(change);
        }
        Ok(())
    }
}

impl Deref for Writing {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.transaction
    }
}

impl DerefMut for Writing {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.transaction
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn nothing_is_left_of_listeners_that_end_at_once() {
        let changes = Changes::default();
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
}
