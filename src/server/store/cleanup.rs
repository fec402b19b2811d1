//! Deletes ended sessions, unfinished consents and used-up limits, and revokes grants that no binding uses.

use super::accounts::sessions::DELETE_ENDED_SESSIONS;
use super::column_lists::{columns, grant_columns};
use super::grants::{grant_from, mark_revoked};
use super::{OAUTH_STATE_LIFETIME, SESSION_LIFETIME, Store, StoreError};
use crate::server::domain::{Grant, latest_plausible};

/// How long, in seconds, a consent waits for confirmation. Its tokens are refreshed meanwhile.
const PENDING_CONSENT_LIFETIME: i64 = 30 * 24 * 60 * 60;
/// How long, in seconds, an unused grant is kept. Its tenant may be connected again in Xero, and an operator may still
/// have to look into a consent that could not be bound.
const ORPHANED_GRANT_RETENTION: i64 = 7 * 24 * 60 * 60;

/// Selects active grants that have been unused since `$1` and that nobody holds at `$2`.
macro_rules! orphaned_grants_sql {
    ($read:expr, $rest:literal) => {
        concat!(
            "SELECT ",
            $read,
            " FROM integration_grants WHERE status = 'active' AND created_at < $1 AND (lease_owner IS NULL OR lease_until <= $2) ",
            "AND NOT EXISTS (SELECT 1 FROM integration_tenant_bindings b WHERE b.active_grant_id = integration_grants.id ",
            "AND (b.status <> 'disconnected' OR b.updated_at >= $1)) ",
            "AND NOT EXISTS (SELECT 1 FROM oauth_states s WHERE s.pending_grant_id = integration_grants.id) ",
            "AND NOT EXISTS (SELECT 1 FROM connect_link_states s WHERE s.pending_grant_id = integration_grants.id) ",
            "AND NOT EXISTS (SELECT 1 FROM token_imports i WHERE i.grant_id = integration_grants.id ",
            "AND i.finished_at IS NULL) ",
            $rest
        )
    };
}

/// Whether a grant that was unused is revoked now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum OrphanRevocation {
    /// It is revoked, and its tokens are erased.
    Revoked,
    /// It was bound, or its consent is asked about again: nothing is changed.
    InUse,
}

impl Store {
    /// Deletes ended sessions, sign-ins and links, unfinished consents, consents that nobody confirmed, messages whose time is
    /// over, refilled limits, forgotten browsers, and answers of idempotent calls. Returns the number of rows.
    pub async fn delete_expired(&self) -> Result<u64, StoreError> {
        let now = self.clock.now();
        let sessions = sqlx::query(DELETE_ENDED_SESSIONS)
            .bind(now)
            .bind(now - self.session_idle_timeout)
            .bind(latest_plausible(SESSION_LIFETIME, now))
            .execute(self.pool())
            .await?;
        let consents = sqlx::query(
            "DELETE FROM oauth_states WHERE (expires_at <= $1 OR expires_at > $3) \
             AND (pending_grant_id IS NULL OR created_at <= $2)",
        )
        .bind(now)
        .bind(now - PENDING_CONSENT_LIFETIME)
        .bind(latest_plausible(OAUTH_STATE_LIFETIME, now))
        .execute(self.pool())
        .await?;
        let links = self.delete_old_connect_links().await?
            + self.delete_ended_link_states(now - PENDING_CONSENT_LIFETIME).await?
            + self.delete_old_unsubscribe_links().await?;
        let messages =
            sqlx::query("DELETE FROM account_messages WHERE expires_at <= $1").bind(now).execute(self.pool()).await?;
        let challenges = self.delete_ended_challenges().await? + self.delete_ended_identities().await?;
        let notices = self.delete_old_notices().await?;
        let limits = self.delete_refilled_limits().await?;
        let browsers = self.delete_forgotten_browsers().await?;
        let forwarders = self.delete_old_forwarders().await?;
        let calls = self.delete_old_calls().await?;
        let rows = sessions.rows_affected() + consents.rows_affected() + messages.rows_affected();
        Ok(rows + links + challenges + notices + limits + browsers + forwarders + calls)
    }

    /// Returns up to `limit` grants that have been unused for a week, oldest first.
    pub async fn orphaned_grants(&self, limit: i64) -> Result<Vec<Grant>, StoreError> {
        let now = self.clock.now();
        let rows = sqlx::query(orphaned_grants_sql!(grant_columns!(""), "ORDER BY created_at, id LIMIT $3"))
            .bind(now - ORPHANED_GRANT_RETENTION)
            .bind(now)
            .bind(limit)
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(|row| grant_from(row, now)).collect()
    }

    /// Revokes a grant that `orphaned_grants` returned, unless it is in use again.
    pub async fn mark_revoked_if_orphaned(&self, grant: &Grant) -> Result<OrphanRevocation, StoreError> {
        let now = self.clock.now();
        let mut transaction = self.database.begin().await?;
        // Locks the row. `bind` does too, so that one of the two sees the other's change.
        sqlx::query("UPDATE integration_grants SET status = status WHERE id = $1")
            .bind(grant.id.as_str())
            .execute(&mut *transaction)
            .await?;
        let row = sqlx::query(orphaned_grants_sql!("id", "AND id = $3 AND generation = $4"))
            .bind(now - ORPHANED_GRANT_RETENTION)
            .bind(now)
            .bind(grant.id.as_str())
            .bind(grant.generation)
            .fetch_optional(&mut *transaction)
            .await?;
        if row.is_some() {
            mark_revoked(&mut transaction, &grant.id, now).await?;
            transaction.commit().await?;
            return Ok(OrphanRevocation::Revoked);
        }
        Ok(OrphanRevocation::InUse)
    }
}

#[cfg(test)]
mod tests {
    use super::OrphanRevocation;
    use crate::server::domain::Secret;
    use crate::server::store::Store;
    use crate::server::store::testing::each_store;
    use crate::server::store::testing::grants::{TestGrant, tenant};
    use crate::server::store::{NewOauthState, NewSession, NewUser, UserOrg};

    const DAY: i64 = 24 * 60 * 60;

    #[apply(each_store!)]
    async fn sessions_consents_and_orphaned_grants_are_deleted_when_expired(store: Store) {
        let hash = Secret::new("hash");
        let new = NewUser { email: "ann@example.com", password_hash: &hash, org: Some(UserOrg::New("Harbour")) };
        let added = store.add_user(new).await.unwrap();
        let (user, org) = (added.user, added.org.unwrap().0);
        _ = store.add_session(NewSession::new("session", &user, Some(&org))).await.unwrap();
        let mut grants = Vec::new();
        for name in ["bound", "asked about", "unbound"] {
            grants.push(TestGrant::of(&store, &org).tokens(name).insert().await);
        }
        store.bind(&org, &grants[0], &[tenant("Shop")], None).await.unwrap();
        for state in ["asked", "abandoned"] {
            let verifier = Secret::new("verifier");
            let (session_hash, scopes) = ("session", "openid");
            let new = NewOauthState { hash: state, org: &org, user: &user, session_hash, verifier: &verifier, scopes };
            store.insert_oauth_state(new).await.unwrap();
        }
        store.store_pending_consent("asked", &grants[1], &[tenant("Shop")]).await.unwrap();

        let orphans =
            async || store.orphaned_grants(9).await.unwrap().into_iter().map(|one| one.id).collect::<Vec<_>>();
        assert_eq!(store.delete_expired().await.unwrap(), 0);
        store.clock().advance(10 * 60);
        assert_eq!(store.delete_expired().await.unwrap(), 1, "the unfinished consent");
        store.clock().advance(7 * DAY);
        assert_eq!(orphans().await, [grants[2].clone()]);
        let unbound = store.orphaned_grants(9).await.unwrap().remove(0);
        store.bind(&org, &unbound.id, &[tenant("Café")], None).await.unwrap();
        let revocation = store.mark_revoked_if_orphaned(&unbound).await.unwrap();
        assert_eq!(revocation, OrphanRevocation::InUse, "it was bound meanwhile");
        store.clock().advance(7 * DAY);
        assert_eq!(store.delete_expired().await.unwrap(), 1, "the session");
        store.clock().advance(16 * DAY);
        assert_eq!(store.delete_expired().await.unwrap(), 1, "the unconfirmed consent");
        assert_eq!(orphans().await, [grants[1].clone()], "the grant of that consent");
        let asked = store.orphaned_grants(9).await.unwrap().remove(0);
        assert_eq!(store.mark_revoked_if_orphaned(&asked).await.unwrap(), OrphanRevocation::Revoked);
        assert!(orphans().await.is_empty());
        let late = store.bind(&org, &asked.id, &[tenant("Shop")], None).await.unwrap();
        assert!(late.is_empty(), "nothing is bound to a revoked grant");
    }
}
