//! The overview: whether the connections work, what to do if not, the last 24 hours, and what is coming up.

mod chart;
mod connections;
mod verdict;
mod words;

use leptos::prelude::*;

use crate::api;
use crate::model::{HourView, OverviewView, UpcomingActionView};
use crate::ui::components::live_body::{live_body, live_body_until};
use crate::ui::components::load_failure::load_failure;
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::components::reread::next_reread_at;
use crate::ui::components::time;
use crate::ui::context::page;
use crate::ui::layout::{Layout, app_alarm};
use crate::ui::shared::icons::{CHECK, WARNING, icon};
use crate::ui::shared::time_text;
use connections::connection_list;
use verdict::verdict;

/// The page at `/`.
#[component]
pub fn Overview() -> impl IntoView {
    view! {
        <Layout title=words::TITLE>
            {Suspend::new(async move {
                match api::overview().await {
                    Ok(view) if view.connections.is_empty() => {
                        live_body(view.as_of, no_connections().rendered()).rendered()
                    }
                    Ok(view) => {
                        let again = next_reread_at(&view.connections, view.as_of);
                        live_body_until(view.as_of, again, loaded(view).rendered()).rendered()
                    }
                    Err(error) => {
                        view! { {app_alarm(&page())} {load_failure(words::TITLE, &error, "/".to_owned())} }.rendered()
                    }
                }
            })}
        </Layout>
    }
}

fn no_connections() -> impl IntoView {
    view! {
        <header class="page-head">
            <h1>{words::TITLE}</h1>
        </header>
        {app_alarm(&page())}
        <section class="empty">
            <h2>{words::NO_CONNECTIONS}</h2>
            <p>{words::WHAT_THIS_PAGE_SHOWS}</p>
            <a class="button primary" href="/settings/integrations">{words::GO_TO_INTEGRATIONS}</a>
        </section>
    }
}

fn loaded(view: OverviewView) -> impl IntoView {
    let (day, next) = (last_24_hours(&view.hours).rendered(), coming_up(&view).rendered());
    view! {
        <header class="page-head">
            <h1>{words::TITLE}</h1>
        </header>
        {verdict(&view)}
        <div class="panels">{day} {next}</div>
        {connection_list(&view.connections).rendered()}
    }
}

fn last_24_hours(hours: &[HourView]) -> impl IntoView + use<> {
    let sum = |count: fn(&HourView) -> u32| hours.iter().map(count).fold(0, u32::saturating_add);
    view! {
        <section class="card panel">
            <div class="section-head">
                <h2>{words::LAST_24_HOURS}</h2>
                <a href="/activity">{words::ALL_ACTIVITY}</a>
            </div>
            <dl class="stats">
                {stat(WARNING, "chart-bad", "Failed", sum(|hour| hour.failed))}
                {stat(CHECK, "chart-good", "Refreshed", sum(|hour| hour.refreshed))}
            </dl>
            {chart::refreshes_by_hour(hours)}
        </section>
    }
}

/// Renders a sum, which is also the legend of the bars of this class.
fn stat(path: &'static str, class: &'static str, term: &'static str, count: u32) -> impl IntoView {
    view! {
        <div>
            <dt class="legend">
                <svg class="swatch" width="12" height="12" aria-hidden="true"><rect class=class width="12" height="12" /></svg>
                {icon(path)} {term}
            </dt>
            <dd>{count}</dd>
        </div>
    }
}

/// Renders the upcoming automatic actions, soonest first.
fn coming_up(view: &OverviewView) -> impl IntoView + use<> {
    let as_of = view.as_of;
    let rows = view.next.iter().map(|next| upcoming_action(next, as_of)).collect_view();
    view! {
        <section class="card panel">
            <div class="section-head">
                <h2>{words::COMING_UP}</h2>
            </div>
            {if view.next.is_empty() {
                view! { <p class="meta">{words::NOTHING_IS_SCHEDULED}</p> }.rendered()
            } else {
                view! { <ul class="steps">{rows}</ul> }.rendered()
            }}
        </section>
    }
}

fn upcoming_action(next: &UpcomingActionView, as_of: i64) -> impl IntoView + use<> {
    let (title, about) = words::upcoming(next.kind);
    let when = if next.at <= as_of {
        words::ANY_MOMENT.rendered()
    } else if next.at - as_of < time_text::DAY {
        time::time_of_day(next.at)
    } else {
        time::date(next.at)
    };
    view! {
        <li>
            <p class="step-head"><strong>{title}</strong> <span>{when}</span></p>
            <p class="meta">{next.connection.clone()} ". " {about}</p>
        </li>
    }
}
