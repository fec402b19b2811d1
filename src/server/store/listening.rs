//! PostgreSQL's side of hearing what changed: one connection that listens, and comes back by itself.

use std::convert::Infallible;
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio_util::sync::CancellationToken;

use super::changes::{CHANNEL, Change};
use super::{Kind, Store, StoreError};

/// How long after a lost connection the next is tried, doubling from the first to the second.
const AGAIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// How often we say something ourselves, to hear that we still hear: a connection that a firewall dropped, or a pooler
/// that hands out another one for each transaction, is silent and no error.
const BEAT: Duration = Duration::from_secs(30);

impl Store {
    /// Hears what any instance commits and tells this process's listeners, until told to stop. On SQLite there is
    /// nothing to do: whoever writes is this process, or an operator's command, whose changes pages see when they
    /// are read the next time.
    pub async fn listen(&self, stopping: &CancellationToken) {
        if self.database.kind() == Kind::Sqlite {
            return;
        }
        let mut silent = false;
        let mut pause = AGAIN.0;
        loop {
            let mut heard = false;
            let Some(ended) = stopping.run_until_cancelled(self.hear(&mut heard)).await else { return };
            if heard {
                (silent, pause) = (false, AGAIN.0);
            }
            // It only ends with an error, which is logged once for each time that it worked.
            if let Err(error) = ended
                && !std::mem::replace(&mut silent, true)
            {
                tracing::warn!(%error, "other instances' changes aren't heard; trying again until they are");
            }
            if stopping.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
            pause = (pause * 2).min(AGAIN.1);
        }
    }

    /// One connection's life. `heard` is set once it is known to work.
    async fn hear(&self, heard: &mut bool) -> Result<Infallible, StoreError> {
        let mut listener = PgListener::connect(self.database.url()).await?;
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await?;
        // Nobody heard what was said before.
        self.changes.missed();
        let mut beats = tokio::time::interval(BEAT);
        let mut unanswered = false;
        loop {
            let next = listener.try_recv();
            tokio::pin!(next);
            let notification = loop {
                tokio::select! {
                    notification = &mut next => break notification?,
                    _ = beats.tick() => {
                        if unanswered {
                            return Err(StoreError::Deaf);
                        }
                        unanswered = true;
                        self.beat().await?;
                    }
                }
            };
            let Some(notification) = notification else { return Err(StoreError::Deaf) };
            unanswered = false;
            if !std::mem::replace(heard, true) {
                tracing::debug!("listening to other instances");
            }
            if let Some(change) = Change::parse(notification.payload()) {
                self.changes.publish(change);
            }
        }
    }

    /// Says nothing in particular.
    async fn beat(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT pg_notify($1, '')").bind(CHANNEL).execute(self.pool()).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BindingStatus, OrgId, UserId};
    use crate::server::domain::Secret;
    use crate::server::store::testing::stores;
    use crate::server::store::tests::{DONE, consent, leased, org, tenant, tokens};
    use crate::server::store::{Added, AttemptEnd, Heard, NewUser, Subscription, Topic};

    /// Somebody who listens, with the connection up that brings it from other instances.
    async fn listening(store: &Store, topic: Topic) -> Subscription {
        let mut subscription = store.changes().subscribe(topic);
        let store = store.clone();
        let kind = store.database().kind();
        tokio::spawn(async move { store.listen(&CancellationToken::new()).await });
        if kind == Kind::Postgres {
            assert_eq!(subscription.next().await, Heard::Missed, "what was said before nobody heard");
        }
        subscription
    }

    async fn change(subscription: &mut Subscription) -> Change {
        match tokio::time::timeout(Duration::from_secs(20), subscription.next()).await {
            Ok(Heard::Change(change)) => change.as_ref().clone(),
            other => panic!("heard {other:?}"),
        }
    }

    fn of_binding(change: Change) -> BindingStatus {
        match change {
            Change::Binding { status, .. } => status,
            other => panic!("heard {other:?}"),
        }
    }

    fn of_refresh(change: Change) -> String {
        match change {
            Change::Refresh { outcome, .. } => outcome,
            other => panic!("heard {other:?}"),
        }
    }

    #[tokio::test]
    async fn whatever_changes_an_organisations_connections_is_told() {
        for (db, store) in stores().await {
            let org = org(&store, "A").await;
            let mut heard = listening(&store, Topic::Org(org.clone())).await;
            let id = consent(&store, &org, "u").await;
            let bound = store.bind(&org, &id, &[tenant("Shop")], None).await.unwrap();
            let binding = bound[0].binding_id.clone();
            let active = Change::Binding { org: org.clone(), binding, status: BindingStatus::Active };
            assert_eq!(change(&mut heard).await, active, "{db}");

            let (held, attempt) = leased(&store, &id, "one").await;
            let kept = store.seal_rotation(&held, &tokens("second")).unwrap();
            assert!(store.commit_rotation(&kept, "one", &attempt, &DONE).await.unwrap(), "{db}");
            let refreshed = Change::Refresh { org: org.clone(), grant: id.clone(), outcome: "refreshed".into() };
            assert_eq!(change(&mut heard).await, refreshed, "{db}");
            assert!(!store.commit_rotation(&kept, "one", &attempt, &DONE).await.unwrap(), "{db}");
            assert_eq!(of_refresh(change(&mut heard).await), "superseded", "{db}");

            let (held, attempt) = leased(&store, &id, "two").await;
            let kept = store.seal_rotation(&held, &tokens("third")).unwrap();
            let end = AttemptEnd { outcome: "reconnect", ..DONE };
            assert!(store.fail_grant(&held, "two", "dead", &attempt, &end).await.unwrap(), "{db}");
            assert_eq!(of_binding(change(&mut heard).await), BindingStatus::NeedsReauth, "{db}");
            assert_eq!(of_refresh(change(&mut heard).await), "reconnect", "{db}");

            assert!(store.commit_kept(&kept).await.unwrap(), "{db}");
            assert_eq!(of_binding(change(&mut heard).await), BindingStatus::Active, "{db}");
            assert_eq!(of_refresh(change(&mut heard).await), "refreshed", "{db}");
            store.disconnect_binding(&org, &bound[0].binding_id).await.unwrap();
            assert_eq!(of_binding(change(&mut heard).await), BindingStatus::Disconnected, "{db}");
        }
    }

    #[tokio::test]
    async fn what_is_not_committed_and_what_is_anothers_is_not_told() {
        for (db, store) in stores().await {
            let (ours, theirs) = (org(&store, "Ours").await, org(&store, "Theirs").await);
            let mut heard = listening(&store, Topic::Org(ours.clone())).await;
            let told = |org: &OrgId, outcome: &str| Change::Refresh {
                org: org.clone(),
                grant: "g".into(),
                outcome: outcome.into(),
            };
            let mut given_up = store.write().await.unwrap();
            given_up.tell(told(&ours, "given up")).await.unwrap();
            drop(given_up);
            for (org, outcome) in [(&theirs, "theirs"), (&ours, "ours")] {
                let mut writing = store.write().await.unwrap();
                writing.tell(told(org, outcome)).await.unwrap();
                writing.commit().await.unwrap();
            }
            assert_eq!(of_refresh(change(&mut heard).await), "ours", "{db}");
        }
    }

    #[tokio::test]
    async fn a_persons_sessions_are_told_of_to_that_person_alone() {
        for (db, store) in stores().await {
            let add = async |email: &str, org: &str| {
                let new = NewUser { email, password_hash: &Secret::new("hash"), org: Some(org) };
                let Added { user, org } = store.add_user(new).await.unwrap().unwrap();
                (user, org.unwrap().0)
            };
            let (ann, harbour) = add("ann@example.com", "Harbour").await;
            let (bob, _) = add("bob@example.com", "Elsewhere").await;
            for (name, user) in [("of-ann", &ann), ("of-bob", &bob)] {
                store.add_session(name, user, None).await.unwrap();
            }
            let mut heard = listening(&store, Topic::Person(ann.clone())).await;
            store.delete_session("of-bob").await.unwrap();
            assert!(store.switch_session("of-ann", &harbour).await.unwrap(), "{db}");
            assert_eq!(change(&mut heard).await, Change::Person { user: ann.clone() }, "{db}");
            store.delete_session("of-ann").await.unwrap();
            assert_eq!(change(&mut heard).await, Change::Person { user: ann }, "{db}");
        }
    }

    #[tokio::test]
    async fn a_lost_connection_comes_back_by_itself_and_says_that_something_was_missed() {
        let Some((_, store)) = stores().await.into_iter().find(|(_, store)| store.database().kind() == Kind::Postgres)
        else {
            return;
        };
        let org = org(&store, "A").await;
        let mut heard = listening(&store, Topic::Org(org.clone())).await;
        sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE query LIKE 'LISTEN%' AND datname = current_database()",
        )
        .execute(store.pool())
        .await
        .unwrap();
        assert_eq!(heard.next().await, Heard::Missed);
        let id = consent(&store, &org, "u").await;
        store.bind(&org, &id, &[tenant("Shop")], None).await.unwrap();
        assert_eq!(of_binding(change(&mut heard).await), BindingStatus::Active);
    }

    #[tokio::test]
    async fn who_does_not_keep_up_is_told_so_and_buffered_for_no_longer() {
        let (_, store) = stores().await.remove(0);
        let topic = Topic::Person(UserId::from("u"));
        let mut slow = store.changes().subscribe(topic.clone());
        assert_eq!(store.changes().listeners(&topic), 1);
        for _ in 0..100 {
            store.changes().publish(Change::Person { user: "u".into() });
        }
        assert_eq!(slow.next().await, Heard::Missed);
        for _ in 0..32 {
            assert!(matches!(slow.next().await, Heard::Change(_)));
        }
        drop(slow);
        assert_eq!(store.changes().listeners(&topic), 0);
        let _again = store.changes().subscribe(topic.clone());
        assert_eq!(store.changes().listeners(&topic), 1);
    }

    #[test]
    fn a_payload_survives_the_way_and_what_makes_no_sense_is_let_go() {
        let change = Change::Binding { org: "o".into(), binding: "b".into(), status: BindingStatus::NeedsReauth };
        let payload = r#"{"what":"binding","org":"o","binding":"b","status":"needs_reauth"}"#;
        assert_eq!(Change::parse(payload), Some(change));
        assert_eq!(Change::parse(""), None);
        assert_eq!(Change::parse(r#"{"what":"weather","org":"o"}"#), None);
    }
}
