//! The links in letters by which a contact gets no more of them.

use sqlx::Row;

use crate::model::{Action, ContactId, OrgId, UnsubscribePage};
use crate::server::domain::AuditEvent;
use crate::server::store::{RowChange, Store, StoreError};

/// How long a link works, in seconds. People read old mail.
const UNSUBSCRIBE_LINK_LIFETIME: i64 = 365 * 24 * 60 * 60;

impl Store {
    /// Returns what the page behind a link shows. `None` if the link is unknown.
    pub async fn unsubscribe_page(&self, token_hash: &str) -> Result<Option<UnsubscribePage>, StoreError> {
        let row = sqlx::query(
            "SELECT o.name, c.email, c.unsubscribed_at FROM unsubscribe_links l JOIN contacts c ON c.id = l.contact_id \
             JOIN organizations o ON o.id = c.org_id WHERE l.token_hash = $1",
        )
        .bind(token_hash)
        .fetch_optional(self.pool())
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(UnsubscribePage {
            organisation: row.try_get("name")?,
            email: row.try_get("email")?,
            is_unsubscribed: row.try_get::<Option<i64>, _>("unsubscribed_at")?.is_some(),
        }))
    }

    /// Stops the letters to the contact that the link was sent to, and ends the links in them. `NotFound` if the link is
    /// unknown. A repeated call changes nothing.
    pub async fn unsubscribe(&self, token_hash: &str) -> Result<RowChange, StoreError> {
        let now = self.clock.now();
        let mut transaction = self.database.begin().await?;
        let row = sqlx::query(
            "SELECT c.id, c.org_id FROM unsubscribe_links l JOIN contacts c ON c.id = l.contact_id \
             WHERE l.token_hash = $1",
        )
        .bind(token_hash)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(row) = row else { return Ok(RowChange::NotFound) };
        let (contact, org) = (ContactId(row.try_get("id")?), OrgId(row.try_get("org_id")?));
        let done = sqlx::query("UPDATE contacts SET unsubscribed_at = $1 WHERE id = $2 AND unsubscribed_at IS NULL")
            .bind(now)
            .bind(contact.as_str())
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() == 0 {
            return Ok(RowChange::Applied);
        }
        sqlx::query(
            "UPDATE connect_links SET cancelled_at = $1 WHERE contact_id = $2 AND used_at IS NULL \
             AND cancelled_at IS NULL",
        )
        .bind(now)
        .bind(contact.as_str())
        .execute(&mut *transaction)
        .await?;
        let event = AuditEvent::new(self.actor(), Action::ContactUnsubscribed).in_org(&org);
        self.record(&mut transaction, &event.subject("contact", &contact)).await?;
        transaction.commit().await?;
        Ok(RowChange::Applied)
    }

    /// Deletes links of letters that were sent long ago. Returns their number.
    pub(in crate::server::store) async fn delete_old_unsubscribe_links(&self) -> Result<u64, StoreError> {
        let done = sqlx::query("DELETE FROM unsubscribe_links WHERE created_at <= $1")
            .bind(self.clock.now() - UNSUBSCRIBE_LINK_LIFETIME)
            .execute(self.pool())
            .await?;
        Ok(done.rows_affected())
    }
}
