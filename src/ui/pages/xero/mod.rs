//! Xero's state: whether it renews tokens, since when not, what that affects, and who has to act.

mod details;
mod words;

use leptos::prelude::*;

use crate::api;
use crate::model::{Tone, XeroCondition, XeroStateView, paths};
use crate::ui::components::live_body::live_body_until;
use crate::ui::components::load_failure::load_failure;
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::components::reread::after_retry;
use crate::ui::components::time;
use crate::ui::layout::Layout;
use crate::ui::shared::icons::{CHECK, CLOCK, WARNING, icon};
use details::details;

/// The page at `/xero`.
#[component]
pub fn Xero() -> impl IntoView {
    view! {
        <Layout title=words::TITLE>
            {Suspend::new(async move {
                match api::xero_state().await {
                    Ok(view) => {
                        let again = view.trouble.next_attempt_at.map(|at| after_retry(at, view.as_of));
                        live_body_until(view.as_of, again, loaded(&view).rendered()).rendered()
                    }
                    Err(error) => load_failure(words::TITLE, &error, paths::XERO.to_owned()).rendered(),
                }
            })}
        </Layout>
    }
}

fn loaded(view: &XeroStateView) -> impl IntoView + use<> {
    let trouble = view.trouble;
    let (tone, path) = match trouble.condition {
        XeroCondition::Answering => (Tone::Good, CHECK),
        XeroCondition::NotAnswering
        | XeroCondition::Limiting
        | XeroCondition::RefusesMany
        | XeroCondition::RefusesSome => (Tone::Warn, CLOCK),
        XeroCondition::RefusesApp | XeroCondition::NeedsOperator | XeroCondition::AnotherApp => (Tone::Bad, WARNING),
    };
    let since = trouble
        .since
        .filter(|_| trouble.condition != XeroCondition::Answering)
        .map(|at| view! { <p>{words::since(time::absolute(at))}</p> });
    let next = trouble.next_attempt_at.map(|at| view! { <p>{words::tries_again_at(time::time_of_day(at))}</p> });
    view! {
        <header class="page-head">
            <div>
                <p class="crumb"><a href="/">"Overview"</a></p>
                <h1>{words::TITLE}</h1>
            </div>
        </header>
        <section class="verdict" data-tone=tone.as_str()>
            {icon(path)}
            <p>{words::headline(trouble.condition)}</p>
        </section>
        <section class="prose stack">
            {since} <p>{words::affected(trouble)}</p> {next} <p>{words::advice(trouble.condition)}</p>
        </section>
        {view.details.as_ref().map(details)}
    }
}
