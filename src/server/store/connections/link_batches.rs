//! Connect links for several connections, created in one step.

use super::connect_links::{ConnectLink, CreateLinkError, MAX_OPEN_LINKS, NewConnectLink, count_open};
use crate::model::{BindingId, ConnectLinkId, OrgId, UserId};
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

impl Store {
    /// Creates the links of a batch, in one transaction: as many as the organization may still have open, in the order of
    /// the connections. `hash_of` returns the hash of a link's secret. Fails if it may have no further one.
    pub async fn create_link_batch(
        &self,
        org: &OrgId,
        batch: &NewLinkBatch<'_>,
        hash_of: impl Fn(&ConnectLinkId) -> String,
    ) -> Result<Vec<ConnectLinkId>, CreateLinkError> {
        let mut transaction = self.database.begin().await?;
        let open = count_open(&mut transaction, org, self.clock.now()).await?;
        let room = usize::try_from(MAX_OPEN_LINKS - open).unwrap_or(0);
        if room == 0 {
            return Err(CreateLinkError::TooMany);
        }
        let mut created = Vec::new();
        for binding in batch.bindings.iter().take(room) {
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
                created_by: Some(batch.created_by),
            };
            self.insert_connect_link(&mut transaction, org, (&id, Some(batch.id)), new).await?;
            created.push(id);
        }
        transaction.commit().await?;
        Ok(created)
    }

    /// Returns the open links of one of the organization's batches, by the names of their connections.
    pub async fn open_links_of_batch(&self, org: &OrgId, batch: &str) -> Result<Vec<ConnectLink>, StoreError> {
        let rows = sqlx::query("SELECT id FROM connect_links WHERE org_id = $1 AND batch_id = $2")
            .bind(org.as_str())
            .bind(batch)
            .fetch_all(self.pool())
            .await?;
        let ids = rows.iter().map(|row| sqlx::Row::try_get(row, "id")).collect::<Result<Vec<String>, _>>()?;
        let mut links = self.open_connect_links(org).await?;
        links.retain(|link| ids.iter().any(|id| id == link.id.as_str()));
        links.sort_by_key(|link| link.tenant.as_ref().map(|(_, name)| name.clone()));
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
    use crate::server::store::{NewUser, UserOrg};

    #[apply(each_store!)]
    async fn batch_has_a_link_for_each_connection_as_far_as_the_limit_allows(store: Store) {
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
        let created = store.create_link_batch(&org, &new, |id| format!("hash of {id}")).await.unwrap();
        let links = store.open_links_of_batch(&org, "b-1").await.unwrap();
        let named: Vec<_> = links.iter().map(|link| link.tenant.as_ref().unwrap().1.as_str()).collect();
        assert_eq!((created.len(), named), (2, vec!["Harbour Coffee", "Kauri Joinery"]));
        assert!(links.iter().all(|link| link.secret_hash == format!("hash of {}", link.id)));
        assert_eq!(store.open_links_of_batch(&org, "b-2").await.unwrap(), []);
        assert_eq!(store.open_links_of_batch(&"other".into(), "b-1").await.unwrap(), []);

        let many: Vec<BindingId> = bindings.iter().cycle().take(600).cloned().collect();
        let many = NewLinkBatch { id: "b-2", bindings: &many, ..new };
        let created = store.create_link_batch(&org, &many, ToString::to_string).await.unwrap();
        assert_eq!(i64::try_from(created.len()).unwrap(), MAX_OPEN_LINKS - 2);
        let refused = store.create_link_batch(&org, &many, ToString::to_string).await;
        assert!(matches!(refused, Err(CreateLinkError::TooMany)), "{refused:?}");
    }
}
