//! Inserts, reads and revokes grants, and seals and opens their tokens.

pub mod attempts;
pub mod commit;
pub mod due;
pub mod export;
pub mod lease_guard;
pub mod leases;
pub mod protocol;
pub mod recovered;
pub mod refusal;
pub mod rescue;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::column_lists::{columns, grant_columns};
use super::text_values::text_value;
use super::{Store, StoreError, new_id};
use crate::model::{FailureCause, GrantId, OrgId};
use crate::server::crypto::sealed::{CipherError, SealContext, TokenField};
use crate::server::domain::{
    AccessToken, AppIdentity, Grant, Lease, Predecessor, RefreshToken, SealedRotation, SealedToken, SealedTokens,
    TokenSet, TokenTimes,
};
use attempts::close_abandoned;

/// The token set of a new consent.
pub struct NewGrant {
    /// Organization that will own the grant.
    pub org_id: OrgId,
    /// Empty if the access token names no user.
    pub xero_user_id: String,
    /// Xero's `authentication_event_id`; empty if the access token has no such claim.
    pub auth_event_id: String,
    /// Tokens of the consent, not yet sealed.
    pub tokens: TokenSet,
}

impl Store {
    /// Seals and stores a consent's tokens in a transaction of its own, so that a later failure cannot lose them.
    pub async fn insert_grant(&self, new: NewGrant) -> Result<GrantId, StoreError> {
        let id = new_id();
        self.insert_grant_as(&id, &new).await?;
        Ok(id)
    }

    /// Like [`Self::insert_grant`], with an id that the caller has chosen. Does nothing if the grant is there: the answer
    /// to an earlier try was lost.
    pub async fn insert_grant_as(&self, id: &GrantId, new: &NewGrant) -> Result<(), StoreError> {
        let mut connection = self.pool().acquire().await?;
        self.insert_grant_on(&mut connection, id, new).await
    }

    /// Like [`Self::insert_grant_as`], in the caller's transaction.
    pub async fn insert_grant_on(
        &self,
        connection: &mut AnyConnection,
        id: &GrantId,
        new: &NewGrant,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let sealed = self.seal_tokens(&new.org_id, id, 0, &new.tokens)?;
        let due = self.plan().due(id, TokenTimes::received(now, new.tokens.expires_at));
        sqlx::query(
            "INSERT INTO integration_grants (id, org_id, client_id, issuer, xero_user_id, auth_event_id, scopes, access_token_enc, \
             refresh_token_enc, expires_at, refresh_token_issued_at, status, generation, last_refreshed_at, created_at, \
             last_used_at, due_at, connections_read_at) \
             VALUES ($1, $2, $13, $14, $3, $4, $5, $6, $7, $8, $9, 'active', 0, $9, $9, \
             (SELECT last_used_at FROM organizations WHERE id = $2), \
             CASE WHEN COALESCE((SELECT last_used_at FROM organizations WHERE id = $2), 0) > $10 THEN $11 ELSE $12 END, \
             $9) ON CONFLICT (id) DO NOTHING",
        )
        .bind(id.as_str())
        .bind(new.org_id.as_str())
        .bind(&new.xero_user_id)
        .bind(&new.auth_event_id)
        .bind(&new.tokens.scopes)
        .bind(sealed.access)
        .bind(sealed.refresh)
        .bind(new.tokens.expires_at)
        .bind(now)
        .bind(due.hot_if_used_after)
        .bind(due.hot)
        .bind(due.cold)
        .bind(&self.app.client_id)
        .bind(&self.app.issuer)
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Returns the grant of any organization. Callers must already hold a binding of their organization to it.
    pub async fn grant(&self, id: &GrantId) -> Result<Option<Grant>, StoreError> {
        let row = sqlx::query(concat!("SELECT ", grant_columns!(""), " FROM integration_grants WHERE id = $1"))
            .bind(id.as_str())
            .fetch_optional(self.pool())
            .await?;
        row.as_ref().map(|row| grant_from(row, self.clock.now())).transpose()
    }

    /// Opens the access token only, for an API call.
    pub fn open_access(&self, grant: &Grant) -> Result<AccessToken, StoreError> {
        let place = token_context(&grant.org_id, &grant.id, TokenField::Access, grant.generation);
        let secret = self.ring.open(&place, &grant.sealed.access).map_err(|e| cipher_error(&grant.id, e))?;
        Ok(AccessToken::new(secret.expose()))
    }

    /// Opens the refresh token only, for an exchange or a revocation.
    pub fn open_refresh(&self, grant: &Grant) -> Result<RefreshToken, StoreError> {
        let place = token_context(&grant.org_id, &grant.id, TokenField::Refresh, grant.generation);
        let secret = self.ring.open(&place, &grant.sealed.refresh).map_err(|e| cipher_error(&grant.id, e))?;
        Ok(RefreshToken::new(secret.expose()))
    }

    /// Opens the refresh token that was exchanged for the grant's current one.
    pub fn open_predecessor(&self, grant: &Grant, predecessor: &Predecessor) -> Result<RefreshToken, StoreError> {
        let place = token_context(&grant.org_id, &grant.id, TokenField::Refresh, predecessor.generation);
        let secret = self.ring.open(&place, &predecessor.sealed.0).map_err(|e| cipher_error(&grant.id, e))?;
        Ok(RefreshToken::new(secret.expose()))
    }

    /// Returns whether the same Xero user has another active grant in any organization, bound or pending confirmation, or
    /// one that another system keeps. If so, revoking this grant's token would end the other grant's connections too.
    pub async fn xero_user_has_another_grant(&self, grant: &Grant) -> Result<bool, StoreError> {
        // An unknown user may be the user of any other grant.
        if grant.xero_user_id.is_empty() {
            return Ok(true);
        }
        let row = sqlx::query(
            "SELECT COUNT(*) FROM integration_grants WHERE xero_user_id = $1 AND id <> $2 \
             AND (status = 'active' OR (status = 'refresh_failed' AND exported_at IS NOT NULL))",
        )
        .bind(&grant.xero_user_id)
        .bind(grant.id.as_str())
        .fetch_one(self.pool())
        .await?;
        Ok(row.try_get::<i64, _>(0)? > 0)
    }

    /// Marks the grant revoked and erases its tokens. Sends nothing to Xero.
    pub async fn mark_grant_revoked(&self, id: &GrantId) -> Result<(), StoreError> {
        let mut transaction = self.database.begin().await?;
        mark_revoked(&mut transaction, id, self.clock.now()).await?;
        transaction.commit().await
    }

    /// Seals the tokens of an exchange for the next generation of `held`.
    pub fn seal_rotation(&self, held: &Grant, tokens: &TokenSet) -> Result<SealedRotation, StoreError> {
        Ok(SealedRotation {
            grant_id: held.id.clone(),
            from_generation: held.generation,
            sealed: self.seal_tokens(&held.org_id, &held.id, held.generation + 1, tokens)?,
            // A response may omit an unchanged scope (RFC 6749, 5.1).
            scopes: if tokens.scopes.is_empty() { held.scopes.clone() } else { tokens.scopes.clone() },
            expires_at: tokens.expires_at,
            refresh_token_issued_at: self.clock.now(),
            received_at: self.clock.now(),
            database_id: self.database.id().map(str::to_owned),
            consent: None,
            predecessor: Some(held.as_predecessor()),
        })
    }

    /// Seals an operator's refresh token, which was just exchanged, as the predecessor of its successor.
    pub fn seal_predecessor(&self, held: &Grant, token: &RefreshToken) -> Result<Predecessor, StoreError> {
        let place = token_context(&held.org_id, &held.id, TokenField::Refresh, held.generation);
        let sealed = self.ring.seal(&place, token.expose()).map_err(|e| cipher_error(&held.id, e))?;
        Ok(Predecessor { sealed: SealedToken(sealed), generation: held.generation })
    }

    fn seal_tokens(
        &self,
        org: &OrgId,
        grant: &GrantId,
        generation: i64,
        tokens: &TokenSet,
    ) -> Result<SealedTokens, StoreError> {
        let seal = |field, text: &str| {
            self.ring.seal(&token_context(org, grant, field, generation), text).map_err(|e| cipher_error(grant, e))
        };
        Ok(SealedTokens {
            access: seal(TokenField::Access, tokens.access_token.expose())?,
            refresh: seal(TokenField::Refresh, tokens.refresh_token.expose())?,
        })
    }
}

/// Marks a grant revoked, erases its tokens and closes its open attempts, within the caller's transaction.
pub(super) async fn mark_revoked(connection: &mut AnyConnection, id: &GrantId, now: i64) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE integration_grants SET status = 'revoked', access_token_enc = '', refresh_token_enc = '', previous_token_enc = NULL, \
         lease_owner = NULL, lease_until = NULL, next_attempt_at = NULL, connections_due_at = NULL WHERE id = $1",
    )
    .bind(id.as_str())
    .execute(&mut *connection)
    .await?;
    close_abandoned(connection, std::iter::once(id), now).await
}

/// Reads a grant's row. Times that no rule could have written by `now` mean now.
pub(super) fn grant_from(row: &AnyRow, now: i64) -> Result<Grant, StoreError> {
    Ok(stored_grant_from(row)?.with_plausible_times(now))
}

/// Reads a grant's row with its times as they are stored, for operators.
pub(super) fn stored_grant_from(row: &AnyRow) -> Result<Grant, StoreError> {
    let lease_owner: Option<String> = row.try_get("lease_owner")?;
    let lease_until: Option<i64> = row.try_get("lease_until")?;
    let previous: Option<String> = row.try_get("previous_token_enc")?;
    let previous_generation: Option<i64> = row.try_get("previous_generation")?;
    Ok(Grant {
        id: GrantId(row.try_get("id")?),
        org_id: OrgId(row.try_get("org_id")?),
        app: AppIdentity { client_id: row.try_get("client_id")?, issuer: row.try_get("issuer")? },
        xero_user_id: row.try_get("xero_user_id")?,
        auth_event_id: row.try_get("auth_event_id")?,
        scopes: row.try_get("scopes")?,
        sealed: SealedTokens { access: row.try_get("access_token_enc")?, refresh: row.try_get("refresh_token_enc")? },
        expires_at: row.try_get("expires_at")?,
        refresh_token_issued_at: row.try_get("refresh_token_issued_at")?,
        status: text_value(row, "integration_grants", "status")?,
        generation: row.try_get("generation")?,
        lease: lease_owner.zip(lease_until).map(|(owner, until)| Lease { owner, until }),
        failure_count: row.try_get("failure_count")?,
        next_attempt_at: row.try_get("next_attempt_at")?,
        last_error: row.try_get("last_error")?,
        // What another version wrote is no cause that this one knows.
        last_failure: row.try_get::<Option<String>, _>("last_failure")?.and_then(|text| FailureCause::parse(&text)),
        last_refreshed_at: row.try_get("last_refreshed_at")?,
        last_used_at: row.try_get("last_used_at")?,
        reply_lost_at: row.try_get("reply_lost_at")?,
        refused_at: row.try_get("refused_at")?,
        predecessor: previous
            .zip(previous_generation)
            .map(|(sealed, generation)| Predecessor { sealed: SealedToken(sealed), generation }),
        prove_by: row.try_get("prove_by")?,
        exported_at: row.try_get("exported_at")?,
    })
}

fn token_context<'a>(org: &'a OrgId, grant: &'a GrantId, field: TokenField, generation: i64) -> SealContext<'a> {
    SealContext::Token { org, grant, field, generation }
}

fn cipher_error(grant: &GrantId, source: CipherError) -> StoreError {
    StoreError::Cipher { what: "grant", id: grant.0.clone(), source }
}
