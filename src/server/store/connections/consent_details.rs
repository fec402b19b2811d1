//! Who gave a connection's consent, and as which Xero user.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::model::{BindingId, ConnectLinkId, GrantId, OrgId, UserId};
use crate::server::domain::XeroUserName;
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

    /// Returns what is known of the Xero users of the organization's connections.
    pub async fn xero_users(&self, org: &OrgId) -> Result<Vec<(BindingId, XeroUserName)>, StoreError> {
        let rows = sqlx::query(
            "SELECT b.id, g.xero_user_name, g.xero_user_email FROM integration_tenant_bindings b \
             JOIN integration_grants g ON g.id = b.active_grant_id WHERE b.org_id = $1 \
             AND (g.xero_user_name IS NOT NULL OR g.xero_user_email IS NOT NULL)",
        )
        .bind(org.as_str())
        .fetch_all(self.pool())
        .await?;
        let user = |row: &AnyRow| {
            let known = XeroUserName { name: row.try_get("xero_user_name")?, email: row.try_get("xero_user_email")? };
            Ok((BindingId(row.try_get("id")?), known))
        };
        rows.iter().map(user).collect()
    }

    /// Returns the consent of one of the organization's connections, or `None` if it has no grant.
    pub async fn consent_details(&self, org: &OrgId, id: &BindingId) -> Result<Option<ConsentDetails>, StoreError> {
        let row = sqlx::query(
            "SELECT g.scopes, g.created_at, g.xero_user_id, g.consent_link_id, g.xero_user_name, g.xero_user_email, \
             u.email AS member, l.created_by AS link_created_by FROM integration_tenant_bindings b \
             JOIN integration_grants g ON g.id = b.active_grant_id LEFT JOIN users u ON u.id = g.consented_by \
             LEFT JOIN connect_links l ON l.id = g.consent_link_id AND l.org_id = b.org_id \
             WHERE b.org_id = $1 AND b.id = $2",
        )
        .bind(org.as_str())
        .bind(id.as_str())
        .fetch_optional(self.pool())
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(ConsentDetails {
            scopes: row.try_get("scopes")?,
            given_at: row.try_get("created_at")?,
            member: row.try_get("member")?,
            is_by_link: row.try_get::<Option<String>, _>("consent_link_id")?.is_some(),
            link_created_by: row.try_get("link_created_by")?,
            xero_user_id: row.try_get("xero_user_id")?,
            xero_user: XeroUserName { name: row.try_get("xero_user_name")?, email: row.try_get("xero_user_email")? },
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::domain::Secret;
    use crate::server::store::testing::each_store;
    use crate::server::store::testing::grants::TestGrant;
    use crate::server::store::{NewUser, UserOrg};

    #[apply(each_store!)]
    async fn consent_tells_who_gave_it_and_as_which_xero_user(store: Store) {
        let password_hash = Secret::new("hash");
        let org = Some(UserOrg::New("Harbour"));
        let added =
            store.add_user(NewUser { email: "ann@example.com", password_hash: &password_hash, org }).await.unwrap();
        let (user, org) = (added.user, added.org.unwrap().0);
        let grant = TestGrant::of(&store, &org).bound_to(&["Harbour Coffee"]).insert().await;
        let binding = store.bindings_of_org(&org).await.unwrap().remove(0).binding.id;
        let read = async || store.consent_details(&org, &binding).await.unwrap().unwrap();
        let unknown = read().await;
        assert_eq!((unknown.member, unknown.is_by_link, unknown.xero_user), (None, false, XeroUserName::default()));

        let mere = XeroUserName { name: Some("Mere Tane".into()), email: Some("mere@example.com".into()) };
        store.note_consent(&grant, &ConsentGiver::Member(user), &mere).await.unwrap();
        let known = read().await;
        assert_eq!((known.member.as_deref(), &known.xero_user), (Some("ann@example.com"), &mere));
        assert_eq!(store.xero_users(&org).await.unwrap(), [(binding.clone(), mere.clone())]);
        assert_eq!((known.scopes.as_str(), known.given_at), ("offline_access", store.clock().now()));

        store.note_consent(&grant, &ConsentGiver::Link("gone".into()), &mere).await.unwrap();
        let by_link = read().await;
        assert_eq!((by_link.member, by_link.is_by_link, by_link.link_created_by), (None, true, None));
        assert_eq!(store.consent_details(&"other".into(), &binding).await.unwrap(), None);
    }
}
