//! Webhook endpoints: their state and the actions on each.

use leptos::prelude::*;

use super::words;
use crate::model::{Channels, DisabledBy, EndpointView, NotificationsView, Tone, paths};
use crate::ui::components::actions_menu::ActionsMenu;
use crate::ui::components::badge::Badge;
use crate::ui::components::delivery::{evidence, status_badge};
use crate::ui::components::org_field::org_field;
use crate::ui::components::question_card::ConfirmationCard;
use crate::ui::components::rendered::{IntoRendered as _, Rendered};
use crate::ui::components::time;
use crate::ui::components::typed::typed;
use crate::ui::shared::icons::{CHECK, SLASH, WARNING};

/// Renders the section.
pub fn webhooks(view: &NotificationsView) -> impl IntoView + use<> {
    let rows = view.endpoints.iter().map(|one| row(one, view)).collect_view();
    view! {
        <section aria-labelledby="webhooks">
            <div class="section-head">
                <h2 id="webhooks">{words::WEBHOOKS}</h2>
            </div>
            <div class="stack">
                <p class="lead">{words::WHAT_WEBHOOKS_ARE}</p>
                {if view.endpoints.is_empty() {
                    view! { <p class="hint">{words::NO_WEBHOOKS}</p> }.rendered()
                } else {
                    view! { <ul class="connections" aria-label=words::WEBHOOKS>{rows}</ul> }.rendered()
                }}
            </div>
        </section>
    }
}

/// Renders the form that adds a webhook, or says who may.
pub fn new_webhook(view: &NotificationsView) -> impl IntoView + use<> {
    if view.may_manage {
        add_form(view.ways).rendered()
    } else {
        view! { <p class="hint">{words::WHO_MAY_ADD}</p> }.rendered()
    }
}

fn add_form(channels: Channels) -> impl IntoView {
    let typed = typed("/api/notifications/webhooks/add");
    let example = if channels.only_this_machine { "http://localhost:9000/hooks" } else { "https://example.com/hooks" };
    view! {
        <form class="card inline-form" method="post" action="/api/notifications/webhooks/add">
            {org_field()}
            <label class="field">
                <span>"Address"</span>
                <input
                    type="url"
                    placeholder=example
                    autocomplete="off"
                    spellcheck="false"
                    maxlength="2000"
                    required=true
                    {..typed.input("url", "", Some("address-hint"))}
                />
            </label>
            <button class="button primary">{words::ADD_WEBHOOK}</button>
            {typed.error("url")}
            <p class="hint" id="address-hint">
                {words::address_hint(channels.only_this_machine)}
            </p>
        </form>
    }
}

fn row(one: &EndpointView, view: &NotificationsView) -> impl IntoView + use<> {
    let badge = match (one.disabled_at, one.disabled_by) {
        (None, _) => Badge::new(Tone::Good, CHECK, "On"),
        (Some(_), Some(DisabledBy::Gone)) => Badge::new(Tone::Warn, WARNING, words::OFF_AS_GONE),
        (Some(_), _) => Badge::new(Tone::Quiet, SLASH, "Off"),
    };
    let title = format!("webhook-{}", one.id);
    view! {
        <li class="connection" data-key=one.id.0.clone()>
            <div class="connection-who">
                <div class="connection-name">
                    <h3 class="address" id=title.clone()>{one.url.clone()}</h3>
                    {badge.render()}
                </div>
                <p class="meta">{words::added_on(time::date(one.created_at), one.previous_until.map(time::absolute))}</p>
            </div>
            {view.may_manage.then(|| actions(one, title))}
            <dl class="facts">{last_delivery(one)} {chosen(one)}</dl>
        </li>
    }
}

/// Names the events that the endpoint gets, if somebody chose some.
fn chosen(one: &EndpointView) -> Option<Rendered> {
    let kinds = one.events.as_ref()?;
    let labels = kinds.iter().map(|kind| view! { <div>{kind.label()}</div> }).collect_view();
    Some(
        view! {
            <div>
                <dt>"Events"</dt>
                <dd>{labels}</dd>
            </div>
        }
        .rendered(),
    )
}

fn last_delivery(one: &EndpointView) -> impl IntoView + use<> {
    let Some(delivery) = &one.last else {
        return view! {
            <div>
                <dt>{words::LAST_DELIVERY}</dt>
                <dd>{words::NONE_YET}</dd>
            </div>
        }
        .rendered();
    };
    let when = delivery.last_attempt_at.map(time::age);
    let next = delivery.next_attempt_at.map(|at| {
        view! {
            <div>
                <dt>{words::NEXT_ATTEMPT}</dt>
                <dd>{time::absolute(at)}</dd>
            </div>
        }
    });
    view! {
        <div>
            <dt>{words::LAST_DELIVERY}</dt>
            <dd>{status_badge(delivery).render()} " " {when}</dd>
        </div>
        {evidence(delivery)
            .map(|text| {
                view! {
                    <div>
                        <dt>"Receiver"</dt>
                        <dd>{text}</dd>
                    </div>
                }
            })}
        {next}
    }
    .rendered()
}

/// Renders one form whose buttons choose the action, and a link, as in a connection's row.
fn actions(one: &EndpointView, described_by: String) -> impl IntoView + use<> {
    let on = one.disabled_at.is_none();
    let remove = format!("{}?remove={}", paths::NOTIFICATIONS, one.id);
    let choose = format!("{}?events={}", paths::NOTIFICATIONS, one.id);
    let log = format!("{}?webhook={}", paths::DELIVERIES, one.id);
    view! {
        <form class="connection-actions" method="post" action="/api/notifications/webhooks/test">
            {org_field()}
            <input type="hidden" name="endpoint_id" value=one.id.0.clone() />
            <input type="hidden" name="enabled" value=(!on).to_string() />
            <button class="button" aria-describedby=described_by>{words::SEND_A_TEST}</button>
            <ActionsMenu id=one.id.0.clone() name=one.url.clone()>
                <a class="menu-item" href=log>
                    "Deliveries"
                </a>
                <a class="menu-item" href=choose>
                    {words::CHOOSE_EVENTS}
                </a>
                <button class="menu-item" formaction="/api/notifications/webhooks/rotate">
                    {words::NEW_SECRET}
                </button>
                <button class="menu-item" formaction="/api/notifications/webhooks/set">
                    {if on { words::TURN_OFF } else { words::TURN_ON }}
                </button>
                <a class="menu-item danger" href=remove>
                    "Remove"
                </a>
            </ActionsMenu>
        </form>
    }
}

/// Asks for confirmation before an endpoint is removed.
pub fn remove_confirmation(one: &EndpointView) -> impl IntoView + use<> {
    let address = view! { <span class="address">{one.url.clone()}</span> };
    view! {
        <ConfirmationCard
            title=words::REMOVE_QUESTION.to_owned()
            text=words::what_removing_does(address).rendered()
            action="/api/notifications/webhooks/remove"
            field=("endpoint_id", one.id.0.clone())
            cancel=paths::NOTIFICATIONS
            verb="Remove"
        />
    }
}
