//! Account messages, and their links. A row is written with the change that it is about, or when somebody asks for
//! a reset, and sent by any server with a mail server. The secret of a link exists only in the message: its hash is stored
//! when it is sent.

pub(super) mod unconfirmed;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use crate::model::{AccountMessageKind, Action, UserId};
use crate::server::domain::{Actor, Secret};
use crate::server::store::database_kind::claim_sql;
use crate::server::store::live::changes::Change;
use crate::server::store::notifications::moved_contacts::move_contact;
use crate::server::store::text_values::text_value;
use crate::server::store::{RowChange, Store, StoreError, new_id};

use self::unconfirmed::{end_other_ways_in, is_unconfirmed, mark_email_confirmed};
use super::sessions::list::{EndSessions, delete_sessions};

/// How long a link works, in seconds.
pub const LINK_LIFETIME: i64 = 30 * 60;
/// How long a message without a link is tried, in seconds.
const NOTICE_LIFETIME: i64 = 3 * 24 * 60 * 60;
/// As many messages with a reset link one address can have open.
const MAX_OPEN_RESETS: i64 = 3;

/// A message that a server has claimed to send it.
#[derive(Clone, Debug)]
pub struct ClaimedMessage {
    /// Id of the message.
    pub id: String,
    /// What it is about.
    pub kind: AccountMessageKind,
    /// Where it goes.
    pub email: String,
    /// Attempts before this one.
    pub attempts: i64,
    user: Option<UserId>,
    address: Option<String>,
}

/// An open link's message.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenLink {
    /// The person it was sent to.
    pub user: UserId,
    /// Where it was sent.
    pub email: String,
}

/// The result of confirming a new email address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum EmailConfirmation {
    /// The account has the new address.
    Changed,
    /// The address is the account's already, and is confirmed now.
    Confirmed,
    /// The link was used, has expired or never was.
    NotOpen,
    /// Another account has the address by now.
    Taken,
}

impl Store {
    /// Queues a message with a reset link, for an unknown address, too: the sender looks it up. `address` is the client's.
    pub async fn request_password_reset(&self, email: &str, address: Option<&str>) -> Result<(), StoreError> {
        let now = self.clock().now();
        sqlx::query(
            "INSERT INTO account_messages (id, kind, email, address, created_at, expires_at, next_attempt_at) \
             SELECT $1, 'reset_password', $2, $3, $4, $5, $4 WHERE (SELECT COUNT(*) FROM account_messages \
             WHERE kind = 'reset_password' AND email = $2 AND expires_at > $4 AND used_at IS NULL) < $6",
        )
        .bind(new_id::<String>())
        .bind(email)
        .bind(address)
        .bind(now)
        .bind(now + LINK_LIFETIME)
        .bind(MAX_OPEN_RESETS)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Asks for a message that confirms a person's new email address. An earlier one no longer works.
    pub async fn request_email_change(&self, user: &UserId, email: &str) -> Result<(), StoreError> {
        let mut transaction = self.database().begin().await?;
        end_account_messages(&mut transaction, user, AccountMessageKind::ConfirmEmail, self.clock().now()).await?;
        self.insert_account_message(&mut transaction, AccountMessageKind::ConfirmEmail, user, email).await?;
        let detail = [("to", email.to_owned())];
        self.record_about_user(&mut transaction, user, Action::EmailChangeRequested, &detail).await?;
        transaction.commit().await
    }

    /// Claims messages that are due until `until`, so that no other server sends them meanwhile.
    pub async fn claim_account_messages(
        &self,
        owner: &str,
        until: i64,
        limit: i64,
    ) -> Result<Vec<ClaimedMessage>, StoreError> {
        let rows = sqlx::query(claim_sql!(
            self.database().kind(),
            "UPDATE account_messages SET claimed_by = $1, claimed_until = $2 WHERE id IN (SELECT id FROM account_messages \
             WHERE next_attempt_at <= $3 AND expires_at > $3 AND (claimed_until IS NULL OR claimed_until <= $3) \
             ORDER BY next_attempt_at LIMIT $4",
            ") AND (claimed_until IS NULL OR claimed_until <= $3) \
             RETURNING id, kind, user_id, email, address, attempts"
        ))
        .bind(owner)
        .bind(until)
        .bind(self.clock().now())
        .bind(limit)
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(account_message_from).collect()
    }

    /// Stores the hash of the link that is about to be sent. A request for a reset is looked up now: without such an
    /// account it is deleted, and `NotFound` says that there is nothing to send.
    pub async fn open_link(&self, message: &ClaimedMessage, token_hash: &str) -> Result<RowChange, StoreError> {
        let mut transaction = self.database().begin().await?;
        if message.user.is_none() {
            let account = sqlx::query(
                "SELECT id FROM users WHERE email = $1 AND external_id IS NULL AND disabled_at IS NULL \
                 AND (demo_since IS NULL OR $2 = 1)",
            )
            .bind(&message.email)
            .bind(i64::from(self.demo_login))
            .fetch_optional(&mut *transaction)
            .await?;
            let Some(account) = account else {
                let gone = sqlx::query("DELETE FROM account_messages WHERE id = $1").bind(&message.id);
                gone.execute(&mut *transaction).await?;
                transaction.commit().await?;
                return Ok(RowChange::NotFound);
            };
            let user = UserId(account.try_get("id")?);
            sqlx::query("UPDATE account_messages SET user_id = $1 WHERE id = $2")
                .bind(user.as_str())
                .bind(&message.id)
                .execute(&mut *transaction)
                .await?;
            let asking = self.as_actor(Actor::person(&user, &message.email, message.address.clone()));
            asking.record_about_user(&mut transaction, &user, Action::PasswordResetRequested, &[]).await?;
        }
        sqlx::query("INSERT INTO account_links (token_hash, message_id) VALUES ($1, $2)")
            .bind(token_hash)
            .bind(&message.id)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(RowChange::Applied)
    }

    /// Records an attempt. `next` is when the next one is due; `None` if the message is sent or given up.
    pub async fn record_account_message_attempt(
        &self,
        id: &str,
        owner: &str,
        next: Option<i64>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE account_messages SET attempts = attempts + 1, next_attempt_at = $1, claimed_by = NULL, \
             claimed_until = NULL WHERE id = $2 AND claimed_by = $3",
        )
        .bind(next)
        .bind(id)
        .bind(owner)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Returns the message of a link that still works. Reading uses nothing up.
    pub async fn open_link_of(
        &self,
        kind: AccountMessageKind,
        token_hash: &str,
    ) -> Result<Option<OpenLink>, StoreError> {
        let row = sqlx::query(
            "SELECT l.user_id, l.email FROM account_links k JOIN account_messages l ON l.id = k.message_id \
             JOIN users u ON u.id = l.user_id WHERE k.token_hash = $1 AND l.kind = $2 AND l.used_at IS NULL \
             AND l.expires_at > $3 AND l.created_at <= $3 AND u.disabled_at IS NULL",
        )
        .bind(token_hash)
        .bind(kind.as_str())
        .bind(self.clock().now())
        .fetch_optional(self.pool())
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(OpenLink { user: UserId(row.try_get("user_id")?), email: row.try_get("email")? }))
    }

    /// Uses a reset link up: sets the password, ends every session and every other reset link of the person, and tells
    /// them by mail. `NotFound` if the link doesn't work any more.
    pub async fn reset_password(
        &self,
        token_hash: &str,
        password_hash: &Secret,
        address: Option<String>,
    ) -> Result<RowChange, StoreError> {
        let mut transaction = self.begin_change_tx().await?;
        let used = self.use_link(&mut transaction, AccountMessageKind::ResetPassword, token_hash).await?;
        let Some(OpenLink { user, email }) = used else { return Ok(RowChange::NotFound) };
        let mut detail = Vec::new();
        if is_unconfirmed(&mut transaction, &user).await? && end_other_ways_in(&mut transaction, &user).await? > 0 {
            detail.push(("ended", "second factor and linked sign-in".to_owned()));
        }
        // Whoever uses the link reads the address's mailbox, if it is still the account's.
        let done = sqlx::query(
            "UPDATE users SET password_hash = $1, email_unconfirmed_since = NULL WHERE id = $2 AND email = $3 \
             AND disabled_at IS NULL",
        )
        .bind(password_hash.expose())
        .bind(user.as_str())
        .bind(&email)
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(RowChange::NotFound);
        }
        delete_sessions(&mut transaction, &user, EndSessions::All).await?;
        let acting = self.as_actor(Actor::person(&user, &email, address));
        acting.record_about_user(&mut transaction, &user, Action::PasswordReset, &detail).await?;
        self.password_has_changed(&mut transaction, &user).await?;
        transaction.publish(Change::Person { user }).await?;
        transaction.commit().await?;
        Ok(RowChange::Applied)
    }

    /// Consumes a confirmation link: changes the account's address, and notifies the old one.
    pub async fn confirm_email(
        &self,
        token_hash: &str,
        address: Option<String>,
    ) -> Result<EmailConfirmation, StoreError> {
        let mut transaction = self.begin_change_tx().await?;
        let used = self.use_link(&mut transaction, AccountMessageKind::ConfirmEmail, token_hash).await?;
        let Some(OpenLink { user, email }) = used else { return Ok(EmailConfirmation::NotOpen) };
        let row = sqlx::query("SELECT email FROM users WHERE id = $1 AND disabled_at IS NULL").bind(user.as_str());
        let Some(row) = row.fetch_optional(&mut *transaction).await? else { return Ok(EmailConfirmation::NotOpen) };
        let old: String = row.try_get("email")?;
        if old == email {
            mark_email_confirmed(&mut transaction, &user).await?;
            let acting = self.as_actor(Actor::person(&user, &old, address));
            acting.record_about_user(&mut transaction, &user, Action::EmailConfirmed, &[]).await?;
            transaction.commit().await?;
            return Ok(EmailConfirmation::Confirmed);
        }
        let done = sqlx::query(
            "UPDATE users SET email = $1, email_unconfirmed_since = NULL WHERE id = $2 AND NOT EXISTS \
             (SELECT 1 FROM users u WHERE u.email = $1)",
        )
        .bind(&email)
        .bind(user.as_str())
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(EmailConfirmation::Taken);
        }
        // Whoever reads the old mailbox can't take the account back with a link.
        end_account_messages(&mut transaction, &user, AccountMessageKind::ResetPassword, self.clock().now()).await?;
        move_contact(&mut transaction, &user, &old, &email, self.clock().now()).await?;
        self.insert_account_message(&mut transaction, AccountMessageKind::EmailChanged, &user, &old).await?;
        let acting = self.as_actor(Actor::person(&user, &old, address));
        let detail = [("from", old), ("to", email)];
        acting.record_about_user(&mut transaction, &user, Action::EmailChanged, &detail).await?;
        transaction.publish(Change::Person { user }).await?;
        transaction.commit().await?;
        Ok(EmailConfirmation::Changed)
    }

    /// Ends a person's reset links and the change of address that waits to be confirmed, after a change of password, and
    /// queues the notice of it, in the caller's transaction. Whoever knew the old password may have asked for them.
    pub(super) async fn password_has_changed(
        &self,
        connection: &mut AnyConnection,
        user: &UserId,
    ) -> Result<(), StoreError> {
        let now = self.clock().now();
        end_account_messages(connection, user, AccountMessageKind::ResetPassword, now).await?;
        let row = sqlx::query("SELECT email FROM users WHERE id = $1").bind(user.as_str());
        let email: String = row.fetch_one(&mut *connection).await?.try_get("email")?;
        end_email_change(connection, user, &email, now).await?;
        self.insert_account_message(connection, AccountMessageKind::PasswordChanged, user, &email).await
    }

    /// Marks a link's message as used, so that only one of several concurrent requests succeeds.
    async fn use_link(
        &self,
        connection: &mut AnyConnection,
        kind: AccountMessageKind,
        token_hash: &str,
    ) -> Result<Option<OpenLink>, StoreError> {
        let row = sqlx::query(
            "UPDATE account_messages SET used_at = $1, next_attempt_at = NULL WHERE kind = $2 AND used_at IS NULL \
             AND expires_at > $1 AND created_at <= $1 AND user_id IS NOT NULL \
             AND id = (SELECT message_id FROM account_links WHERE token_hash = $3) RETURNING user_id, email",
        )
        .bind(self.clock().now())
        .bind(kind.as_str())
        .bind(token_hash)
        .fetch_optional(connection)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(OpenLink { user: UserId(row.try_get("user_id")?), email: row.try_get("email")? }))
    }

    async fn insert_account_message(
        &self,
        connection: &mut AnyConnection,
        kind: AccountMessageKind,
        user: &UserId,
        email: &str,
    ) -> Result<(), StoreError> {
        let now = self.clock().now();
        let lifetime = match kind {
            AccountMessageKind::ResetPassword | AccountMessageKind::ConfirmEmail => LINK_LIFETIME,
            AccountMessageKind::EmailChanged | AccountMessageKind::PasswordChanged => NOTICE_LIFETIME,
        };
        sqlx::query(
            "INSERT INTO account_messages (id, kind, user_id, email, created_at, expires_at, next_attempt_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $5)",
        )
        .bind(new_id::<String>())
        .bind(kind.as_str())
        .bind(user.as_str())
        .bind(email)
        .bind(now)
        .bind(now + lifetime)
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// Makes a person's messages of a kind unusable.
async fn end_account_messages(
    connection: &mut AnyConnection,
    user: &UserId,
    kind: AccountMessageKind,
    now: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE account_messages SET used_at = $1, next_attempt_at = NULL WHERE user_id = $2 AND kind = $3 \
         AND used_at IS NULL",
    )
    .bind(now)
    .bind(user.as_str())
    .bind(kind.as_str())
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends the change to another address than the person's own, which may itself wait to be confirmed.
async fn end_email_change(
    connection: &mut AnyConnection,
    user: &UserId,
    own: &str,
    now: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE account_messages SET used_at = $1, next_attempt_at = NULL WHERE user_id = $2 AND kind = 'confirm_email' \
         AND email <> $3 AND used_at IS NULL",
    )
    .bind(now)
    .bind(user.as_str())
    .bind(own)
    .execute(connection)
    .await?;
    Ok(())
}

fn account_message_from(row: &AnyRow) -> Result<ClaimedMessage, StoreError> {
    Ok(ClaimedMessage {
        id: row.try_get("id")?,
        kind: text_value(row, "account_messages", "kind")?,
        user: row.try_get::<Option<String>, _>("user_id")?.map(UserId),
        email: row.try_get("email")?,
        address: row.try_get("address")?,
        attempts: row.try_get("attempts")?,
    })
}

#[cfg(test)]
mod tests;
