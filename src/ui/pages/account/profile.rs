//! Name and time zone.

use leptos::prelude::*;

use crate::model::{AccountView, time_zones};
use crate::ui::components::typed::typed;

/// Renders the section.
pub fn profile(view: &AccountView) -> impl IntoView + use<> {
    let (name, zone) = (typed("/api/account/set-name"), typed("/api/account/set-time-zone"));
    let chosen = zone.value("time_zone", view.time_zone.clone().unwrap_or_default());
    let options = std::iter::once(("", "As on each device".to_owned()))
        .chain(time_zones().map(|zone| (zone, zone.replace('_', " "))))
        .map(|(zone, label)| {
            view! {
                <option value=zone selected=zone == chosen>
                    {label}
                </option>
            }
        });
    view! {
        <section aria-labelledby="profile">
            <div class="section-head">
                <h2 id="profile">"About you"</h2>
            </div>
            <div class="stack">
                <form class="card inline-form" method="post" action="/api/account/set-name">
                    <label class="field">
                        <span>"Name"</span>
                        <input
                            maxlength="80"
                            autocomplete="name"
                            {..name.input("name", view.name.as_deref().unwrap_or_default(), None)}
                        />
                    </label>
                    <button class="button">"Save name"</button>
                    {name.error("name")}
                </form>
                <form class="card inline-form" method="post" action="/api/account/set-time-zone">
                    <label class="field">
                        <span>"Time zone"</span>
                        <select {..zone.marks("time_zone", None)}>{options.collect_view()}</select>
                    </label>
                    <button class="button">"Save time zone"</button>
                    {zone.error("time_zone")}
                </form>
            </div>
        </section>
    }
}
