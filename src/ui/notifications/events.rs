//! What happened lately, and who was told of it.

use leptos::prelude::*;

use super::delivery::{evidence, state};
use crate::model::{Channel, DeliveryView, EventKind, EventView, NotificationsView};
use crate::ui::icons::{CHECK, CLOCK, INFO, WARNING, icon};
use crate::ui::time;
use crate::ui::times::{AGO, shown};

/// The section.
pub fn events(view: &NotificationsView) -> impl IntoView + use<> {
    let rows = view.events.iter().map(row).collect_view();
    view! {
        <section aria-labelledby="events">
            <div class="section-head">
                <h2 id="events">"What happened"</h2>
            </div>
            {if view.events.is_empty() {
                view! { <p class="hint">"Nothing that anybody had to be told of."</p> }.into_any()
            } else {
                view! { <ul class="connections" aria-label="What happened">{rows}</ul> }.into_any()
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
                    {one.kind.is_trouble().then(|| one.kind.advice())}
                    {one.ends_at
                        .map(|at| view! { " It ends on " <time datetime=time::iso(at)>{time::date(at)}</time> "." })}
                </p>
            </div>
            <p class="meta">
                {one.is_new.then(|| view! { <span class="badge" data-tone="info">"New"</span> " " })}
                {shown(one.occurred_at, AGO, time::absolute(one.occurred_at))}
            </p>
            {(!one.deliveries.is_empty()).then(|| view! { <ul class="told">{told}</ul> })}
        </li>
    }
}

fn delivery(one: &DeliveryView) -> impl IntoView + use<> {
    let receiver = one.receiver.clone().unwrap_or_else(|| {
        match one.channel {
            Channel::Webhook => "a webhook that was removed",
            Channel::Email => "somebody who is gone",
        }
        .to_owned()
    });
    view! {
        <li>
            {state(one)} <span class="address">{receiver}</span>
            {evidence(one).map(|said| view! { <span class="meta">{said}</span> })}
        </li>
    }
}
