//! Loads the list of events that people are notified of.

use std::collections::HashMap;

use super::Viewer;
use super::notifications::redacted;
use crate::model::{
    ConnectionName, Cursor, DeliveryView, EventId, EventListFilter, EventView, EventsView, OrgView, UserId,
};
use crate::server::store::{Event, ReadState, Store, StoreError};

/// Events per page.
const PAGE_SIZE: usize = 30;

/// Loads the view of `/events` of `org`, as its member `user` may see it: the events after a cursor. `read` is what the
/// member has read, if that is known.
pub async fn events(
    store: &Store,
    (org, user, viewer): (&OrgView, &UserId, &Viewer),
    read: Option<ReadState>,
    filter: EventListFilter,
    after: Option<&Cursor>,
) -> Result<EventsView, StoreError> {
    // One extra row shows whether there is a next page.
    let limit = i64::try_from(PAGE_SIZE + 1).unwrap_or(i64::MAX);
    let mut found = store.org_events(&org.id, &filter, after, limit).await?;
    let has_more = found.len() > PAGE_SIZE;
    found.truncate(PAGE_SIZE);
    let older = found.last().filter(|_| has_more).map(|last| Cursor { at: last.occurred_at, id: last.id.0.clone() });
    let read = match read {
        Some(read) => read,
        None => store.read_state(&org.id, user).await?,
    };
    let mut deliveries = deliveries_of(store, (org, viewer), &found).await?;
    let view = |event: Event| EventView {
        deliveries: deliveries.remove(&event.id).unwrap_or_default(),
        is_new: event.occurred_at > read.until && event.kind.counts_as_unread(),
        id: event.id,
        kind: event.kind,
        tenant_name: event.about.tenant_name,
        ends_at: event.ends_at,
        occurred_at: event.occurred_at,
    };
    let events = found.into_iter().map(view).collect();
    let connections = store.connections_with_grants(&org.id).await?.into_iter();
    Ok(EventsView {
        events,
        unread: read.unread,
        connections: connections.map(|one| ConnectionName { id: one.binding_id, name: one.tenant_name }).collect(),
        filter,
        older,
        as_of: store.clock().now(),
    })
}

/// Returns the deliveries of these events, as their reader may see them.
async fn deliveries_of(
    store: &Store,
    (org, viewer): (&OrgView, &Viewer),
    events: &[Event],
) -> Result<HashMap<EventId, Vec<DeliveryView>>, StoreError> {
    let mut by_event: HashMap<EventId, Vec<DeliveryView>> = HashMap::new();
    if let (Some(newest), Some(oldest)) = (events.first(), events.last()) {
        for (event, delivery) in store.deliveries_of_events(&org.id, oldest.occurred_at, newest.occurred_at).await? {
            by_event.entry(event).or_default().push(redacted(delivery, viewer, org.role));
        }
    }
    Ok(by_event)
}
