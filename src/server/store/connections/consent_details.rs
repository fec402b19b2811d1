//! Who gave a connection's consent, and as which Xero user.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::model::{ConnectLinkId, GrantId, UserId};
use crate::server::domain::{Grant, XeroUserName};
use crate::server::store::{Store, StoreError};

/// Who gave a consent.
#[derive(Clone, Debug, PartialEq)]
pub enum ConsentGiver {
    /// A member of the organization.
    Member(UserId),
    /// Somebody with this connect link.
    Link(ConnectLinkId),
}

/// The consent that a connection stands on.
#[derive(Clone, Debug, PartialEq)]
pub struct ConsentDetails {
    /// The granted scopes, separated by spaces; empty if Xero sent none.
    pub scopes: String,
    /// When the consent was given, or the token imported, in unix seconds.
    pub given_at: i64,
    /// The email address of the member; `None` if it was no member, or they were deleted.
    pub member: Option<String>,
    /// Whether it came by a connect link.
    pub is_by_link: bool,
    /// The person or the key that created the link; `None` once it is deleted.
    pub link_created_by: Option<String>,
    /// Xero's id of its user; empty if unknown.
    pub xero_user_id: String,
    /// The Xero user's name and email address, as far as they are known.
    pub xero_user: XeroUserName,
}

impl Store {
    /// Stores who gave the consent of a new grant. What binds the grant is audited.
    pub async fn note_consent(
        &self,
        grant: &GrantId,
        giver: &ConsentGiver,
        xero_user: &XeroUserName,
    ) -> Result<(), StoreError> {
        let (member, link) = match giver {
            ConsentGiver::Member(user) => (Some(user.as_str()), None),
            ConsentGiver::Link(link) => (None, Some(link.as_str())),
        };
        sqlx::query(
            "UPDATE integration_grants SET consented_by = $1, consent_link_id = $2, xero_user_name = $3, \
             xero_user_email = $4 WHERE id = $5",
        )
        .bind(member)
        .bind(link)
        .bind(xero_user.name.as_deref())
        .bind(xero_user.email.as_deref())
        .bind(grant.as_str())
        .execute(self.pool())
        .await?;
        Ok(())
    }
}

/// Reads the consent of a grant, which the row is about, too.
pub(super) fn consent_from(row: &AnyRow, grant: &Grant) -> Result<ConsentDetails, StoreError> {
    Ok(ConsentDetails {
        scopes: grant.scopes.clone(),
        given_at: row.try_get("given_at")?,
        member: row.try_get("member")?,
        is_by_link: row.try_get::<Option<String>, _>("consent_link_id")?.is_some(),
        link_created_by: row.try_get("link_created_by")?,
        xero_user_id: grant.xero_user_id.clone(),
        xero_user: XeroUserName { name: row.try_get("xero_user_name")?, email: row.try_get("xero_user_email")? },
    })
}
