//! What stands around the list of connections: its search and filter, which part is shown, and the other parts.

use leptos::prelude::*;

use super::words;
use crate::model::{ListPart, ListState, paths};
use crate::ui::components::list_parts::filter_choice;

/// How many connections are easy to look through. With more, the list has a search and a filter.
const EASY_TO_LOOK_THROUGH: usize = 10;

/// Renders the search and the filter. `None` if there is little to search in.
pub fn filters(part: &ListPart) -> impl IntoView + use<> {
    if part.total <= EASY_TO_LOOK_THROUGH && !part.is_filtered() {
        return None;
    }
    let chosen = part.state;
    let count = |state| part.counts.iter().find(|(known, _)| *known == state).map_or(0, |(_, count)| *count);
    let found: usize = part.counts.iter().map(|(_, count)| count).sum();
    let states = ListState::ALL.iter().filter(|state| count(**state) > 0 || chosen == Some(**state));
    let states = states.map(|&state| (state.as_str().to_owned(), words::state_with_count(state.label(), count(state))));
    Some(view! {
        <form class="filters" role="search" method="get" action=paths::INTEGRATIONS>
            <label class="field">
                <span>{words::SEARCHED_IN}</span>
                <input type="search" name="q" value=part.search.clone() maxlength="100" autocomplete="off" />
            </label>
            {filter_choice("State", "state", words::all_states(found), chosen.map(ListState::as_str), states)}
            <button class="button">"Show"</button>
            {part.is_filtered().then(|| view! { <a class="button" href=paths::INTEGRATIONS>{words::CLEAR_FILTERS}</a> })}
        </form>
    })
}

/// Says which rows are shown, unless all are. Screen readers announce it.
pub fn shown_rows(part: &ListPart) -> impl IntoView + use<> {
    let summary = part.summary();
    let is_said = part.is_filtered() || part.last_page() > 1;
    (is_said && !summary.is_empty()).then(|| view! { <p class="meta" id="shown" role="status">{summary}</p> })
}

/// Rendered in place of the list if the search and the filter select nothing.
pub fn nothing_found() -> impl IntoView {
    view! {
        <section class="empty" role="status">
            <h2>{words::NO_CONNECTION_MATCHES}</h2>
            <p>{words::SEARCH_FOR_SOMETHING_ELSE}</p>
            <a class="button" href=paths::INTEGRATIONS>
                {words::SHOW_ALL_CONNECTIONS}
            </a>
        </section>
    }
}

/// Renders the links to the pages before and after, if there are any.
pub fn page_links(part: &ListPart) -> impl IntoView + use<> {
    let (previous, next, page, last) = (part.previous.clone(), part.next.clone(), part.page, part.last_page());
    (last > 1).then(|| {
        view! {
            <nav class="pages" aria-label="Pages">
                {previous.map(|to| view! { <a class="button" href=to rel="prev">"Previous"</a> })}
                <span class="meta">{words::page_of(page, last)}</span>
                {next.map(|to| view! { <a class="button" href=to rel="next">"Next"</a> })}
            </nav>
        }
    })
}
