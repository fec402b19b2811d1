//! Which programs use the connection, and how much.

use leptos::prelude::*;

use super::words;
use crate::model::{ConnectionPageView, KeyActivityView};
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::components::time;

/// Renders the section.
pub fn programs(view: &ConnectionPageView) -> impl IntoView + use<> {
    let rows = view.keys.iter().map(row).collect_view();
    view! {
        <section class="stack" aria-labelledby="programs">
            <h2 id="programs">{words::PROGRAMS}</h2>
            <p class="prose">{words::usage(view.keys.iter().map(|one| one.usage).sum())}</p>
            {if view.keys.is_empty() {
                view! { <p class="hint">{words::NO_KEY_TOOK_A_TOKEN}</p> }.rendered()
            } else {
                view! {
                    <table class="table">
                        <thead>
                            <tr>
                                <th scope="col">{words::API_KEY}</th>
                                <th scope="col">{words::LAST_TOKEN}</th>
                                <th scope="col">{words::CALLS}</th>
                            </tr>
                        </thead>
                        <tbody>{rows}</tbody>
                    </table>
                }
                    .rendered()
            }}
        </section>
    }
}

fn row(one: &KeyActivityView) -> impl IntoView + use<> {
    view! {
        <tr>
            <td data-label=words::API_KEY>
                {one.name.clone()} {one.is_revoked.then(|| view! { <span class="meta">"revoked"</span> })}
            </td>
            <td data-label=words::LAST_TOKEN>
                {one.last_token_at.map_or_else(|| "None".rendered(), time::age)}
            </td>
            <td data-label=words::CALLS>{one.usage.calls}</td>
        </tr>
    }
    .rendered()
}
