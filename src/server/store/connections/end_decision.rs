//! Decides to end a connection that has to be as somebody expects it, before Xero is asked to delete it.

use crate::model::{BindingId, OrgId};
use crate::server::store::{LabeledBinding, Store, StoreError};

/// Whether a connection is to be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum EndDecision {
    /// It is.
    Decided,
    /// It is not as it was expected, or is gone.
    Changed,
}

impl Store {
    /// Decides to end a connection, if `is_expected` accepts it as it is now. Counts a change, so that whoever read it
    /// before changes it no more. Its row is locked meanwhile, which every change of its labels, contacts, tenant and
    /// status writes.
    pub async fn decide_to_end(
        &self,
        org: &OrgId,
        id: &BindingId,
        is_expected: &(dyn Fn(&LabeledBinding) -> bool + Send + Sync),
    ) -> Result<EndDecision, StoreError> {
        let mut transaction = self.database.begin().await?;
        sqlx::query(
            "UPDATE integration_tenant_bindings SET labels_version = labels_version + 1 WHERE org_id = $1 AND id = $2",
        )
        .bind(org.as_str())
        .bind(id.as_str())
        .execute(&mut *transaction)
        .await?;
        let now = self.read_labeled_binding(&mut transaction, org, id).await?;
        if !now.is_some_and(|now| is_expected(&now)) {
            return Ok(EndDecision::Changed);
        }
        transaction.commit().await?;
        Ok(EndDecision::Decided)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::testing::each_store;
    use crate::server::store::testing::grants::TestGrant;
    use crate::server::store::{LabelError, Labels, RowChange};

    fn labels(external_id: Option<&str>, tags: &[&str], version: i64) -> Labels {
        Labels {
            external_id: external_id.map(str::to_owned),
            tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
            version,
        }
    }

    #[apply(each_store!)]
    async fn end_is_decided_for_what_was_expected_and_a_change_of_the_version_before_comes_too_late(store: Store) {
        let org = store.add_org("Harbour").await.unwrap();
        TestGrant::of(&store, &org).bound_to(&["Coffee", "Kauri"]).insert().await;
        let ids: Vec<BindingId> =
            store.bindings_of_org(&org).await.unwrap().into_iter().map(|one| one.binding.id).collect();
        store.set_labels(&org, &ids[0], &labels(Some("cust-1"), &["gold"], 0)).await.unwrap();
        let set = store.set_contacts(&org, &ids[0], &["ann@example.com".to_owned()]).await.unwrap();
        assert_eq!(set, RowChange::Applied);
        let is_current = |now: &LabeledBinding| {
            assert_eq!(
                (now.labels.external_id.as_deref(), now.labels.tags.as_slice()),
                (Some("cust-1"), &["gold".to_owned()][..])
            );
            now.contacts == ["ann@example.com"]
        };
        let refused = store.decide_to_end(&org, &ids[0], &|_| false).await.unwrap();
        assert_eq!(refused, EndDecision::Changed);
        let other = store.add_org("Southerly").await.unwrap();
        assert_eq!(store.decide_to_end(&other, &ids[0], &is_current).await.unwrap(), EndDecision::Changed);
        let read = async |id| store.labeled_binding(&org, id).await.unwrap().unwrap().labels.version;
        assert_eq!(read(&ids[0]).await, 1, "nothing was changed");
        assert_eq!(store.decide_to_end(&org, &ids[0], &is_current).await.unwrap(), EndDecision::Decided);
        let late = store.set_labels(&org, &ids[0], &labels(None, &[], 1)).await;
        assert!(matches!(late, Err(LabelError::Changed)), "{late:?}");
        assert_eq!(read(&ids[1]).await, 0);
    }
}
