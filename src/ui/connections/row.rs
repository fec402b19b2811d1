//! One connection: how it stands, its facts, and its menu.

use leptos::ev::MouseEvent;
use leptos::prelude::*;
use wasm_bindgen::JsCast;

use super::state::State;
use crate::model::{BindingId, ConnectionView, Health};
use crate::ui::icons::{CHECK, CLOCK, DOTS, SLASH, TURN, WARNING, icon};
use crate::ui::{menu, time};

/// Days that a refresh token lives if nothing uses it, by Xero's documentation.
const LIFE: i64 = 60;

/// The day from which it is renewed in any case.
const ROLL: i64 = 45;

/// The row. Forms and links carry its actions; with wasm they happen in place.
pub fn row(state: State, one: &ConnectionView, may_manage: bool) -> impl IntoView + use<> {
    let id = StoredValue::new(one.id.clone());
    let name = one.tenant_name.clone();
    let title = format!("tenant-{}", one.id);
    let broken = matches!(one.health, Health::NeedsReauth | Health::Disconnected);
    let said = move || id.with_value(|id| state.said(Some(id)));
    let tone = move || id.with_value(|id| state.tone(Some(id)));
    view! {
        <li
            class="connection"
            aria-busy=move || (state.busy.get() == Some(id.get_value())).then_some("true")
        >
            <div class="connection-who">
                <div class="connection-name">
                    <h2 id=title.clone()>{name.clone()}</h2>
                    {badge(one.health, one.next_attempt_at.map(|at| retry_at(state, at)))}
                </div>
                <p class="meta">
                    {kind(&one.tenant_type)} "Connected "
                    {one.connected_by.clone().map(|person| format!("by {person} "))} "on "
                    <time datetime=time::iso(one.connected_at)>{time::date(one.connected_at)}</time>
                </p>
            </div>
            <div class="connection-actions">
                {(broken && may_manage).then(|| reconnect(&one.id, title, one.health))} {actions(state, one, may_manage)}
            </div>
            {one.problem.clone().map(|text| view! { <p class="problem">{text}</p> })}
            {(one.health == Health::NeedsReauth && !may_manage)
                .then(|| view! { <p class="problem">"Ask an owner or admin of the organisation to reconnect it."</p> })}
            <dl class="facts">
                {fact("Last refreshed", moment(state, one.last_refreshed_at))}
                {one.access_expires_at.filter(|_| !broken).map(|at| fact("Access token", countdown(state, at)))}
                {one.refresh_issued_at.filter(|_| !broken).map(|at| fact("Refresh token", sixty_days(state, at)))}
            </dl>
            <p role="status" class="outcome" data-tone=tone>
                {said}
            </p>
        </li>
    }
}

/// The state in a hue, an icon and a word. `again` is the time of the next try, shown while one is waited for.
pub fn badge(health: Health, again: Option<impl IntoView>) -> impl IntoView {
    let (tone, path, word) = match health {
        Health::Connected => ("good", CHECK, "Connected"),
        Health::Refreshing => ("info", TURN, "Refreshing"),
        Health::Retrying => ("warn", CLOCK, "Retrying"),
        Health::NeedsReauth => ("bad", WARNING, "Reconnect needed"),
        Health::Disconnected => ("quiet", SLASH, "Disconnected"),
    };
    let again = again.filter(|_| health == Health::Retrying);
    view! {
        <span class="badge" data-tone=tone>
            {icon(path)} {word} {again.map(|time| (" at ", time))}
        </span>
    }
}

/// UTC as the server wrote it, until the browser knows the local time.
fn retry_at(state: State, at: i64) -> impl IntoView {
    view! {
        <time datetime=time::iso(at)>
            {move || if state.now.with(Option::is_some) { time::local(at as f64 * 1000.0) } else { time::clock(at) }}
        </time>
    }
}

/// What sort of tenant it is, where it isn't the ordinary one.
fn kind(tenant_type: &str) -> Option<&'static str> {
    (tenant_type != "ORGANISATION").then_some("Practice. ")
}

fn fact(term: &'static str, value: impl IntoView) -> impl IntoView {
    view! {
        <div>
            <dt>{term}</dt>
            <dd>{value}</dd>
        </div>
    }
}

fn moment(state: State, at: Option<i64>) -> impl IntoView {
    match at {
        Some(at) => leptos::either::Either::Left(view! {
            <time datetime=time::iso(at) title=time::absolute(at)>
                {move || match state.now.get() {
                    Some(now) => time::ago(now - at),
                    None => time::absolute(at),
                }}
            </time>
        }),
        None => leptos::either::Either::Right("Not yet"),
    }
}

fn countdown(state: State, ends: i64) -> impl IntoView {
    view! { <time datetime=time::iso(ends)>{move || time::left(ends - state.time())}</time> }
}

/// The refresh token's sixty days, and the day from which a new one is fetched in any case.
fn sixty_days(state: State, issued: i64) -> impl IntoView {
    let day = (state.view.with_untracked(|view| view.as_of) - issued).clamp(0, LIFE * time::DAY) / time::DAY;
    // Never quite empty, so that day 0 shows where the bar begins.
    let share = format!("{}%", (day * 100 / LIFE).max(2));
    view! {
        <span>"Day " {day} " of 60"</span>
        " "
        <span class="meta">{if day < ROLL { "renewed by day 45" } else { "renewal is due" }}</span>
        <svg class="bar" width="100%" height="6" aria-hidden="true">
            <rect class="bar-life" width="100%" height="6" rx="3" />
            <rect class="bar-age" width=share height="6" rx="3" />
            <rect class="bar-mark" x="75%" width="2" height="6" />
        </svg>
    }
}

fn reconnect(id: &BindingId, described_by: String, health: Health) -> impl IntoView + use<> {
    let class = if health == Health::NeedsReauth { "button primary" } else { "button" };
    view! {
        <form class="reconnect" method="post" action="/api/integrations/xero/connect">
            <input type="hidden" name="binding_id" value=id.0.clone() />
            <button class=class aria-describedby=described_by>
                "Reconnect"
            </button>
        </form>
    }
}

/// The row's menu: one form, whose buttons say where it goes, and two links.
fn actions(state: State, one: &ConnectionView, may_manage: bool) -> impl IntoView + use<> {
    let id = StoredValue::new(one.id.clone());
    let name = StoredValue::new(one.tenant_name.clone());
    let typed = StoredValue::new((String::new(), 0.0));
    let menu_id = format!("actions-{}", one.id);
    let works = !matches!(one.health, Health::NeedsReauth | Health::Disconnected);
    let refresh = move |event: MouseEvent| {
        take_over(&event);
        state.refresh_one(id.get_value());
    };
    let test = move |event: MouseEvent| {
        take_over(&event);
        state.test(id.get_value());
    };
    let ask = move |event: MouseEvent| {
        take_over(&event);
        state.asked.set(Some((id.get_value(), name.get_value())));
    };
    view! {
        <form method="post" action="/api/integrations/xero/refresh-connection">
            <input type="hidden" name="binding_id" value=one.id.0.clone() />
            <button
                type="button"
                class="icon-button"
                aria-label=format!("Actions for {}", one.tenant_name)
                aria-haspopup="menu"
                popovertarget=menu_id.clone()
                on:keydown=menu::open_by_arrow
            >
                {icon(DOTS)}
            </button>
            <div
                id=menu_id
                class="menu"
                popover="auto"
                role="menu"
                aria-label=format!("Actions for {}", one.tenant_name)
                on:toggle=menu::focus_first
                on:keydown=move |event| menu::walk(&event, typed)
            >
                {works
                    .then(|| {
                        view! {
                            <button class="menu-item" role="menuitem" on:click=refresh>
                                "Refresh now"
                            </button>
                            <button
                                class="menu-item"
                                role="menuitem"
                                formaction="/api/integrations/xero/test"
                                on:click=test
                            >
                                "Test connection"
                            </button>
                        }
                    })}
                <a class="menu-item" role="menuitem" href=format!("/settings/integrations/{}/history", one.id)>
                    "History"
                </a>
                {(may_manage && one.health != Health::Disconnected)
                    .then(|| {
                        view! {
                            <a
                                class="menu-item danger"
                                role="menuitem"
                                href=format!("/settings/integrations?disconnect={}", one.id)
                                on:click=ask
                            >
                                "Disconnect"
                            </a>
                        }
                    })}
            </div>
        </form>
    }
}

/// Does in place what the form or link would do, and closes the menu it stood in.
fn take_over(event: &MouseEvent) {
    event.prevent_default();
    let item = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
    if let Some(menu) = item.and_then(|item| menu::around(&item)) {
        menu::close(&menu);
    }
}
