//! The form that connects with the smallest set of scopes after Xero refused the others.

use leptos::prelude::*;

/// Renders the form, with these hidden fields, and what would not work: a sentence for each scope.
pub fn least_access(lacks: &[String], action: &'static str, fields: AnyView) -> impl IntoView + use<> {
    let lacks = lacks.iter().map(|sentence| view! { <li>{sentence.clone()}</li> }).collect_view();
    view! {
        <p>
            "Until then you can connect with the least access. The connection then stays alive, and somebody can give it more access later. Before that, Test connection doesn't work, and programs can't:"
        </p>
        <ul>{lacks}</ul>
        <form method="post" action=action>
            {fields} <input type="hidden" name="least_access" value="true" />
            <button class="button">"Connect with the least access"</button>
        </form>
    }
}
