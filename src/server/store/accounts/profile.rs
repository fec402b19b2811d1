//! What a person says of themselves, and their recent sign-ins.

use sqlx::Row;

use crate::model::{Action, SignInView, UserId};
use crate::server::domain::Secret;
use crate::server::store::text_values::text_value;
use crate::server::store::{Store, StoreError};

/// How many sign-ins are listed.
const LISTED_SIGN_INS: i64 = 20;

/// A person's row.
pub struct Profile {
    /// The person's name, if they have said it.
    pub name: Option<String>,
    /// The person's time zone, by its IANA name.
    pub time_zone: Option<String>,
    /// Whether it is the sandbox's demo login.
    pub is_demo: bool,
    /// Hash of the password; empty if Clerk manages the person.
    pub password_hash: Secret,
}

impl Store {
    /// Returns a person's profile; `None` if the account was deleted.
    pub async fn profile(&self, user: &UserId) -> Result<Option<Profile>, StoreError> {
        let row = sqlx::query("SELECT name, time_zone, demo_since, password_hash FROM users WHERE id = $1")
            .bind(user.as_str())
            .fetch_optional(self.pool())
            .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Profile {
            name: row.try_get("name")?,
            time_zone: row.try_get("time_zone")?,
            is_demo: row.try_get::<Option<i64>, _>("demo_since")?.is_some(),
            password_hash: Secret::new(row.try_get::<String, _>("password_hash")?),
        }))
    }

    /// Changes a person's name; `None` removes it.
    pub async fn set_person_name(&self, user: &UserId, name: Option<&str>) -> Result<(), StoreError> {
        self.change_profile(user, "UPDATE users SET name = $1 WHERE id = $2", name, "name").await
    }

    /// Changes a person's time zone; `None` removes it.
    pub async fn set_time_zone(&self, user: &UserId, zone: Option<&str>) -> Result<(), StoreError> {
        self.change_profile(user, "UPDATE users SET time_zone = $1 WHERE id = $2", zone, "time zone").await
    }

    async fn change_profile(
        &self,
        user: &UserId,
        statement: &'static str,
        value: Option<&str>,
        what: &str,
    ) -> Result<(), StoreError> {
        let mut transaction = self.database().begin().await?;
        sqlx::query(statement).bind(value).bind(user.as_str()).execute(&mut *transaction).await?;
        let detail = [("changed", what.to_owned())];
        self.record_about_user(&mut transaction, user, Action::ProfileChanged, &detail).await?;
        transaction.commit().await
    }

    /// Returns a person's latest sign-ins and refused ones, newest first. Each has an event in every organization.
    pub async fn recent_sign_ins(&self, user: &UserId) -> Result<Vec<SignInView>, StoreError> {
        let rows = sqlx::query(
            "SELECT DISTINCT at, action, address FROM audit_events WHERE actor_id = $1 AND action IN ($2, $3) \
             ORDER BY at DESC LIMIT $4",
        )
        .bind(user.as_str())
        .bind(Action::SignedIn.as_str())
        .bind(Action::SignInRefused.as_str())
        .bind(LISTED_SIGN_INS)
        .fetch_all(self.pool())
        .await?;
        rows.iter()
            .map(|row| {
                let (at, address) = (row.try_get("at")?, row.try_get("address")?);
                Ok(SignInView { action: text_value(row, "audit_events", "action")?, address, at })
            })
            .collect()
    }
}
