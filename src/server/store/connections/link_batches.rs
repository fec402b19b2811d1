//! Connect links for several connections, created in one step.

use sqlx::Row;

use super::connect_links::{ConnectLink, CreateLinkError, MAX_OPEN_LINKS, NewConnectLink};
use super::link_creators::LinkCreator;
use super::open_links::{connections_with_links, count_open};
use crate::model::{BindingId, ConnectLinkId, OrgId, Permission, UserId};
use crate::server::domain::name_order::sort_by_name;
use crate::server::store::accounts::members::rows::lock_and_check;
use crate::server::store::{Store, StoreError, new_id};

/// Links to create, one for each connection.
pub struct NewLinkBatch<'a> {
    /// Identifies the batch.
    pub id: &'a str,
    /// The connections to reconnect.
    pub bindings: &'a [BindingId],
    /// Who asks.
    pub requested_by: &'a str,
    /// What for.
    pub note: &'a str,
    /// How long they live, in seconds.
    pub lifetime: i64,
    /// The person who creates them.
    pub created_by: &'a UserId,
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreatedLinks {
    /// The new links.
    pub created: Vec<ConnectLinkId>,
    /// How many connections have an open link already, and got no second one.
    pub already_open: usize,
}

impl Store {
    /// Creates the links of a batch, in one transaction: as many as the organization may still have open, in the order of
    /// the connections, and none for a connection that has an open one. `hash_of` returns the hash of a link's secret.
    /// Fails if the organization may have no further one.
    pub async fn create_link_batch(
        &self,
        org: &OrgId,
        batch: &NewLinkBatch<'_>,
        hash_of: impl Fn(&ConnectLinkId) -> String,
    ) -> Result<CreatedLinks, CreateLinkError> {
        let mut transaction = self.database.begin().await?;
        if !lock_and_check(&mut transaction, org, batch.created_by, Permission::ManageConnections).await? {
            return Err(CreateLinkError::NotAllowed);
        }
        let open = count_open(&mut transaction, org, self.clock.now()).await?;
        let has_link = connections_with_links(&mut transaction, org, self.clock.now()).await?;
        let without: Vec<&BindingId> = batch.bindings.iter().filter(|id| !has_link.contains(*id)).collect();
        let already_open = batch.bindings.len() - without.len();
        let room = usize::try_from(MAX_OPEN_LINKS - open).unwrap_or(0);
        if room == 0 && !without.is_empty() {
            return Err(CreateLinkError::TooMany);
        }
        let mut created = Vec::new();
        for binding in without.into_iter().take(room) {
            let id = new_id::<ConnectLinkId>();
            let new = NewConnectLink {
                secret_hash: &hash_of(&id),
                binding: Some(binding),
                requested_by: batch.requested_by,
                note: batch.note,
                external_id: None,
                tags: &[],
                email: None,
                return_url: None,
                lifetime: batch.lifetime,
                created_by: Some(LinkCreator::Person(batch.created_by)),
            };
            self.insert_connect_link(&mut transaction, org, (&id, Some(batch.id)), new).await?;
            created.push(id);
        }
        transaction.commit().await?;
        Ok(CreatedLinks { created, already_open })
    }

    /// Returns the open links of one of the organization's batches, by the names of their connections.
    pub async fn open_links_of_batch(&self, org: &OrgId, batch: &str) -> Result<Vec<ConnectLink>, StoreError> {
        let rows = sqlx::query("SELECT id FROM connect_links WHERE org_id = $1 AND batch_id = $2")
            .bind(org.as_str())
            .bind(batch)
            .fetch_all(self.pool())
            .await?;
        let ids = rows.iter().map(|row| row.try_get("id")).collect::<Result<Vec<String>, _>>()?;
        let mut links = self.open_connect_links(org).await?;
        links.retain(|link| ids.iter().any(|id| id == link.id.as_str()));
        sort_by_name(&mut links, |link| link.tenant.as_ref().map_or("", |(_, name)| name));
        Ok(links)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DEFAULT_LINK_LIFETIME;
    use crate::server::domain::Secret;
    use crate::server::store::testing::each_store;
    use crate::server::store::testing::grants::TestGrant;
    use crate::server::store::{NewUser, RowChange, UserOrg};

    #[apply(each_store!)]
    async fn batch_has_a_link_for_each_connection_without_one_as_far_as_the_limit_allows(store: Store) {
        let new = NewUser {
            email: "ann@example.com",
            password_hash: &Secret::new("hash"),
            org: Some(UserOrg::New("Harbour")),
        };
        let added = store.add_user(new).await.unwrap();
        let (user, org) = (added.user, added.org.unwrap().0);
        TestGrant::of(&store, &org).bound_to(&["Harbour Coffee", "Kauri Joinery"]).insert().await;
        let bindings: Vec<BindingId> =
            store.bindings_of_org(&org).await.unwrap().into_iter().map(|one| one.binding.id).collect();
        let new = NewLinkBatch {
            id: "b-1",
            bindings: &bindings,
            requested_by: "",
            note: "More access",
            lifetime: DEFAULT_LINK_LIFETIME,
            created_by: &user,
        };
        let made = store.create_link_batch(&org, &new, |id| format!("hash of {id}")).await.unwrap();
        let links = store.open_links_of_batch(&org, "b-1").await.unwrap();
        let named: Vec<_> = links.iter().map(|link| link.tenant.as_ref().unwrap().1.as_str()).collect();
        assert_eq!((made.created.len(), made.already_open), (2, 0));
        assert_eq!(named, ["Harbour Coffee", "Kauri Joinery"]);
        assert!(links.iter().all(|link| link.secret_hash == format!("hash of {}", link.id)));
        assert_eq!(store.open_links_of_batch(&org, "b-2").await.unwrap(), []);
        assert_eq!(store.open_links_of_batch(&"other".into(), "b-1").await.unwrap(), []);

        // A second batch makes no second set.
        let again = NewLinkBatch { id: "b-2", ..new };
        let made = store.create_link_batch(&org, &again, ToString::to_string).await.unwrap();
        assert_eq!(made, CreatedLinks { created: Vec::new(), already_open: 2 });
        assert_eq!(store.cancel_connect_link(&org, &links[1].id).await.unwrap(), RowChange::Applied);
        let made = store.create_link_batch(&org, &again, ToString::to_string).await.unwrap();
        assert_eq!((made.created.len(), made.already_open), (1, 1));

        let names: Vec<String> = (0..600).map(|number| format!("Tenant {number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        TestGrant::of(&store, &org).xero_user("many").bound_to(&names).insert().await;
        let all: Vec<BindingId> =
            store.bindings_of_org(&org).await.unwrap().into_iter().map(|one| one.binding.id).collect();
        let many = NewLinkBatch { id: "b-3", bindings: &all, ..new };
        let made = store.create_link_batch(&org, &many, ToString::to_string).await.unwrap();
        assert_eq!((i64::try_from(made.created.len()).unwrap(), made.already_open), (MAX_OPEN_LINKS - 2, 2));
        let refused = store.create_link_batch(&org, &many, ToString::to_string).await;
        assert!(matches!(refused, Err(CreateLinkError::TooMany)), "{refused:?}");
    }
}
