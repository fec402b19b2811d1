//! The organization's allow-list of addresses that connect links may return to.

use sqlx::Row;

use crate::model::{Action, OrgId};
use crate::server::domain::AuditEvent;
use crate::server::store::{Store, StoreError};

impl Store {
    /// Returns the addresses, sorted.
    pub async fn return_urls(&self, org: &OrgId) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query("SELECT url FROM connect_return_urls WHERE org_id = $1 ORDER BY url")
            .bind(org.as_str())
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(|row| Ok(row.try_get("url")?)).collect()
    }

    /// Replaces the addresses.
    pub async fn set_return_urls(&self, org: &OrgId, urls: &[String]) -> Result<(), StoreError> {
        let mut transaction = self.database.begin().await?;
        sqlx::query("DELETE FROM connect_return_urls WHERE org_id = $1")
            .bind(org.as_str())
            .execute(&mut *transaction)
            .await?;
        for url in urls {
            sqlx::query("INSERT INTO connect_return_urls (org_id, url) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                .bind(org.as_str())
                .bind(url)
                .execute(&mut *transaction)
                .await?;
        }
        let event = AuditEvent::new(self.actor(), Action::ReturnUrlsChanged).in_org(org);
        self.record(&mut transaction, &event.detail("addresses", urls.join(" "))).await?;
        transaction.commit().await?;
        Ok(())
    }
}
