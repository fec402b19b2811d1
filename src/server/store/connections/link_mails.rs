//! The mails with connect links. The secret of a mail is created when it is sent, so that no row holds it.

use sqlx::Row;

use super::connect_links::ConnectLink;
use crate::model::{ConnectLinkId, MAX_LINK_LIFETIME};
use crate::server::domain::latest_plausible;
use crate::server::store::database_kind::claim_sql;
use crate::server::store::{LETTER_CLAIM_DURATION, RowChange, Store, StoreError};

/// A link whose mail a server has claimed to send it.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkMail {
    /// The link, with the address that it is sent to.
    pub link: ConnectLink,
    /// Attempts before this one.
    pub attempts: i64,
}

impl Store {
    /// Claims up to `limit` mails that are due, so that no other server sends them meanwhile.
    pub async fn claim_link_mails(&self, owner: &str, limit: i64) -> Result<Vec<LinkMail>, StoreError> {
        let now = self.clock().now();
        let claimed = sqlx::query(claim_sql!(
            self.database().kind(),
            "UPDATE connect_links SET mail_claimed_by = $1, mail_claimed_until = $2 WHERE id IN (SELECT id FROM \
             connect_links WHERE mail_due_at <= $3 AND expires_at > $3 AND expires_at <= $5 AND used_at IS NULL \
             AND cancelled_at IS NULL \
             AND (mail_claimed_until IS NULL OR mail_claimed_until <= $3 OR mail_claimed_until > $6) \
             ORDER BY mail_due_at LIMIT $4",
            ") AND (mail_claimed_until IS NULL OR mail_claimed_until <= $3 OR mail_claimed_until > $6) \
             RETURNING id, mail_attempts"
        ))
        .bind(owner)
        .bind(now + LETTER_CLAIM_DURATION)
        .bind(now)
        .bind(limit)
        .bind(latest_plausible(MAX_LINK_LIFETIME, now))
        .bind(latest_plausible(LETTER_CLAIM_DURATION, now))
        .fetch_all(self.pool())
        .await?;
        let mut mails = Vec::with_capacity(claimed.len());
        for row in claimed {
            let link = self.connect_link(&ConnectLinkId(row.try_get("id")?)).await?;
            let attempts = row.try_get("mail_attempts")?;
            mails.extend(link.map(|link| LinkMail { link, attempts }));
        }
        Ok(mails)
    }

    /// Stores the hash of the secret that is about to be sent. `NotFound` if the link is no longer open.
    pub async fn open_link_mail(&self, id: &ConnectLinkId, secret_hash: &str) -> Result<RowChange, StoreError> {
        let done = sqlx::query(
            "UPDATE connect_links SET mail_secret_hash = $1 WHERE id = $2 AND used_at IS NULL AND cancelled_at IS NULL",
        )
        .bind(secret_hash)
        .bind(id.as_str())
        .execute(self.pool())
        .await?;
        Ok(RowChange::of(done.rows_affected()))
    }

    /// Records an attempt. `next` is when the next one is due; `None` if the mail is sent or given up.
    pub async fn record_link_mail(&self, id: &ConnectLinkId, owner: &str, next: Option<i64>) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE connect_links SET mail_attempts = mail_attempts + 1, mail_due_at = $1, \
             mail_claimed_by = NULL, mail_claimed_until = NULL WHERE id = $2 AND mail_claimed_by = $3",
        )
        .bind(next)
        .bind(id.as_str())
        .bind(owner)
        .execute(self.pool())
        .await?;
        Ok(())
    }
}
