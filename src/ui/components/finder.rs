//! Parts of the finder: the field, the region with its results, and the dialog.

use std::sync::LazyLock;

use leptos::prelude::*;

use crate::model::paths;
use crate::ui::components::rendered::Rendered;
use crate::ui::context::page;
use crate::ui::islands::ids;

/// Renders the field with what was searched for.
pub fn find_field(query: &str) -> impl IntoView + use<> {
    view! {
        <label class="field">
            <span>"Find a connection or a page"</span>
            <input
                type="text"
                inputmode="search"
                name="q"
                value=query.to_owned()
                maxlength="100"
                autocomplete="off"
                autocapitalize="none"
                spellcheck="false"
                autofocus=true
            />
        </label>
    }
}

/// Renders the region with the results.
pub fn found_region(as_of: i64, results: Rendered) -> impl IntoView {
    page().shows_region(ids::FOUND).then(|| {
        view! {
            <div id=ids::FOUND class="stack" data-region data-as-of=as_of>
                {results}
            </div>
        }
    })
}

/// Renders the closed dialog, in which the browser shows that region. Without wasm the link to the page takes its place.
pub fn finder_dialog() -> Rendered {
    // Every page has the same one.
    static HTML: LazyLock<String> = LazyLock::new(|| dialog().to_html());
    Rendered::new(HTML.as_str())
}

fn dialog() -> impl IntoView {
    view! {
        <dialog id=ids::FINDER class="finder" aria-label="Find" closedby="any">
            <form method="get" action=paths::FIND role="search">
                {find_field("")}
            </form>
            <div id=ids::FINDER_RESULTS></div>
        </dialog>
    }
}
