//! Contacts of connections: addresses that get a letter when a connection needs somebody. They need no account.

use crate::server::store::live::changes::ChangeTx;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use crate::model::{Action, BindingId, ContactId, ContactView, GrantId, OrgId, UserId};
use crate::server::domain::AuditEvent;
use crate::server::store::{RowChange, Store, StoreError, new_id};

/// How many contacts a change added and removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::server::store) struct ContactChanges {
    added: usize,
    removed: usize,
}

impl Store {
    /// Returns the contacts of each connection of the organization, by address.
    pub async fn contacts_of_org(&self, org: &OrgId) -> Result<Vec<(BindingId, ContactView)>, StoreError> {
        let rows = sqlx::query(
            "SELECT p.binding_id, c.email, c.unsubscribed_at, c.refused_at FROM contacts c \
             JOIN binding_contacts p ON p.contact_id = c.id WHERE c.org_id = $1 ORDER BY c.email, p.binding_id",
        )
        .bind(org.as_str())
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(|row| Ok((BindingId(row.try_get("binding_id")?), contact_from(row)?))).collect()
    }

    /// Replaces a connection's contacts, whose addresses are in lower case. From then on a consent changes them no more.
    pub async fn set_contacts(
        &self,
        org: &OrgId,
        binding: &BindingId,
        emails: &[String],
    ) -> Result<RowChange, StoreError> {
        let mut transaction = self.database.begin().await?;
        let changed = self.write_chosen_contacts(&mut transaction, org, binding, emails).await?;
        transaction.commit().await?;
        Ok(changed)
    }

    /// Replaces a connection's contacts and audits it, within the caller's transaction.
    pub(in crate::server::store) async fn write_chosen_contacts(
        &self,
        transaction: &mut ChangeTx,
        org: &OrgId,
        binding: &BindingId,
        emails: &[String],
    ) -> Result<RowChange, StoreError> {
        let row = sqlx::query(
            "UPDATE integration_tenant_bindings SET contacts_chosen_at = $1 WHERE org_id = $2 AND id = $3 \
             RETURNING tenant_name",
        )
        .bind(self.clock.now())
        .bind(org.as_str())
        .bind(binding.as_str())
        .fetch_optional(&mut **transaction)
        .await?;
        let Some(row) = row else { return Ok(RowChange::NotFound) };
        let ContactChanges { added, removed } =
            write_contacts(transaction, org, binding, emails, self.clock.now()).await?;
        // Without the addresses: the log outlives them.
        let event = AuditEvent::new(self.actor(), Action::ContactsChanged).in_org(org).subject("binding", binding);
        let event = event.detail("connection", row.try_get::<String, _>("tenant_name")?);
        let event = event.detail("contacts", emails.len()).detail("added", added).detail("removed", removed);
        self.record(transaction, &event).await?;
        Ok(RowChange::Applied)
    }

    /// Remembers the address of the Xero user whose consent a grant is.
    pub async fn note_authorizer(&self, grant: &GrantId, email: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE integration_grants SET authorized_by_email = $1 WHERE id = $2")
            .bind(email)
            .bind(grant.as_str())
            .execute(self.pool())
            .await?;
        Ok(())
    }
}

/// Returns a connection's contacts, by address.
pub(in crate::server::store) async fn contacts_of(
    connection: &mut AnyConnection,
    org: &OrgId,
    binding: &BindingId,
) -> Result<Vec<ContactView>, StoreError> {
    let rows = sqlx::query(
        "SELECT c.email, c.unsubscribed_at, c.refused_at FROM contacts c \
         JOIN binding_contacts p ON p.contact_id = c.id WHERE c.org_id = $1 AND p.binding_id = $2 ORDER BY c.email",
    )
    .bind(org.as_str())
    .bind(binding.as_str())
    .fetch_all(&mut *connection)
    .await?;
    rows.iter().map(contact_from).collect()
}

/// Returns the address of whoever authorized a grant: of the Xero user, or else of the member.
pub(in crate::server::store) async fn authorizer(
    connection: &mut AnyConnection,
    grant: &GrantId,
    member: Option<&UserId>,
) -> Result<Option<String>, StoreError> {
    let row = sqlx::query(
        "SELECT COALESCE(g.authorized_by_email, LOWER(u.email)) AS email FROM integration_grants g \
         LEFT JOIN users u ON u.id = $2 AND u.email LIKE '%@%' AND u.email_unconfirmed_since IS NULL WHERE g.id = $1",
    )
    .bind(grant.as_str())
    .bind(member.map_or("", UserId::as_str))
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| row.try_get("email")).transpose()?.flatten())
}

/// Makes whoever authorized a connection its contact, unless somebody chose its contacts.
pub(in crate::server::store) async fn set_default_contact(
    connection: &mut AnyConnection,
    org: &OrgId,
    binding: &BindingId,
    email: Option<&str>,
    now: i64,
) -> Result<(), StoreError> {
    let Some(email) = email else { return Ok(()) };
    let unchosen =
        sqlx::query("SELECT id FROM integration_tenant_bindings WHERE id = $1 AND contacts_chosen_at IS NULL");
    if unchosen.bind(binding.as_str()).fetch_optional(&mut *connection).await?.is_some() {
        write_contacts(connection, org, binding, &[email.to_owned()], now).await?;
    }
    Ok(())
}

/// Adds the person to whom a connect link was sent to a connection's contacts. They count as chosen from then on.
pub(in crate::server::store) async fn add_invited_contact(
    connection: &mut AnyConnection,
    org: &OrgId,
    binding: &BindingId,
    email: &str,
    now: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE integration_tenant_bindings SET contacts_chosen_at = COALESCE(contacts_chosen_at, $1) WHERE id = $2",
    )
    .bind(now)
    .bind(binding.as_str())
    .execute(&mut *connection)
    .await?;
    insert_contact(connection, org, binding, email, now).await
}

/// Removes all contacts of a connection. The next consent names one again.
pub(in crate::server::store) async fn remove_contacts(
    connection: &mut AnyConnection,
    org: &OrgId,
    binding: &BindingId,
    now: i64,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE integration_tenant_bindings SET contacts_chosen_at = NULL WHERE id = $1")
        .bind(binding.as_str())
        .execute(&mut *connection)
        .await?;
    write_contacts(connection, org, binding, &[], now).await?;
    Ok(())
}

/// Removes a person who has left from the contacts of the organization's connections.
pub(in crate::server::store) async fn remove_contact_everywhere(
    connection: &mut AnyConnection,
    org: &OrgId,
    email: &str,
    now: i64,
) -> Result<(), StoreError> {
    let rows = sqlx::query(
        "SELECT p.binding_id, p.contact_id FROM binding_contacts p JOIN contacts c ON c.id = p.contact_id \
         WHERE c.org_id = $1 AND c.email = $2",
    )
    .bind(org.as_str())
    .bind(email.to_lowercase())
    .fetch_all(&mut *connection)
    .await?;
    for row in rows {
        let (binding, contact) = (BindingId(row.try_get("binding_id")?), ContactId(row.try_get("contact_id")?));
        delete_contact(connection, &binding, &contact, now).await?;
    }
    Ok(())
}

async fn write_contacts(
    connection: &mut AnyConnection,
    org: &OrgId,
    binding: &BindingId,
    emails: &[String],
    now: i64,
) -> Result<ContactChanges, StoreError> {
    let rows = sqlx::query(
        "SELECT c.id, c.email FROM binding_contacts p JOIN contacts c ON c.id = p.contact_id \
         WHERE p.binding_id = $1 ORDER BY c.email",
    )
    .bind(binding.as_str())
    .fetch_all(&mut *connection)
    .await?;
    let (mut known, mut removed) = (Vec::new(), 0);
    for row in rows {
        let email: String = row.try_get("email")?;
        if emails.contains(&email) {
            known.push(email);
        } else {
            delete_contact(connection, binding, &ContactId(row.try_get("id")?), now).await?;
            removed += 1;
        }
    }
    let mut added = 0;
    for email in emails.iter().filter(|email| !known.contains(email)) {
        insert_contact(connection, org, binding, email, now).await?;
        added += 1;
    }
    Ok(ContactChanges { added, removed })
}

/// Adds an address to a connection's contacts.
pub(super) async fn insert_contact(
    connection: &mut AnyConnection,
    org: &OrgId,
    binding: &BindingId,
    email: &str,
    now: i64,
) -> Result<(), StoreError> {
    let row = sqlx::query(
        "INSERT INTO contacts (id, org_id, email, created_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (org_id, email) DO UPDATE SET email = excluded.email RETURNING id",
    )
    .bind(new_id::<ContactId>().as_str())
    .bind(org.as_str())
    .bind(email)
    .bind(now)
    .fetch_one(&mut *connection)
    .await?;
    sqlx::query(
        "INSERT INTO binding_contacts (binding_id, contact_id, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    )
    .bind(binding.as_str())
    .bind(row.try_get::<String, _>("id")?)
    .bind(now)
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends the links in the contact's letters, and forgets the address if no connection has it and the person did not
/// unsubscribe.
async fn delete_contact(
    connection: &mut AnyConnection,
    binding: &BindingId,
    contact: &ContactId,
    now: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE connect_links SET cancelled_at = $1 WHERE contact_id = $2 AND binding_id = $3 \
         AND used_at IS NULL AND cancelled_at IS NULL",
    )
    .bind(now)
    .bind(contact.as_str())
    .bind(binding.as_str())
    .execute(&mut *connection)
    .await?;
    sqlx::query("DELETE FROM binding_contacts WHERE binding_id = $1 AND contact_id = $2")
        .bind(binding.as_str())
        .bind(contact.as_str())
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "DELETE FROM contacts WHERE id = $1 AND unsubscribed_at IS NULL \
         AND NOT EXISTS (SELECT 1 FROM binding_contacts p WHERE p.contact_id = contacts.id)",
    )
    .bind(contact.as_str())
    .execute(connection)
    .await?;
    Ok(())
}

/// Reads a contact: its address, and what keeps letters from it.
pub(in crate::server::store) fn contact_from(row: &AnyRow) -> Result<ContactView, StoreError> {
    Ok(ContactView {
        email: row.try_get("email")?,
        unsubscribed_at: row.try_get("unsubscribed_at")?,
        refused_at: row.try_get("refused_at")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::testing::each_store;
    use crate::server::store::testing::grants::TestGrant;

    async fn emails(store: &Store, org: &OrgId, binding: &BindingId) -> Vec<String> {
        let mut connection = store.pool().acquire().await.unwrap();
        contacts_of(&mut connection, org, binding).await.unwrap().into_iter().map(|one| one.email).collect()
    }

    #[apply(each_store!)]
    async fn contact_is_whoever_authorized_the_connection_until_somebody_chooses(store: Store) {
        let org = store.add_org("Harbour").await.unwrap();
        let grant = TestGrant::of(&store, &org).bound_to(&["Harbour Coffee"]).insert().await;
        let bound = store.bindings_of_org(&org).await.unwrap().remove(0).binding;
        assert_eq!(emails(&store, &org, &bound.id).await, Vec::<String>::new(), "nobody is known");
        let rebind = async || store.bind(&org, &grant, std::slice::from_ref(&bound.tenant), None).await.unwrap();
        for email in ["first@example.com", "second@example.com"] {
            store.note_authorizer(&grant, email).await.unwrap();
            rebind().await;
            assert_eq!(emails(&store, &org, &bound.id).await, [email]);
        }
        let chosen = ["books@example.com".to_owned(), "z@example.com".to_owned()];
        assert_eq!(store.set_contacts(&org, &bound.id, &chosen).await.unwrap(), RowChange::Applied);
        rebind().await;
        assert_eq!(emails(&store, &org, &bound.id).await, chosen);
        let other = store.add_org("Southerly").await.unwrap();
        assert_eq!(store.set_contacts(&other, &bound.id, &[]).await.unwrap(), RowChange::NotFound);
        assert_eq!(emails(&store, &org, &bound.id).await, chosen);
    }

    #[apply(each_store!)]
    async fn addresses_go_with_the_connection_and_with_the_person(store: Store) {
        let org = store.add_org("Harbour").await.unwrap();
        TestGrant::of(&store, &org).bound_to(&["a", "b"]).insert().await;
        let ids: Vec<BindingId> =
            store.bindings_of_org(&org).await.unwrap().into_iter().map(|one| one.binding.id).collect();
        let both = ["x@example.com".to_owned(), "y@example.com".to_owned()];
        for id in &ids {
            assert_eq!(store.set_contacts(&org, id, &both).await.unwrap(), RowChange::Applied);
        }
        let mut transaction = store.database.begin().await.unwrap();
        remove_contact_everywhere(&mut transaction, &org, "X@example.com", 5).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(emails(&store, &org, &ids[0]).await, ["y@example.com"]);
        for (id, left) in ids.iter().zip([1, 0]) {
            store.disconnect_binding(&org, id).await.unwrap();
            let rows = sqlx::query("SELECT id FROM contacts").fetch_all(store.pool()).await.unwrap();
            assert_eq!(rows.len(), left);
        }
    }
}
