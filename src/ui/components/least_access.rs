//! What it means to connect with the smallest set of scopes after Xero refused the others.

use leptos::prelude::*;

use crate::ui::components::rendered::Rendered;

/// Says what would not work, a sentence for each scope, above the form that connects like that.
pub fn least_access(lacks: &[String], form: Rendered) -> impl IntoView + use<> {
    let lacks = lacks.iter().map(|sentence| view! { <li>{sentence.clone()}</li> }).collect_view();
    view! {
        <p>
            "Until then you can connect with the least access. The connection then stays alive, and somebody can give it more access later. Before that, Test connection doesn't work, and programs can't:"
        </p>
        <ul>{lacks}</ul>
        {form}
    }
}

/// Renders what such a form has besides its own fields.
pub fn least_access_button() -> impl IntoView {
    view! {
        <input type="hidden" name="least_access" value="true" />
        <button class="button">"Connect with the least access"</button>
    }
}
