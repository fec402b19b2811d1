//! What happens to an account as a whole: a new password, disabling, deletion, and the sandbox's demo login.

use sqlx::{AnyConnection, Row};

use super::members::ended_links::CreatorChange;
use super::members::rows::{is_last_owner, lock_org};
use super::sessions::insert_session;
use super::sessions::list::{EndSessions, delete_sessions};
use crate::model::{Action, OrgView, Role, UserId};
use crate::server::domain::{AuditEvent, Secret};
use crate::server::store::accounts::api_keys::KeyEnd;
use crate::server::store::live::changes::Change;
use crate::server::store::notifications::contacts::remove_contact_everywhere;
use crate::server::store::{NewSession, RowChange, Store, StoreError};

/// Why an account was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteUserError {
    /// An organization would be left without an owner.
    #[error("{0} would be left without an owner: make someone else an owner first")]
    LastOwner(String),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for DeleteUserError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl Store {
    /// Replaces a password and ends every session of the person, except that `next` takes the place of the one that
    /// changed it. `was` is the hash that the person proved to know; with another one nothing changes.
    pub async fn set_password(
        &self,
        user: &UserId,
        was: Option<&Secret>,
        hash: &Secret,
        next: Option<NewSession<'_>>,
    ) -> Result<RowChange, StoreError> {
        let mut transaction = self.begin_change_tx().await?;
        let done = sqlx::query(
            "UPDATE users SET password_hash = $1 WHERE id = $2 AND external_id IS NULL AND ($3 = '' OR password_hash = $3)",
        )
        .bind(hash.expose())
        .bind(user.as_str())
        .bind(was.map_or("", |hash| hash.expose()))
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(RowChange::NotFound);
        }
        delete_sessions(&mut transaction, user, EndSessions::All).await?;
        if let Some(next) = next {
            insert_session(&mut transaction, next, self.clock().now()).await?;
        }
        self.record_about_user(&mut transaction, user, Action::PasswordChanged, &[]).await?;
        self.password_has_changed(&mut transaction, user).await?;
        transaction.publish(Change::Person { user: user.clone() }).await?;
        transaction.commit().await?;
        Ok(RowChange::Applied)
    }

    /// Disables an account: it signs in nowhere, its sessions, unfinished consents, open invitations and open connect links
    /// end, and its API keys are refused until it is enabled again. `NotFound` if it is disabled already.
    pub async fn disable_user(&self, user: &UserId) -> Result<RowChange, StoreError> {
        let now = self.clock().now();
        let mut transaction = self.begin_change_tx().await?;
        let done = sqlx::query("UPDATE users SET disabled_at = $1 WHERE id = $2 AND disabled_at IS NULL")
            .bind(now)
            .bind(user.as_str())
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() == 0 {
            return Ok(RowChange::NotFound);
        }
        delete_sessions(&mut transaction, user, EndSessions::All).await?;
        self.end_links_everywhere(&mut transaction, user, CreatorChange::Disabled).await?;
        end_unfinished_consents(&mut transaction, user).await?;
        self.record_about_user(&mut transaction, user, Action::AccountDisabled, &[]).await?;
        transaction.publish(Change::Person { user: user.clone() }).await?;
        transaction.commit().await?;
        Ok(RowChange::Applied)
    }

    /// Enables a disabled account. `NotFound` if it isn't disabled.
    pub async fn enable_user(&self, user: &UserId) -> Result<RowChange, StoreError> {
        let mut transaction = self.database().begin().await?;
        let done = sqlx::query("UPDATE users SET disabled_at = NULL WHERE id = $1 AND disabled_at IS NOT NULL")
            .bind(user.as_str())
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() == 0 {
            return Ok(RowChange::NotFound);
        }
        self.record_about_user(&mut transaction, user, Action::AccountEnabled, &[]).await?;
        transaction.commit().await?;
        Ok(RowChange::Applied)
    }

    /// Deletes an account with its sessions, memberships, API keys, open invitations and open connect links. The audit log
    /// and the connections that the person made stay. Fails if it is an organization's last owner.
    pub async fn delete_user(&self, user: &UserId) -> Result<RowChange, DeleteUserError> {
        let now = self.clock().now();
        let mut orgs = self.memberships(user).await?;
        // Always in the same order, so that two deletions don't wait for each other.
        orgs.sort_by(|a, b| a.id.0.cmp(&b.id.0));
        let mut transaction = self.begin_change_tx().await?;
        for OrgView { id, name, role, .. } in &orgs {
            lock_org(&mut transaction, id).await?;
            if *role == Role::Owner && is_last_owner(&mut transaction, id, user).await? {
                return Err(DeleteUserError::LastOwner(name.clone()));
            }
        }
        self.record_about_user(&mut transaction, user, Action::AccountDeleted, &[]).await?;
        self.end_links_everywhere(&mut transaction, user, CreatorChange::Left).await?;
        let email = sqlx::query("SELECT email FROM users WHERE id = $1")
            .bind(user.as_str())
            .fetch_optional(&mut *transaction)
            .await?;
        let Some(email) = email else { return Ok(RowChange::NotFound) };
        let email: String = email.try_get("email")?;
        for org in &orgs {
            remove_contact_everywhere(&mut transaction, &org.id, &email, now).await?;
            self.revoke_api_keys(&mut transaction, &org.id, KeyEnd::CreatorLeft(user), now).await?;
            let event = AuditEvent::new(self.actor(), Action::MemberRemoved).in_org(&org.id).subject("user", user);
            self.record(&mut transaction, &event.detail("member", &email).detail("role", org.role.as_str())).await?;
        }
        sqlx::query("DELETE FROM users WHERE id = $1").bind(user.as_str()).execute(&mut *transaction).await?;
        transaction.publish(Change::Person { user: user.clone() }).await?;
        transaction.commit().await?;
        Ok(RowChange::Applied)
    }

    /// Says whether the demo login with this email address may be used: in sandbox mode, where it is enabled. Elsewhere
    /// it is disabled, and its sessions and API keys with it.
    pub async fn admit_demo_login(&self, email: &str) -> Result<(), StoreError> {
        let now = self.clock().now();
        let mut transaction = self.begin_change_tx().await?;
        let rows = sqlx::query(
            "UPDATE users SET demo_since = COALESCE(demo_since, created_at), \
             disabled_at = CASE WHEN $1 = 1 THEN NULL ELSE COALESCE(disabled_at, $2) END \
             WHERE external_id IS NULL AND (email = $3 OR demo_since IS NOT NULL) RETURNING id",
        )
        .bind(i64::from(self.demo_login))
        .bind(now)
        .bind(email)
        .fetch_all(&mut *transaction)
        .await?;
        for row in rows.iter().filter(|_| !self.demo_login) {
            let user = UserId(row.try_get("id")?);
            delete_sessions(&mut transaction, &user, EndSessions::All).await?;
            self.end_links_everywhere(&mut transaction, &user, CreatorChange::Disabled).await?;
            end_unfinished_consents(&mut transaction, &user).await?;
            transaction.publish(Change::Person { user }).await?;
        }
        transaction.commit().await
    }
}

/// Ends a person's unfinished consents in all organizations.
async fn end_unfinished_consents(connection: &mut AnyConnection, user: &UserId) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM oauth_states WHERE user_id = $1 AND pending_grant_id IS NULL")
        .bind(user.as_str())
        .execute(&mut *connection)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests;
