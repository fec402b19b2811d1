//! Whether the organization requires a second factor of its members: owners change it, everybody sees it.

use leptos::prelude::*;

use crate::model::{FACTOR_DAYS, MembersView, Permission};
use crate::ui::components::org_field::org_field;
use crate::ui::components::time;

/// Renders the section. With Clerk, Clerk asks for the second factor.
pub fn factor_policy(view: &MembersView) -> impl IntoView + use<> {
    if view.managed_by_clerk {
        return None;
    }
    let state = match view.factor_required_from {
        Some(from) if from > view.as_of => {
            view! { <p>"Every member needs a second factor from " {time::absolute(from)} " on."</p> }.into_any()
        }
        Some(_) => view! { <p>"Every member needs a second factor."</p> }.into_any(),
        None => view! { <p>"Members may sign in without a second factor."</p> }.into_any(),
    };
    let change = view.role.may(Permission::ManageOwners).then(|| match view.factor_required_from {
        Some(_) => stop_form().into_any(),
        None => require_form().into_any(),
    });
    Some(view! {
        <section aria-labelledby="factor-policy">
            <div class="section-head">
                <h2 id="factor-policy">"Second factor"</h2>
            </div>
            <div class="stack">{state} {change}</div>
        </section>
    })
}

fn require_form() -> impl IntoView {
    let options = FACTOR_DAYS.map(|days| {
        let label = if days == 0 { "At once".to_owned() } else { format!("In {days} days") };
        view! { <option value=days>{label}</option> }
    });
    view! {
        <form class="card inline-form" method="post" action="/api/organizations/require-factor">
            {org_field()}
            <label class="field">
                <span>"Required"</span>
                <select name="days" aria-describedby="factor-policy-hint">
                    {options.into_iter().collect_view()}
                </select>
            </label>
            <button class="button">"Require a second factor"</button>
            <p class="hint" id="factor-policy-hint">
                "After that, members without one reach nothing of this organisation until they set one up. You need one yourself first. People who sign in with another service are asked for it there. API keys keep working."
            </p>
        </form>
    }
}

fn stop_form() -> impl IntoView {
    view! {
        <form method="post" action="/api/organizations/stop-requiring-factor">
            {org_field()}
            <button class="button">"Stop requiring a second factor"</button>
        </form>
    }
}
