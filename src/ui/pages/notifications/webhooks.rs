//! Webhook endpoints: their state and the actions on each.

use leptos::prelude::*;

use crate::model::{Channels, DisabledBy, EndpointView, NotificationsView, Tone, paths};
use crate::ui::components::actions_menu::ActionsMenu;
use crate::ui::components::badge::Badge;
use crate::ui::components::delivery::{evidence, status_badge};
use crate::ui::components::org_field::org_field;
use crate::ui::components::question_card::ConfirmationCard;
use crate::ui::components::time;
use crate::ui::components::typed::typed;
use crate::ui::shared::icons::{CHECK, SLASH, WARNING};

const DESCRIPTION: &str =
    "Evergrant posts each event as JSON, signed with the Standard Webhooks scheme, and retries for up to three days.";

/// Renders the section.
pub fn webhooks(view: &NotificationsView) -> impl IntoView + use<> {
    let rows = view.endpoints.iter().map(|one| row(one, view)).collect_view();
    view! {
        <section aria-labelledby="webhooks">
            <div class="section-head">
                <h2 id="webhooks">"Webhooks"</h2>
            </div>
            <div class="stack">
                <p class="lead">{DESCRIPTION}</p>
                {if view.endpoints.is_empty() {
                    view! { <p class="hint">"No webhooks yet."</p> }.into_any()
                } else {
                    view! { <ul class="connections" aria-label="Webhooks">{rows}</ul> }.into_any()
                }}
            </div>
        </section>
    }
}

/// Renders the form that adds a webhook, or says who may.
pub fn new_webhook(view: &NotificationsView) -> impl IntoView + use<> {
    if view.may_manage {
        add_form(view.ways).into_any()
    } else {
        view! { <p class="hint">"Only owners and admins can add and change webhooks."</p> }.into_any()
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
            <button class="button primary">"Add webhook"</button>
            {typed.error("url")}
            <p class="hint" id="address-hint">
                {if channels.only_this_machine {
                    "In sandbox mode nothing leaves this machine, so use an address on it."
                } else {
                    "A public https address. Its signing secret is shown once, on the next page."
                }}
            </p>
        </form>
    }
}

fn row(one: &EndpointView, view: &NotificationsView) -> impl IntoView + use<> {
    let badge = match (one.disabled_at, one.disabled_by) {
        (None, _) => Badge::new(Tone::Good, CHECK, "On"),
        (Some(_), Some(DisabledBy::Gone)) => Badge::new(Tone::Warn, WARNING, "Off: the receiver answered 410 Gone"),
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
                <p class="meta">
                    "Added on " {time::date(one.created_at)}
                    {one.previous_until
                        .map(|until| view! { ". The previous secret also signs until " {time::absolute(until)} })}
                </p>
            </div>
            {view.may_manage.then(|| actions(one, title))}
            <dl class="facts">{last_delivery(one)} {chosen(one)}</dl>
        </li>
    }
}

/// Names the events that the endpoint gets, if somebody chose some.
fn chosen(one: &EndpointView) -> Option<AnyView> {
    let kinds = one.events.as_ref()?;
    let labels = kinds.iter().map(|kind| view! { <div>{kind.label()}</div> }).collect_view();
    Some(
        view! {
            <div>
                <dt>"Events"</dt>
                <dd>{labels}</dd>
            </div>
        }
        .into_any(),
    )
}

fn last_delivery(one: &EndpointView) -> impl IntoView + use<> {
    let Some(delivery) = &one.last else {
        return view! {
            <div>
                <dt>"Last delivery"</dt>
                <dd>"None yet"</dd>
            </div>
        }
        .into_any();
    };
    let when = delivery.last_attempt_at.map(time::age);
    let next = delivery.next_attempt_at.map(|at| {
        view! {
            <div>
                <dt>"Next attempt"</dt>
                <dd>{time::absolute(at)}</dd>
            </div>
        }
    });
    view! {
        <div>
            <dt>"Last delivery"</dt>
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
    .into_any()
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
            <button class="button" aria-describedby=described_by>"Send a test"</button>
            <ActionsMenu id=one.id.0.clone() name=one.url.clone()>
                <a class="menu-item" href=log>
                    "Deliveries"
                </a>
                <a class="menu-item" href=choose>
                    "Choose events"
                </a>
                <button class="menu-item" formaction="/api/notifications/webhooks/rotate">
                    "New secret"
                </button>
                <button class="menu-item" formaction="/api/notifications/webhooks/set">
                    {if on { "Turn off" } else { "Turn on" }}
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
    let text = view! {
        "Evergrant will post nothing more to "
        <span class="address">{one.url.clone()}</span>
        ". Its pending deliveries are cancelled. If you add it again, it gets a new secret."
    };
    view! {
        <ConfirmationCard
            title="Remove this webhook?".to_owned()
            text=text.into_any()
            action="/api/notifications/webhooks/remove"
            field=("endpoint_id", one.id.0.clone())
            cancel=paths::NOTIFICATIONS
            verb="Remove"
        />
    }
}
