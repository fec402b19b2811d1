//! Loads the view of `/settings/notifications`.

use super::Viewer;
use crate::model::{
    Channels, DeliveryLogView, DeliveryView, EndpointId, EndpointView, NotificationsView, OrgId, OrgView, Permission,
    Role, UserId,
};
use crate::server::store::{ListedEndpoint, Store, StoreError};

/// The number of deliveries in the log.
const MAX_LOGGED_DELIVERIES: i64 = 50;

/// Loads recipients and webhook endpoints of `org`, as its member `user` may see them.
pub async fn notifications(
    store: &Store,
    OrgView { id: org, role, .. }: &OrgView,
    user: &UserId,
    ways: Channels,
) -> Result<NotificationsView, StoreError> {
    let may_manage = role.may(Permission::ManageNotifications);
    let mut recipients = store.recipients(org, user).await?;
    recipients.retain(|one| may_manage || one.is_you);
    let own = recipients.iter().find(|one| one.is_you).map(|one| one.email.clone()).unwrap_or_default();
    let viewer = Viewer::new(*role, &own);
    let listed = store.listed_endpoints(org).await?;
    let endpoints = listed.into_iter().map(|one| endpoint_view(one, &viewer, *role)).collect();
    Ok(NotificationsView { may_manage, ways, recipients, endpoints, as_of: store.clock().now() })
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

fn endpoint_view(
    ListedEndpoint { endpoint, events, last }: ListedEndpoint,
    viewer: &Viewer,
    role: Role,
) -> EndpointView {
    EndpointView {
        url: redact_receiver(&endpoint.url, role),
        id: endpoint.id,
        created_at: endpoint.created_at,
        disabled_at: endpoint.disabled_at,
        disabled_by: endpoint.disabled_by,
        previous_until: endpoint.previous_until,
        events,
        last: last.map(|delivery| redacted(delivery, viewer, role)),
    }
}

/// Returns the delivery as its reader may see it.
pub(super) fn redacted(delivery: DeliveryView, viewer: &Viewer, role: Role) -> DeliveryView {
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
