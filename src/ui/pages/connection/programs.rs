//! Which programs use the connection, and how much.

use leptos::prelude::*;

use crate::model::{ConnectionPageView, KeyActivityView, ProxyUsageView};
use crate::ui::components::time;

/// Renders the section.
pub fn programs(view: &ConnectionPageView) -> impl IntoView + use<> {
    let rows = view.keys.iter().map(row).collect_view();
    view! {
        <section class="stack" aria-labelledby="programs">
            <h2 id="programs">"Programs"</h2>
            <p class="prose">{usage_text(view.keys.iter().map(|one| one.usage).sum())}</p>
            {if view.keys.is_empty() {
                view! { <p class="hint">"No API key has taken a token of this connection."</p> }.into_any()
            } else {
                view! {
                    <table class="table">
                        <thead>
                            <tr>
                                <th scope="col">"API key"</th>
                                <th scope="col">"Last token"</th>
                                <th scope="col">"Calls in 30 days"</th>
                            </tr>
                        </thead>
                        <tbody>{rows}</tbody>
                    </table>
                }
                    .into_any()
            }}
        </section>
    }
}

fn row(one: &KeyActivityView) -> impl IntoView + use<> {
    view! {
        <tr>
            <td data-label="API key">
                {one.name.clone()} {one.is_revoked.then(|| view! { <span class="meta">"revoked"</span> })}
            </td>
            <td data-label="Last token">
                {one.last_token_at.map_or_else(|| "None".into_any(), |at| time::age(at).into_any())}
            </td>
            <td data-label="Calls in 30 days">{one.usage.calls}</td>
        </tr>
    }
    .into_any()
}

/// Says what programs used.
fn usage_text(ProxyUsageView { calls, bytes_sent, bytes_received }: ProxyUsageView) -> String {
    match calls {
        0 => "No program has called Xero through Evergrant in the last 30 days.".to_owned(),
        1 => "Programs have called Xero once through Evergrant in the last 30 days.".to_owned(),
        _ => format!(
            "Programs have called Xero {calls} times through Evergrant in the last 30 days. They sent {} and received {}.",
            size_text(bytes_sent),
            size_text(bytes_received),
        ),
    }
}

/// Returns a size in words, in the largest unit of which there is one.
fn size_text(bytes: i64) -> String {
    const UNITS: [(i64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    let unit = UNITS.iter().find(|(unit, _)| bytes >= *unit);
    unit.map_or_else(|| format!("{bytes} bytes"), |(unit, name)| format!("{} {name}", bytes / unit))
}
