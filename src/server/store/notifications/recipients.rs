//! Who gets notifications by email: the members' own choices, and their roles where they made none.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::model::{Action, EmailChoice, OrgId, Permission, RecipientView, Role, UserId};
use crate::server::domain::AuditEvent;
use crate::server::store::accounts::members::rows::role_from;
use crate::server::store::text_values::optional_text_value;
use crate::server::store::{RowChange, Store, StoreError};

/// SQL condition that the membership `m` gets email: the same rule as `gets_email`.
macro_rules! gets_email_sql {
    () => {
        "(m.email_notifications = 'on' OR (m.email_notifications IS NULL AND m.role IN ('owner', 'admin')))"
    };
}
pub(super) use gets_email_sql;

/// Returns whether a member gets email: what they chose, or whether their role manages notifications.
fn gets_email(role: Role, chosen: Option<EmailChoice>) -> bool {
    chosen.map_or(role.may(Permission::ManageNotifications), |chosen| chosen == EmailChoice::On)
}

/// Where a member's digests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotificationMailbox {
    /// The member's email address.
    pub email: String,
    /// The organization's name.
    pub org_name: String,
    /// The time zone that the member chose.
    pub time_zone: Option<String>,
}

impl Store {
    /// Returns the organization's members and whether they get email, ordered by address. `you` is the user who reads
    /// the list.
    pub async fn recipients(&self, org: &OrgId, you: &UserId) -> Result<Vec<RecipientView>, StoreError> {
        let rows = sqlx::query(
            "SELECT u.id, u.email, m.role, m.email_notifications FROM memberships m JOIN users u ON u.id = m.user_id \
             WHERE m.org_id = $1 ORDER BY u.email",
        )
        .bind(org.as_str())
        .fetch_all(self.pool())
        .await?;
        let read = |row: &AnyRow| -> Result<RecipientView, StoreError> {
            let role = role_from(row)?;
            let chosen = optional_text_value(row, "memberships", "email_notifications")?;
            let user_id = UserId(row.try_get("id")?);
            Ok(RecipientView {
                is_you: user_id == *you,
                user_id,
                email: row.try_get("email")?,
                role,
                gets_mail: gets_email(role, chosen),
            })
        };
        rows.iter().map(read).collect()
    }

    /// Turns a member's email notifications on or off. `NotFound` if the user is not a member of the organization.
    pub async fn set_email_notifications(
        &self,
        org: &OrgId,
        user: &UserId,
        choice: EmailChoice,
    ) -> Result<RowChange, StoreError> {
        let mut transaction = self.database().begin().await?;
        let done = sqlx::query("UPDATE memberships SET email_notifications = $1 WHERE org_id = $2 AND user_id = $3")
            .bind(choice.as_str())
            .bind(org.as_str())
            .bind(user.as_str())
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() == 0 {
            return Ok(RowChange::NotFound);
        }
        let event = AuditEvent::new(self.actor(), Action::MailChanged).in_org(org).subject("user", user);
        self.record(&mut transaction, &event.detail("now", choice.as_str())).await?;
        transaction.commit().await?;
        Ok(RowChange::Applied)
    }

    /// Returns where a member's digests go, or `None` if they turned email off, or their
    /// address is unconfirmed or unknown (as it may be for Clerk's users).
    pub async fn notification_email(&self, org: &OrgId, user: &str) -> Result<Option<NotificationMailbox>, StoreError> {
        let row = sqlx::query(concat!(
            "SELECT u.email, u.time_zone, o.name FROM memberships m JOIN users u ON u.id = m.user_id \
             JOIN organizations o ON o.id = m.org_id WHERE m.org_id = $1 AND m.user_id = $2 AND ",
            gets_email_sql!(),
            " AND u.email LIKE '%@%' AND u.email_unconfirmed_since IS NULL"
        ))
        .bind(org.as_str())
        .bind(user)
        .fetch_optional(self.pool())
        .await?;
        let mailbox = row.map(|row| {
            Ok(NotificationMailbox {
                email: row.try_get("email")?,
                org_name: row.try_get("name")?,
                time_zone: row.try_get("time_zone")?,
            })
        });
        mailbox.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::domain::Secret;
    use crate::server::store::NewUser;
    use crate::server::store::testing::each_store;

    #[apply(each_store!)]
    async fn sql_and_rust_agree_on_who_gets_email(store: Store) {
        let org = store.add_org("Harbour Coffee").await.unwrap();
        for role in [Role::Owner, Role::Admin, Role::Member] {
            for chosen in [None, Some(EmailChoice::On), Some(EmailChoice::Off)] {
                let email = format!("{}-{chosen:?}@example.com", role.as_str()).to_lowercase();
                let new = NewUser { email: &email, password_hash: &Secret::new("hash"), org: None };
                let user = store.add_user(new).await.unwrap().user;
                store.add_member(&org, &user, role).await.unwrap();
                if let Some(choice) = chosen {
                    let set = store.set_email_notifications(&org, &user, choice).await.unwrap();
                    assert_eq!(set, RowChange::Applied);
                }
                let gets_email = chosen.map_or(role != Role::Member, |choice| choice == EmailChoice::On);
                let listed = store.recipients(&org, &user).await.unwrap();
                let listed = listed.iter().find(|one| one.user_id == user).unwrap();
                assert_eq!(listed.gets_mail, gets_email, "{email}");
                let address = store.notification_email(&org, user.as_str()).await.unwrap();
                assert_eq!(address.is_some(), gets_email, "{email}");
            }
        }
    }
}
