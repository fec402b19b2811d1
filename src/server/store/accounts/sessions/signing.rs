//! Signing in and out: the session and its audit events in one transaction.

use sqlx::Row;

use super::NewSession;
use crate::model::{Action, UserId};
use crate::server::domain::Actor;
use crate::server::store::live::changes::Change;
use crate::server::store::{RowChange, Store, StoreError};

impl Store {
    /// Creates a session as `add_session` does, and records the sign-in in each of the person's organizations.
    pub async fn sign_in(&self, new: NewSession<'_>) -> Result<RowChange, StoreError> {
        self.create_session(new, Some(Action::SignedIn)).await
    }

    /// Deletes the sessions with these hashes, records that in each organization of their users, and publishes it to
    /// their open pages. `address` is the client's.
    pub async fn sign_out(&self, hashes: &[String], address: &str) -> Result<(), StoreError> {
        let mut transaction = self.begin_change_tx().await?;
        for hash in hashes {
            let row = sqlx::query(
                "DELETE FROM sessions WHERE id_hash = $1 RETURNING user_id, \
                 (SELECT u.email FROM users u WHERE u.id = sessions.user_id) AS email",
            );
            let Some(row) = row.bind(hash).fetch_optional(&mut *transaction).await? else { continue };
            let (user, email) = (UserId(row.try_get("user_id")?), row.try_get::<String, _>("email")?);
            let acting = self.as_actor(Actor::person(&user, &email, Some(address.to_owned())));
            acting.record_about_user(&mut transaction, &user, Action::SignedOut, &[]).await?;
            transaction.publish(Change::Person { user }).await?;
        }
        transaction.commit().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::domain::Secret;
    use crate::server::store::testing::each_store;
    use crate::server::store::{AuditFilter, NewUser, UserOrg};

    #[apply(each_store!)]
    async fn signing_in_and_out_are_recorded_with_the_session(store: Store) {
        let hash = Secret::new("hash");
        let new = NewUser { email: "ann@example.com", password_hash: &hash, org: Some(UserOrg::New("Harbour")) };
        let added = store.add_user(new).await.unwrap();
        let (user, org) = (added.user, added.org.unwrap().0);
        let ann = store.as_actor(Actor::person(&user, "ann@example.com", Some("192.0.2.7".to_owned())));
        assert_eq!(ann.sign_in(NewSession::new("s", &user, None)).await.unwrap(), RowChange::Applied);
        store.sign_out(&["unknown".to_owned(), "s".to_owned()], "192.0.2.8").await.unwrap();
        assert_eq!(store.session("s").await.unwrap(), None);
        store.sign_out(&["s".to_owned()], "192.0.2.8").await.unwrap();
        let events = store.audit_events(Some(&org), AuditFilter::default(), None, 2).await.unwrap();
        let of = |n: usize| (events[n].action.as_str(), events[n].actor.as_str(), events[n].address.as_deref());
        assert_eq!(of(0), ("session.signed_out", "ann@example.com", Some("192.0.2.8")), "once");
        assert_eq!(of(1), ("session.signed_in", "ann@example.com", Some("192.0.2.7")));

        _ = store.disable_user(&user).await.unwrap();
        assert_eq!(ann.sign_in(NewSession::new("s", &user, None)).await.unwrap(), RowChange::NotFound);
        let filter = AuditFilter { action: "session.signed_in", ..AuditFilter::default() };
        assert_eq!(store.audit_events(Some(&org), filter, None, 9).await.unwrap().len(), 1);
    }
}
