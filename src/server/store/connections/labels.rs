//! The labels that programs give a connection, an id of their own and tags, and the list that is filtered by them.

use std::collections::HashMap;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::bindings::{
    BindingWithGrant, binding_with_grant_columns, binding_with_grant_from, select_binding_with_grant,
};
use super::shared_connections::reaches_other_orgs;
use crate::model::{Action, ApiKeyId, BindingId, BindingStatus, OrgId};
use crate::server::domain::{AuditEvent, Binding};
use crate::server::store::column_lists::{columns, grant_columns};
use crate::server::store::notifications::contacts::contacts_of;
use crate::server::store::{RowChange, Store, StoreError};

/// A connection's labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// The program's own id of the connection.
    pub external_id: Option<String>,
    /// Tags, sorted.
    pub tags: Vec<String>,
    /// Counts the changes.
    pub version: i64,
}

/// A connection with its labels.
#[derive(Clone, Debug)]
pub struct LabeledBinding {
    /// The connection.
    pub binding: Binding,
    /// Its labels.
    pub labels: Labels,
    /// The scopes of its grant, separated by spaces; empty if it has none or they are not known.
    pub scopes: String,
    /// The addresses of its contacts, sorted.
    pub contacts: Vec<String>,
}

/// A change to a connection. What is `None` stays as it is.
#[derive(Clone, Copy, Debug)]
pub struct BindingChange<'a> {
    /// The labels that it is to have.
    pub labels: Option<&'a Labels>,
    /// The addresses of the contacts that it is to have, in lower case.
    pub contacts: Option<&'a [String]>,
    /// The version that was read.
    pub version: i64,
}

/// Which connections a list contains. Empty filters match all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BindingFilter {
    /// Status.
    pub status: Option<BindingStatus>,
    /// The program's own id.
    pub external_id: Option<String>,
    /// A tag.
    pub tag: Option<String>,
    /// The key whose bindings these are, if it is limited to some.
    pub limited_by: Option<ApiKeyId>,
}

/// Why labels were not changed.
#[derive(Debug, thiserror::Error)]
pub enum LabelError {
    /// The organization has no such connection.
    #[error("no such connection")]
    NotFound,
    /// They were changed since they were read.
    #[error("the connection was changed meanwhile")]
    Changed,
    /// Another connection of the organization has this id.
    #[error("another connection has this id")]
    ExternalIdTaken,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for LabelError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Labels that a connection gets in addition to those it has.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::server::store) struct NewLabels<'a> {
    /// The program's own id, unless the connection has one, or another connection has this one.
    pub external_id: Option<&'a str>,
    /// Tags.
    pub tags: &'a [String],
}

/// Adds labels within the caller's transaction.
pub(in crate::server::store) async fn add_labels(
    connection: &mut AnyConnection,
    org: &OrgId,
    id: &BindingId,
    labels: &NewLabels<'_>,
) -> Result<(), StoreError> {
    if labels.external_id.is_none() && labels.tags.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE integration_tenant_bindings SET labels_version = labels_version + 1, \
         external_id = CASE WHEN EXISTS (SELECT 1 FROM integration_tenant_bindings o WHERE o.org_id = $2 \
         AND o.external_id = $1) THEN external_id ELSE COALESCE(external_id, $1) END WHERE id = $3",
    )
    .bind(labels.external_id)
    .bind(org.as_str())
    .bind(id.as_str())
    .execute(&mut *connection)
    .await?;
    for tag in labels.tags {
        sqlx::query("INSERT INTO binding_tags (binding_id, tag) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(id.as_str())
            .bind(tag)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

async fn write_labels(connection: &mut AnyConnection, id: &BindingId, labels: &Labels) -> Result<(), LabelError> {
    let named = sqlx::query("UPDATE integration_tenant_bindings SET external_id = $1 WHERE id = $2")
        .bind(labels.external_id.as_deref())
        .bind(id.as_str())
        .execute(&mut *connection)
        .await;
    named.map_err(|error| match error.as_database_error() {
        Some(refused) if refused.is_unique_violation() => LabelError::ExternalIdTaken,
        _ => error.into(),
    })?;
    sqlx::query("DELETE FROM binding_tags WHERE binding_id = $1").bind(id.as_str()).execute(&mut *connection).await?;
    for tag in &labels.tags {
        sqlx::query("INSERT INTO binding_tags (binding_id, tag) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(id.as_str())
            .bind(tag)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

impl Store {
    /// Returns up to `limit` connections of the organization after `after`, a creation time and an id, oldest first.
    pub async fn labeled_bindings(
        &self,
        org: &OrgId,
        filter: &BindingFilter,
        after: (i64, &str),
        limit: i64,
    ) -> Result<Vec<LabeledBinding>, StoreError> {
        let rows = sqlx::query(select_binding_with_grant!(
            "WHERE b.org_id = $1 AND ($2 = '' OR b.status = $2) AND ($3 = '' OR b.external_id = $3) \
             AND ($4 = '' OR EXISTS (SELECT 1 FROM binding_tags t WHERE t.binding_id = b.id AND t.tag = $4)) \
             AND ($8 = '' OR EXISTS (SELECT 1 FROM api_key_bindings r WHERE r.key_id = $8 AND r.binding_id = b.id)) \
             AND (b.created_at > $5 OR (b.created_at = $5 AND b.id > $6)) ORDER BY b.created_at, b.id LIMIT $7"
        ))
        .bind(org.as_str())
        .bind(filter.status.map_or("", BindingStatus::as_str))
        .bind(filter.external_id.as_deref().unwrap_or_default())
        .bind(filter.tag.as_deref().unwrap_or_default())
        .bind(after.0)
        .bind(after.1)
        .bind(limit)
        .bind(filter.limited_by.as_ref().map_or("", ApiKeyId::as_str))
        .fetch_all(self.pool())
        .await?;
        let mut bindings = rows.iter().map(|row| self.labeled_from(row)).collect::<Result<Vec<_>, _>>()?;
        let places: HashMap<BindingId, usize> =
            bindings.iter().enumerate().map(|(place, one)| (one.binding.id.clone(), place)).collect();
        let tags = sqlx::query(
            "SELECT t.binding_id, t.tag FROM binding_tags t JOIN integration_tenant_bindings b ON b.id = t.binding_id \
             WHERE b.org_id = $1 ORDER BY t.tag",
        )
        .bind(org.as_str())
        .fetch_all(self.pool())
        .await?;
        for row in tags {
            if let Some(place) = places.get(&BindingId(row.try_get("binding_id")?)) {
                bindings[*place].labels.tags.push(row.try_get("tag")?);
            }
        }
        for (of, contact) in self.contacts_of_org(org).await? {
            if let Some(place) = places.get(&of) {
                bindings[*place].contacts.push(contact.email);
            }
        }
        Ok(bindings)
    }

    /// Returns a connection of the organization, or `None` if it belongs to another.
    pub async fn labeled_binding(&self, org: &OrgId, id: &BindingId) -> Result<Option<LabeledBinding>, StoreError> {
        let mut connection = self.pool().acquire().await?;
        self.read_labeled_binding(&mut connection, org, id).await
    }

    /// Reads a connection like `labeled_binding`, on this database connection.
    pub(super) async fn read_labeled_binding(
        &self,
        connection: &mut AnyConnection,
        org: &OrgId,
        id: &BindingId,
    ) -> Result<Option<LabeledBinding>, StoreError> {
        let row = sqlx::query(select_binding_with_grant!("WHERE b.org_id = $1 AND b.id = $2"))
            .bind(org.as_str())
            .bind(id.as_str())
            .fetch_optional(&mut *connection)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let mut labeled = self.labeled_from(&row)?;
        let tags = sqlx::query("SELECT tag FROM binding_tags WHERE binding_id = $1 ORDER BY tag").bind(id.as_str());
        for row in tags.fetch_all(&mut *connection).await? {
            labeled.labels.tags.push(row.try_get("tag")?);
        }
        labeled.contacts = contacts_of(connection, org, id).await?.into_iter().map(|contact| contact.email).collect();
        Ok(Some(labeled))
    }

    /// Replaces a connection's labels, if they still have the version of `labels`.
    pub async fn set_labels(&self, org: &OrgId, id: &BindingId, labels: &Labels) -> Result<(), LabelError> {
        let change = BindingChange { labels: Some(labels), contacts: None, version: labels.version };
        self.change_binding(org, id, change).await
    }

    /// Changes a connection's labels and contacts, if it still has the version that was read.
    pub async fn change_binding(
        &self,
        org: &OrgId,
        id: &BindingId,
        change: BindingChange<'_>,
    ) -> Result<(), LabelError> {
        let mut transaction = self.database.begin().await?;
        let changed = sqlx::query(
            "UPDATE integration_tenant_bindings SET labels_version = labels_version + 1 \
             WHERE org_id = $1 AND id = $2 AND labels_version = $3 RETURNING tenant_name",
        )
        .bind(org.as_str())
        .bind(id.as_str())
        .bind(change.version)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(row) = changed else {
            drop(transaction);
            let exists = self.binding(org, id).await?.is_some();
            return Err(if exists { LabelError::Changed } else { LabelError::NotFound });
        };
        if let Some(labels) = change.labels {
            write_labels(&mut transaction, id, labels).await?;
            let event = AuditEvent::new(self.actor(), Action::ConnectionLabeled).in_org(org).subject("binding", id);
            let event = event.detail("connection", row.try_get::<String, _>("tenant_name")?);
            let event = event.detail("external_id", labels.external_id.as_deref().unwrap_or_default());
            self.record(&mut transaction, &event.detail("tags", labels.tags.join(" "))).await?;
        }
        if let Some(contacts) = change.contacts
            && self.write_chosen_contacts(&mut transaction, org, id, contacts).await? == RowChange::NotFound
        {
            return Err(LabelError::NotFound);
        }
        transaction.commit().await?;
        Ok(())
    }

    fn labeled_from(&self, row: &AnyRow) -> Result<LabeledBinding, StoreError> {
        let BindingWithGrant { binding, grant, .. } = binding_with_grant_from(row, self.clock.now())?;
        let scopes = grant.map(|grant| grant.scopes).unwrap_or_default();
        let (external_id, version) = (row.try_get("external_id")?, row.try_get("labels_version")?);
        let labels = Labels { external_id, tags: Vec::new(), version };
        Ok(LabeledBinding { binding, labels, scopes, contacts: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::testing::each_store;
    use crate::server::store::testing::grants::TestGrant;

    async fn three_bindings(store: &Store) -> (OrgId, Vec<BindingId>) {
        let org = store.add_org("Harbour").await.unwrap();
        let mut ids = Vec::new();
        for name in ["a", "b", "c"] {
            TestGrant::of(store, &org).xero_user(name).bound_to(&[name]).insert().await;
            store.clock().advance(1);
            let bound = store.bindings_of_org(&org).await.unwrap();
            ids.push(bound.into_iter().find(|one| !ids.contains(&one.binding.id)).unwrap().binding.id);
        }
        (org, ids)
    }

    fn labels(external_id: Option<&str>, tags: &[&str], version: i64) -> Labels {
        Labels {
            external_id: external_id.map(str::to_owned),
            tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
            version,
        }
    }

    each_store! {
        async fn list_is_filtered_and_continues_after_the_last_one(store: Store) {
            let (org, ids) = three_bindings(&store).await;
            store.set_labels(&org, &ids[1], &labels(Some("cust-1"), &["gold", "nz"], 0)).await.unwrap();
            store.set_labels(&org, &ids[2], &labels(None, &["nz"], 0)).await.unwrap();
            let list = async |filter: BindingFilter, after: (i64, &str), limit| {
                let found = store.labeled_bindings(&org, &filter, after, limit).await.unwrap();
                found.into_iter().map(|one| one.binding.id).collect::<Vec<_>>()
            };
            let all = BindingFilter::default();
            assert_eq!(list(all.clone(), (0, ""), 2).await, ids[..2]);
            let last = store.labeled_binding(&org, &ids[1]).await.unwrap().unwrap();
            assert_eq!(last.labels, labels(Some("cust-1"), &["gold", "nz"], 1));
            assert_eq!(list(all.clone(), (last.binding.created_at, last.binding.id.as_str()), 9).await, ids[2..]);
            let tagged = BindingFilter { tag: Some("nz".into()), ..all.clone() };
            assert_eq!(list(tagged, (0, ""), 9).await, ids[1..]);
            let named = BindingFilter { external_id: Some("cust-1".into()), ..all.clone() };
            assert_eq!(list(named, (0, ""), 9).await, ids[1..2]);
            let active = BindingFilter { status: Some(BindingStatus::NeedsReauth), ..all };
            assert_eq!(list(active, (0, ""), 9).await, []);
        }
    }

    each_store! {
        async fn id_is_unique_in_its_organization_and_the_later_of_two_changes_is_refused(store: Store) {
            let (org, ids) = three_bindings(&store).await;
            store.set_labels(&org, &ids[0], &labels(Some("cust-1"), &[], 0)).await.unwrap();
            let late = store.set_labels(&org, &ids[0], &labels(None, &[], 0)).await;
            assert!(matches!(late, Err(LabelError::Changed)), "{late:?}");
            let taken = store.set_labels(&org, &ids[1], &labels(Some("cust-1"), &[], 0)).await;
            assert!(matches!(taken, Err(LabelError::ExternalIdTaken)), "{taken:?}");
            let other = store.add_org("Southerly").await.unwrap();
            let foreign = store.set_labels(&other, &ids[0], &labels(None, &[], 1)).await;
            assert!(matches!(foreign, Err(LabelError::NotFound)), "{foreign:?}");
            assert!(store.labeled_binding(&other, &ids[0]).await.unwrap().is_none());
            store.set_labels(&org, &ids[0], &labels(None, &["x"], 1)).await.unwrap();
            store.set_labels(&org, &ids[1], &labels(Some("cust-1"), &[], 0)).await.unwrap();
        }
    }
}
