//! Recent events, and who was notified of them.

use leptos::prelude::*;

use super::delivery::{evidence, status_badge};
use crate::model::{Channel, DeliveryView, EventKind, EventView, NotificationsView};
use crate::ui::components::icons::{CHECK, CLOCK, INFO, WARNING, icon};
use crate::ui::components::time;
use crate::ui::islands::times::{SHOW_AGE, live_time};

/// Renders the section.
pub fn events(view: &NotificationsView) -> impl IntoView + use<> {
    let rows = view.events.iter().map(row).collect_view();
    view! {
        <section aria-labelledby="events">
            <div class="section-head">
                <h2 id="events">"Recent events"</h2>
            </div>
            {if view.events.is_empty() {
                view! { <p class="hint">"No events yet."</p> }.into_any()
            } else {
                view! { <ul class="connections" aria-label="Recent events">{rows}</ul> }.into_any()
            }}
        </section>
    }
}

fn row(one: &EventView) -> impl IntoView + use<> {
    let (tone, path) = match one.kind {
        EventKind::NeedsReconnecting | EventKind::CredentialsRefused => ("bad", WARNING),
        EventKind::WillExpireSoon => ("warn", CLOCK),
        EventKind::Recovered | EventKind::CredentialsAccepted => ("good", CHECK),
        EventKind::Test => ("quiet", INFO),
    };
    let told = one.deliveries.iter().map(delivery).collect_view();
    view! {
        <li class="connection event">
            <div class="event-what" data-tone=tone>
                {icon(path)}
                <p>
                    <strong>{one.kind.sentence(one.tenant_name.as_deref())}</strong> " "
                    {one.kind.needs_action().then(|| one.kind.advice())}
                    {one.ends_at
                        .map(|at| view! { " It expires on " <time datetime=time::iso(at)>{time::date(at)}</time> "." })}
                </p>
            </div>
            <p class="meta">
                {one.is_new.then(|| view! { <span class="badge" data-tone="info">"New"</span> " " })}
                {live_time(one.occurred_at, SHOW_AGE, time::absolute(one.occurred_at))}
            </p>
            {(!one.deliveries.is_empty()).then(|| view! { <ul class="told">{told}</ul> })}
        </li>
    }
}

fn delivery(one: &DeliveryView) -> impl IntoView + use<> {
    let receiver = one.receiver.clone().unwrap_or_else(|| {
        match one.channel {
            Channel::Webhook => "a removed webhook",
            Channel::Email => "a former member",
        }
        .to_owned()
    });
    view! {
        <li>
            {status_badge(one)} <span class="address">{receiver}</span>
            {evidence(one).map(|said| view! { <span class="meta">{said}</span> })}
        </li>
    }
}
