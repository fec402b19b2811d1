//! A person's new email address, where the old one is a contact of connections.

use sqlx::{AnyConnection, Row};

use super::contacts::{insert_contact, remove_contact_everywhere};
use crate::model::{BindingId, OrgId, UserId};
use crate::server::store::StoreError;

/// Puts a person's new address in the place of the old one, in the organizations that they are a member of. Letters to
/// the old mailbox end, and with them the links in those that were sent. Whoever has unsubscribed stays so at either
/// address.
pub(in crate::server::store) async fn move_contact(
    connection: &mut AnyConnection,
    user: &UserId,
    old: &str,
    new: &str,
    now: i64,
) -> Result<(), StoreError> {
    let (old, new) = (old.to_lowercase(), new.to_lowercase());
    if old == new {
        return Ok(());
    }
    let rows = sqlx::query(
        "SELECT c.org_id, p.binding_id, c.unsubscribed_at FROM contacts c \
         JOIN binding_contacts p ON p.contact_id = c.id \
         JOIN memberships m ON m.org_id = c.org_id AND m.user_id = $1 WHERE c.email = $2 ORDER BY p.binding_id",
    )
    .bind(user.as_str())
    .bind(&old)
    .fetch_all(&mut *connection)
    .await?;
    for row in rows {
        let (org, binding) = (OrgId(row.try_get("org_id")?), BindingId(row.try_get("binding_id")?));
        insert_contact(connection, &org, &binding, &new, now).await?;
        sqlx::query(
            "UPDATE contacts SET unsubscribed_at = COALESCE(unsubscribed_at, $1) WHERE org_id = $2 AND email = $3",
        )
        .bind(row.try_get::<Option<i64>, _>("unsubscribed_at")?)
        .bind(org.as_str())
        .bind(&new)
        .execute(&mut *connection)
        .await?;
        remove_contact_everywhere(connection, &org, &old, now).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::server::store::testing::each_store;
    use crate::server::store::testing::grants::TestGrant;

    use super::super::contacts::contacts_of;
    use super::*;
    use crate::server::domain::Secret;
    use crate::server::store::{NewUser, RowChange, Store, UserOrg};

    #[apply(each_store!)]
    async fn new_address_takes_the_place_of_the_old_one_where_the_person_is_a_member(store: Store) {
        let (org, other) = (store.add_org("Harbour").await.unwrap(), store.add_org("Southerly").await.unwrap());
        let ann = NewUser {
            email: "ann@example.com",
            password_hash: &Secret::new("hash"),
            org: Some(UserOrg::Existing(&org)),
        };
        let ann = store.add_user(ann).await.unwrap().user;
        let mut bindings = Vec::new();
        for org in [&org, &other] {
            TestGrant::of(&store, org).bound_to(&["a", "b"]).insert().await;
            for bound in store.bindings_of_org(org).await.unwrap() {
                let chosen = ["ann@example.com".to_owned(), "books@example.com".to_owned()];
                assert_eq!(store.set_contacts(org, &bound.binding.id, &chosen).await.unwrap(), RowChange::Applied);
                bindings.push((org.clone(), bound.binding.id));
            }
        }
        sqlx::query("UPDATE contacts SET unsubscribed_at = 7 WHERE email = 'ann@example.com'")
            .execute(store.pool())
            .await
            .unwrap();
        let mut transaction = store.database.begin().await.unwrap();
        move_contact(&mut transaction, &ann, "Ann@example.com", "ann@new.example", 9).await.unwrap();
        transaction.commit().await.unwrap();
        for (of, binding) in bindings {
            let mut connection = store.pool().acquire().await.unwrap();
            let found = contacts_of(&mut connection, &of, &binding).await.unwrap();
            let found: Vec<(&str, bool)> =
                found.iter().map(|one| (one.email.as_str(), one.unsubscribed_at.is_some())).collect();
            let address = if of == org { "ann@new.example" } else { "ann@example.com" };
            assert_eq!(found, [(address, true), ("books@example.com", false)]);
        }
    }
}
