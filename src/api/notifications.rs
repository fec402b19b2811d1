//! Server functions over notifications: look, mail, webhooks.

use leptos::prelude::*;
use leptos::server_fn::codec::{Json, PostUrl};

use crate::model::{ApiError, EndpointId, NotificationsView, UserId};

/// What `/settings/notifications` shows.
#[server(prefix = "/api", endpoint = "notifications/view", input = PostUrl, output = Json)]
pub async fn notifications() -> Result<NotificationsView, ApiError> {
    use crate::model::Permission;
    use crate::server::http::asked::Asked;
    use crate::server::views::{self, Looker};

    let asked = Asked::by_somebody().await?;
    let view = async {
        let may_manage = asked.caller.may(Permission::ManageNotifications);
        let by = Looker { org: &asked.org()?.id, user: &asked.caller.user_id, may_manage };
        Ok(views::notifications(&asked.state.store, by, asked.state.notifier.ways()).await?)
    };
    let view = view.await;
    asked.answer(view, |_| None)
}

/// Adds an address that the organisation's events are posted to. Its secret is shown once, on the page that follows.
#[server(prefix = "/api", endpoint = "notifications/webhooks/add", input = PostUrl, output = Json)]
pub async fn add_webhook(url: String) -> Result<EndpointId, ApiError> {
    use crate::model::NotificationNotice::WebhookAdded;
    use crate::server::http::asked::Asked;

    let asked = Asked::about_notifications().await?;
    let added = async {
        let org = asked.may_manage_notifications()?;
        let (notifier, caller) = (&asked.state.notifier, &asked.caller);
        Ok(notifier.add_endpoint(&org.id, &url, &caller.user_id, &caller.session_hash, asked.actor()).await?)
    };
    let added = added.await;
    asked.answer(added, |_| Some(WebhookAdded.into()))
}

/// Sends a test event to an endpoint, once and now. `true` where it was delivered.
#[server(prefix = "/api", endpoint = "notifications/webhooks/test", input = PostUrl, output = Json)]
pub async fn test_webhook(endpoint_id: EndpointId) -> Result<bool, ApiError> {
    use crate::model::NotificationNotice::{TestDelivered, TestFailed};
    use crate::server::http::asked::Asked;

    let asked = Asked::about_notifications().await?;
    let delivered = async {
        let org = asked.may_manage_notifications()?;
        Ok(asked.state.notifier.test(&org.id, &endpoint_id).await?)
    };
    let delivered = delivered.await;
    asked.answer(delivered, |delivered| Some(if *delivered { TestDelivered } else { TestFailed }.into()))
}

/// Gives an endpoint a new secret, shown once; for 24 hours the old one signs as well.
#[server(prefix = "/api", endpoint = "notifications/webhooks/rotate", input = PostUrl, output = Json)]
pub async fn rotate_webhook_secret(endpoint_id: EndpointId) -> Result<(), ApiError> {
    use crate::model::NotificationNotice::WebhookRotated;
    use crate::server::http::asked::Asked;

    let asked = Asked::about_notifications().await?;
    let done = async {
        let org = asked.may_manage_notifications()?;
        Ok(asked.state.notifier.rotate_secret(&org.id, &endpoint_id, &asked.caller.session_hash, asked.actor()).await?)
    };
    let done = done.await;
    asked.answer(done, |()| Some(WebhookRotated.into()))
}

/// Starts or stops sending to an endpoint.
#[server(prefix = "/api", endpoint = "notifications/webhooks/set", input = PostUrl, output = Json)]
pub async fn set_webhook(endpoint_id: EndpointId, enabled: bool) -> Result<(), ApiError> {
    use crate::model::NotificationNotice::{WebhookDisabled, WebhookEnabled};
    use crate::server::http::asked::Asked;

    let asked = Asked::about_notifications().await?;
    let done = async {
        let org = asked.may_manage_notifications()?;
        Ok(asked.state.notifier.set_endpoint(&org.id, &endpoint_id, enabled, asked.actor()).await?)
    };
    let done = done.await;
    asked.answer(done, |()| Some(if enabled { WebhookEnabled } else { WebhookDisabled }.into()))
}

/// Removes an endpoint; what is on its way to it is cancelled.
#[server(prefix = "/api", endpoint = "notifications/webhooks/remove", input = PostUrl, output = Json)]
pub async fn remove_webhook(endpoint_id: EndpointId) -> Result<(), ApiError> {
    use crate::model::NotificationNotice::WebhookRemoved;
    use crate::server::http::asked::Asked;

    let asked = Asked::about_notifications().await?;
    let done = async {
        let org = asked.may_manage_notifications()?;
        Ok(asked.state.notifier.remove_endpoint(&org.id, &endpoint_id, asked.actor()).await?)
    };
    let done = done.await;
    asked.answer(done, |()| Some(WebhookRemoved.into()))
}

/// Whether mail goes to a person: everybody says so for themselves, owners and admins for all.
#[server(prefix = "/api", endpoint = "notifications/mail", input = PostUrl, output = Json)]
pub async fn set_mail(user_id: UserId, on: bool) -> Result<(), ApiError> {
    use crate::model::NotificationNotice::{MailOff, MailOn};
    use crate::server::http::asked::{Asked, not_found};

    let asked = Asked::about_notifications().await?;
    let done = async {
        let own = user_id == asked.caller.user_id;
        let org = if own { asked.org()? } else { asked.may_manage_notifications()? };
        let known = asked.state.store.acting(asked.actor()).set_mail(&org.id, &user_id, on).await?;
        if known { Ok(()) } else { Err(not_found()) }
    };
    let done = done.await;
    asked.answer(done, |()| Some(if on { MailOn } else { MailOff }.into()))
}

/// Marks as read what had happened by then: the moment that the page was made at.
#[server(prefix = "/api", endpoint = "notifications/read", input = PostUrl, output = Json)]
pub async fn mark_read(up_to: i64) -> Result<(), ApiError> {
    use crate::server::http::asked::Asked;

    let asked = Asked::about_notifications().await?;
    let done = async {
        let up_to = up_to.min(asked.state.store.clock().now());
        Ok(asked.state.store.mark_notices_seen(&asked.org()?.id, &asked.caller.user_id, up_to).await?)
    };
    let done = done.await;
    asked.answer(done, |()| None)
}
