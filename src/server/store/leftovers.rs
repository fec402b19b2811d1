//! What nobody will come back for: ended sessions, abandoned consents, grants that no binding stands on.

use super::columns::{columns, grant_columns};
use super::grants::{give_up, grant_from};
use super::{SESSION_IDLE, Store, StoreError};
use crate::server::domain::Grant;

/// How long a question about a consent waits for its answer. Its tokens are kept alive meanwhile.
const QUESTION_LIFE: i64 = 30 * 24 * 60 * 60;
/// How long a grant that nothing stands on is kept: a tenant that was disconnected in Xero may be connected again,
/// and somebody may still have to look into a consent that could not be bound.
const ORPHAN_LIFE: i64 = 7 * 24 * 60 * 60;

/// Active grants that nothing has stood on since `$1`, and that nobody holds at `$2`.
macro_rules! orphan {
    ($read:expr, $rest:literal) => {
        concat!(
            "SELECT ",
            $read,
            " FROM integration_grants WHERE status = 'active' AND created_at < $1 AND (lease_owner IS NULL OR lease_until <= $2) ",
            "AND NOT EXISTS (SELECT 1 FROM integration_tenant_bindings b WHERE b.active_grant_id = integration_grants.id ",
            "AND (b.status <> 'disconnected' OR b.updated_at >= $1)) ",
            "AND NOT EXISTS (SELECT 1 FROM oauth_states s WHERE s.pending_grant_id = integration_grants.id) ",
            $rest
        )
    };
}

impl Store {
    /// Deletes sessions that have ended, consents that nobody came back from, and questions that nobody answered.
    pub async fn delete_leftovers(&self) -> Result<u64, StoreError> {
        let now = self.clock.now();
        let sessions = sqlx::query("DELETE FROM sessions WHERE expires_at <= $1 OR last_seen_at <= $2")
            .bind(now)
            .bind(now - SESSION_IDLE)
            .execute(self.pool())
            .await?;
        let consents = sqlx::query(
            "DELETE FROM oauth_states WHERE expires_at <= $1 AND (pending_grant_id IS NULL OR created_at <= $2)",
        )
        .bind(now)
        .bind(now - QUESTION_LIFE)
        .execute(self.pool())
        .await?;
        Ok(sessions.rows_affected() + consents.rows_affected())
    }

    /// At most so many grants that nothing has stood on for a week.
    pub async fn orphans(&self, limit: i64) -> Result<Vec<Grant>, StoreError> {
        let now = self.clock.now();
        let rows = sqlx::query(orphan!(grant_columns!(""), "ORDER BY created_at, id LIMIT $3"))
            .bind(now - ORPHAN_LIFE)
            .bind(now)
            .bind(limit)
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(grant_from).collect()
    }

    /// Gives one of them up. `false` where something has come to stand on it meanwhile.
    pub async fn give_up_orphan(&self, grant: &Grant) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let mut transaction = self.database.begin().await?;
        // Whoever binds it takes the row first, too: one of the two sees what the other did.
        sqlx::query("UPDATE integration_grants SET status = status WHERE id = $1")
            .bind(grant.id.as_str())
            .execute(&mut *transaction)
            .await?;
        let row = sqlx::query(orphan!("id", "AND id = $3 AND generation = $4"))
            .bind(now - ORPHAN_LIFE)
            .bind(now)
            .bind(grant.id.as_str())
            .bind(grant.generation)
            .fetch_optional(&mut *transaction)
            .await?;
        if row.is_some() {
            give_up(&mut transaction, &grant.id, now).await?;
            transaction.commit().await?;
            return Ok(true);
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use crate::server::domain::{AccessToken, RefreshToken, Secret, Tenant, TokenSet};
    use crate::server::store::testing::stores;
    use crate::server::store::{NewGrant, NewState, NewUser};

    const DAY: i64 = 24 * 60 * 60;

    #[tokio::test]
    async fn what_nobody_comes_back_for_is_cleared_away_in_its_time() {
        for (db, store) in stores().await {
            let hash = Secret::new("hash");
            let new = NewUser { email: "ann@example.com", password_hash: &hash, org: Some("Harbour") };
            let added = store.add_user(new).await.unwrap().unwrap();
            let (user, org) = (added.user, added.org.unwrap().0);
            store.add_session("session", &user, Some(&org)).await.unwrap();
            let mut grants = Vec::new();
            for name in ["bound", "asked about", "unbound"] {
                let tokens = TokenSet {
                    access_token: AccessToken::new(name),
                    refresh_token: RefreshToken::new(name),
                    expires_at: 0,
                    scopes: String::new(),
                };
                let new = NewGrant { org_id: org.clone(), xero_user_id: "u".into(), auth_event_id: "e".into(), tokens };
                grants.push(store.insert_grant(new).await.unwrap());
            }
            let tenant = |name: &str| Tenant {
                connection_id: name.into(),
                tenant_id: name.into(),
                tenant_name: name.into(),
                tenant_type: "ORGANISATION".into(),
            };
            store.bind(&org, &grants[0], &[tenant("Shop")], None).await.unwrap();
            for state in ["asked", "abandoned"] {
                let verifier = Secret::new("verifier");
                let new =
                    NewState { hash: state, org: &org, user: &user, session_hash: "session", verifier: &verifier };
                store.add_state(new).await.unwrap();
            }
            store.hold_for_confirmation("asked", &grants[1], &[tenant("Shop")]).await.unwrap();

            let orphans = async || store.orphans(9).await.unwrap().into_iter().map(|one| one.id).collect::<Vec<_>>();
            assert_eq!(store.delete_leftovers().await.unwrap(), 0, "{db}");
            store.clock().advance(10 * 60);
            assert_eq!(store.delete_leftovers().await.unwrap(), 1, "{db}: the abandoned consent");
            store.clock().advance(7 * DAY);
            assert_eq!(orphans().await, [grants[2].clone()], "{db}");
            let unbound = store.orphans(9).await.unwrap().remove(0);
            store.bind(&org, &unbound.id, &[tenant("Café")], None).await.unwrap();
            assert!(!store.give_up_orphan(&unbound).await.unwrap(), "{db}: bound just now");
            store.clock().advance(7 * DAY);
            assert_eq!(store.delete_leftovers().await.unwrap(), 1, "{db}: the session");
            store.clock().advance(16 * DAY);
            assert_eq!(store.delete_leftovers().await.unwrap(), 1, "{db}: the question");
            assert_eq!(orphans().await, [grants[1].clone()], "{db}: that it was about");
            let asked = store.orphans(9).await.unwrap().remove(0);
            assert!(store.give_up_orphan(&asked).await.unwrap() && orphans().await.is_empty(), "{db}");
            let late = store.bind(&org, &asked.id, &[tenant("Shop")], None).await.unwrap();
            assert!(late.is_empty(), "{db}: nothing is bound to what was given up");
        }
    }
}
