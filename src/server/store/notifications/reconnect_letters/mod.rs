//! Letters that ask contacts to reconnect. Nothing is queued: the rows say which connections are broken and which letters
//! were sent, so that a stop or a crash loses none, and a connection that works again needs none.

use crate::server::store::live::changes::ChangeTx;
use sqlx::{AnyConnection, Row};

use super::deliveries::{MAX_DELIVERY_WAIT, RETRY_PERIOD, RecordedAttempt};
use super::recipients::gets_email_sql;
use crate::model::{Action, BindingId, ConnectLinkId, ContactId, DEFAULT_LINK_LIFETIME, OrgId};
use crate::server::domain::name_order::sort_by_name;
use crate::server::domain::{AuditEvent, latest_plausible};
use crate::server::store::database_kind::DatabaseKind;
use crate::server::store::{Store, StoreError, new_id};

/// How long a letter waits for further connections of the same contact, in seconds. A person who reconnects at once
/// needs none.
pub const GATHERING_PERIOD: i64 = 10 * 60;
/// How long after the first letter the reminders follow, in seconds.
pub const REMINDERS: [i64; 3] = [24 * 60 * 60, 3 * 24 * 60 * 60, 7 * 24 * 60 * 60];
/// A reminder that would follow a letter within this time, in seconds, is left out: the letter lists its connection.
const MIN_REMINDER_DISTANCE: i64 = 12 * 60 * 60;
/// How long a claim lasts, in seconds: longer than the mail server may take for all steps of a message.
pub const LETTER_CLAIM_DURATION: i64 = 20 * 60;
/// The most connections that a letter lists. The others are in the next one.
const MAX_CONNECTIONS: i64 = 100;

/// A contact with a letter that is due, claimed to send it.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimedContact {
    /// Identifies the contact.
    pub id: ContactId,
    /// The organization whose connections the letter lists.
    pub org: OrgId,
    /// The organization's name.
    pub org_name: String,
    /// Where the letter goes.
    pub email: String,
    /// Attempts since the last letter that was sent.
    pub attempts: i64,
}

/// A connection that a letter lists.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokenConnection {
    /// The connection.
    pub binding: BindingId,
    /// Its name in Xero.
    pub tenant_name: String,
    /// Since when it is broken, in unix seconds.
    pub broken_at: i64,
    /// When the first letter about this was sent; `None` before.
    first_letter_at: Option<i64>,
}

impl BrokenConnection {
    /// Returns whether an earlier letter listed it.
    pub fn is_reminder(&self) -> bool {
        self.first_letter_at.is_some()
    }

    /// Returns a connection that no letter has listed yet.
    #[cfg(test)]
    pub fn for_test(tenant_name: &str) -> Self {
        let binding = BindingId(tenant_name.to_owned());
        Self { binding, tenant_name: tenant_name.to_owned(), broken_at: 0, first_letter_at: None }
    }
}

/// How an attempt to send a letter ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LetterOutcome {
    /// The mail server accepted it.
    Sent,
    /// The mail server refuses the address for good.
    Refused,
    /// Try again at this time, in unix seconds.
    RetryAt(i64),
    /// Nothing was left to say: all connections work again.
    NotNeeded,
}

/// Selects the connections `b` of contacts by `p` that need somebody. Members are notified of the same ones.
macro_rules! broken_connections_sql {
    ($read:literal, $rest:literal) => {
        concat!(
            "SELECT ",
            $read,
            " FROM integration_tenant_bindings b JOIN binding_contacts p ON p.binding_id = b.id \
             LEFT JOIN integration_grants g ON g.id = b.active_grant_id WHERE b.broken_notified_at IS NOT NULL \
             AND b.status = 'needs_reauth' AND g.exported_at IS NULL AND ",
            $rest
        )
    };
}

/// Claims contacts whose letter is due: a reminder, or the first letter about a connection. `$lock` ends the statement
/// that selects them: with PostgreSQL, rows that another instance is about to claim are skipped.
macro_rules! claim_contacts_sql {
    ($lock:literal) => {
        concat!(
            "UPDATE contacts SET claimed_by = $1, claimed_until = $2 WHERE id IN (SELECT c.id FROM contacts c \
             WHERE c.unsubscribed_at IS NULL \
             AND (c.claimed_until IS NULL OR c.claimed_until <= $3 OR c.claimed_until > $5) \
             AND (c.retry_at IS NULL OR c.retry_at <= $3 OR c.retry_at > $6) \
             AND NOT EXISTS (SELECT 1 FROM memberships m JOIN users u ON u.id = m.user_id WHERE m.org_id = c.org_id \
             AND LOWER(u.email) = c.email AND u.email_unconfirmed_since IS NULL \
             AND (m.email_notifications = 'off' OR ",
            gets_email_sql!(),
            ")) AND c.id IN (",
            broken_connections_sql!(
                "p.contact_id",
                "((p.broken_at = b.broken_notified_at AND (p.next_letter_at > $7 \
                 OR (p.next_letter_at <= $3 AND p.next_letter_at > $8))) \
                 OR ((p.broken_at IS NULL OR p.broken_at <> b.broken_notified_at) AND (b.broken_notified_at > $9 \
                 OR (b.broken_notified_at <= $10 AND (b.broken_notified_at > $11 OR p.created_at > $11)))))"
            ),
            ") ORDER BY c.id LIMIT $4",
            $lock,
            ") AND (claimed_until IS NULL OR claimed_until <= $3 OR claimed_until > $5) RETURNING id"
        )
    };
}

impl Store {
    /// Claims up to `limit` contacts with a letter that is due, for `owner`. Members who get email hear of it as
    /// members, and those who turned it off don't hear of it.
    pub async fn claim_reconnect_letters(&self, owner: &str, limit: i64) -> Result<Vec<ClaimedContact>, StoreError> {
        let now = self.clock.now();
        let statement = match self.database.kind() {
            DatabaseKind::Sqlite => claim_contacts_sql!(""),
            DatabaseKind::Postgres => claim_contacts_sql!(" FOR UPDATE SKIP LOCKED"),
        };
        let claimed = sqlx::query(statement)
            .bind(owner)
            .bind(now + LETTER_CLAIM_DURATION)
            .bind(now)
            .bind(limit)
            .bind(latest_plausible(LETTER_CLAIM_DURATION, now))
            .bind(latest_plausible(MAX_DELIVERY_WAIT, now))
            .bind(latest_plausible(REMINDERS[2], now))
            // What could not be sent for days is out of date.
            .bind(now - RETRY_PERIOD)
            .bind(latest_plausible(0, now))
            .bind(now - GATHERING_PERIOD)
            .bind(now - GATHERING_PERIOD - RETRY_PERIOD)
            .fetch_all(self.pool())
            .await?;
        let mut contacts = Vec::with_capacity(claimed.len());
        for row in claimed {
            let id = ContactId(row.try_get("id")?);
            let row = sqlx::query(
                "SELECT c.org_id, o.name, c.email, c.attempts FROM contacts c \
                 JOIN organizations o ON o.id = c.org_id WHERE c.id = $1",
            )
            .bind(id.as_str())
            .fetch_optional(self.pool())
            .await?;
            let Some(row) = row else { continue };
            let (org, org_name) = (OrgId(row.try_get("org_id")?), row.try_get("name")?);
            let (email, attempts) = (row.try_get("email")?, row.try_get("attempts")?);
            contacts.push(ClaimedContact { id, org, org_name, email, attempts });
        }
        Ok(contacts)
    }

    /// Returns the connections that need the contact now, by name: up to `MAX_CONNECTIONS`, those first that a letter is
    /// due about.
    pub async fn broken_connections(&self, contact: &ContactId) -> Result<Vec<BrokenConnection>, StoreError> {
        let rows = sqlx::query(broken_connections_sql!(
            "b.id, b.tenant_name, b.broken_notified_at, p.broken_at, p.first_letter_at",
            "p.contact_id = $1 ORDER BY CASE WHEN p.broken_at = b.broken_notified_at \
             AND (p.next_letter_at IS NULL OR p.next_letter_at > $2) THEN 1 ELSE 0 END, b.tenant_name, b.id LIMIT $3"
        ))
        .bind(contact.as_str())
        .bind(self.clock.now())
        .bind(MAX_CONNECTIONS)
        .fetch_all(self.pool())
        .await?;
        let mut connections = Vec::with_capacity(rows.len());
        for row in rows {
            let broken_at: i64 = row.try_get("broken_notified_at")?;
            let is_known = row.try_get::<Option<i64>, _>("broken_at")? == Some(broken_at);
            connections.push(BrokenConnection {
                binding: BindingId(row.try_get("id")?),
                tenant_name: row.try_get("tenant_name")?,
                broken_at,
                first_letter_at: row.try_get::<Option<i64>, _>("first_letter_at")?.filter(|_| is_known),
            });
        }
        sort_by_name(&mut connections, |one| &one.tenant_name);
        Ok(connections)
    }

    /// Creates the links of a letter that is about to be sent: one for each connection, with the hash of its secret, and
    /// one to unsubscribe. Returns the ids of the links, or `None` if the claim was lost.
    ///
    /// A link that no letter was sent with gets the new secret, so that failed attempts leave nothing behind.
    pub async fn open_letter(
        &self,
        contact: &ClaimedContact,
        owner: &str,
        unsubscribe_hash: &str,
        links: &[(BrokenConnection, String)],
    ) -> Result<Option<Vec<ConnectLinkId>>, StoreError> {
        let now = self.clock.now();
        let mut transaction = self.database.begin().await?;
        let held = sqlx::query(
            "UPDATE contacts SET claimed_by = claimed_by WHERE id = $1 AND claimed_by = $2 AND unsubscribed_at IS NULL",
        );
        let held = held.bind(contact.id.as_str()).bind(owner).execute(&mut *transaction).await?;
        if held.rows_affected() == 0 {
            return Ok(None);
        }
        sqlx::query("INSERT INTO unsubscribe_links (token_hash, contact_id, created_at) VALUES ($1, $2, $3)")
            .bind(unsubscribe_hash)
            .bind(contact.id.as_str())
            .bind(now)
            .execute(&mut *transaction)
            .await?;
        let mut ids = Vec::with_capacity(links.len());
        for (connection, secret_hash) in links {
            let id = self.write_letter_link(&mut transaction, contact, &connection.binding, secret_hash, now).await?;
            ids.push(id);
        }
        transaction.commit().await?;
        Ok(Some(ids))
    }

    async fn write_letter_link(
        &self,
        transaction: &mut ChangeTx,
        contact: &ClaimedContact,
        binding: &BindingId,
        secret_hash: &str,
        now: i64,
    ) -> Result<ConnectLinkId, StoreError> {
        let unsent = sqlx::query(
            "UPDATE connect_links SET secret_hash = $1, created_at = $2, expires_at = $3 WHERE contact_id = $4 \
             AND binding_id = $5 AND mailed_at IS NULL AND used_at IS NULL AND cancelled_at IS NULL RETURNING id",
        )
        .bind(secret_hash)
        .bind(now)
        .bind(now + DEFAULT_LINK_LIFETIME)
        .bind(contact.id.as_str())
        .bind(binding.as_str())
        .fetch_optional(&mut **transaction)
        .await?;
        if let Some(row) = unsent {
            return Ok(ConnectLinkId(row.try_get("id")?));
        }
        let id = new_id::<ConnectLinkId>();
        sqlx::query(
            "INSERT INTO connect_links (id, org_id, secret_hash, binding_id, requested_by, note, tags, created_by, \
             created_at, expires_at, contact_id) VALUES ($1, $2, $3, $4, '', '', '', $5, $6, $7, $8)",
        )
        .bind(id.as_str())
        .bind(contact.org.as_str())
        .bind(secret_hash)
        .bind(binding.as_str())
        .bind(&self.actor().name)
        .bind(now)
        .bind(now + DEFAULT_LINK_LIFETIME)
        .bind(contact.id.as_str())
        .execute(&mut **transaction)
        .await?;
        let event = AuditEvent::new(self.actor(), Action::ConnectLinkCreated).in_org(&contact.org);
        let event = event.subject("connect_link", &id).detail("link", &id).detail("note", "");
        self.record(transaction, &event.detail("binding", binding)).await?;
        Ok(id)
    }

    /// Records an attempt, if `owner` still holds the claim: which letters follow, and that earlier links have ended.
    pub async fn record_letter(
        &self,
        contact: &ClaimedContact,
        owner: &str,
        listed: &[BrokenConnection],
        outcome: LetterOutcome,
    ) -> Result<RecordedAttempt, StoreError> {
        let now = self.clock.now();
        let retry_at = if let LetterOutcome::RetryAt(at) = outcome { Some(at) } else { None };
        let mut transaction = self.database.begin().await?;
        let held = sqlx::query(match outcome {
            LetterOutcome::Sent | LetterOutcome::Refused => {
                "UPDATE contacts SET claimed_by = NULL, claimed_until = NULL, retry_at = $1, attempts = $2, \
                 refused_at = $3 WHERE id = $4 AND claimed_by = $5"
            }
            LetterOutcome::RetryAt(_) | LetterOutcome::NotNeeded => {
                "UPDATE contacts SET claimed_by = NULL, claimed_until = NULL, retry_at = $1, attempts = $2, \
                 refused_at = COALESCE(refused_at, $3) WHERE id = $4 AND claimed_by = $5"
            }
        })
        .bind(retry_at)
        .bind(if retry_at.is_some() { contact.attempts + 1 } else { 0 })
        .bind((outcome == LetterOutcome::Refused).then_some(now))
        .bind(contact.id.as_str())
        .bind(owner)
        .execute(&mut *transaction)
        .await?;
        if held.rows_affected() == 0 {
            return Ok(RecordedAttempt::ClaimLost);
        }
        if retry_at.is_none() {
            for connection in listed {
                let first = connection.first_letter_at.unwrap_or(now);
                let next = next_letter_at(first, now).filter(|_| outcome == LetterOutcome::Sent);
                letter_settled(&mut transaction, &contact.id, connection, (first, next), now).await?;
            }
        }
        transaction.commit().await?;
        Ok(RecordedAttempt::Recorded)
    }
}

/// Returns when the next letter follows one that was sent now.
fn next_letter_at(first: i64, now: i64) -> Option<i64> {
    REMINDERS.into_iter().map(|wait| first + wait).find(|at| *at > now + MIN_REMINDER_DISTANCE)
}

async fn letter_settled(
    connection: &mut AnyConnection,
    contact: &ContactId,
    listed: &BrokenConnection,
    (first, next): (i64, Option<i64>),
    now: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE binding_contacts SET broken_at = $1, first_letter_at = $2, next_letter_at = $3 \
         WHERE contact_id = $4 AND binding_id = $5",
    )
    .bind(listed.broken_at)
    .bind(first)
    .bind(next)
    .bind(contact.as_str())
    .bind(listed.binding.as_str())
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "UPDATE connect_links SET cancelled_at = $1 WHERE contact_id = $2 AND binding_id = $3 \
         AND mailed_at IS NOT NULL AND used_at IS NULL AND cancelled_at IS NULL",
    )
    .bind(now)
    .bind(contact.as_str())
    .bind(listed.binding.as_str())
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "UPDATE connect_links SET mailed_at = $1 WHERE contact_id = $2 AND binding_id = $3 AND mailed_at IS NULL",
    )
    .bind(now)
    .bind(contact.as_str())
    .bind(listed.binding.as_str())
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends the links in letters about a connection that works again.
pub(in crate::server::store) async fn end_letter_links(
    connection: &mut AnyConnection,
    binding: &BindingId,
    now: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE connect_links SET cancelled_at = $1 WHERE binding_id = $2 AND contact_id IS NOT NULL \
         AND used_at IS NULL AND cancelled_at IS NULL",
    )
    .bind(now)
    .bind(binding.as_str())
    .execute(connection)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests;
