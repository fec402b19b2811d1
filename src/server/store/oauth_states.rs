//! Consents under way: the single-use `state` of each, its PKCE verifier, and the question that may follow.

use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Store, StoreError};
use crate::model::{GrantId, OrgId, PendingConfirmation, UserId};
use crate::server::cipher::Place;
use crate::server::domain::{Secret, Tenant};

/// A consent must come back within ten minutes.
pub const STATE_LIFE: i64 = 10 * 60;

/// A consent about to begin. The `state` itself isn't kept: only its hash.
pub struct NewState<'a> {
    pub hash: &'a str,
    pub org: &'a OrgId,
    pub user: &'a UserId,
    /// The only session that may finish it.
    pub session_hash: &'a str,
    pub verifier: &'a Secret,
}

/// What became of a `state` that came back.
pub enum Consumed {
    /// It counted, once: it won't again.
    Fresh { org: OrgId, user: UserId, verifier: Secret },
    /// Another session began it, which may still finish it.
    Foreign,
    /// Never made, used before, or too old.
    Expired,
}

/// A consent that waits for a person's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Pending {
    pub grant: GrantId,
    pub tenants: Vec<Tenant>,
}

/// A tenant as the row keeps it.
#[derive(Serialize, Deserialize)]
struct KeptTenant {
    connection_id: String,
    tenant_id: String,
    tenant_name: String,
    tenant_type: String,
}

impl Store {
    /// Begins a consent, and forgets those that nobody came back from.
    pub async fn add_state(&self, new: NewState<'_>) -> Result<(), StoreError> {
        let now = self.clock().now();
        let verifier = self
            .ring
            .seal(&Place::Verifier { state_hash: new.hash }, new.verifier.expose())
            .map_err(|source| StoreError::Sealed { what: "consent", id: new.hash.to_owned(), source })?;
        sqlx::query("DELETE FROM oauth_states WHERE expires_at <= $1 AND pending_grant_id IS NULL")
            .bind(now)
            .execute(self.pool())
            .await?;
        sqlx::query(
            "INSERT INTO oauth_states (id_hash, org_id, user_id, session_hash, code_verifier_enc, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(new.hash)
        .bind(new.org.as_str())
        .bind(new.user.as_str())
        .bind(new.session_hash)
        .bind(verifier)
        .bind(now)
        .bind(now + STATE_LIFE)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Uses a `state` up. One statement decides, so that of two callbacks at once one alone goes on.
    pub async fn consume_state(&self, hash: &str, session_hash: &str) -> Result<Consumed, StoreError> {
        let now = self.clock().now();
        let row = sqlx::query(
            "UPDATE oauth_states SET consumed_at = $1 \
             WHERE id_hash = $2 AND session_hash = $3 AND consumed_at IS NULL AND expires_at > $1 \
             RETURNING org_id, user_id, code_verifier_enc",
        )
        .bind(now)
        .bind(hash)
        .bind(session_hash)
        .fetch_optional(self.pool())
        .await?;
        let Some(row) = row else { return self.why_not_consumed(hash, session_hash).await };
        let sealed: String = row.try_get("code_verifier_enc")?;
        let verifier = self
            .ring
            .open(&Place::Verifier { state_hash: hash }, &sealed)
            .map_err(|source| StoreError::Sealed { what: "consent", id: hash.to_owned(), source })?;
        Ok(Consumed::Fresh { org: OrgId(row.try_get("org_id")?), user: UserId(row.try_get("user_id")?), verifier })
    }

    async fn why_not_consumed(&self, hash: &str, session_hash: &str) -> Result<Consumed, StoreError> {
        let row = sqlx::query(
            "SELECT session_hash FROM oauth_states WHERE id_hash = $1 AND consumed_at IS NULL AND expires_at > $2",
        )
        .bind(hash)
        .bind(self.clock().now())
        .fetch_optional(self.pool())
        .await?;
        let Some(row) = row else { return Ok(Consumed::Expired) };
        let owner: String = row.try_get("session_hash")?;
        Ok(if owner == session_hash { Consumed::Expired } else { Consumed::Foreign })
    }

    /// Keeps a finished consent until somebody says whether it may take over tenants.
    pub async fn hold_for_confirmation(
        &self,
        hash: &str,
        grant: &GrantId,
        tenants: &[Tenant],
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE oauth_states SET pending_grant_id = $1, pending_tenants = $2 WHERE id_hash = $3")
            .bind(grant.as_str())
            .bind(write_tenants(tenants))
            .bind(hash)
            .execute(self.pool())
            .await?;
        Ok(())
    }

    /// The questions that wait in an organisation, oldest first, as its settings page asks them.
    pub async fn pending_confirmations(&self, org: &OrgId) -> Result<Vec<PendingConfirmation>, StoreError> {
        let question = |(id, pending): (String, Pending)| PendingConfirmation {
            id,
            tenant_names: pending.tenants.into_iter().map(|tenant| tenant.tenant_name).collect(),
        };
        Ok(self.pending_of_org(org).await?.into_iter().map(question).collect())
    }

    /// The same questions with all that they are about, by the id that `take_pending` takes.
    pub async fn pending_of_org(&self, org: &OrgId) -> Result<Vec<(String, Pending)>, StoreError> {
        sqlx::query(
            "SELECT id_hash, pending_grant_id, pending_tenants FROM oauth_states \
             WHERE org_id = $1 AND pending_grant_id IS NOT NULL ORDER BY created_at, id_hash",
        )
        .bind(org.as_str())
        .fetch_all(self.pool())
        .await?
        .iter()
        .map(|row| Ok((row.try_get("id_hash")?, read_pending(row)?)))
        .collect()
    }

    /// Takes a question off the list to answer it: of two answers at once, one alone gets it.
    pub async fn take_pending(&self, org: &OrgId, id: &str) -> Result<Option<Pending>, StoreError> {
        let row = sqlx::query(
            "DELETE FROM oauth_states WHERE id_hash = $1 AND org_id = $2 AND pending_grant_id IS NOT NULL \
             RETURNING pending_grant_id, pending_tenants",
        )
        .bind(id)
        .bind(org.as_str())
        .fetch_optional(self.pool())
        .await?;
        row.as_ref().map(read_pending).transpose()
    }
}

fn read_pending(row: &AnyRow) -> Result<Pending, StoreError> {
    let grant = GrantId(row.try_get("pending_grant_id")?);
    Ok(Pending { grant, tenants: read_tenants(row.try_get("pending_tenants")?)? })
}

fn write_tenants(tenants: &[Tenant]) -> String {
    let kept: Vec<KeptTenant> = tenants
        .iter()
        .cloned()
        .map(|Tenant { connection_id, tenant_id, tenant_name, tenant_type }| KeptTenant {
            connection_id,
            tenant_id,
            tenant_name,
            tenant_type,
        })
        .collect();
    serde_json::json!(kept).to_string()
}

fn read_tenants(text: String) -> Result<Vec<Tenant>, StoreError> {
    let kept: Vec<KeptTenant> = serde_json::from_str(&text).map_err(|_| StoreError::Unreadable {
        table: "oauth_states",
        column: "pending_tenants",
        value: text,
    })?;
    let tenant = |KeptTenant { connection_id, tenant_id, tenant_name, tenant_type }| Tenant {
        connection_id,
        tenant_id,
        tenant_name,
        tenant_type,
    };
    Ok(kept.into_iter().map(tenant).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::NewUser;
    use crate::server::store::testing::stores;

    async fn begin(store: &Store, hash: &str) -> OrgId {
        let email = format!("{hash}@example.com");
        let new = NewUser { email: &email, password_hash: &Secret::new("hash"), org: Some("Harbour Coffee") };
        let added = store.add_user(new).await.unwrap().unwrap();
        let org = added.org.unwrap().0;
        let verifier = Secret::new("the verifier");
        let state = NewState { hash, org: &org, user: &added.user, session_hash: "mine", verifier: &verifier };
        store.add_state(state).await.unwrap();
        org
    }

    #[tokio::test]
    async fn a_state_counts_once_for_its_own_session_in_its_ten_minutes() {
        for (name, store) in stores().await {
            let org = begin(&store, "a").await;
            assert!(matches!(store.consume_state("a", "theirs").await.unwrap(), Consumed::Foreign), "{name}");
            let Consumed::Fresh { org: bound, verifier, .. } = store.consume_state("a", "mine").await.unwrap() else {
                panic!("a fresh state counts on {name}");
            };
            assert_eq!((bound, verifier.expose()), (org, "the verifier"), "{name}");
            assert!(matches!(store.consume_state("a", "mine").await.unwrap(), Consumed::Expired), "{name}");
            assert!(matches!(store.consume_state("a", "theirs").await.unwrap(), Consumed::Expired), "{name}");
            assert!(matches!(store.consume_state("unknown", "mine").await.unwrap(), Consumed::Expired), "{name}");

            begin(&store, "b").await;
            store.clock().advance(STATE_LIFE);
            assert!(matches!(store.consume_state("b", "mine").await.unwrap(), Consumed::Expired), "{name}");
            begin(&store, "c").await;
            let row = sqlx::query("SELECT COUNT(*) AS n FROM oauth_states").fetch_one(store.pool()).await.unwrap();
            assert_eq!(row.get::<i64, _>("n"), 1, "old ones are forgotten on {name}");
        }
    }

    #[tokio::test]
    async fn of_many_callbacks_at_once_one_goes_on() {
        for (name, store) in stores().await {
            begin(&store, "a").await;
            let tries = (0..8).map(|_| store.consume_state("a", "mine"));
            let results = futures::future::join_all(tries).await;
            let fresh = results.into_iter().filter(|result| matches!(result, Ok(Consumed::Fresh { .. }))).count();
            assert_eq!(fresh, 1, "{name}");
        }
    }

    #[tokio::test]
    async fn a_question_waits_until_its_organisation_answers_it() {
        for (name, store) in stores().await {
            let org = begin(&store, "a").await;
            sqlx::query(
                "INSERT INTO integration_grants (id, org_id, xero_user_id, auth_event_id, scopes, access_token_enc, \
                 refresh_token_enc, expires_at, refresh_token_issued_at, status, created_at) \
                 VALUES ('g', $1, '', '', '', '', '', 0, 0, 'active', 0)",
            )
            .bind(org.as_str())
            .execute(store.pool())
            .await
            .unwrap();
            let tenant = Tenant {
                connection_id: "c".into(),
                tenant_id: "t".into(),
                tenant_name: "Harbour \"Coffee\"".into(),
                tenant_type: "ORGANISATION".into(),
            };
            assert!(store.take_pending(&org, "a").await.unwrap().is_none(), "{name}");
            store.hold_for_confirmation("a", &"g".into(), std::slice::from_ref(&tenant)).await.unwrap();
            store.clock().advance(STATE_LIFE + 1);
            begin(&store, "b").await;

            let waiting = store.pending_confirmations(&org).await.unwrap();
            let question = PendingConfirmation { id: "a".into(), tenant_names: vec![tenant.tenant_name.clone()] };
            assert_eq!(waiting, [question], "{name}");
            assert!(store.take_pending(&"other".into(), "a").await.unwrap().is_none(), "{name}");
            let taken = store.take_pending(&org, "a").await.unwrap();
            assert_eq!(taken, Some(Pending { grant: "g".into(), tenants: vec![tenant] }), "{name}");
            assert!(store.take_pending(&org, "a").await.unwrap().is_none(), "{name}");
        }
    }
}
