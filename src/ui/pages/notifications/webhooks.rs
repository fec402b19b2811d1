//! Webhook endpoints: their state and the actions on each.

use leptos::prelude::*;

use super::delivery::{evidence, status_badge};
use crate::model::{DisabledBy, EndpointView, NotificationsView};
use crate::ui::components::icons::{CHECK, DOTS, SLASH, WARNING, icon};
use crate::ui::components::time;
use crate::ui::islands::times::{SHOW_AGE, live_time};

const DESCRIPTION: &str =
    "Evergrant posts each event as JSON, signed with the Standard Webhooks scheme, and retries for up to three days.";

/// Renders the section.
pub fn webhooks(view: &NotificationsView) -> impl IntoView + use<> {
    let rows = view.endpoints.iter().map(|one| row(one, view.may_manage)).collect_view();
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
                {if view.may_manage {
                    add_form(view.ways.only_this_machine).into_any()
                } else {
                    view! { <p class="hint">"Only owners and admins can add and change webhooks."</p> }.into_any()
                }}
            </div>
        </section>
    }
}

fn add_form(only_this_machine: bool) -> impl IntoView {
    let example = if only_this_machine { "http://localhost:9000/hooks" } else { "https://example.com/hooks" };
    view! {
        <form class="card inline-form" method="post" action="/api/notifications/webhooks/add">
            <label class="field">
                <span>"Address"</span>
                <input
                    type="url"
                    name="url"
                    placeholder=example
                    autocomplete="off"
                    spellcheck="false"
                    maxlength="2000"
                    required=true
                    aria-describedby="address-hint"
                />
            </label>
            <button class="button primary">"Add webhook"</button>
            <p class="hint" id="address-hint">
                {if only_this_machine {
                    "In sandbox mode nothing leaves this machine, so use an address on it."
                } else {
                    "A public https address. Its signing secret is shown once, on the next page."
                }}
            </p>
        </form>
    }
}

fn row(one: &EndpointView, may_manage: bool) -> impl IntoView + use<> {
    let (tone, path, word) = match (one.disabled_at, one.disabled_by) {
        (None, _) => ("good", CHECK, "On"),
        (Some(_), Some(DisabledBy::Gone)) => ("warn", WARNING, "Off: the receiver answered 410 Gone"),
        (Some(_), _) => ("quiet", SLASH, "Off"),
    };
    let title = format!("webhook-{}", one.id);
    view! {
        <li class="connection">
            <div class="connection-who">
                <div class="connection-name">
                    <h3 class="address" id=title.clone()>{one.url.clone()}</h3>
                    <span class="badge" data-tone=tone>{icon(path)} {word}</span>
                </div>
                <p class="meta">
                    "Added on " <time datetime=time::iso(one.created_at)>{time::date(one.created_at)}</time>
                    {one.previous_until
                        .map(|until| view! { ". The previous secret also signs until " <time datetime=time::iso(until)>{time::absolute(until)}</time> })}
                </p>
            </div>
            {may_manage.then(|| actions(one, title))}
            <dl class="facts">{last_delivery(one)}</dl>
        </li>
    }
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
    let when = delivery.last_attempt_at.map(|at| live_time(at, SHOW_AGE, time::absolute(at)));
    let next = delivery.next_attempt_at.map(|at| {
        view! {
            <div>
                <dt>"Next attempt"</dt>
                <dd><time datetime=time::iso(at)>{time::absolute(at)}</time></dd>
            </div>
        }
    });
    view! {
        <div>
            <dt>"Last delivery"</dt>
            <dd>{status_badge(delivery)} " " {when}</dd>
        </div>
        {evidence(delivery)
            .map(|said| {
                view! {
                    <div>
                        <dt>"Receiver"</dt>
                        <dd>{said}</dd>
                    </div>
                }
            })}
        {next}
    }
    .into_any()
}

/// Renders one form whose buttons choose the action, and a link, as in a connection's row.
fn actions(one: &EndpointView, described_by: String) -> impl IntoView + use<> {
    let menu = format!("actions-{}", one.id);
    let label = format!("Actions for {}", one.url);
    let on = one.disabled_at.is_none();
    view! {
        <form class="connection-actions" method="post" action="/api/notifications/webhooks/test">
            <input type="hidden" name="endpoint_id" value=one.id.0.clone() />
            <input type="hidden" name="enabled" value=(!on).to_string() />
            <button class="button" aria-describedby=described_by>"Send a test"</button>
            <button
                type="button"
                class="icon-button"
                aria-label=label.clone()
                aria-haspopup="menu"
                popovertarget=menu.clone()
            >
                {icon(DOTS)}
            </button>
            <div id=menu class="menu" popover="auto" role="menu" aria-label=label>
                <button class="menu-item" role="menuitem" formaction="/api/notifications/webhooks/rotate">
                    "New secret"
                </button>
                <button class="menu-item" role="menuitem" formaction="/api/notifications/webhooks/set">
                    {if on { "Turn off" } else { "Turn on" }}
                </button>
                <a
                    class="menu-item danger"
                    role="menuitem"
                    href=format!("/settings/notifications?remove={}", one.id)
                >
                    "Remove"
                </a>
            </div>
        </form>
    }
}

/// Asks for confirmation before an endpoint is removed.
pub fn remove_confirmation(one: &EndpointView) -> impl IntoView + use<> {
    view! {
        <section class="card question" aria-labelledby="question">
            <h2 id="question">"Remove this webhook?"</h2>
            <p>
                "Evergrant will post nothing more to " <span class="address">{one.url.clone()}</span>
                ". Its pending deliveries are cancelled. If you add it again, it gets a new secret."
            </p>
            <form class="dialog-actions" method="post" action="/api/notifications/webhooks/remove">
                <input type="hidden" name="endpoint_id" value=one.id.0.clone() />
                <a class="button" href="/settings/notifications">"Cancel"</a>
                <button class="button danger">"Remove"</button>
            </form>
        </section>
    }
}
