//! Server functions for notifications: settings, email and webhooks.

use leptos::prelude::*;
use leptos::server_fn::codec::{Json, PostUrl};

use crate::model::{ApiError, EndpointId, NotificationsView, UserId};

/// Returns what `/settings/notifications` shows.
#[server(prefix = "/api", endpoint = "notifications/view", input = PostUrl, output = Json)]
pub async fn notifications() -> Result<NotificationsView, ApiError> {
    use crate::model::Permission;
    use crate::server::http::server_fn::ServerFnContext;
    use crate::server::views::{self, Viewer};

    let asked = ServerFnContext::authenticated().await?;
    let view = async {
        let may_manage = asked.caller.may(Permission::ManageNotifications);
        let by = Viewer { org: &asked.org()?.id, user: &asked.caller.user_id, may_manage };
        Ok(views::notifications(&asked.state.store, by, asked.state.notifier.channels()).await?)
    };
    let view = view.await;
    asked.respond(view, |_| None)
}

/// Adds a webhook endpoint. Its secret is shown once, on the next page.
#[server(prefix = "/api", endpoint = "notifications/webhooks/add", input = PostUrl, output = Json)]
pub async fn add_webhook(url: String) -> Result<EndpointId, ApiError> {
    use crate::model::WebhookFlash::WebhookAdded;
    use crate::server::http::server_fn::ServerFnContext;

    let asked = ServerFnContext::returning_to_notifications().await?;
    let added = async {
        let org = asked.require_manage_notifications()?;
        let (notifier, caller) = (&asked.state.notifier, &asked.caller);
        Ok(notifier.add_endpoint(&org.id, &url, &caller.user_id, &caller.session_hash, asked.actor()).await?)
    };
    let added = added.await;
    asked.respond(added, |_| Some(WebhookAdded.into()))
}

/// Sends a test event to an endpoint now, without retries. Returns whether it was delivered.
#[server(prefix = "/api", endpoint = "notifications/webhooks/test", input = PostUrl, output = Json)]
pub async fn test_webhook(endpoint_id: EndpointId) -> Result<bool, ApiError> {
    use crate::model::WebhookFlash::{TestDelivered, TestFailed};
    use crate::server::http::server_fn::ServerFnContext;

    let asked = ServerFnContext::returning_to_notifications().await?;
    let delivered = async {
        let org = asked.require_manage_notifications()?;
        Ok(asked.state.notifier.test_endpoint(&org.id, &endpoint_id).await?)
    };
    let delivered = delivered.await;
    asked.respond(delivered, |delivered| Some(if *delivered { TestDelivered } else { TestFailed }.into()))
}

/// Gives an endpoint a new secret, which is shown once. The old secret also signs for 24 hours.
#[server(prefix = "/api", endpoint = "notifications/webhooks/rotate", input = PostUrl, output = Json)]
pub async fn rotate_webhook_secret(endpoint_id: EndpointId) -> Result<(), ApiError> {
    use crate::model::WebhookFlash::WebhookRotated;
    use crate::server::http::server_fn::ServerFnContext;

    let asked = ServerFnContext::returning_to_notifications().await?;
    let done = async {
        let org = asked.require_manage_notifications()?;
        Ok(asked.state.notifier.rotate_secret(&org.id, &endpoint_id, &asked.caller.session_hash, asked.actor()).await?)
    };
    let done = done.await;
    asked.respond(done, |()| Some(WebhookRotated.into()))
}

/// Enables or disables an endpoint.
#[server(prefix = "/api", endpoint = "notifications/webhooks/set", input = PostUrl, output = Json)]
pub async fn set_webhook(endpoint_id: EndpointId, enabled: bool) -> Result<(), ApiError> {
    use crate::model::WebhookFlash::{WebhookDisabled, WebhookEnabled};
    use crate::server::http::server_fn::ServerFnContext;

    let asked = ServerFnContext::returning_to_notifications().await?;
    let done = async {
        let org = asked.require_manage_notifications()?;
        Ok(asked.state.notifier.set_endpoint_enabled(&org.id, &endpoint_id, enabled, asked.actor()).await?)
    };
    let done = done.await;
    asked.respond(done, |()| Some(if enabled { WebhookEnabled } else { WebhookDisabled }.into()))
}

/// Removes an endpoint and cancels its pending deliveries.
#[server(prefix = "/api", endpoint = "notifications/webhooks/remove", input = PostUrl, output = Json)]
pub async fn remove_webhook(endpoint_id: EndpointId) -> Result<(), ApiError> {
    use crate::model::WebhookFlash::WebhookRemoved;
    use crate::server::http::server_fn::ServerFnContext;

    let asked = ServerFnContext::returning_to_notifications().await?;
    let done = async {
        let org = asked.require_manage_notifications()?;
        Ok(asked.state.notifier.remove_endpoint(&org.id, &endpoint_id, asked.actor()).await?)
    };
    let done = done.await;
    asked.respond(done, |()| Some(WebhookRemoved.into()))
}

/// Turns notification emails for a member on or off. Members change their own setting, owners and admins anyone's.
#[server(prefix = "/api", endpoint = "notifications/mail", input = PostUrl, output = Json)]
pub async fn set_mail(user_id: UserId, on: bool) -> Result<(), ApiError> {
    use crate::model::WebhookFlash::{MailOff, MailOn};
    use crate::server::http::server_fn::{ServerFnContext, connection_not_found};

    let asked = ServerFnContext::returning_to_notifications().await?;
    let done = async {
        let own = user_id == asked.caller.user_id;
        let org = if own { asked.org()? } else { asked.require_manage_notifications()? };
        let known = asked.state.store.as_actor(asked.actor()).set_email_notifications(&org.id, &user_id, on).await?;
        if known { Ok(()) } else { Err(connection_not_found()) }
    };
    let done = done.await;
    asked.respond(done, |()| Some(if on { MailOn } else { MailOff }.into()))
}

/// Marks events up to `up_to` (unix seconds, the page's `as_of`) as read.
#[server(prefix = "/api", endpoint = "notifications/read", input = PostUrl, output = Json)]
pub async fn mark_read(up_to: i64) -> Result<(), ApiError> {
    use crate::server::http::server_fn::ServerFnContext;

    let asked = ServerFnContext::returning_to_notifications().await?;
    let done = async {
        let up_to = up_to.min(asked.state.store.clock().now());
        Ok(asked.state.store.mark_events_read(&asked.org()?.id, &asked.caller.user_id, up_to).await?)
    };
    let done = done.await;
    asked.respond(done, |()| None)
}
