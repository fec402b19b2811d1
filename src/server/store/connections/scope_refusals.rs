//! Consents whose scopes Xero refused: the last one of each organization and each set of scopes.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::model::{Action, OrgId, ScopeRefusalCause};
use crate::server::domain::AuditEvent;
use crate::server::store::text_values::text_value;
use crate::server::store::{Database, Store, StoreError};

/// A refusal of a consent's scopes.
#[derive(Clone, Debug, PartialEq)]
pub struct ScopeRefusal {
    /// The scopes that were asked for, separated by spaces.
    pub scopes: String,
    /// Those of them that Xero named; empty if it named none.
    pub named: Vec<String>,
    /// What Xero said.
    pub cause: ScopeRefusalCause,
    /// When, in unix seconds.
    pub refused_at: i64,
    /// When Xero granted the same set later.
    pub accepted_at: Option<i64>,
}

impl Store {
    /// Stores and audits that Xero refuses these scopes now.
    pub async fn record_scope_refusal(
        &self,
        org: &OrgId,
        scopes: &str,
        cause: ScopeRefusalCause,
        named: &[String],
    ) -> Result<(), StoreError> {
        let mut transaction = self.database.begin().await?;
        sqlx::query(
            "INSERT INTO scope_refusals (org_id, client_id, scopes, named, cause, refused_at) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (org_id, client_id, scopes) DO UPDATE SET \
             named = excluded.named, cause = excluded.cause, refused_at = excluded.refused_at, accepted_at = NULL",
        )
        .bind(org.as_str())
        .bind(&self.app.client_id)
        .bind(scopes)
        .bind(named.join(" "))
        .bind(cause.as_str())
        .bind(self.clock.now())
        .execute(&mut *transaction)
        .await?;
        let event = AuditEvent::new(self.actor(), Action::ScopesRefused).in_org(org);
        let event = event.detail("cause", cause.as_str()).detail("scopes", scopes);
        self.record(&mut transaction, &event).await?;
        transaction.commit().await
    }

    /// Notes that Xero grants these scopes after all, if it refused them before. The consent itself is audited.
    pub async fn note_scopes_accepted(&self, org: &OrgId, scopes: &str) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE scope_refusals SET accepted_at = $1 \
             WHERE org_id = $2 AND client_id = $3 AND scopes = $4 AND accepted_at IS NULL",
        )
        .bind(self.clock.now())
        .bind(org.as_str())
        .bind(&self.app.client_id)
        .bind(scopes)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Returns the organization's refusal of exactly these scopes, unless Xero has granted them since.
    pub async fn standing_scope_refusal(&self, org: &OrgId, scopes: &str) -> Result<Option<ScopeRefusal>, StoreError> {
        let row = sqlx::query(
            "SELECT scopes, named, cause, refused_at, accepted_at FROM scope_refusals \
             WHERE org_id = $1 AND client_id = $2 AND scopes = $3 AND accepted_at IS NULL",
        )
        .bind(org.as_str())
        .bind(&self.app.client_id)
        .bind(scopes)
        .fetch_optional(self.pool())
        .await?;
        row.as_ref().map(refusal_from).transpose()
    }
}

impl Database {
    /// Returns the app's last refusals in any organization, newest first, for operators.
    pub async fn last_scope_refusals(&self, client_id: &str, limit: i64) -> Result<Vec<ScopeRefusal>, StoreError> {
        let rows = sqlx::query(
            "SELECT scopes, named, cause, refused_at, accepted_at FROM scope_refusals WHERE client_id = $1 \
             ORDER BY refused_at DESC, org_id, scopes LIMIT $2",
        )
        .bind(client_id)
        .bind(limit)
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(refusal_from).collect()
    }
}

pub(super) fn refusal_from(row: &AnyRow) -> Result<ScopeRefusal, StoreError> {
    let named: String = row.try_get("named")?;
    Ok(ScopeRefusal {
        scopes: row.try_get("scopes")?,
        named: named.split_whitespace().map(str::to_owned).collect(),
        cause: text_value(row, "scope_refusals", "cause")?,
        refused_at: row.try_get("refused_at")?,
        accepted_at: row.try_get("accepted_at")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::testing::each_store;

    #[apply(each_store!)]
    async fn refusal_stands_until_the_same_scopes_are_granted(store: Store) {
        let (org, other) = (store.add_org("Harbour").await.unwrap(), store.add_org("Southerly").await.unwrap());
        let refuse = async |cause| store.record_scope_refusal(&org, "openid files", cause, &["files".into()]).await;
        refuse(ScopeRefusalCause::Other).await.unwrap();
        store.clock().advance(60);
        refuse(ScopeRefusalCause::WrongAppScopes).await.unwrap();
        let standing = store.standing_scope_refusal(&org, "openid files").await.unwrap().unwrap();
        assert_eq!((standing.cause, standing.named), (ScopeRefusalCause::WrongAppScopes, vec!["files".to_owned()]));
        assert_eq!(standing.refused_at, store.clock().now(), "the last one counts");
        assert_eq!(store.standing_scope_refusal(&org, "openid").await.unwrap(), None, "another set");
        assert_eq!(store.standing_scope_refusal(&other, "openid files").await.unwrap(), None);

        store.note_scopes_accepted(&org, "openid files").await.unwrap();
        assert_eq!(store.standing_scope_refusal(&org, "openid files").await.unwrap(), None);
        let app = &store.app().client_id;
        let [last] = &store.database().last_scope_refusals(app, 3).await.unwrap()[..] else { panic!("not one row") };
        assert_eq!(last.accepted_at, Some(store.clock().now()));
        assert_eq!(store.database().last_scope_refusals("another app", 3).await.unwrap(), []);
        let events = sqlx::query("SELECT COUNT(*) AS n FROM audit_events WHERE action = $1");
        let events = events.bind(Action::ScopesRefused.as_str()).fetch_one(store.pool()).await.unwrap();
        assert_eq!(events.try_get::<i64, _>("n").unwrap(), 2);
    }
}
