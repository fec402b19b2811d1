//! The feed of events for programs that can't receive webhooks: committed events get consecutive numbers, and a program
//! reads on from the last number that it has seen.
//!
//! Times can't order the feed, because an event may commit long after it was written and would then be skipped. Events
//! are therefore numbered after they have committed, under one row's lock.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::outbox::{Event, event_from};
use crate::model::{ApiKeyId, BindingId, EventKind, OrgId};
use crate::server::store::column_lists::{columns, event_columns};
use crate::server::store::{Store, StoreError};

/// Which events a page of the feed contains. Empty filters match all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Kind of the change.
    pub kind: Option<EventKind>,
    /// Binding that the event is about.
    pub binding: Option<BindingId>,
    /// The key whose bindings the events are about, if it is limited to some.
    pub limited_by: Option<ApiKeyId>,
}

/// An event and its number in the feed.
#[derive(Clone, Debug, PartialEq)]
pub struct NumberedEvent {
    /// The number. A later event has a greater one.
    pub number: i64,
    /// The event.
    pub event: Event,
}

/// Selects the feed's events of one organization, or of the whole app.
macro_rules! select_feed {
    ($org:literal) => {
        concat!(
            "SELECT ",
            event_columns!("part."),
            ", part.feed_number FROM (SELECT ",
            event_columns!(""),
            ", feed_number FROM outbox WHERE ",
            $org,
            " AND feed_number > $1 AND kind <> $3 AND ($4 = '' OR kind = $4) AND ($5 = '' OR binding_id = $5) \
             AND ($7 = '' OR EXISTS (SELECT 1 FROM api_key_bindings r \
             WHERE r.key_id = $7 AND r.binding_id = outbox.binding_id)) \
             ORDER BY feed_number LIMIT $6) AS part"
        )
    };
}

impl Store {
    /// Gives up to `limit` committed events their numbers, the oldest first. Returns how many.
    pub async fn number_events(&self, limit: i64) -> Result<usize, StoreError> {
        let waiting = sqlx::query("SELECT id FROM outbox WHERE feed_number IS NULL LIMIT 1");
        if waiting.fetch_optional(self.pool()).await?.is_none() {
            return Ok(0);
        }
        let mut transaction = self.database.begin().await?;
        // Locks the row until the commit, so that numbers become visible in their order.
        let last = sqlx::query(
            "INSERT INTO event_feed (singleton, last_number) VALUES (1, 0) \
             ON CONFLICT (singleton) DO UPDATE SET last_number = event_feed.last_number RETURNING last_number",
        )
        .fetch_one(&mut *transaction)
        .await?;
        let last: i64 = last.try_get("last_number")?;
        let rows = sqlx::query("SELECT id FROM outbox WHERE feed_number IS NULL ORDER BY occurred_at, id LIMIT $1")
            .bind(limit)
            .fetch_all(&mut *transaction)
            .await?;
        let mut number = last;
        for row in &rows {
            number += 1;
            sqlx::query("UPDATE outbox SET feed_number = $1 WHERE id = $2")
                .bind(number)
                .bind(row.try_get::<String, _>("id")?)
                .execute(&mut *transaction)
                .await?;
        }
        sqlx::query("UPDATE event_feed SET last_number = $1").bind(number).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(rows.len())
    }

    /// Returns the greatest number in the feed, or 0 if it is empty.
    pub async fn last_event_number(&self) -> Result<i64, StoreError> {
        let row = sqlx::query("SELECT last_number FROM event_feed").fetch_optional(self.pool()).await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?.unwrap_or(0))
    }

    /// Returns up to `limit` events of the organization and of the whole app with greater numbers than `after`. Tests of
    /// webhooks are left out.
    pub async fn events_after(
        &self,
        org: &OrgId,
        filter: &EventFilter,
        after: i64,
        limit: i64,
    ) -> Result<Vec<NumberedEvent>, StoreError> {
        // Two parts that each use the index, because an OR would use none.
        let rows = sqlx::query(concat!(
            select_feed!("org_id = $2"),
            " UNION ALL ",
            select_feed!("org_id IS NULL"),
            " ORDER BY feed_number LIMIT $6"
        ))
        .bind(after)
        .bind(org.as_str())
        .bind(EventKind::Test.as_str())
        .bind(filter.kind.map_or("", EventKind::as_str))
        .bind(filter.binding.as_ref().map_or("", BindingId::as_str))
        .bind(limit)
        .bind(filter.limited_by.as_ref().map_or("", ApiKeyId::as_str))
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(numbered_from).collect()
    }
}

fn numbered_from(row: &AnyRow) -> Result<NumberedEvent, StoreError> {
    Ok(NumberedEvent { number: row.try_get("feed_number")?, event: event_from(row)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::Labels;
    use crate::server::store::testing::each_store;
    use crate::server::store::testing::grants::TestGrant;

    async fn feed(store: &Store, org: &OrgId, after: i64) -> Vec<(i64, EventKind)> {
        let found = store.events_after(org, &EventFilter::default(), after, 100).await.unwrap();
        found.into_iter().map(|one| (one.number, one.event.kind)).collect()
    }

    #[apply(each_store!)]
    async fn event_that_commits_late_gets_a_greater_number_than_those_before_it(store: Store) {
        let org = store.add_org("Harbour").await.unwrap();
        let first = TestGrant::of(&store, &org).bound_to(&["Shop"]).insert().await;
        store.clock().advance(60);
        TestGrant::of(&store, &org).bound_to(&["Café"]).insert().await;
        // The first event commits last: its time is a minute older, and it was not there when the other was numbered.
        let late = "UPDATE outbox SET feed_number = -1 WHERE tenant_name = 'Shop'";
        sqlx::query(late).execute(store.pool()).await.unwrap();
        assert_eq!(store.number_events(10).await.unwrap(), 1);
        assert_eq!(feed(&store, &org, 0).await, [(1, EventKind::Created)]);
        sqlx::query("UPDATE outbox SET feed_number = NULL WHERE feed_number = -1").execute(store.pool()).await.unwrap();
        assert_eq!(store.number_events(10).await.unwrap(), 1);
        assert_eq!(feed(&store, &org, 1).await, [(2, EventKind::Created)], "a program that has read 1 gets it");
        assert_eq!((store.number_events(10).await.unwrap(), store.last_event_number().await.unwrap()), (0, 2));
        assert!(store.grant(&first).await.unwrap().is_some());
    }

    #[apply(each_store!)]
    async fn event_keeps_the_labels_that_its_connection_had(store: Store) {
        let org = store.add_org("Harbour").await.unwrap();
        TestGrant::of(&store, &org).bound_to(&["Shop"]).insert().await;
        let binding = store.bindings_of_org(&org).await.unwrap().remove(0).binding.id;
        let labels = |tags: &[&str], version| Labels {
            external_id: Some("customer-1".into()),
            tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
            version,
        };
        store.set_labels(&org, &binding, &labels(&["gold", "nz"], 0)).await.unwrap();
        store.clock().advance(1);
        store.disconnect_binding(&org, &binding).await.unwrap();
        store.disconnect_binding(&org, &binding).await.unwrap();
        store.set_labels(&org, &binding, &labels(&[], 1)).await.unwrap();
        assert_eq!(store.number_events(10).await.unwrap(), 2, "the second disconnect changed nothing");
        let events = store.events_after(&org, &EventFilter::default(), 0, 10).await.unwrap();
        let seen: Vec<_> =
            events.into_iter().map(|one| (one.event.kind, one.event.external_id, one.event.tags)).collect();
        let tags = vec!["gold".to_owned(), "nz".to_owned()];
        let ended = (EventKind::Disconnected, Some("customer-1".to_owned()), tags);
        assert_eq!(seen, [(EventKind::Created, None, vec![]), ended]);
    }

    #[apply(each_store!)]
    async fn feed_has_an_organizations_events_and_the_apps_by_kind_and_binding(store: Store) {
        let (ours, theirs) = (store.add_org("Harbour").await.unwrap(), store.add_org("Southerly").await.unwrap());
        TestGrant::of(&store, &ours).bound_to(&["Shop"]).insert().await;
        TestGrant::of(&store, &ours).xero_user("other").bound_to(&["Café"]).insert().await;
        TestGrant::of(&store, &theirs).xero_user("third").bound_to(&["Studio"]).insert().await;
        store.raise_credentials_alarm("invalid_client").await.unwrap();
        assert_eq!(store.number_events(2).await.unwrap(), 2);
        assert_eq!(store.number_events(9).await.unwrap(), 2);
        assert_eq!((feed(&store, &ours, 0).await.len(), feed(&store, &theirs, 0).await.len()), (3, 2));
        let binding = store.bindings_of_org(&ours).await.unwrap().remove(0).binding;
        let with = async |filter: EventFilter| store.events_after(&ours, &filter, 0, 9).await.unwrap();
        let one = with(EventFilter { binding: Some(binding.id), ..Default::default() }).await;
        assert_eq!(one[0].event.about.tenant_name, Some(binding.tenant.name));
        let alarms = with(EventFilter { kind: Some(EventKind::CredentialsRefused), ..Default::default() }).await;
        assert_eq!((one.len(), alarms.len()), (1, 1));
    }
}
