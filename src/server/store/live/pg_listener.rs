//! Receives changes from other instances through one PostgreSQL `LISTEN` connection, and reconnects if it fails.

use std::convert::Infallible;
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio_util::sync::CancellationToken;

use super::changes::{CHANNEL, Change};
use crate::server::store::{DatabaseKind, Store, StoreError};

/// Shortest and longest delay before a reconnect. The delay doubles.
const RECONNECT_BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// Interval of the probe notifications. A connection that a firewall dropped, or a pooler that uses another connection
/// for each transaction, delivers nothing without an error, so a missing probe is the only sign.
const PROBE_INTERVAL: Duration = Duration::from_secs(30);

impl Store {
    /// Publishes the changes of all instances to this process's listeners until `stopping` is canceled.
    ///
    /// Returns at once on SQLite, where this process is the only writer, apart from operators' commands: pages show
    /// their changes at the next load.
    pub async fn listen_for_changes(&self, stopping: &CancellationToken) {
        if self.database.kind() == DatabaseKind::Sqlite {
            return;
        }
        let mut failure_logged = false;
        let mut pause = RECONNECT_BACKOFF.0;
        loop {
            let mut connected = false;
            let Some(ended) = stopping.run_until_cancelled(self.run_pg_listener(&mut connected)).await else { return };
            if connected {
                (failure_logged, pause) = (false, RECONNECT_BACKOFF.0);
            }
            // `run_pg_listener` returns only errors. Only the first after a working connection is logged.
            if let Err(error) = ended
                && !std::mem::replace(&mut failure_logged, true)
            {
                tracing::warn!(%error, "PostgreSQL listener failed, reconnecting");
            }
            if stopping.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
            pause = (pause * 2).min(RECONNECT_BACKOFF.1);
        }
    }

    /// Opens one connection and publishes its notifications until it fails. Sets `connected` after the first one.
    async fn run_pg_listener(&self, connected: &mut bool) -> Result<Infallible, StoreError> {
        let mut listener = PgListener::connect(self.database.url()).await?;
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await?;
        // Changes that were committed before the connection was up are lost.
        self.changes().publish_lagged();
        let mut probe_timer = tokio::time::interval(PROBE_INTERVAL);
        let mut probe_pending = false;
        loop {
            let next = listener.try_recv();
            tokio::pin!(next);
            let notification = loop {
                tokio::select! {
                    notification = &mut next => break notification?,
                    _ = probe_timer.tick() => {
                        if probe_pending {
                            return Err(StoreError::PgListenerTimeout);
                        }
                        probe_pending = true;
                        self.probe().await?;
                    }
                }
            };
            let Some(notification) = notification else { return Err(StoreError::PgListenerTimeout) };
            probe_pending = false;
            if !std::mem::replace(connected, true) {
                tracing::debug!("PostgreSQL listener connected");
            }
            if let Some(change) = Change::parse(notification.payload()) {
                self.changes().publish(change);
            }
        }
    }

    /// Sends an empty notification, which the listener must receive.
    async fn probe(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT pg_notify($1, '')").bind(CHANNEL).execute(self.pool()).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BindingStatus, OrgId, Outcome, UserId};
    use crate::server::domain::{AttemptEnd, FailureClass, Secret};
    use crate::server::store::testing::grants::{REFRESHED, TestGrant, lease_with_attempt, tenant, tokens};
    use crate::server::store::testing::{each_store, postgres, sqlite, store_on};
    use crate::server::store::{
        ChangeSignal, CreatedUser, Fenced, NewSession, NewUser, RowChange, SpoolCommit, Subscription, Topic, UserOrg,
    };

    /// Subscribes to a topic, with the PostgreSQL listener connected.
    async fn subscribe_connected(store: &Store, topic: Topic) -> Subscription {
        let mut subscription = store.changes().subscribe(topic);
        let store = store.clone();
        let kind = store.database().kind();
        tokio::spawn(async move { store.listen_for_changes(&CancellationToken::new()).await });
        if kind == DatabaseKind::Postgres {
            assert_eq!(subscription.next().await, ChangeSignal::Lagged, "the first signal after connecting");
        }
        subscription
    }

    async fn next_change(subscription: &mut Subscription) -> Change {
        match tokio::time::timeout(Duration::from_secs(20), subscription.next()).await {
            Ok(ChangeSignal::Change(change)) => change.as_ref().clone(),
            other => panic!("received {other:?}"),
        }
    }

    fn binding_status(change: Change) -> BindingStatus {
        match change {
            Change::Binding { status, .. } => status,
            other => panic!("received {other:?}"),
        }
    }

    fn refresh_outcome(change: Change) -> Outcome {
        match change {
            Change::Refresh { outcome, .. } => outcome,
            other => panic!("received {other:?}"),
        }
    }

    #[apply(each_store!)]
    async fn every_connection_change_is_published_to_its_organization(store: Store) {
        let org = store.add_org("A").await.unwrap();
        let mut heard = subscribe_connected(&store, Topic::Org(org.clone())).await;
        let id = TestGrant::of(&store, &org).insert().await;
        let bound = store.bind(&org, &id, &[tenant("Shop")], None).await.unwrap();
        let binding = bound[0].binding_id.clone();
        let active = Change::Binding { org: org.clone(), binding, status: BindingStatus::Active };
        assert_eq!(next_change(&mut heard).await, active);

        let lease = lease_with_attempt(&store, &id, "one").await;
        let kept = store.seal_rotation(&lease, &tokens("second")).unwrap();
        assert_eq!(store.commit_rotation(&lease, &kept, &REFRESHED).await.unwrap(), Fenced::Applied);
        let refreshed = Change::Refresh { org: org.clone(), grant: id.clone(), outcome: Outcome::Refreshed };
        assert_eq!(next_change(&mut heard).await, refreshed);
        assert_eq!(store.commit_rotation(&lease, &kept, &REFRESHED).await.unwrap(), Fenced::Superseded);
        assert_eq!(refresh_outcome(next_change(&mut heard).await), Outcome::Superseded);

        let lease = lease_with_attempt(&store, &id, "two").await;
        let kept = store.seal_rotation(&lease, &tokens("third")).unwrap();
        let end = AttemptEnd::failed(Outcome::Reconnect, "invalid_grant", FailureClass::ANSWERED);
        assert_eq!(store.fail_grant(&lease, "dead", &end).await.unwrap(), Fenced::Applied);
        assert_eq!(binding_status(next_change(&mut heard).await), BindingStatus::NeedsReauth);
        assert_eq!(refresh_outcome(next_change(&mut heard).await), Outcome::Reconnect);

        assert_eq!(store.commit_spooled_rotation(&kept, None).await.unwrap(), SpoolCommit::Applied);
        assert_eq!(binding_status(next_change(&mut heard).await), BindingStatus::Active);
        assert_eq!(refresh_outcome(next_change(&mut heard).await), Outcome::Refreshed);
        store.disconnect_binding(&org, &bound[0].binding_id).await.unwrap();
        assert_eq!(binding_status(next_change(&mut heard).await), BindingStatus::Disconnected);
        // An audit event publishes that something has changed, unless its transaction said what.
        store.rename_org(&org, "B").await.unwrap();
        assert_eq!(next_change(&mut heard).await, Change::Org { org });
    }

    #[apply(each_store!)]
    async fn uncommitted_and_foreign_changes_are_not_published(store: Store) {
        let (ours, theirs) = (store.add_org("Ours").await.unwrap(), store.add_org("Theirs").await.unwrap());
        let mut heard = subscribe_connected(&store, Topic::Org(ours.clone())).await;
        let change = |org: &OrgId, outcome| Change::Refresh { org: org.clone(), grant: "g".into(), outcome };
        let mut given_up = store.begin_change_tx().await.unwrap();
        given_up.publish(change(&ours, Outcome::Abandoned)).await.unwrap();
        drop(given_up);
        for (org, outcome) in [(&theirs, Outcome::Transient), (&ours, Outcome::Refreshed)] {
            let mut writing = store.begin_change_tx().await.unwrap();
            writing.publish(change(org, outcome)).await.unwrap();
            writing.commit().await.unwrap();
        }
        assert_eq!(refresh_outcome(next_change(&mut heard).await), Outcome::Refreshed);
    }

    #[apply(each_store!)]
    async fn session_changes_reach_only_their_person(store: Store) {
        let add = async |email: &str, org: &str| {
            let new = NewUser { email, password_hash: &Secret::new("hash"), org: Some(UserOrg::New(org)) };
            let CreatedUser { user, org } = store.add_user(new).await.unwrap();
            (user, org.unwrap().0)
        };
        let (ann, harbour) = add("ann@example.com", "Harbour").await;
        let (bob, _) = add("bob@example.com", "Elsewhere").await;
        for (name, user) in [("of-ann", &ann), ("of-bob", &bob)] {
            _ = store.add_session(NewSession::new(name, user, None)).await.unwrap();
        }
        let mut heard = subscribe_connected(&store, Topic::Person(ann.clone())).await;
        store.delete_session("of-bob").await.unwrap();
        assert_eq!(store.switch_session_org("of-ann", &harbour).await.unwrap(), RowChange::Applied);
        assert_eq!(next_change(&mut heard).await, Change::Person { user: ann.clone() });
        store.delete_session("of-ann").await.unwrap();
        assert_eq!(next_change(&mut heard).await, Change::Person { user: ann });
    }

    #[tokio::test]
    async fn listener_reconnects_and_signals_lag() {
        let Some(store) = postgres().await.map(store_on) else { return };
        let org = store.add_org("A").await.unwrap();
        let mut heard = subscribe_connected(&store, Topic::Org(org.clone())).await;
        sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE query LIKE 'LISTEN%' AND datname = current_database()",
        )
        .execute(store.pool())
        .await
        .unwrap();
        assert_eq!(heard.next().await, ChangeSignal::Lagged);
        let id = TestGrant::of(&store, &org).insert().await;
        store.bind(&org, &id, &[tenant("Shop")], None).await.unwrap();
        assert_eq!(binding_status(next_change(&mut heard).await), BindingStatus::Active);
    }

    #[tokio::test]
    async fn slow_listener_gets_lagged_and_a_bounded_buffer() {
        let store = store_on(sqlite().await);
        let topic = Topic::Person(UserId::from("u"));
        let mut slow = store.changes().subscribe(topic.clone());
        assert_eq!(store.changes().listener_count(&topic), 1);
        for _ in 0..100 {
            store.changes().publish(Change::Person { user: "u".into() });
        }
        assert_eq!(slow.next().await, ChangeSignal::Lagged);
        for _ in 0..32 {
            assert!(matches!(slow.next().await, ChangeSignal::Change(_)));
        }
        drop(slow);
        assert_eq!(store.changes().listener_count(&topic), 0);
        let _again = store.changes().subscribe(topic.clone());
        assert_eq!(store.changes().listener_count(&topic), 1);
    }

    #[test]
    fn payload_parses_and_unknown_ones_are_ignored() {
        let change = Change::Binding { org: "o".into(), binding: "b".into(), status: BindingStatus::NeedsReauth };
        let payload = r#"{"what":"binding","org":"o","binding":"b","status":"needs_reauth"}"#;
        assert_eq!(Change::parse(payload), Some(change));
        assert_eq!(Change::parse(""), None);
        assert_eq!(Change::parse(r#"{"what":"weather","org":"o"}"#), None);
    }
}
