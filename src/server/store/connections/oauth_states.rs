//! Consents in progress: the single-use OAuth `state`, its PKCE verifier, and consents that wait for confirmation.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::link_outcomes::take_pending_of_link;
use crate::model::{GrantId, LinkOutcome, OrgId, PendingConfirmation, UserId};
use crate::server::crypto::sealed::SealContext;
use crate::server::domain::{Secret, Tenant, latest_plausible};
use crate::server::store::connections::shared_connections::is_shared_user_new_here;
use crate::server::store::json_rows::{JsonRows, json_rows_sql};
use crate::server::store::{Store, StoreError};

/// Seconds in which the callback of a consent must arrive.
pub const OAUTH_STATE_LIFETIME: i64 = 10 * 60;

/// A consent about to start. Only the hash of its `state` is stored.
pub struct NewOauthState<'a> {
    /// The hash of the `state`.
    pub hash: &'a str,
    /// The organization that connects to Xero.
    pub org: &'a OrgId,
    /// The user who started the consent.
    pub user: &'a UserId,
    /// The hash of the only session that may finish it.
    pub session_hash: &'a str,
    /// The PKCE code verifier, which is stored sealed.
    pub verifier: &'a Secret,
    /// The scopes that the consent asks for, separated by spaces.
    pub scopes: &'a str,
}

/// The result of consuming a `state`.
pub enum ConsumedState {
    /// Valid, and now used.
    Valid {
        /// The organization that connects to Xero.
        org: OrgId,
        /// The user who started the consent.
        user: UserId,
        /// The PKCE code verifier for the code exchange.
        verifier: Secret,
        /// The scopes that the consent asked for; `None` if an earlier version began it.
        scopes: Option<String>,
    },
    /// Another session started it and may still finish it, or another person started it.
    OtherSession,
    /// The same person used it before.
    Used {
        /// What became of the consent; `None` while it is being completed.
        outcome: Option<String>,
    },
    /// Unknown or expired.
    Invalid,
}

/// A consent that waits for confirmation.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingConsent {
    /// The grant that the consent created.
    pub grant: GrantId,
    /// The tenants that the consent would bind.
    pub tenants: Vec<Tenant>,
}

impl Store {
    /// Stores the state of a new consent, and deletes expired ones that do not wait for confirmation.
    pub async fn insert_oauth_state(&self, new: NewOauthState<'_>) -> Result<(), StoreError> {
        let now = self.clock().now();
        let verifier = self
            .ring
            .seal(&SealContext::PkceVerifier { state_hash: new.hash }, new.verifier.expose())
            .map_err(|source| StoreError::Cipher { what: "consent", id: new.hash.to_owned(), source })?;
        sqlx::query("DELETE FROM oauth_states WHERE expires_at <= $1 AND pending_grant_id IS NULL")
            .bind(now)
            .execute(self.pool())
            .await?;
        sqlx::query(
            "INSERT INTO oauth_states (id_hash, org_id, user_id, session_hash, code_verifier_enc, created_at, expires_at, \
             scopes) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(new.hash)
        .bind(new.org.as_str())
        .bind(new.user.as_str())
        .bind(new.session_hash)
        .bind(verifier)
        .bind(now)
        .bind(now + OAUTH_STATE_LIFETIME)
        .bind(new.scopes)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Consumes a `state`. A single statement decides, so only one of two concurrent callbacks succeeds.
    pub async fn consume_oauth_state(
        &self,
        hash: &str,
        session_hash: &str,
        user: &UserId,
    ) -> Result<ConsumedState, StoreError> {
        let now = self.clock().now();
        let row = sqlx::query(
            "UPDATE oauth_states SET consumed_at = $1 \
             WHERE id_hash = $2 AND session_hash = $3 AND consumed_at IS NULL AND expires_at > $1 AND expires_at <= $4 \
             RETURNING org_id, user_id, code_verifier_enc, scopes",
        )
        .bind(now)
        .bind(hash)
        .bind(session_hash)
        .bind(latest_plausible(OAUTH_STATE_LIFETIME, now))
        .fetch_optional(self.pool())
        .await?;
        let Some(row) = row else { return self.consume_rejection(hash, session_hash, user).await };
        let sealed: String = row.try_get("code_verifier_enc")?;
        let verifier = self
            .ring
            .open(&SealContext::PkceVerifier { state_hash: hash }, &sealed)
            .map_err(|source| StoreError::Cipher { what: "consent", id: hash.to_owned(), source })?;
        let (org, user) = (OrgId(row.try_get("org_id")?), UserId(row.try_get("user_id")?));
        Ok(ConsumedState::Valid { org, user, verifier, scopes: row.try_get("scopes")? })
    }

    async fn consume_rejection(
        &self,
        hash: &str,
        session_hash: &str,
        user: &UserId,
    ) -> Result<ConsumedState, StoreError> {
        let row = sqlx::query(
            "SELECT user_id, session_hash, consumed_at, outcome, expires_at FROM oauth_states WHERE id_hash = $1",
        )
        .bind(hash)
        .fetch_optional(self.pool())
        .await?;
        let Some(row) = row else { return Ok(ConsumedState::Invalid) };
        let is_theirs = row.try_get::<String, _>("user_id")? == user.as_str();
        if is_theirs && row.try_get::<Option<i64>, _>("consumed_at")?.is_some() {
            return Ok(ConsumedState::Used { outcome: row.try_get("outcome")? });
        }
        let is_open = row.try_get::<i64, _>("expires_at")? > self.clock().now();
        let is_other = row.try_get::<String, _>("session_hash")? != session_hash;
        Ok(if is_open && is_other { ConsumedState::OtherSession } else { ConsumedState::Invalid })
    }

    /// Stores what became of a consent, unless that is known already.
    pub async fn record_consent_outcome(&self, hash: &str, outcome: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE oauth_states SET outcome = $1 WHERE id_hash = $2 AND outcome IS NULL")
            .bind(outcome)
            .bind(hash)
            .execute(self.pool())
            .await?;
        Ok(())
    }

    /// Stores a finished consent until a person confirms that it may take over tenants.
    pub async fn store_pending_consent(
        &self,
        hash: &str,
        grant: &GrantId,
        tenants: &[Tenant],
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE oauth_states SET pending_grant_id = $1, pending_tenants = $2 WHERE id_hash = $3")
            .bind(grant.as_str())
            .bind(serde_json::json!(tenants).to_string())
            .bind(hash)
            .execute(self.pool())
            .await?;
        Ok(())
    }

    /// Returns the organization's consents that wait for confirmation, oldest first, for the settings page.
    pub async fn pending_confirmations(&self, org: &OrgId) -> Result<Vec<PendingConfirmation>, StoreError> {
        let rows = sqlx::query(json_rows_sql!(
            self.database.kind(),
            concat!(
                "SELECT p.id_hash, p.pending_tenants, p.by_link, g.xero_user_id, ",
                is_shared_user_new_here!(),
                " AS is_shared_user, (SELECT "
            ),
            "b.tenant_id, used.xero_user_id",
            "FROM integration_tenant_bindings b JOIN integration_grants used ON used.id = b.active_grant_id \
             WHERE b.org_id = $1) AS list FROM (SELECT id_hash, pending_grant_id, pending_tenants, created_at, \
             CAST(0 AS BIGINT) AS by_link FROM oauth_states \
             WHERE org_id = $1 AND pending_grant_id IS NOT NULL UNION ALL \
             SELECT id_hash, pending_grant_id, pending_tenants, created_at, CAST(1 AS BIGINT) FROM connect_link_states \
             WHERE org_id = $1 AND pending_grant_id IS NOT NULL) p \
             LEFT JOIN integration_grants g ON g.id = p.pending_grant_id ORDER BY p.created_at, p.id_hash"
        ))
        .bind(org.as_str())
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(confirmation_from).collect()
    }

    /// Returns the organization's consents that wait for confirmation with their ids, oldest first.
    pub async fn pending_consents(&self, org: &OrgId) -> Result<Vec<(String, PendingConsent)>, StoreError> {
        sqlx::query(
            "SELECT id_hash, pending_grant_id, pending_tenants, created_at FROM oauth_states \
             WHERE org_id = $1 AND pending_grant_id IS NOT NULL UNION ALL \
             SELECT id_hash, pending_grant_id, pending_tenants, created_at FROM connect_link_states \
             WHERE org_id = $1 AND pending_grant_id IS NOT NULL ORDER BY created_at, id_hash",
        )
        .bind(org.as_str())
        .fetch_all(self.pool())
        .await?
        .iter()
        .map(|row| Ok((row.try_get("id_hash")?, pending_consent_from(row)?)))
        .collect()
    }

    /// Removes and returns a consent that waits for confirmation. Only one of two concurrent calls gets it. If it came by
    /// a link, nobody has confirmed it.
    pub async fn remove_pending_consent(&self, org: &OrgId, id: &str) -> Result<Option<PendingConsent>, StoreError> {
        let row = sqlx::query(
            "DELETE FROM oauth_states WHERE id_hash = $1 AND org_id = $2 AND pending_grant_id IS NOT NULL \
             RETURNING pending_grant_id, pending_tenants",
        );
        if let Some(row) = row.bind(id).bind(org.as_str()).fetch_optional(self.pool()).await? {
            return pending_consent_from(&row).map(Some);
        }
        let mut transaction = self.database().begin().await?;
        let Some((link, pending)) = take_pending_of_link(&mut transaction, org, id).await? else { return Ok(None) };
        self.answer_link(&mut transaction, &link, LinkOutcome::NotConfirmed).await?;
        transaction.commit().await?;
        Ok(Some(pending))
    }
}

fn confirmation_from(row: &AnyRow) -> Result<PendingConfirmation, StoreError> {
    let tenants = parse_tenants(row.try_get("pending_tenants")?)?;
    let user: Option<String> = row.try_get("xero_user_id")?;
    let bound: Vec<(String, String)> = JsonRows::of(row, "list")?.read()?;
    let has_other_user =
        |tenant: &Tenant| bound.iter().any(|(id, current)| *id == tenant.id && Some(current) != user.as_ref());
    Ok(PendingConfirmation {
        id: row.try_get("id_hash")?,
        replaces_user: tenants.iter().any(has_other_user),
        is_shared_user: row.try_get::<i64, _>("is_shared_user")? > 0,
        by_link: row.try_get::<i64, _>("by_link")? > 0,
        tenant_names: tenants.into_iter().map(|tenant| tenant.name).collect(),
    })
}

pub(super) fn pending_consent_from(row: &AnyRow) -> Result<PendingConsent, StoreError> {
    let grant = GrantId(row.try_get("pending_grant_id")?);
    Ok(PendingConsent { grant, tenants: parse_tenants(row.try_get("pending_tenants")?)? })
}

fn parse_tenants(text: String) -> Result<Vec<Tenant>, StoreError> {
    serde_json::from_str(&text).map_err(|_| StoreError::UnknownValue {
        table: "oauth_states",
        column: "pending_tenants",
        value: text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::testing::each_store;
    use crate::server::store::testing::grants::{TestGrant, tenant};
    use crate::server::store::{NewUser, UserOrg};

    async fn start_consent(store: &Store, hash: &str) -> OrgId {
        start_consent_of(store, hash).await.0
    }

    async fn start_consent_of(store: &Store, hash: &str) -> (OrgId, UserId) {
        let email = format!("{hash}@example.com");
        let new =
            NewUser { email: &email, password_hash: &Secret::new("hash"), org: Some(UserOrg::New("Harbour Coffee")) };
        let added = store.add_user(new).await.unwrap();
        let org = added.org.unwrap().0;
        let verifier = Secret::new("the verifier");
        let (user, session_hash, scopes) = (&added.user, "mine", "openid");
        let state = NewOauthState { hash, org: &org, user, session_hash, verifier: &verifier, scopes };
        store.insert_oauth_state(state).await.unwrap();
        (org, added.user)
    }

    #[apply(each_store!)]
    async fn state_is_valid_once_for_its_session_until_it_expires(store: Store) {
        let (org, ann) = start_consent_of(&store, "a").await;
        let eve = UserId("eve".into());
        let consume = async |hash, session, user| store.consume_oauth_state(hash, session, user).await.unwrap();
        assert!(matches!(consume("a", "theirs", &ann).await, ConsumedState::OtherSession));
        assert!(matches!(consume("a", "theirs", &eve).await, ConsumedState::OtherSession));
        let ConsumedState::Valid { org: bound, verifier, scopes, .. } = consume("a", "mine", &ann).await else {
            panic!("a fresh state is refused");
        };
        assert_eq!((bound, verifier.expose(), scopes.as_deref()), (org, "the verifier", Some("openid")));
        assert!(matches!(consume("a", "mine", &ann).await, ConsumedState::Used { outcome: None }));
        store.record_consent_outcome("a", "connected").await.unwrap();
        for session in ["mine", "after signing in again"] {
            let ConsumedState::Used { outcome } = consume("a", session, &ann).await else { panic!("{session}") };
            assert_eq!(outcome.as_deref(), Some("connected"), "{session}");
        }
        assert!(!matches!(consume("a", "theirs", &eve).await, ConsumedState::Used { .. }), "nobody else learns it");
        assert!(matches!(consume("unknown", "mine", &ann).await, ConsumedState::Invalid));

        let (_, ben) = start_consent_of(&store, "b").await;
        store.clock().advance(OAUTH_STATE_LIFETIME);
        assert!(matches!(consume("b", "mine", &ben).await, ConsumedState::Invalid));
        start_consent(&store, "c").await;
        let row = sqlx::query("SELECT COUNT(*) AS n FROM oauth_states").fetch_one(store.pool()).await.unwrap();
        assert_eq!(row.get::<i64, _>("n"), 1, "expired states are still there");
    }

    #[apply(each_store!)]
    async fn state_of_a_clock_that_was_set_back_has_expired(store: Store) {
        let (_, ann) = start_consent_of(&store, "a").await;
        store.clock().advance(-13 * 60 * 60);
        assert!(matches!(store.consume_oauth_state("a", "mine", &ann).await.unwrap(), ConsumedState::Invalid));
        assert_eq!(store.delete_expired().await.unwrap(), 1);
    }

    #[apply(each_store!)]
    async fn only_one_of_concurrent_callbacks_succeeds(store: Store) {
        let (_, ann) = start_consent_of(&store, "a").await;
        let tries = (0..8).map(|_| store.consume_oauth_state("a", "mine", &ann));
        let results = futures::future::join_all(tries).await;
        let fresh = results.into_iter().filter(|result| matches!(result, Ok(ConsumedState::Valid { .. }))).count();
        assert_eq!(fresh, 1);
    }

    #[apply(each_store!)]
    async fn pending_consent_stays_until_its_organization_takes_it(store: Store) {
        let org = start_consent(&store, "a").await;
        let (grant, tenant) = (TestGrant::of(&store, &org).insert().await, tenant("Harbour \"Coffee\""));
        assert!(store.remove_pending_consent(&org, "a").await.unwrap().is_none());
        store.store_pending_consent("a", &grant, std::slice::from_ref(&tenant)).await.unwrap();
        store.clock().advance(OAUTH_STATE_LIFETIME + 1);
        start_consent(&store, "b").await;

        let waiting = store.pending_confirmations(&org).await.unwrap();
        let question = PendingConfirmation {
            id: "a".into(),
            tenant_names: vec![tenant.name.clone()],
            replaces_user: false,
            is_shared_user: false,
            by_link: false,
        };
        assert_eq!(waiting, [question]);
        assert!(store.remove_pending_consent(&"other".into(), "a").await.unwrap().is_none());
        let taken = store.remove_pending_consent(&org, "a").await.unwrap();
        assert_eq!(taken, Some(PendingConsent { grant, tenants: vec![tenant] }));
        assert!(store.remove_pending_consent(&org, "a").await.unwrap().is_none());
    }
}
