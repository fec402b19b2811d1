//! Delivers events to webhooks and by email, and sends messages and letters. Creating the deliveries and each kind are
//! loops of their own, so that a slow mail server delays no webhook.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::model::Channel;
use crate::server::lifecycle::Lifecycle;
use crate::server::notify::{DeliveryReport, Notifier};
use crate::server::store::StoreError;
use crate::server::telemetry::metrics::{DeliveryCounts, Metrics};

/// The pause between steps while nothing is due.
const IDLE_INTERVAL: Duration = Duration::from_secs(2);
/// How long a shutdown waits for messages that are being sent. What a mail server does not accept until then is sent
/// again.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether more work may be due right now.
enum Next {
    AtOnce,
    Later,
}

impl Next {
    fn at_once_if(has_more: bool) -> Self {
        if has_more { Self::AtOnce } else { Self::Later }
    }
}

/// Spawns the loops. `metrics` counts the deliveries.
pub fn spawn(lifecycle: &Lifecycle, notifier: &Notifier, metrics: &Metrics) {
    lifecycle.spawn_loop("notifications", |stopping| run_preparation(notifier.clone(), stopping));
    for (name, channel) in [("webhooks", Channel::Webhook), ("email", Channel::Email)] {
        lifecycle.spawn_loop(name, |stopping| run_deliveries(notifier.clone(), channel, stopping, metrics.clone()));
    }
    lifecycle.spawn_loop("account_messages", |stopping| run_account_messages(notifier.clone(), stopping));
    lifecycle.spawn_loop("connect_links", |stopping| run_connect_links(notifier.clone(), stopping, metrics.clone()));
}

/// Creates the deliveries of new events until `stopping` is canceled.
async fn run_preparation(notifier: Notifier, stopping: CancellationToken) {
    repeat("prepare", &stopping, async || Ok(Next::at_once_if(notifier.prepare().await?.has_more))).await;
}

/// Attempts one channel's deliveries until `stopping` is canceled.
async fn run_deliveries(notifier: Notifier, channel: Channel, stopping: CancellationToken, metrics: Metrics) {
    let deliver = async || {
        let DeliveryReport { delivered, retrying, given_up, has_more } = notifier.deliver(channel).await?;
        metrics.count_deliveries(DeliveryCounts { delivered, again: retrying, given_up });
        Ok(Next::at_once_if(has_more))
    };
    repeat(channel.as_str(), &stopping, deliver).await;
}

/// Sends account messages, notices and invitation mails until `stopping` is canceled.
async fn run_account_messages(notifier: Notifier, stopping: CancellationToken) {
    repeat("account_messages", &stopping, async || {
        let (messages, notices) = (notifier.send_account_messages().await?, notifier.send_account_notices().await?);
        let invitations = notifier.send_invitations().await?;
        Ok(Next::at_once_if(messages.has_more || notices.has_more || invitations.has_more))
    })
    .await;
}

/// Sends letters to contacts, and connect links to whom they are for, until `stopping` is canceled.
async fn run_connect_links(notifier: Notifier, stopping: CancellationToken, metrics: Metrics) {
    repeat("connect_links", &stopping, async || {
        let reports = [notifier.send_connect_links().await?, notifier.send_reconnect_letters().await?];
        for DeliveryReport { delivered, retrying, given_up, .. } in reports {
            metrics.count_deliveries(DeliveryCounts { delivered, again: retrying, given_up });
        }
        Ok(Next::at_once_if(reports.iter().any(|report| report.has_more)))
    })
    .await;
}

/// Repeats a step until `stopping` is canceled. The current step is finished if it takes no longer than `STOP_TIMEOUT`.
async fn repeat<F>(name: &'static str, stopping: &CancellationToken, step: impl Fn() -> F)
where
    F: Future<Output = Result<Next, StoreError>>,
{
    let stopped_for_long = async {
        stopping.cancelled().await;
        tokio::time::sleep(STOP_TIMEOUT).await;
    };
    tokio::pin!(stopped_for_long);
    let mut failing = false;
    loop {
        let done = tokio::select! {
            done = step() => done,
            () = &mut stopped_for_long => return,
        };
        if let Err(error) = &done
            && !failing
        {
            tracing::error!(step = name, %error, "notification step failed, retrying");
        }
        failing = done.is_err();
        if matches!(done, Ok(Next::AtOnce)) && !stopping.is_cancelled() {
            continue;
        }
        if stopping.run_until_cancelled(tokio::time::sleep(IDLE_INTERVAL)).await.is_none() {
            return;
        }
    }
}
