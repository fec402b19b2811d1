//! Events: what people were notified of, read and unread, and who got it.

mod row;
mod words;

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::api;
use crate::model::{BindingId, EventKind, EventListFilter, EventsView, paths};
use crate::ui::components::list_parts::{
    connection_filter, empty_state, filter_choice, name_of, no_results, pagination_links,
};
use crate::ui::components::live_body::around_live_body;
use crate::ui::components::load_failure::load_failure;
use crate::ui::components::org_field::org_field;
use crate::ui::components::rendered::{IntoRendered as _, Rendered};
use crate::ui::components::title::page_title;
use crate::ui::layout::Layout;
use row::row;

/// The page at `/events`.
#[component]
pub fn Events() -> impl IntoView {
    let query = use_query_map().read_untracked().clone();
    let asked = |name: &str| query.get(name).filter(|value| !value.is_empty());
    let (kind, connection, before) = (asked("kind"), asked("connection").map(BindingId), asked("before"));
    view! {
        <Layout title=words::TITLE>
            {Suspend::new(async move {
                match api::events(kind, connection, before.clone()).await {
                    Ok(view) => loaded(&view, before.is_some()).rendered(),
                    Err(error) => load_failure(words::TITLE, &error, paths::EVENT_LIST.to_owned()).rendered(),
                }
            })}
        </Layout>
    }
}

fn loaded(view: &EventsView, is_older_page: bool) -> Rendered {
    let rows = view.events.iter().map(row).collect_view();
    let list = match (view.events.is_empty(), view.filter == EventListFilter::default()) {
        (false, _) => view! { <ul class="connections" aria-label=words::TITLE>{rows}</ul> }.rendered(),
        (true, true) => empty_state(words::NO_EVENTS, words::WHAT_IS_LISTED).rendered(),
        (true, false) => no_results().rendered(),
    };
    let older = view.older.as_ref().map(|older| url_with_filter(&view.filter, Some(&older.to_string())));
    let newest = is_older_page.then(|| url_with_filter(&view.filter, None));
    let unread = view.unread;
    let as_of = view.as_of;
    let connection = name_of(&view.connections, view.filter.connection.as_ref());
    let before = view! {
        {connection.map(|name| page_title(&words::title_of_connection(name)))}
        <header class="page-head">
            <div>
                <h1>{words::TITLE}</h1>
                <p class="lead">
                    {words::WHAT_EVENTS_ARE} " " <a href=paths::NOTIFICATIONS>{words::NOTIFICATION_SETTINGS}</a>
                </p>
            </div>
        </header>
        {filters(view)}
    };
    let live = view! { {(unread > 0).then(|| unread_line(unread, as_of))} {list} {pagination_links(newest, older)} }
        .rendered();
    around_live_body(before.rendered(), (as_of, live), ().rendered())
}

/// Says how many events are unread, and marks them as read.
fn unread_line(unread: u32, as_of: i64) -> impl IntoView {
    view! {
        <form class="section-head" method="post" action="/api/events/read">
            {org_field()} <input type="hidden" name="up_to" value=as_of />
            <input type="hidden" name="seen" value=unread /> <p>{words::new_to_you(unread)}</p>
            <button class="button">{words::MARK_ALL_AS_READ}</button>
        </form>
    }
}

fn filters(view: &EventsView) -> impl IntoView + use<> {
    let kinds = EventKind::ALL.iter().filter(|kind| kind.is_for_people());
    let kinds = kinds.map(|kind| (kind.as_str().to_owned(), kind.label().to_owned()));
    let filtered = view.filter != EventListFilter::default();
    view! {
        <form class="filters" method="get" action=paths::EVENT_LIST>
            {filter_choice("Event", "kind", words::ALL_EVENTS, view.filter.kind.map(EventKind::as_str), kinds)}
            {connection_filter(&view.connections, view.filter.connection.as_ref())}
            <button class="button">"Show"</button>
            {filtered.then(|| view! { <a class="button" href=paths::EVENT_LIST>{words::CLEAR_FILTERS}</a> })}
        </form>
    }
}

/// Returns the page's URL with the filter in its query. Ids, wire values and cursors need no escaping.
fn url_with_filter(filter: &EventListFilter, before: Option<&str>) -> String {
    let kind = filter.kind.map(|kind| format!("kind={}", kind.as_str()));
    let connection = filter.connection.as_ref().map(|id| format!("connection={id}"));
    let before = before.map(|before| format!("before={before}"));
    let query: Vec<String> = [kind, connection, before].into_iter().flatten().collect();
    if query.is_empty() { paths::EVENT_LIST.to_owned() } else { format!("{}?{}", paths::EVENT_LIST, query.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_page_keeps_the_filter() {
        let filter = EventListFilter { kind: Some(EventKind::Recovered), connection: Some("b-1".into()) };
        let address = "/events?kind=connection.recovered&connection=b-1&before=17.e-1";
        assert_eq!(url_with_filter(&filter, Some("17.e-1")), address);
        assert_eq!(url_with_filter(&EventListFilter::default(), None), "/events");
    }
}
