//! Activity: refresh attempts, and changes by people and programs.

mod changes;
mod refreshes;
mod tabs;

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::model::BindingId;
use crate::ui::layout::Layout;

/// The page at `/activity`.
#[component]
pub fn Activity() -> impl IntoView {
    let query = use_query_map().read_untracked().clone();
    let asked = |name: &str| query.get(name).filter(|value| !value.is_empty());
    let before = asked("before");
    let content = if asked("show").as_deref() == Some("changes") {
        changes::changes(asked("action"), asked("actor"), before).into_any()
    } else {
        refreshes::refreshes(asked("connection").map(BindingId), asked("outcome"), before).into_any()
    };
    view! { <Layout title="Activity">{content}</Layout> }
}
