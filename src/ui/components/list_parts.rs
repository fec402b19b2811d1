//! What stands around lists: the links to other pages, and the text in place of an empty list.

use leptos::prelude::*;

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
