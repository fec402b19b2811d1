//! Consents whose scopes Xero refused: the last one of each organization and each set of scopes.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::model::{Action, OrgId, ScopeRefusalCause};
use crate::server::domain::AuditEvent;
use crate::server::store::accounts::members::rows::count;
use crate::server::store::connections::open_links::count_open_links;
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

/// What the page with the connections says beside them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConnectionNotices {
    /// Xero's refusal of the scopes, unless it has granted them since.
    pub refusal: Option<ScopeRefusal>,
    /// How many connect links are open, without those in letters to contacts.
    pub open_links: u32,
    /// Whether a consent waits for a decision.
    pub has_pending: bool,
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
        Ok(self.connection_notices(org, scopes).await?.refusal)
    }

    /// Returns what the page with the connections says beside them, of exactly these scopes.
    pub async fn connection_notices(&self, org: &OrgId, scopes: &str) -> Result<ConnectionNotices, StoreError> {
        let row = sqlx::query(concat!(
            "SELECT r.scopes, r.named, r.cause, r.refused_at, r.accepted_at, ",
            count_open_links!("o.id", "$4"),
            " AS open_links, (SELECT COUNT(*) FROM oauth_states s WHERE s.org_id = o.id AND s.pending_grant_id IS NOT NULL) \
             + (SELECT COUNT(*) FROM connect_link_states s WHERE s.org_id = o.id AND s.pending_grant_id IS NOT NULL) \
             AS pending FROM organizations o LEFT JOIN scope_refusals r ON r.org_id = o.id \
             AND r.client_id = $2 AND r.scopes = $3 AND r.accepted_at IS NULL WHERE o.id = $1"
        ))
        .bind(org.as_str())
        .bind(&self.app.client_id)
        .bind(scopes)
        .bind(self.clock.now())
        .fetch_optional(self.pool())
        .await?;
        let Some(row) = row else { return Ok(ConnectionNotices::default()) };
        let refused = row.try_get::<Option<i64>, _>("refused_at")?.is_some();
        let refusal = if refused { Some(refusal_from(&row)?) } else { None };
        Ok(ConnectionNotices {
            refusal,
            open_links: count(row.try_get("open_links")?),
            has_pending: row.try_get::<i64, _>("pending")? > 0,
        })
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

fn refusal_from(row: &AnyRow) -> Result<ScopeRefusal, StoreError> {
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
