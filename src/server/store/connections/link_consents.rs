//! Consents that connect links start: their single-use `state`, and what becomes of them.

use sqlx::{AnyConnection, Row};

use super::bindings::BindOutcome;
use super::connect_links::ConnectLink;
use super::labels::NewLabels;
use super::oauth_states::{OAUTH_STATE_LIFETIME, PendingConsent};
use crate::model::{Action, ConnectLinkId, GrantId, LinkOutcome, OrgId, UserId};
use crate::server::crypto::sealed::SealContext;
use crate::server::domain::{AuditEvent, Secret, Tenant, latest_plausible};
use crate::server::store::notifications::contacts::add_invited_contact;
use crate::server::store::{Store, StoreError};

/// The result of consuming a `state` that a link started.
pub enum ConsumedLinkState {
    /// Valid, and now used.
    Valid {
        /// The PKCE code verifier for the code exchange.
        verifier: Secret,
        /// The scopes that the consent asked for; `None` if an earlier version began it.
        scopes: Option<String>,
    },
    /// Its ten minutes are over.
    Expired,
    /// It was used already.
    Used,
}

impl Store {
    /// Stores the state of a consent that a link starts, with the scopes that it asks for, and audits it with the browser's name.
    pub async fn insert_link_state(
        &self,
        hash: &str,
        link: &ConnectLink,
        (verifier, scopes): (&Secret, &str),
        browser: &str,
    ) -> Result<(), StoreError> {
        let now = self.clock().now();
        let verifier = self
            .ring
            .seal(&SealContext::PkceVerifier { state_hash: hash }, verifier.expose())
            .map_err(|source| StoreError::Cipher { what: "consent", id: hash.to_owned(), source })?;
        let mut transaction = self.database.begin().await?;
        sqlx::query(
            "INSERT INTO connect_link_states (id_hash, org_id, link_id, code_verifier_enc, created_at, expires_at, scopes) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(hash)
        .bind(link.org.as_str())
        .bind(link.id.as_str())
        .bind(verifier)
        .bind(now)
        .bind(now + OAUTH_STATE_LIFETIME)
        .bind(scopes)
        .execute(&mut *transaction)
        .await?;
        let event = AuditEvent::new(self.actor(), Action::ConnectLinkStarted).in_org(&link.org);
        let event = event.subject("connect_link", &link.id).detail("link", &link.id).detail("note", &link.note);
        self.record(&mut transaction, &event.detail("browser", browser)).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Returns the link that started the consent with this state, used or not.
    pub async fn link_of_state(&self, hash: &str) -> Result<Option<ConnectLink>, StoreError> {
        let row = sqlx::query("SELECT link_id FROM connect_link_states WHERE id_hash = $1")
            .bind(hash)
            .fetch_optional(self.pool())
            .await?;
        match row {
            Some(row) => self.connect_link(&ConnectLinkId(row.try_get("link_id")?)).await,
            None => Ok(None),
        }
    }

    /// Consumes a `state`. A single statement decides, so only one of two concurrent callbacks succeeds.
    pub async fn consume_link_state(&self, hash: &str) -> Result<ConsumedLinkState, StoreError> {
        let now = self.clock().now();
        let row = sqlx::query(
            "UPDATE connect_link_states SET consumed_at = $1 WHERE id_hash = $2 AND consumed_at IS NULL \
             AND expires_at > $1 AND expires_at <= $3 RETURNING code_verifier_enc, scopes",
        )
        .bind(now)
        .bind(hash)
        .bind(latest_plausible(OAUTH_STATE_LIFETIME, now))
        .fetch_optional(self.pool())
        .await?;
        let Some(row) = row else {
            let used =
                sqlx::query("SELECT id_hash FROM connect_link_states WHERE id_hash = $1 AND consumed_at IS NOT NULL");
            let used = used.bind(hash).fetch_optional(self.pool()).await?.is_some();
            return Ok(if used { ConsumedLinkState::Used } else { ConsumedLinkState::Expired });
        };
        let sealed: String = row.try_get("code_verifier_enc")?;
        let verifier = self
            .ring
            .open(&SealContext::PkceVerifier { state_hash: hash }, &sealed)
            .map_err(|source| StoreError::Cipher { what: "consent", id: hash.to_owned(), source })?;
        Ok(ConsumedLinkState::Valid { verifier, scopes: row.try_get("scopes")? })
    }

    /// Binds the tenants of a link's consent and uses the link up, in one transaction. Binds nothing and returns an empty
    /// list if the link was used or cancelled meanwhile, or the grant is revoked.
    pub async fn bind_by_link(
        &self,
        link: &ConnectLink,
        grant: &GrantId,
        tenants: &[Tenant],
        browser: &str,
    ) -> Result<Vec<BindOutcome>, StoreError> {
        let mut transaction = self.begin_change_tx().await?;
        if !self.end_link(&mut transaction, link, LinkOutcome::Connected, tenants, browser).await? {
            return Ok(Vec::new());
        }
        let labels = NewLabels { external_id: link.external_id.as_deref(), tags: &link.tags };
        let bound = self.bind_tenants(&mut transaction, &link.org, grant, tenants, None, &labels).await?;
        self.add_link_contact(&mut transaction, link, &bound).await?;
        if !bound.is_empty() {
            transaction.commit().await?;
        }
        Ok(bound)
    }

    /// Keeps a link's consent until a member confirms it, and uses the link up. Returns whether the link was still open.
    pub async fn await_confirmation_of_link(
        &self,
        link: &ConnectLink,
        state_hash: &str,
        grant: &GrantId,
        tenants: &[Tenant],
        browser: &str,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.begin_change_tx().await?;
        if !self.end_link(&mut transaction, link, LinkOutcome::Waiting, tenants, browser).await? {
            return Ok(false);
        }
        sqlx::query("UPDATE connect_link_states SET pending_grant_id = $1, pending_tenants = $2 WHERE id_hash = $3")
            .bind(grant.as_str())
            .bind(serde_json::json!(tenants).to_string())
            .bind(state_hash)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Binds the tenants of a link's consent that the user has confirmed.
    pub async fn bind_confirmed_link(
        &self,
        link: &ConnectLink,
        pending: &PendingConsent,
        by: &UserId,
    ) -> Result<Vec<BindOutcome>, StoreError> {
        let mut transaction = self.begin_change_tx().await?;
        sqlx::query("UPDATE connect_links SET outcome = $1 WHERE id = $2")
            .bind(LinkOutcome::Connected.as_str())
            .bind(link.id.as_str())
            .execute(&mut *transaction)
            .await?;
        let labels = NewLabels { external_id: link.external_id.as_deref(), tags: &link.tags };
        let PendingConsent { grant, tenants } = pending;
        let bound = self.bind_tenants(&mut transaction, &link.org, grant, tenants, Some(by), &labels).await?;
        self.add_link_contact(&mut transaction, link, &bound).await?;
        transaction.commit().await?;
        Ok(bound)
    }

    /// Makes the person to whom a link was sent a contact of what it connected.
    async fn add_link_contact(
        &self,
        connection: &mut AnyConnection,
        link: &ConnectLink,
        bound: &[BindOutcome],
    ) -> Result<(), StoreError> {
        let Some(email) = &link.email else { return Ok(()) };
        for BindOutcome { binding_id, .. } in bound {
            add_invited_contact(connection, &link.org, binding_id, email, self.clock().now()).await?;
        }
        Ok(())
    }

    /// Remembers what became of a consent that connected nothing. The link stays open.
    pub async fn note_link_outcome(
        &self,
        link: &ConnectLink,
        outcome: LinkOutcome,
        chosen: &[Tenant],
        browser: &str,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin_change_tx().await?;
        sqlx::query(
            "UPDATE connect_links SET outcome = $1, outcome_at = $2, outcome_names = $3 \
             WHERE id = $4 AND used_at IS NULL",
        )
        .bind(outcome.as_str())
        .bind(self.clock.now())
        .bind(names(chosen))
        .bind(link.id.as_str())
        .execute(&mut *transaction)
        .await?;
        self.record_link_use(&mut transaction, link, outcome, chosen, browser).await?;
        transaction.commit().await
    }

    async fn end_link(
        &self,
        connection: &mut AnyConnection,
        link: &ConnectLink,
        outcome: LinkOutcome,
        tenants: &[Tenant],
        browser: &str,
    ) -> Result<bool, StoreError> {
        let claimed = sqlx::query(
            "UPDATE connect_links SET used_at = $1, outcome = $2, outcome_at = $1, outcome_names = $3 \
             WHERE id = $4 AND used_at IS NULL AND cancelled_at IS NULL",
        )
        .bind(self.clock.now())
        .bind(outcome.as_str())
        .bind(names(tenants))
        .bind(link.id.as_str())
        .execute(&mut *connection)
        .await?;
        if claimed.rows_affected() == 0 {
            return Ok(false);
        }
        self.record_link_use(connection, link, outcome, tenants, browser).await?;
        Ok(true)
    }

    async fn record_link_use(
        &self,
        connection: &mut AnyConnection,
        link: &ConnectLink,
        outcome: LinkOutcome,
        tenants: &[Tenant],
        browser: &str,
    ) -> Result<(), StoreError> {
        let event = AuditEvent::new(self.actor(), Action::ConnectLinkUsed).in_org(&link.org);
        let event =
            event.subject("connect_link", &link.id).detail("link", &link.id).detail("outcome", outcome.as_str());
        let chosen: Vec<&str> = tenants.iter().map(|tenant| tenant.name.as_str()).collect();
        self.record(connection, &event.detail("chosen", chosen.join(", ")).detail("browser", browser)).await
    }

    /// Deletes link consents that have ended and that nobody was asked about, or nobody answered since `asked_before`.
    pub(in crate::server::store) async fn delete_ended_link_states(
        &self,
        asked_before: i64,
    ) -> Result<u64, StoreError> {
        let now = self.clock.now();
        let done = sqlx::query(
            "DELETE FROM connect_link_states WHERE (expires_at <= $1 OR expires_at > $3) \
             AND (pending_grant_id IS NULL OR created_at <= $2)",
        )
        // A day longer than a consent lasts, so that a late callback still finds its link.
        .bind(now - 24 * 60 * 60)
        .bind(asked_before)
        .bind(latest_plausible(OAUTH_STATE_LIFETIME, now))
        .execute(self.pool())
        .await?;
        Ok(done.rows_affected())
    }
}

/// Ends the open links that a person created in the organization.
pub(in crate::server::store) async fn cancel_links_of(
    connection: &mut AnyConnection,
    org: &OrgId,
    user: &UserId,
    now: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE connect_links SET cancelled_at = $1 WHERE org_id = $2 AND created_by_user = $3 \
         AND used_at IS NULL AND cancelled_at IS NULL",
    )
    .bind(now)
    .bind(org.as_str())
    .bind(user.as_str())
    .execute(connection)
    .await?;
    Ok(())
}

fn names(tenants: &[Tenant]) -> String {
    serde_json::json!(tenants.iter().map(|tenant| &tenant.name).collect::<Vec<_>>()).to_string()
}
