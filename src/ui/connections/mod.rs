//! The connections of an organisation: one row each, Refresh Tokens, and what a row's menu does.

mod disconnect;
mod row;
mod state;

use std::time::Duration;

use leptos::ev::SubmitEvent;
use leptos::prelude::*;

pub use disconnect::CONSEQUENCE;
pub use row::badge;
use state::State;

use super::icons::{WARNING, icon};
use super::signed_in::{ActiveOrg, Version};
use crate::model::{Health, SettingsView};

/// The page's body. `children` is what the server puts between its head and the list: questions that wait for an
/// answer.
#[island]
pub fn Connections(view: SettingsView, children: Children) -> impl IntoView {
    let state = State::new(view, use_context::<ActiveOrg>());
    let version = use_context::<Version>();
    Effect::new(move |before: Option<()>| {
        if let Some(Version(version)) = version {
            version.track();
        }
        if before.is_some() {
            state.reload();
        }
    });
    Effect::new(move |_| {
        state.start_clock();
        set_interval(move || state.tick(), Duration::from_secs(1));
    });
    let filled = Memo::new(move |_| state.view.with(|view| !view.connections.is_empty()));
    let may_manage = Memo::new(move |_| state.view.with(|view| view.may_manage));
    view! {
        <header class="page-head">
            <div>
                <h1>"Integrations"</h1>
                <p class="lead">"Connect Xero once. Evergrant keeps its tokens fresh from then on."</p>
            </div>
            <div class="page-actions">
                {move || filled.get().then(|| refresh_button(state))}
                {move || (filled.get() && may_manage.get()).then(|| connect_button("button"))}
            </div>
            <p role="status" class="outcome" data-tone=move || state.tone(None)>
                {move || state.said(None)}
            </p>
        </header>
        {children()}
        {move || banner(state)}
        {move || {
            (!filled.get())
                .then(|| {
                    view! {
                        <section class="empty">
                            <h2>"No connection yet"</h2>
                            <p>"Connect a Xero organisation, and its tokens are refreshed before anyone needs them."</p>
                            {may_manage.get().then(|| connect_button("button primary"))}
                        </section>
                    }
                })
        }}
        <ul class="connections" aria-label="Connections" hidden=move || !filled.get()>
            {move || {
                state
                    .view
                    .with(|view| {
                        view.connections.iter().map(|one| row::row(state, one, view.may_manage)).collect_view()
                    })
            }}
        </ul>
        {move || {
            (!may_manage.get())
                .then(|| {
                    view! {
                        <p class="hint">
                            "You can look and refresh. Owners and admins of the organisation connect, reconnect and disconnect."
                        </p>
                    }
                })
        }}
        {disconnect::dialog(state)}
    }
}

fn refresh_button(state: State) -> impl IntoView {
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        state.refresh_all();
    };
    view! {
        <form method="post" action="/api/integrations/xero/refresh" on:submit=submit>
            <input type="hidden" name="clicked" value="true" />
            <button
                class="button primary"
                node_ref=state.button
                disabled=move || state.running.get()
                aria-busy=move || if state.running.get() { "true" } else { "false" }
            >
                "Refresh Tokens"
            </button>
        </form>
    }
}

fn connect_button(class: &'static str) -> impl IntoView {
    view! {
        <form method="post" action="/api/integrations/xero/connect">
            <button class=class>"Connect to Xero"</button>
        </form>
    }
}

/// What the page as a whole has to say: that the list is old, or that somebody must act.
fn banner(state: State) -> impl IntoView {
    let broken =
        state.view.with(|view| view.connections.iter().filter(|one| one.health == Health::NeedsReauth).count());
    let text = match broken {
        _ if state.stale.get() => "This list couldn't be read again, so it may be out of date.".to_owned(),
        0 => return None,
        1 => "1 connection needs reconnecting.".to_owned(),
        many => format!("{many} connections need reconnecting."),
    };
    Some(view! {
        <div class="notice" data-tone="bad">
            {icon(WARNING)}
            <p>
                {text} " "
                {state.stale.get().then(|| view! { <a href="/settings/integrations">"Try again"</a> })}
            </p>
        </div>
    })
}
