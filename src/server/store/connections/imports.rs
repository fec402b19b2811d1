//! Refresh tokens of other systems that are being imported. Each is stored, sealed, before it is sent, in a grant that
//! no connection uses yet.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::model::{BindingId, GrantId, OrgId};
use crate::server::domain::{AccessToken, RefreshToken, TokenSet};
use crate::server::store::grants::{NewGrant, mark_revoked};
use crate::server::store::{Store, StoreError, new_id};

/// How long, in seconds, an import has before the sweeper exchanges its token: the import was interrupted then, and
/// Xero's replay window may be running.
const EXCHANGED_BY_SWEEPER_AFTER: i64 = 2 * 60;

/// A token that is or was imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenImport {
    /// The organization that it is imported for.
    pub org_id: OrgId,
    /// The grant that has the token or its successors.
    pub grant_id: GrantId,
    /// Whether its tenants were bound.
    pub is_finished: bool,
}

impl Store {
    /// Returns the import of the token with this hash, of whatever organization.
    pub async fn token_import(&self, token_hash: &str) -> Result<Option<TokenImport>, StoreError> {
        let row = sqlx::query("SELECT org_id, grant_id, finished_at FROM token_imports WHERE token_hash = $1")
            .bind(token_hash)
            .fetch_optional(self.pool())
            .await?;
        row.as_ref().map(import_from).transpose()
    }

    /// Stores a token in a grant of its own, before it is sent. Returns the import that was there if another process
    /// was faster.
    pub async fn begin_token_import(
        &self,
        org: &OrgId,
        token_hash: &str,
        token: &RefreshToken,
    ) -> Result<TokenImport, StoreError> {
        let now = self.clock.now();
        let tokens = TokenSet {
            access_token: AccessToken::new(""),
            refresh_token: RefreshToken::new(token.expose()),
            expires_at: now,
            scopes: String::new(),
        };
        let new = NewGrant { org_id: org.clone(), xero_user_id: String::new(), auth_event_id: String::new(), tokens };
        let mut transaction = self.database.begin().await?;
        let grant: GrantId = new_id();
        self.insert_grant_on(&mut transaction, &grant, &new).await?;
        // Xero has given nothing yet, so it was not refreshed either.
        sqlx::query(
            "UPDATE integration_grants SET due_at = $1, connections_read_at = NULL, last_refreshed_at = NULL WHERE id = $2",
        )
        .bind(now + EXCHANGED_BY_SWEEPER_AFTER)
        .bind(grant.as_str())
        .execute(&mut *transaction)
        .await?;
        let done = sqlx::query(
            "INSERT INTO token_imports (token_hash, org_id, grant_id, created_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (token_hash) DO UPDATE SET token_hash = excluded.token_hash \
             RETURNING org_id, grant_id, finished_at",
        )
        .bind(token_hash)
        .bind(org.as_str())
        .bind(grant.as_str())
        .bind(now)
        .fetch_one(&mut *transaction)
        .await?;
        let import = import_from(&done)?;
        if import.grant_id == grant {
            transaction.commit().await?;
        }
        Ok(import)
    }

    /// Notes that the tenants of an import were bound.
    pub async fn finish_token_import(&self, token_hash: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE token_imports SET finished_at = $1 WHERE token_hash = $2")
            .bind(self.clock.now())
            .bind(token_hash)
            .execute(self.pool())
            .await?;
        Ok(())
    }

    /// Forgets an import whose token Xero refused, and erases the token.
    pub async fn discard_token_import(&self, token_hash: &str, grant: &GrantId) -> Result<(), StoreError> {
        let mut transaction = self.database.begin().await?;
        mark_revoked(&mut transaction, grant, self.clock.now()).await?;
        sqlx::query("DELETE FROM token_imports WHERE token_hash = $1 AND grant_id = $2")
            .bind(token_hash)
            .bind(grant.as_str())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Returns the organization's connections that the grant serves or has served.
    pub async fn bindings_of_grant(&self, org: &OrgId, grant: &GrantId) -> Result<Vec<BindingId>, StoreError> {
        let rows = sqlx::query(
            "SELECT b.id FROM integration_tenant_bindings b JOIN binding_grants s ON s.binding_id = b.id \
             WHERE b.org_id = $1 AND s.grant_id = $2 ORDER BY b.created_at, b.id",
        )
        .bind(org.as_str())
        .bind(grant.as_str())
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(|row| Ok(BindingId(row.try_get("id")?))).collect()
    }

    /// Returns whether another organization has a connection to the tenant.
    pub async fn is_tenant_bound_elsewhere(&self, org: &OrgId, tenant_id: &str) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "SELECT id FROM integration_tenant_bindings WHERE tenant_id = $1 AND org_id <> $2 \
             AND status <> 'disconnected' LIMIT 1",
        )
        .bind(tenant_id)
        .bind(org.as_str())
        .fetch_optional(self.pool())
        .await?;
        Ok(row.is_some())
    }
}

fn import_from(row: &AnyRow) -> Result<TokenImport, StoreError> {
    let finished_at: Option<i64> = row.try_get("finished_at")?;
    Ok(TokenImport {
        org_id: OrgId(row.try_get("org_id")?),
        grant_id: GrantId(row.try_get("grant_id")?),
        is_finished: finished_at.is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::GrantStatus;
    use crate::server::store::testing::each_store;

    #[apply(each_store!)]
    async fn token_is_stored_once_before_it_is_sent(store: Store) {
        let org = store.add_org("Harbour").await.unwrap();
        let token = RefreshToken::new("from elsewhere");
        let begun = store.begin_token_import(&org, "hash", &token).await.unwrap();
        let other = store.add_org("Southerly").await.unwrap();
        assert_eq!(store.begin_token_import(&other, "hash", &token).await.unwrap(), begun, "the first one's");
        assert_eq!(store.token_import("hash").await.unwrap(), Some(begun.clone()));
        let grant = store.grant(&begun.grant_id).await.unwrap().unwrap();
        assert_eq!((grant.status, grant.generation, &grant.org_id), (GrantStatus::Active, 0, &org));
        assert_eq!(grant.last_refreshed_at, None);
        let before = store.clock().now() - 1;
        assert!(!store.has_refreshed_since(before).await.unwrap(), "Xero has accepted nothing");
        assert_eq!(store.open_refresh(&grant).unwrap().expose(), "from elsewhere");
        store.finish_token_import("hash").await.unwrap();
        assert!(store.token_import("hash").await.unwrap().unwrap().is_finished);
        assert_eq!(store.token_import("another").await.unwrap(), None);
    }

    #[apply(each_store!)]
    async fn interrupted_import_is_no_orphan_until_it_is_discarded(store: Store) {
        let org = store.add_org("Harbour").await.unwrap();
        let import = store.begin_token_import(&org, "hash", &RefreshToken::new("t")).await.unwrap();
        store.clock().advance(30 * 24 * 60 * 60);
        assert_eq!(store.orphaned_grants(10).await.unwrap().len(), 0);
        store.discard_token_import("hash", &import.grant_id).await.unwrap();
        let grant = store.grant(&import.grant_id).await.unwrap().unwrap();
        assert_eq!((grant.status, grant.sealed.refresh.as_str()), (GrantStatus::Revoked, ""));
        assert_eq!(store.token_import("hash").await.unwrap(), None);
    }
}
