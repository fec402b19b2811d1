//! Whether the organization requires a second factor of its members: owners change it, everybody sees it.

use leptos::prelude::*;

use super::words;
use crate::model::{FACTOR_DAYS, MembersView, Permission};
use crate::ui::components::org_field::org_field;
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::components::time;

/// Renders the section. With Clerk, Clerk asks for the second factor.
pub fn factor_policy(view: &MembersView) -> impl IntoView + use<> {
    if view.managed_by_clerk {
        return None;
    }
    let state = match view.factor_required_from {
        Some(from) if from > view.as_of => {
            view! { <p>{words::factor_needed_from(time::absolute(from))}</p> }.rendered()
        }
        Some(_) => view! { <p>{words::FACTOR_NEEDED}</p> }.rendered(),
        None => view! { <p>{words::FACTOR_NOT_NEEDED}</p> }.rendered(),
    };
    let change = view.role.may(Permission::ManageOwners).then(|| match view.factor_required_from {
        Some(_) => stop_form().rendered(),
        None => require_form().rendered(),
    });
    Some(view! {
        <section aria-labelledby="factor-policy">
            <div class="section-head">
                <h2 id="factor-policy">{words::SECOND_FACTOR}</h2>
            </div>
            <div class="stack">{state} {change}</div>
        </section>
    })
}

fn require_form() -> impl IntoView {
    let options = FACTOR_DAYS.map(|days| view! { <option value=days>{words::factor_in(days)}</option> });
    view! {
        <form class="card inline-form" method="post" action="/api/organizations/require-factor">
            {org_field()}
            <label class="field">
                <span>"Required"</span>
                <select name="days" aria-describedby="factor-policy-hint">
                    {options.into_iter().collect_view()}
                </select>
            </label>
            <button class="button">{words::REQUIRE_FACTOR}</button>
            <p class="hint" id="factor-policy-hint">
                {words::WHAT_REQUIRING_DOES}
            </p>
        </form>
    }
}

fn stop_form() -> impl IntoView {
    view! {
        <form method="post" action="/api/organizations/stop-requiring-factor">
            {org_field()}
            <button class="button">{words::STOP_REQUIRING_FACTOR}</button>
        </form>
    }
}
