//! Server functions for notifications: settings, email and webhooks.

use leptos::prelude::*;
use leptos::server_fn::codec::{Json, PostUrl};

use crate::model::{ApiError, DeliveryId, DeliveryLogView, EndpointId, EventKind, NotificationsView, UserId};

/// Returns what `/settings/notifications` shows.
#[server(prefix = "/api", endpoint = "notifications/view", input = PostUrl, output = Json)]
pub async fn notifications() -> Result<NotificationsView, ApiError> {
    use crate::server::http::server_fn::ServerFnContext;
    use crate::server::views;

    let ctx = ServerFnContext::authenticated().await?;
    ctx.run(async |ctx| {
        let (user, channels) = (&ctx.caller.user_id, ctx.state.notifier.channels().await?);
        Ok(views::notifications(&ctx.state.store, ctx.org()?, user, channels).await?)
    })
    .await
    .without_flash()
}

/// Adds a webhook endpoint. Its secret is shown once, on the next page.
#[server(prefix = "/api", endpoint = "notifications/webhooks/add", input = PostUrl, output = Json)]
pub async fn add_webhook(url: String) -> Result<EndpointId, ApiError> {
    use crate::model::{NotificationFlash::WebhookAdded, Permission, paths};
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::NOTIFICATIONS);
    ctx.run(async |ctx| {
        let org = ctx.require(Permission::ManageNotifications)?;
        let (endpoints, caller) = (ctx.state.notifier.as_actor(ctx.actor()), &ctx.caller);
        let added = endpoints.add_endpoint(&org.id, &url, &caller.user_id, &caller.session_hash).await?;
        ctx.reveal_webhook_secret(&added);
        Ok(added)
    })
    .await
    .flash(|_| WebhookAdded)
}

/// Sends a test event to an endpoint now, without retries. Returns whether it was delivered.
#[server(prefix = "/api", endpoint = "notifications/webhooks/test", input = PostUrl, output = Json)]
pub async fn test_webhook(endpoint_id: EndpointId) -> Result<bool, ApiError> {
    use crate::model::{
        NotificationFlash::{TestDelivered, TestFailed},
        Permission, paths,
    };
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::NOTIFICATIONS);
    ctx.run(async |ctx| {
        let org = ctx.require(Permission::ManageNotifications)?;
        Ok(ctx.state.notifier.test_endpoint(&org.id, &endpoint_id).await?)
    })
    .await
    .flash(|delivered| if *delivered { TestDelivered } else { TestFailed })
}

/// Gives an endpoint a new secret, which is shown once. The old secret also signs for 24 hours.
#[server(prefix = "/api", endpoint = "notifications/webhooks/rotate", input = PostUrl, output = Json)]
pub async fn rotate_webhook_secret(endpoint_id: EndpointId) -> Result<(), ApiError> {
    use crate::model::{NotificationFlash::WebhookRotated, Permission, paths};
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::NOTIFICATIONS);
    ctx.run(async |ctx| {
        let org = ctx.require(Permission::ManageNotifications)?;
        let endpoints = ctx.state.notifier.as_actor(ctx.actor());
        endpoints.rotate_secret(&org.id, &endpoint_id, &ctx.caller.session_hash).await?;
        ctx.reveal_webhook_secret(&endpoint_id);
        Ok(())
    })
    .await
    .flash(|()| WebhookRotated)
}

/// Enables or disables an endpoint.
#[server(prefix = "/api", endpoint = "notifications/webhooks/set", input = PostUrl, output = Json)]
pub async fn set_webhook(endpoint_id: EndpointId, enabled: bool) -> Result<(), ApiError> {
    use crate::model::{
        NotificationFlash::{WebhookDisabled, WebhookEnabled},
        Permission, paths,
    };
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::NOTIFICATIONS);
    ctx.run(async |ctx| {
        let org = ctx.require(Permission::ManageNotifications)?;
        let endpoints = ctx.state.notifier.as_actor(ctx.actor());
        if enabled {
            endpoints.enable_endpoint(&org.id, &endpoint_id).await?;
        } else {
            endpoints.disable_endpoint(&org.id, &endpoint_id).await?;
        }
        Ok(())
    })
    .await
    .flash(|()| if enabled { WebhookEnabled } else { WebhookDisabled })
}

/// Sets the kinds of events that an endpoint gets, or all if there are none.
#[server(prefix = "/api", endpoint = "notifications/webhooks/events", input = PostUrl, output = Json)]
pub async fn choose_events(endpoint_id: EndpointId, #[server(default)] kinds: Vec<EventKind>) -> Result<(), ApiError> {
    use crate::model::{NotificationFlash::EventsChosen, Permission, paths};
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::NOTIFICATIONS);
    ctx.run(async |ctx| {
        let org = ctx.require(Permission::ManageNotifications)?;
        Ok(ctx.state.notifier.as_actor(ctx.actor()).choose_events(&org.id, &endpoint_id, &kinds).await?)
    })
    .await
    .flash(|()| EventsChosen)
}

/// Returns the last deliveries to the organization's webhooks, or to one of them, with their attempts.
#[server(prefix = "/api", endpoint = "notifications/webhooks/log", input = PostUrl, output = Json)]
pub async fn delivery_log(#[server(default)] endpoint_id: Option<EndpointId>) -> Result<DeliveryLogView, ApiError> {
    use crate::model::Permission;
    use crate::server::http::server_fn::{ServerFnContext, webhook_not_found};
    use crate::server::views;

    let ctx = ServerFnContext::authenticated().await?;
    ctx.run(async |ctx| {
        let org = ctx.require(Permission::ManageNotifications)?;
        let log = views::delivery_log(&ctx.state.store, &org.id, endpoint_id.as_ref()).await?;
        log.ok_or_else(webhook_not_found)
    })
    .await
    .without_flash()
}

/// Sends a delivery to a webhook again now. Returns whether it was delivered.
#[server(prefix = "/api", endpoint = "notifications/webhooks/resend", input = PostUrl, output = Json)]
pub async fn resend_delivery(delivery_id: DeliveryId) -> Result<bool, ApiError> {
    use crate::model::{
        NotificationFlash::{ResendFailed, Resent},
        Permission, paths,
    };
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::DELIVERIES);
    ctx.run(async |ctx| {
        let org = ctx.require(Permission::ManageNotifications)?;
        Ok(ctx.state.notifier.as_actor(ctx.actor()).resend(&org.id, &delivery_id).await?)
    })
    .await
    .flash(|delivered| if *delivered { Resent } else { ResendFailed })
}

/// Removes an endpoint and cancels its pending deliveries.
#[server(prefix = "/api", endpoint = "notifications/webhooks/remove", input = PostUrl, output = Json)]
pub async fn remove_webhook(endpoint_id: EndpointId) -> Result<(), ApiError> {
    use crate::model::{NotificationFlash::WebhookRemoved, Permission, paths};
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::NOTIFICATIONS);
    ctx.run(async |ctx| {
        let org = ctx.require(Permission::ManageNotifications)?;
        Ok(ctx.state.notifier.as_actor(ctx.actor()).remove_endpoint(&org.id, &endpoint_id).await?)
    })
    .await
    .flash(|()| WebhookRemoved)
}

/// Turns notification emails for a member on or off. Members change their own setting, owners and admins anyone's.
#[server(prefix = "/api", endpoint = "notifications/mail", input = PostUrl, output = Json)]
pub async fn set_mail(user_id: UserId, on: bool) -> Result<(), ApiError> {
    use crate::model::{
        EmailChoice,
        NotificationFlash::{MailOff, MailOn},
        Permission, paths,
    };
    use crate::server::http::server_fn::{ServerFnContext, member_not_found};

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::NOTIFICATIONS);
    ctx.run(async |ctx| {
        let own = user_id == ctx.caller.user_id;
        let org = if own { ctx.org()? } else { ctx.require(Permission::ManageNotifications)? };
        let choice = if on { EmailChoice::On } else { EmailChoice::Off };
        let store = ctx.state.store.as_actor(ctx.actor());
        store.set_email_notifications(&org.id, &user_id, choice).await?.ok_or_else(member_not_found)
    })
    .await
    .flash(|()| if on { MailOn } else { MailOff })
}
