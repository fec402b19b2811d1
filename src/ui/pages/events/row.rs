//! One event, and who was notified of it.

use leptos::prelude::*;

use super::words;
use crate::model::{Channel, DeliveryView, EventKind, EventView, Tone};
use crate::ui::components::badge::Badge;
use crate::ui::components::delivery::{evidence, status_badge};
use crate::ui::components::time;
use crate::ui::shared::icons::{CHECK, CLOCK, INFO, WARNING, icon};

/// Renders the row.
pub fn row(one: &EventView) -> impl IntoView + use<> {
    let (tone, path) = match one.kind {
        EventKind::NeedsReconnecting | EventKind::CredentialsRefused => (Tone::Bad, WARNING),
        EventKind::WillExpireSoon => (Tone::Warn, CLOCK),
        EventKind::Recovered | EventKind::CredentialsAccepted => (Tone::Good, CHECK),
        EventKind::Created | EventKind::Reconnected => (Tone::Good, CHECK),
        EventKind::Disconnected | EventKind::Test => (Tone::Quiet, INFO),
    };
    let deliveries = one.deliveries.iter().map(delivery).collect_view();
    view! {
        <li class="connection event">
            <div class="event-what" data-tone=tone.as_str()>
                {icon(path)}
                <p>
                    <strong>{one.kind.sentence(one.tenant_name.as_deref())}</strong> " "
                    {one.kind.needs_action().then(|| one.kind.advice())}
                    {one.ends_at
                        .map(|at| view! { " " {words::expires_on(time::date(at))} })}
                </p>
            </div>
            <p class="meta">
                {one.is_new.then(|| view! { {Badge::plain(Tone::Info, "New").render()} " " })}
                {time::age(one.occurred_at)}
            </p>
            {(!one.deliveries.is_empty()).then(|| view! { <ul class="told">{deliveries}</ul> })}
        </li>
    }
}

fn delivery(one: &DeliveryView) -> impl IntoView + use<> {
    let receiver = one.receiver.clone().unwrap_or_else(|| {
        match one.channel {
            Channel::Webhook => words::A_REMOVED_WEBHOOK,
            Channel::Email => words::A_FORMER_MEMBER,
        }
        .to_owned()
    });
    view! {
        <li>
            {status_badge(one).render()} <span class="address">{receiver}</span>
            {evidence(one).map(|text| view! { <span class="meta">{text}</span> })}
        </li>
    }
}
