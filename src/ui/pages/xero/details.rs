//! What an administrator looks at: Xero's endpoints, the refusal of the app, and refusals that are not believed yet.

use leptos::prelude::*;

use super::words;
use crate::model::{Tone, XeroDetailsView, XeroEndpointView};
use crate::ui::components::badge::Badge;
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::components::time;
use crate::ui::shared::icons::{CHECK, CLOCK};

/// Renders the section.
pub fn details(view: &XeroDetailsView) -> impl IntoView + use<> {
    let rows = view.endpoints.iter().map(row).collect_view();
    let code = view.refusal_code.clone().map(|code| view! { <code>{code}</code> });
    let held = view.held_refusals;
    view! {
        <section class="card stack" aria-labelledby="details">
            <h2 id="details">{words::FOR_YOUR_ADMINISTRATOR}</h2>
            {code.map(|code| view! { <p class="prose">{words::refused_with(code)}</p> })}
            {(held > 0).then(|| view! { <p class="prose">{words::held_refusals(held)}</p> })}
            <table class="table">
                <thead>
                    <tr>
                        <th scope="col">"Endpoint"</th>
                        <th scope="col">"State"</th>
                        <th scope="col">"Since"</th>
                        <th scope="col">{words::NEXT_TRY}</th>
                        <th scope="col">{words::XEROS_ANSWER}</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
            <p class="hint">{words::AS_THIS_SERVER_SEES_IT}</p>
        </section>
    }
}

fn row(one: &XeroEndpointView) -> impl IntoView + use<> {
    let badge = match one.pause {
        None => Badge::new(Tone::Good, CHECK, words::REQUESTS_ARE_SENT),
        Some(_) => Badge::new(Tone::Warn, CLOCK, "Paused"),
    };
    let nothing = || "None".rendered();
    let since = one.pause.as_ref().map_or_else(nothing, |pause| time::absolute(pause.since));
    let next = one.pause.as_ref().map_or_else(nothing, |pause| time::time_of_day(pause.next_try_at));
    let code = one.pause.as_ref().map_or_else(nothing, |pause| view! { <code>{pause.code.clone()}</code> }.rendered());
    view! {
        <tr>
            <td data-label="Endpoint">{one.name.clone()}</td>
            <td data-label="State">{badge.render()}</td>
            <td data-label="Since">{since}</td>
            <td data-label=words::NEXT_TRY>{next}</td>
            <td data-label=words::XEROS_ANSWER>{code}</td>
        </tr>
    }
    .rendered()
}
