//! Consents that connect links start: their single-use `state`, and what they bind. `link_outcomes` has how they end.

use crate::server::store::live::changes::ChangeTx;
use sqlx::Row;

use super::bindings::BindOutcome;
use super::connect_links::ConnectLink;
use super::labels::NewLabels;
use super::link_outcomes::{LinkUse, take_pending_of_link};
use super::oauth_states::{OAUTH_STATE_LIFETIME, PendingConsent};
use crate::model::{Action, ConnectLinkId, GrantId, LinkOutcome, UserId};
use crate::server::crypto::sealed::SealContext;
use crate::server::domain::{AuditEvent, Secret, Tenant, latest_plausible};
use crate::server::store::notifications::contacts::add_invited_contact;
use crate::server::store::text_values::optional_text_value;
use crate::server::store::{RowChange, Store, StoreError};

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
    /// Its callback came before, and the consent is being completed.
    Running,
    /// Its consent has ended like this; `None` if the link's page says it: the link was used or cancelled meanwhile, or the
    /// server stopped.
    Ended(Option<LinkOutcome>),
}

/// What binding by a link did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkBinding {
    /// The tenants are bound, and the link is used up.
    Bound,
    /// Nothing is bound: the link was used or cancelled meanwhile.
    LinkOver,
    /// Nothing is bound, and the link stays open: the grant is revoked.
    GrantOver,
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
        let Some(row) = row else { return self.link_state_of_before(hash).await };
        let sealed: String = row.try_get("code_verifier_enc")?;
        let verifier = self
            .ring
            .open(&SealContext::PkceVerifier { state_hash: hash }, &sealed)
            .map_err(|source| StoreError::Cipher { what: "consent", id: hash.to_owned(), source })?;
        Ok(ConsumedLinkState::Valid { verifier, scopes: row.try_get("scopes")? })
    }

    /// Returns why a `state` was not consumed.
    async fn link_state_of_before(&self, hash: &str) -> Result<ConsumedLinkState, StoreError> {
        let row = sqlx::query("SELECT consumed_at, ended_at, outcome FROM connect_link_states WHERE id_hash = $1");
        let Some(row) = row.bind(hash).fetch_optional(self.pool()).await? else {
            return Ok(ConsumedLinkState::Expired);
        };
        if row.try_get::<Option<i64>, _>("ended_at")?.is_some() {
            return Ok(ConsumedLinkState::Ended(optional_text_value(&row, "connect_link_states", "outcome")?));
        }
        Ok(match row.try_get::<Option<i64>, _>("consumed_at")? {
            Some(at) if at > self.clock().now() - OAUTH_STATE_LIFETIME => ConsumedLinkState::Running,
            // The server stopped meanwhile.
            Some(_) => ConsumedLinkState::Ended(None),
            None => ConsumedLinkState::Expired,
        })
    }

    /// Returns whether a consent that the link started has not come back yet.
    pub async fn has_link_consent_under_way(&self, id: &ConnectLinkId) -> Result<bool, StoreError> {
        let now = self.clock().now();
        let row = sqlx::query(
            "SELECT id_hash FROM connect_link_states WHERE link_id = $1 AND consumed_at IS NULL AND ended_at IS NULL \
             AND expires_at > $2 AND expires_at <= $3 LIMIT 1",
        );
        let row = row.bind(id.as_str()).bind(now).bind(latest_plausible(OAUTH_STATE_LIFETIME, now));
        Ok(row.fetch_optional(self.pool()).await?.is_some())
    }

    /// Consumes the `state` of the link's newest consent under way, whose callback does not name it. Returns its hash, and
    /// the scopes that it asked for. `None` if there is none any more.
    pub async fn consume_link_consent_under_way(
        &self,
        id: &ConnectLinkId,
    ) -> Result<Option<(String, Option<String>)>, StoreError> {
        let now = self.clock().now();
        let row = sqlx::query(
            "UPDATE connect_link_states SET consumed_at = $2 WHERE consumed_at IS NULL AND id_hash = \
             (SELECT id_hash FROM connect_link_states WHERE link_id = $1 AND consumed_at IS NULL AND ended_at IS NULL \
             AND expires_at > $2 AND expires_at <= $3 ORDER BY created_at DESC, id_hash LIMIT 1) \
             RETURNING id_hash, scopes",
        )
        .bind(id.as_str())
        .bind(now)
        .bind(latest_plausible(OAUTH_STATE_LIFETIME, now))
        .fetch_optional(self.pool())
        .await?;
        row.map(|row| Ok((row.try_get("id_hash")?, row.try_get("scopes")?))).transpose()
    }

    /// Binds the tenants of a link's consent and uses the link up, in one transaction.
    pub async fn bind_by_link(
        &self,
        usage: &LinkUse<'_>,
        grant: &GrantId,
        tenants: &[Tenant],
    ) -> Result<LinkBinding, StoreError> {
        let link = usage.link;
        let mut transaction = self.begin_change_tx().await?;
        if self.end_link(&mut transaction, usage, LinkOutcome::Connected, tenants).await? == RowChange::NotFound {
            transaction.commit().await?;
            return Ok(LinkBinding::LinkOver);
        }
        let labels = NewLabels { external_id: link.external_id.as_deref(), tags: &link.tags };
        let bound = self.bind_tenants(&mut transaction, &link.org, grant, tenants, None, &labels).await?;
        if bound.is_empty() {
            return Ok(LinkBinding::GrantOver);
        }
        self.add_link_contact(&mut transaction, link, &bound).await?;
        transaction.commit().await?;
        Ok(LinkBinding::Bound)
    }

    /// Keeps a link's consent until a member confirms it, and uses the link up. `NotFound` if the link was used or
    /// cancelled meanwhile.
    pub async fn await_confirmation_of_link(
        &self,
        usage: &LinkUse<'_>,
        grant: &GrantId,
        tenants: &[Tenant],
    ) -> Result<RowChange, StoreError> {
        let mut transaction = self.begin_change_tx().await?;
        let ended = self.end_link(&mut transaction, usage, LinkOutcome::Waiting, tenants).await?;
        if ended == RowChange::Applied {
            sqlx::query(
                "UPDATE connect_link_states SET pending_grant_id = $1, pending_tenants = $2 WHERE id_hash = $3",
            )
            .bind(grant.as_str())
            .bind(serde_json::json!(tenants).to_string())
            .bind(usage.state_hash)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(ended)
    }

    /// Binds the tenants of the link's consent with this id, which the user has confirmed. `None` if it no longer waits.
    pub async fn bind_confirmed_link(
        &self,
        link: &ConnectLink,
        id: &str,
        by: &UserId,
    ) -> Result<Option<Vec<BindOutcome>>, StoreError> {
        let mut transaction = self.begin_change_tx().await?;
        let taken = take_pending_of_link(&mut transaction, &link.org, id).await?;
        let Some((_, PendingConsent { grant, tenants })) = taken else { return Ok(None) };
        let labels = NewLabels { external_id: link.external_id.as_deref(), tags: &link.tags };
        let bound = self.bind_tenants(&mut transaction, &link.org, &grant, &tenants, Some(by), &labels).await?;
        self.add_link_contact(&mut transaction, link, &bound).await?;
        // The grant may have ended while the consent waited.
        let outcome = if bound.is_empty() { LinkOutcome::Failed } else { LinkOutcome::Connected };
        self.answer_link(&mut transaction, &link.id, outcome).await?;
        transaction.commit().await?;
        Ok(Some(bound))
    }

    /// Makes the person to whom a link was sent a contact of what it connected.
    async fn add_link_contact(
        &self,
        transaction: &mut ChangeTx,
        link: &ConnectLink,
        bound: &[BindOutcome],
    ) -> Result<(), StoreError> {
        let Some(email) = &link.email else { return Ok(()) };
        for BindOutcome { binding_id, .. } in bound {
            add_invited_contact(transaction, &link.org, binding_id, email, self.clock().now()).await?;
        }
        Ok(())
    }
}
