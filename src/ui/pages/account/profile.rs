//! Name and time zone.

use leptos::prelude::*;

use super::words;
use crate::model::{AccountView, time_zones};
use crate::ui::components::typed::typed;

/// Renders the section. Clerk has the name of a person whose account it manages.
pub fn profile(view: &AccountView) -> impl IntoView + use<> {
    let name = (!view.managed_by_clerk).then(|| name_form(view.name.as_deref()));
    view! {
        <section aria-labelledby="profile">
            <div class="section-head">
                <h2 id="profile">{words::ABOUT_YOU}</h2>
            </div>
            <div class="stack">{name} {time_zone_form(view.time_zone.as_deref())}</div>
        </section>
    }
}

fn name_form(name: Option<&str>) -> impl IntoView + use<> {
    let typed = typed("/api/account/set-name");
    view! {
        <form class="card inline-form" method="post" action="/api/account/set-name">
            <label class="field">
                <span>"Name"</span>
                <input
                    maxlength="80"
                    autocomplete="name"
                    {..typed.input("name", name.unwrap_or_default(), None)}
                />
            </label>
            <button class="button">{words::SAVE_NAME}</button>
            {typed.error("name")}
        </form>
    }
}

fn time_zone_form(zone: Option<&str>) -> impl IntoView + use<> {
    let typed = typed("/api/account/set-time-zone");
    let chosen = typed.value("time_zone", zone.unwrap_or_default());
    let options = std::iter::once(("", words::AS_ON_EACH_DEVICE.to_owned()))
        .chain(time_zones().map(|zone| (zone, zone.replace('_', " "))))
        .map(|(zone, label)| {
            view! {
                <option value=zone selected=zone == chosen>
                    {label}
                </option>
            }
        });
    view! {
        <form class="card inline-form" method="post" action="/api/account/set-time-zone">
            <label class="field">
                <span>{words::TIME_ZONE}</span>
                <select {..typed.marks("time_zone", None)}>{options.collect_view()}</select>
            </label>
            <button class="button">{words::SAVE_TIME_ZONE}</button>
            {typed.error("time_zone")}
        </form>
    }
}
