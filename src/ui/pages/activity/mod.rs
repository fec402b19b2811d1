//! Activity: refresh attempts, and changes by people and programs.

mod changes;
mod refreshes;
mod tabs;
mod words;

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::model::{ActivityRange, BindingId};
use crate::ui::layout::Layout;

/// Renders the link that exports what the list shows.
fn export_button(path: String) -> impl IntoView {
    view! {
        <div class="page-actions">
            <a class="button" href=path download=true>
                {words::EXPORT_CSV}
            </a>
        </div>
    }
}

/// The page at `/activity`.
#[component]
pub fn Activity() -> impl IntoView {
    let query = use_query_map().read_untracked().clone();
    let asked = |name: &str| query.get(name).filter(|value| !value.is_empty());
    let before = asked("before");
    let range = ActivityRange::typed(asked("from"), asked("to"), asked("zone"), asked("person"));
    let (title, content) = if asked("show").as_deref() == Some("changes") {
        (words::TITLE_OF_CHANGES, changes::changes(asked("action"), asked("actor"), before, range).into_any())
    } else {
        let connection = asked("connection").map(BindingId);
        (words::TITLE, refreshes::refreshes(connection, asked("outcome"), before, range).into_any())
    };
    view! { <Layout title>{content}</Layout> }
}
