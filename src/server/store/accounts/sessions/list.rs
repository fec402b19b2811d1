//! A person's sessions as a list, and their end from elsewhere.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use crate::model::{AccountSession, Action, UserId};
use crate::server::domain::latest_plausible;
use crate::server::store::live::changes::Change;
use crate::server::store::{RowChange, SESSION_LIFETIME, Store, StoreError};

/// How many characters of its hash name a session. They open nothing: a cookie's value can't be found from its hash.
const ID_CHARACTERS: usize = 16;

/// Which of a person's sessions to end.
#[derive(Clone, Copy, Debug)]
pub enum EndSessions<'a> {
    /// All of them.
    All,
    /// All but the one with this hash.
    AllBut(&'a str),
    /// The one with this id of the list.
    One(&'a str),
}

impl Store {
    /// Returns a person's sessions that have not ended, the latest first. `current` is the hash of the caller's.
    pub async fn sessions_of(&self, user: &UserId, current: &str) -> Result<Vec<AccountSession>, StoreError> {
        let now = self.clock().now();
        let rows = sqlx::query(
            "SELECT id_hash, user_agent, address, created_at, last_seen_at FROM sessions WHERE user_id = $1 \
             AND expires_at > $2 AND last_seen_at > $3 AND expires_at <= $4 ORDER BY last_seen_at DESC, created_at DESC, id_hash",
        )
        .bind(user.as_str())
        .bind(now)
        .bind(now - self.session_idle_timeout)
        .bind(latest_plausible(SESSION_LIFETIME, now))
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(|row| session_from(row, current)).collect()
    }

    /// Ends sessions of a person and records it. `NotFound` if there was none to end.
    pub async fn end_sessions(&self, user: &UserId, which: EndSessions<'_>) -> Result<RowChange, StoreError> {
        let mut transaction = self.begin_change_tx().await?;
        let ended = delete_sessions(&mut transaction, user, which).await?;
        if ended == 0 {
            return Ok(RowChange::NotFound);
        }
        self.record_about_user(&mut transaction, user, Action::SessionsEnded, &[("sessions", ended.to_string())])
            .await?;
        transaction.publish(Change::Person { user: user.clone() }).await?;
        transaction.commit().await?;
        Ok(RowChange::Applied)
    }
}

/// Deletes sessions of a person, in the caller's transaction. Returns how many.
pub(in crate::server::store::accounts) async fn delete_sessions(
    connection: &mut AnyConnection,
    user: &UserId,
    which: EndSessions<'_>,
) -> Result<u64, StoreError> {
    let (kept, id) = match which {
        EndSessions::All => ("", ""),
        EndSessions::AllBut(hash) => (hash, ""),
        EndSessions::One(id) => ("", id),
    };
    let done = sqlx::query(
        "DELETE FROM sessions WHERE user_id = $1 AND id_hash <> $2 AND ($3 = '' OR substr(id_hash, 1, 16) = $3)",
    )
    .bind(user.as_str())
    .bind(kept)
    .bind(id)
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

fn session_from(row: &AnyRow, current: &str) -> Result<AccountSession, StoreError> {
    let hash: String = row.try_get("id_hash")?;
    Ok(AccountSession {
        is_current: hash == current,
        id: hash.chars().take(ID_CHARACTERS).collect(),
        user_agent: row.try_get("user_agent")?,
        address: row.try_get("address")?,
        created_at: row.try_get("created_at")?,
        last_seen_at: row.try_get("last_seen_at")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::domain::Secret;
    use crate::server::store::testing::each_store;
    use crate::server::store::{NewSession, NewUser, SessionPlace, UserOrg};

    async fn person(store: &Store, email: &str) -> UserId {
        let new = NewUser { email, password_hash: &Secret::new("hash"), org: Some(UserOrg::New(email)) };
        store.add_user(new).await.unwrap().user
    }

    #[apply(each_store!)]
    async fn person_lists_and_ends_their_own_sessions_only(store: Store) {
        let (ann, bob) = (person(&store, "ann@example.com").await, person(&store, "bob@example.com").await);
        let place = SessionPlace { user_agent: Some("Firefox".into()), address: Some("192.0.2.7".into()) };
        for (hash, user) in
            [("first-session-of-ann", &ann), ("second-session-of-ann", &ann), ("session-of-bob-is-his", &bob)]
        {
            let added = store.add_session(NewSession::new(hash, user, None).from_place(&place)).await.unwrap();
            assert_eq!(added, RowChange::Applied);
            store.clock().advance(1);
        }
        let mine = store.sessions_of(&ann, "first-session-of-ann").await.unwrap();
        assert_eq!(mine.iter().map(|one| one.is_current).collect::<Vec<_>>(), [false, true]);
        assert_eq!((mine[0].user_agent.as_deref(), mine[0].address.as_deref()), (Some("Firefox"), Some("192.0.2.7")));

        let his = store.sessions_of(&bob, "").await.unwrap().remove(0);
        assert_eq!(store.end_sessions(&ann, EndSessions::One(&his.id)).await.unwrap(), RowChange::NotFound);
        assert!(store.session("session-of-bob-is-his").await.unwrap().is_some());
        assert_eq!(
            store.end_sessions(&ann, EndSessions::AllBut("first-session-of-ann")).await.unwrap(),
            RowChange::Applied
        );
        assert!(store.session("second-session-of-ann").await.unwrap().is_none());
        assert!(store.session("first-session-of-ann").await.unwrap().is_some());
        let id = mine[1].id.clone();
        assert_eq!(store.end_sessions(&ann, EndSessions::One(&id)).await.unwrap(), RowChange::Applied);
        assert!(store.sessions_of(&ann, "").await.unwrap().is_empty());
    }
}
