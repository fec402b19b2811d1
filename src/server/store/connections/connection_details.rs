//! A connection with what its own page shows of it. One statement reads it.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::bindings::{BindingWithGrant, binding_with_grant_columns, binding_with_grant_from};
use super::consent_details::{ConsentDetails, consent_from};
use super::listed::tags_from;
use super::shared_connections::reaches_other_orgs;
use crate::model::{BindingId, ContactView, OrgId};
use crate::server::store::column_lists::{columns, grant_columns};
use crate::server::store::notifications::contacts::contact_from;
use crate::server::store::{Store, StoreError};

/// A connection, its labels, its consent and its contacts.
#[derive(Clone, Debug)]
pub struct ConnectionDetails {
    /// The connection, its grant and who connected it.
    pub bound: BindingWithGrant,
    /// The id that a program gave it.
    pub external_id: Option<String>,
    /// Its tags, sorted.
    pub tags: Vec<String>,
    /// The consent that it stands on; `None` if it has no grant.
    pub consent: Option<ConsentDetails>,
    /// Its contacts, by address.
    pub contacts: Vec<ContactView>,
}

impl Store {
    /// Returns a connection of the organization, or `None` if it belongs to another.
    pub async fn connection_details(
        &self,
        org: &OrgId,
        id: &BindingId,
    ) -> Result<Option<ConnectionDetails>, StoreError> {
        // A row for each contact.
        let rows = sqlx::query(concat!(
            "SELECT ",
            binding_with_grant_columns!(),
            ", g.created_at AS given_at, g.consent_link_id, g.xero_user_name, g.xero_user_email, m.email AS member, \
             l.created_by AS link_created_by, c.email, c.unsubscribed_at, c.refused_at, \
             (SELECT string_agg(t.tag, ' ') FROM binding_tags t WHERE t.binding_id = b.id) AS tags \
             FROM integration_tenant_bindings b LEFT JOIN integration_grants g ON g.id = b.active_grant_id \
             LEFT JOIN users u ON u.id = b.connected_by LEFT JOIN users m ON m.id = g.consented_by \
             LEFT JOIN connect_links l ON l.id = g.consent_link_id AND l.org_id = b.org_id \
             LEFT JOIN binding_contacts p ON p.binding_id = b.id LEFT JOIN contacts c ON c.id = p.contact_id \
             WHERE b.org_id = $1 AND b.id = $2 ORDER BY c.email"
        ))
        .bind(org.as_str())
        .bind(id.as_str())
        .fetch_all(self.pool())
        .await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let bound = binding_with_grant_from(row, self.clock.now())?;
        let consent = bound.grant.as_ref().map(|grant| consent_from(row, grant)).transpose()?;
        let contacts = rows.iter().filter_map(|row| contact(row).transpose()).collect::<Result<_, _>>()?;
        let (external_id, tags) = (row.try_get("external_id")?, tags_from(row)?);
        Ok(Some(ConnectionDetails { bound, external_id, tags, consent, contacts }))
    }
}

/// Reads the row's contact, if it has one.
fn contact(row: &AnyRow) -> Result<Option<ContactView>, StoreError> {
    row.try_get::<Option<String>, _>("email")?.map(|_| contact_from(row)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::domain::{Secret, XeroUserName};
    use crate::server::store::testing::each_store;
    use crate::server::store::testing::grants::TestGrant;
    use crate::server::store::{ConsentGiver, Labels, NewUser, RowChange, UserOrg};

    #[apply(each_store!)]
    async fn consent_tells_who_gave_it_and_as_which_xero_user(store: Store) {
        let password_hash = Secret::new("hash");
        let org = Some(UserOrg::New("Harbour"));
        let added =
            store.add_user(NewUser { email: "ann@example.com", password_hash: &password_hash, org }).await.unwrap();
        let (user, org) = (added.user, added.org.unwrap().0);
        let grant = TestGrant::of(&store, &org).bound_to(&["Harbour Coffee"]).insert().await;
        let binding = store.bindings_of_org(&org).await.unwrap().remove(0).binding.id;
        let read = async || store.connection_details(&org, &binding).await.unwrap().unwrap().consent.unwrap();
        let unknown = read().await;
        assert_eq!((unknown.member, unknown.is_by_link, unknown.xero_user), (None, false, XeroUserName::default()));

        let mere = XeroUserName { name: Some("Mere Tane".into()), email: Some("mere@example.com".into()) };
        store.note_consent(&grant, &ConsentGiver::Member(user), &mere).await.unwrap();
        let known = read().await;
        assert_eq!((known.member.as_deref(), &known.xero_user), (Some("ann@example.com"), &mere));
        assert_eq!(store.listed_connections(&org).await.unwrap()[0].xero_user, mere);
        assert_eq!((known.scopes.as_str(), known.given_at), ("offline_access", store.clock().now()));

        store.note_consent(&grant, &ConsentGiver::Link("gone".into()), &mere).await.unwrap();
        let by_link = read().await;
        assert_eq!((by_link.member, by_link.is_by_link, by_link.link_created_by), (None, true, None));
    }

    #[apply(each_store!)]
    async fn details_have_labels_and_contacts_and_are_the_organizations_own(store: Store) {
        let org = store.add_org("Harbour").await.unwrap();
        TestGrant::of(&store, &org).bound_to(&["a", "b"]).insert().await;
        let bound = store.bindings_of_org(&org).await.unwrap();
        let (one, other) = (&bound[0].binding.id, &bound[1].binding.id);
        let tags = ["nz", "gold", "aged"].map(str::to_owned).to_vec();
        let labels = Labels { external_id: Some("customer-7".into()), tags, version: 0 };
        store.set_labels(&org, one, &labels).await.unwrap();
        let contacts = ["z@example.com", "a@example.com"].map(str::to_owned);
        assert_eq!(store.set_contacts(&org, one, &contacts).await.unwrap(), RowChange::Applied);

        let found = store.connection_details(&org, one).await.unwrap().unwrap();
        assert_eq!((&found.bound.binding.id, found.external_id.as_deref()), (one, Some("customer-7")));
        assert_eq!(found.tags, ["aged", "gold", "nz"]);
        let emails: Vec<_> = found.contacts.iter().map(|contact| contact.email.as_str()).collect();
        assert_eq!(emails, ["a@example.com", "z@example.com"]);
        let plain = store.connection_details(&org, other).await.unwrap().unwrap();
        assert_eq!((plain.external_id, plain.tags.len(), plain.contacts.len()), (None, 0, 0));
        assert!(store.connection_details(&"other".into(), one).await.unwrap().is_none());
    }
}
