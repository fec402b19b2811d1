//! The refresh attempts of a connection, with their evidence.

use leptos::prelude::*;

use super::words;
use crate::model::{ConnectionPageView, paths};
use crate::ui::components::attempts::table;
use crate::ui::components::list_parts::{empty_state, pagination_links};
use crate::ui::components::rendered::IntoRendered as _;

/// Renders the section. `is_older_page` says that the attempts are not the newest.
pub fn history(view: &ConnectionPageView, is_older_page: bool) -> impl IntoView + use<> {
    let page = paths::connection(&view.connection.id);
    let older = view.older.as_ref().map(|older| format!("{page}?before={older}#history"));
    let newest = is_older_page.then(|| format!("{page}#history"));
    let all = format!("{}?connection={}", paths::ACTIVITY, view.connection.id);
    let body = if view.attempts.is_empty() {
        empty_state(words::NOTHING_YET, words::NO_HISTORY).rendered()
    } else {
        table(&view.attempts).rendered()
    };
    view! {
        <section class="stack" aria-labelledby="history">
            <div class="section-head">
                <h2 id="history">{words::HISTORY}</h2>
                <a href=all>{words::SEARCH_AND_EXPORT}</a>
            </div>
            <p class="lead">{words::WHAT_THE_HISTORY_IS}</p>
            {body} {pagination_links(newest, older)}
        </section>
    }
}
