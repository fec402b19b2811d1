//! What stands around lists: the links to other pages, and the text in place of an empty list.

use leptos::prelude::*;

use crate::model::{BindingId, ConnectionName};
use crate::ui::components::rendered::{IntoRendered as _, Rendered};

/// Rendered in place of an empty list.
pub fn empty_state(title: &'static str, text: &'static str) -> impl IntoView {
    view! {
        <section class="empty">
            <h2>{title}</h2>
            <p>{text}</p>
        </section>
    }
}

/// Rendered in place of an empty list that a filter may have emptied.
pub fn no_results() -> impl IntoView {
    empty_state("No results", "Change or clear the filters.")
}

/// Renders a filter by one of several values, given with their labels. `all` is the choice that narrows nothing.
pub fn filter_choice(
    label: &'static str,
    name: &'static str,
    all: impl Into<String>,
    chosen: Option<&str>,
    choices: impl Iterator<Item = (String, String)>,
) -> Rendered {
    let options = choices.map(|(value, label)| {
        let is_chosen = chosen == Some(value.as_str());
        view! { <option value=value selected=is_chosen>{label}</option> }
    });
    view! {
        <label class="field">
            <span>{label}</span>
            <select name=name>
                <option value="">{all.into()}</option>
                {options.collect_view()}
            </select>
        </label>
    }
    .rendered()
}

/// Renders the filter by connection.
pub fn connection_filter(connections: &[ConnectionName], chosen: Option<&BindingId>) -> Rendered {
    let choices = connections.iter().map(|one| (one.id.0.clone(), one.name.clone()));
    filter_choice("Connection", "connection", "All connections", chosen.map(BindingId::as_str), choices)
}

/// Returns the name of the connection that a list is narrowed to, if the organization has it.
pub fn name_of<'a>(connections: &'a [ConnectionName], chosen: Option<&BindingId>) -> Option<&'a str> {
    connections.iter().find(|one| Some(&one.id) == chosen).map(|one| one.name.as_str())
}

/// Renders the links to a list's other pages, if there are any.
pub fn pagination_links(newest: Option<String>, older: Option<String>) -> impl IntoView {
    (older.is_some() || newest.is_some()).then(|| {
        view! {
            <nav class="pages" aria-label="Pages">
                {newest.map(|to| view! { <a class="button" href=to>"Newest"</a> })}
                {older.map(|to| view! { <a class="button" href=to rel="next">"Older"</a> })}
            </nav>
        }
    })
}
