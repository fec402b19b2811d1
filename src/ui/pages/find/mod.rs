//! The finder: connections and pages by a few letters of their names. The dialog on every page shows its results.

mod words;

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::api;
use crate::model::{FoundView, paths};
use crate::ui::components::finder::{find_field, found_region};
use crate::ui::components::list_parts::empty_state;
use crate::ui::components::load_failure::load_failure;
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::layout::Layout;

/// The page at `/find`.
#[component]
pub fn Find() -> impl IntoView {
    let query = use_query_map().read_untracked().get("q").unwrap_or_default();
    view! {
        <Layout title=words::TITLE>
            {Suspend::new(async move {
                match api::find(query).await {
                    Ok(view) => loaded(&view).rendered(),
                    Err(error) => load_failure(words::TITLE, &error, paths::FIND.to_owned()).rendered(),
                }
            })}
        </Layout>
    }
}

fn loaded(view: &FoundView) -> impl IntoView + use<> {
    view! {
        <header class="page-head">
            <div>
                <h1>{words::TITLE}</h1>
                <p class="lead">{words::WHAT_IT_FINDS}</p>
            </div>
        </header>
        <form class="card inline-form" method="get" action=paths::FIND role="search">
            {find_field(&view.query)} <button class="button primary">{words::TITLE}</button>
        </form>
        {found_region(view.as_of, results(view).rendered())}
    }
}

fn results(view: &FoundView) -> impl IntoView + use<> {
    let count = view.connections.len() + view.more + view.pages.len();
    if count == 0 {
        let nothing = empty_state(words::NO_RESULTS, words::TRY_FEWER_LETTERS).rendered();
        return view! { <div role="status">{nothing}</div> }.rendered();
    }
    let connections = view.connections.iter().map(|one| {
        let path = paths::connection(&one.id);
        view! { <li><a class="menu-item" href=path>{one.name.clone()}</a></li> }
    });
    let pages = view.pages.iter().map(|one| {
        view! {
            <li>
                <a class="menu-item" href=one.path.clone()>
                    {one.name.clone()} <span class="meta">"Page"</span>
                </a>
            </li>
        }
    });
    view! {
        <p class="meta" role="status">
            {words::results(count)}
        </p>
        <ul aria-label="Results">{connections.collect_view()} {pages.collect_view()}</ul>
        {(view.more > 0).then(|| view! { <p class="meta">{words::more_connections(view.more)}</p> })}
    }
    .rendered()
}
