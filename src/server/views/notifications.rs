//! Loads the view of `/settings/notifications`.

use std::collections::HashMap;

use super::Viewer;
use crate::model::{
    Channels, DeliveryLogView, DeliveryView, EndpointId, EndpointView, EventId, EventView, NotificationsView, OrgId,
    OrgView, Permission, Role, UserId,
};
use crate::server::store::{Event, Store, StoreError, WebhookEndpoint};

/// The number of events on the page. Deliveries of older events are not loaded.
const MAX_EVENTS: i64 = 30;
/// The number of deliveries in the log.
const MAX_LOGGED_DELIVERIES: i64 = 50;

/// Loads recipients, webhook endpoints and recent events of `org`, as its member `user` may see them.
pub async fn notifications(
    store: &Store,
    OrgView { id: org, role, .. }: &OrgView,
    user: &UserId,
    ways: Channels,
) -> Result<NotificationsView, StoreError> {
    let may_manage = role.may(Permission::ManageNotifications);
    let seen = store.events_read_until(org, user).await?;
    let mut recipients = store.recipients(org, user).await?;
    recipients.retain(|one| may_manage || one.is_you);
    let own = recipients.iter().find(|one| one.is_you).map(|one| one.email.clone()).unwrap_or_default();
    let viewer = Viewer::new(*role, &own);
    let mut endpoints = Vec::new();
    let chosen = store.chosen_events(org).await?;
    for one in store.endpoints(org).await? {
        let last = store.last_delivery(org, one.id.as_str()).await?;
        let events = chosen.iter().find(|choice| choice.endpoint == one.id).map(|choice| choice.kinds.clone());
        let view = endpoint_view(one, last.map(|one| redacted(one, &viewer, *role)), *role);
        endpoints.push(EndpointView { events, ..view });
    }
    let events = event_views(store, org, seen, (&viewer, *role)).await?;
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

/// Loads the log of deliveries to the webhooks of `org`, or to one of them. `None` if there is no such webhook. The
/// caller checks the permission.
pub async fn delivery_log(
    store: &Store,
    org: &OrgId,
    endpoint: Option<&EndpointId>,
) -> Result<Option<DeliveryLogView>, StoreError> {
    let webhook = match endpoint {
        None => None,
        Some(id) => match store.endpoint(org, id).await? {
            Some(endpoint) => Some(endpoint.url),
            None => return Ok(None),
        },
    };
    let deliveries = store.delivery_log(org, endpoint, MAX_LOGGED_DELIVERIES).await?;
    Ok(Some(DeliveryLogView { webhook, deliveries, as_of: store.clock().now() }))
}

async fn event_views(
    store: &Store,
    org: &OrgId,
    seen: i64,
    (viewer, role): (&Viewer, Role),
) -> Result<Vec<EventView>, StoreError> {
    let events = store.org_events(org, MAX_EVENTS).await?;
    let Some(oldest) = events.last().map(|event| event.occurred_at) else { return Ok(Vec::new()) };
    let mut deliveries_by_event: HashMap<EventId, Vec<DeliveryView>> = HashMap::new();
    for (event, delivery) in store.deliveries_since(org, oldest).await? {
        deliveries_by_event.entry(event).or_default().push(redacted(delivery, viewer, role));
    }
    let view = |event: Event| EventView {
        deliveries: deliveries_by_event.remove(&event.id).unwrap_or_default(),
        is_new: event.occurred_at > seen && event.kind.counts_as_unread(),
        id: event.id,
        kind: event.kind,
        tenant_name: event.about.tenant_name,
        ends_at: event.ends_at,
        occurred_at: event.occurred_at,
    };
    Ok(events.into_iter().map(view).collect())
}

fn endpoint_view(one: WebhookEndpoint, last: Option<DeliveryView>, role: Role) -> EndpointView {
    EndpointView {
        url: redact_receiver(&one.url, role),
        id: one.id,
        created_at: one.created_at,
        disabled_at: one.disabled_at,
        disabled_by: one.disabled_by,
        previous_until: one.previous_until,
        events: None,
        last,
    }
}

/// Returns the delivery as its reader may see it.
fn redacted(delivery: DeliveryView, viewer: &Viewer, role: Role) -> DeliveryView {
    let receiver = delivery.receiver.map(|receiver| viewer.name(redact_receiver(&receiver, role)));
    DeliveryView { receiver, ..delivery }
}

/// Reduces a webhook URL to its origin unless the viewer may manage it, because path and query may contain a secret.
/// Email addresses are returned unchanged, for `Viewer` to mask.
fn redact_receiver(receiver: &str, role: Role) -> String {
    match url::Url::parse(receiver) {
        Ok(url) if !role.may(Permission::ManageNotifications) => url.origin().ascii_serialization(),
        _ => receiver.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::redact_receiver;
    use crate::model::Role;

    #[test]
    fn only_managers_see_the_full_webhook_url() {
        let url = "https://example.com:8443/hooks?key=private";
        assert_eq!(redact_receiver(url, Role::Admin), url);
        assert_eq!(redact_receiver(url, Role::Member), "https://example.com:8443");
        assert_eq!(redact_receiver("ann@example.com", Role::Member), "ann@example.com");
    }
}
