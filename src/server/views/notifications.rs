//! What `/settings/notifications` shows, made from rows.

use std::collections::HashMap;

use crate::model::{DeliveryView, EndpointView, EventId, EventView, NotificationsView, OrgId, UserId, Ways};
use crate::server::store::{Endpoint, Event, Store, StoreError};

/// How many events the page shows; and deliveries of older ones it doesn't.
const EVENTS: i64 = 30;

/// Who looks, and what they may see.
pub struct Looker<'a> {
    pub org: &'a OrgId,
    pub user: &'a UserId,
    pub may_manage: bool,
}

/// Everything on `/settings/notifications`.
pub async fn notifications(store: &Store, by: Looker<'_>, ways: Ways) -> Result<NotificationsView, StoreError> {
    let Looker { org, user, may_manage } = by;
    let seen = store.notices_seen_at(org, user).await?;
    let mut recipients = store.recipients(org, user).await?;
    recipients.retain(|one| may_manage || one.is_you);
    let mut endpoints = Vec::new();
    for one in store.endpoints(org).await? {
        let last = store.last_delivery(org, one.id.as_str()).await?;
        endpoints.push(endpoint(one, last, may_manage));
    }
    let events = events(store, org, seen, may_manage).await?;
    Ok(NotificationsView {
        may_manage,
        ways,
        recipients,
        endpoints,
        unread: u32::try_from(events.iter().filter(|event| event.is_new).count()).unwrap_or(u32::MAX),
        events,
        as_of: store.clock().now(),
    })
}

async fn events(store: &Store, org: &OrgId, seen: i64, may_manage: bool) -> Result<Vec<EventView>, StoreError> {
    let events = store.events_of_org(org, EVENTS).await?;
    let Some(oldest) = events.last().map(|event| event.occurred_at) else { return Ok(Vec::new()) };
    let mut told: HashMap<EventId, Vec<DeliveryView>> = HashMap::new();
    for (event, mut delivery) in store.deliveries_of(org, oldest).await? {
        delivery.receiver = delivery.receiver.map(|receiver| shown(&receiver, may_manage));
        told.entry(event).or_default().push(delivery);
    }
    let view = |event: Event| EventView {
        deliveries: told.remove(&event.id).unwrap_or_default(),
        is_new: event.occurred_at > seen && event.kind.counts(),
        id: event.id,
        kind: event.kind,
        tenant_name: event.about.tenant_name,
        ends_at: event.ends_at,
        occurred_at: event.occurred_at,
    };
    Ok(events.into_iter().map(view).collect())
}

fn endpoint(one: Endpoint, last: Option<DeliveryView>, may_manage: bool) -> EndpointView {
    EndpointView {
        url: shown(&one.url, may_manage),
        id: one.id,
        created_at: one.created_at,
        disabled_at: one.disabled_at,
        disabled_by: one.disabled_by,
        previous_until: one.previous_until,
        last,
    }
}

/// An address as this person may see it: its path and query may carry somebody's key. Mailboxes are no addresses of
/// that kind.
fn shown(receiver: &str, may_manage: bool) -> String {
    match url::Url::parse(receiver) {
        Ok(url) if !may_manage => url.origin().ascii_serialization(),
        _ => receiver.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn an_address_is_shown_whole_to_those_alone_who_manage_it() {
        let url = "https://example.com:8443/hooks?key=private";
        assert_eq!(shown(url, true), url);
        assert_eq!(shown(url, false), "https://example.com:8443");
        assert_eq!(shown("ann@example.com", false), "ann@example.com");
    }
}
