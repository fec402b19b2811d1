//! What an administrator looks at: Xero's endpoints, the refusal of the app, and refusals that are not believed yet.

use leptos::prelude::*;

use crate::model::{Tone, XeroDetailsView, XeroEndpointView};
use crate::ui::components::badge::Badge;
use crate::ui::components::time;
use crate::ui::shared::icons::{CHECK, CLOCK};

/// Renders the section.
pub fn details(view: &XeroDetailsView) -> impl IntoView + use<> {
    let rows = view.endpoints.iter().map(row).collect_view();
    let code = view.refusal_code.clone();
    let held = view.held_refusals;
    view! {
        <section class="card stack" aria-labelledby="details">
            <h2 id="details">"For your administrator"</h2>
            {code
                .map(|code| {
                    view! {
                        <p class="prose">
                            "Xero answered " <code>{code}</code>
                            ". Check XERO_CLIENT_ID, XERO_CLIENT_SECRET and XERO_SCOPES. The next request that Xero accepts ends this."
                        </p>
                    }
                })}
            {(held > 0).then(|| view! { <p class="prose">{held_text(held)}</p> })}
            <table class="table">
                <thead>
                    <tr>
                        <th scope="col">"Endpoint"</th>
                        <th scope="col">"State"</th>
                        <th scope="col">"Since"</th>
                        <th scope="col">"Next try"</th>
                        <th scope="col">"Xero's answer"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
            <p class="hint">"As this server sees it. If several run, each has its own view of Xero's endpoints."</p>
        </section>
    }
}

fn held_text(held: i64) -> String {
    if held == 1 {
        "1 refusal is held back until another answer of Xero confirms it.".to_owned()
    } else {
        format!("{held} refusals are held back until another answer of Xero confirms them.")
    }
}

fn row(one: &XeroEndpointView) -> impl IntoView + use<> {
    let badge = match one.pause {
        None => Badge::new(Tone::Good, CHECK, "Requests are sent"),
        Some(_) => Badge::new(Tone::Warn, CLOCK, "Paused"),
    };
    let nothing = || "None".into_any();
    let since = one.pause.as_ref().map_or_else(nothing, |pause| time::absolute(pause.since).into_any());
    let next = one.pause.as_ref().map_or_else(nothing, |pause| time::time_of_day(pause.next_try_at).into_any());
    let code = one.pause.as_ref().map_or_else(nothing, |pause| view! { <code>{pause.code.clone()}</code> }.into_any());
    view! {
        <tr>
            <td data-label="Endpoint">{one.name.clone()}</td>
            <td data-label="State">{badge.render()}</td>
            <td data-label="Since">{since}</td>
            <td data-label="Next try">{next}</td>
            <td data-label="Xero's answer">{code}</td>
        </tr>
    }
    .into_any()
}
