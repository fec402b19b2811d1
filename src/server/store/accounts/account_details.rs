//! What the page of a person's own account shows of it. One statement reads it.

use sqlx::Row;

use crate::model::{SecondFactorView, UserId};
use crate::server::store::accounts::members::rows::count;
use crate::server::store::{Store, StoreError};

/// A person's account.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccountDetails {
    /// The person's name, if they have said it.
    pub name: Option<String>,
    /// The person's time zone, by its IANA name.
    pub time_zone: Option<String>,
    /// Whether it is the sandbox's demo login.
    pub is_demo: bool,
    /// Whether the person has a password. Who signs in at a provider may have none.
    pub has_password: bool,
    /// The address that a message was sent to and that was not confirmed yet.
    pub unconfirmed_email: Option<String>,
    /// The second factor.
    pub second_factor: SecondFactorView,
    /// Since when the provider is linked, in unix seconds.
    pub linked_since: Option<i64>,
}

impl Store {
    /// Returns a person's account; that of nobody if it was deleted. `issuer` is the OpenID Connect provider, or empty.
    pub async fn account_details(&self, user: &UserId, issuer: &str) -> Result<AccountDetails, StoreError> {
        let row = sqlx::query(
            "SELECT u.name, u.time_zone, u.demo_since, CAST(CASE WHEN u.password_hash = '' THEN 0 ELSE 1 END AS BIGINT) AS has_password, \
             (SELECT a.email FROM account_messages a WHERE a.user_id = u.id AND a.kind = 'confirm_email' \
             AND a.used_at IS NULL AND a.expires_at > $2 ORDER BY a.created_at DESC LIMIT 1) AS unconfirmed_email, \
             (SELECT f.confirmed_at FROM second_factors f WHERE f.user_id = u.id) AS factor_since, \
             (SELECT COUNT(*) FROM recovery_codes c WHERE c.user_id = u.id AND c.used_at IS NULL) AS recovery_codes, \
             (SELECT MIN(i.created_at) FROM external_identities i WHERE i.user_id = u.id AND i.issuer = $3) AS linked_since \
             FROM users u WHERE u.id = $1",
        )
        .bind(user.as_str())
        .bind(self.clock().now())
        .bind(issuer)
        .fetch_optional(self.pool())
        .await?;
        let Some(row) = row else { return Ok(AccountDetails::default()) };
        let is_demo = row.try_get::<Option<i64>, _>("demo_since")?.is_some();
        let has_password = row.try_get::<i64, _>("has_password")? > 0;
        Ok(AccountDetails {
            name: row.try_get("name")?,
            time_zone: row.try_get("time_zone")?,
            is_demo,
            has_password,
            unconfirmed_email: row.try_get("unconfirmed_email")?,
            second_factor: SecondFactorView {
                since: row.try_get("factor_since")?,
                recovery_codes_left: count(row.try_get("recovery_codes")?),
                can_enroll: has_password && !is_demo,
            },
            linked_since: row.try_get("linked_since")?,
        })
    }
}
