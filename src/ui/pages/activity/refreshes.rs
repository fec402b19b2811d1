//! Activity → Refreshes: refresh attempts, what triggered them, and how they ended.

use leptos::prelude::*;

use super::export_button;
use super::tabs::{Tab, tabs};
use super::words;
use crate::api;
use crate::model::{ActivityFilter, ActivityRange, ActivityView, BindingId, Outcome, paths};
use crate::ui::components::attempts::{outcome_badge, table_with_connections};
use crate::ui::components::list_parts::{
    connection_filter, empty_state, filter_choice, name_of, no_results, pagination_links,
};
use crate::ui::components::live_body::live_body;
use crate::ui::components::load_failure::load_failure;
use crate::ui::components::range_fields::{range_fields, range_query};
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::components::title::page_title;

/// Renders the tab's content. `before` is the cursor of the page shown, `None` for the newest entries.
pub fn refreshes(
    connection: Option<BindingId>,
    outcome: Option<String>,
    before: Option<String>,
    range: ActivityRange,
) -> impl IntoView {
    Suspend::new(async move {
        let ActivityRange { from, to, zone, person } = range;
        match api::activity(connection, outcome, before.clone(), Some(from), Some(to), Some(zone), Some(person)).await {
            Ok(view) => loaded(&view, before.as_deref()).rendered(),
            Err(error) => load_failure(words::TITLE, &error, paths::ACTIVITY.to_owned()).rendered(),
        }
    })
}

fn loaded(view: &ActivityView, before: Option<&str>) -> impl IntoView + use<> {
    let body = match (view.problem, view.entries.is_empty()) {
        // What is wrong stands at its field. Nothing was searched.
        (Some(_), _) => ().rendered(),
        (None, true) => empty_list(is_filtered(view)).rendered(),
        (None, false) => table_with_connections(&view.entries).rendered(),
    };
    let links = pagination(view, before);
    view! {
        {title(view).map(|title| page_title(&title))} {page_head(view)}
        {tabs(Tab::Refreshes)}
        {filters(view)}
        {live_body(view.as_of, view! { {body} {links} }.rendered())}
    }
}

/// Returns the title if it is more than the page's own: it names the connection, and says that the filter is refused.
fn title(view: &ActivityView) -> Option<String> {
    let connection = name_of(&view.connections, view.filter.connection.as_ref());
    let title = connection.map(words::title_of_connection);
    match view.problem {
        Some(_) => Some(words::title_of_a_refused_filter(title.as_deref().unwrap_or(words::TITLE))),
        None => title,
    }
}

fn page_head(view: &ActivityView) -> impl IntoView + use<> {
    view! {
        <header class="page-head">
            <div>
                <h1>{words::TITLE}</h1>
                <p class="lead">{words::WHAT_REFRESHES_ARE}</p>
            </div>
            {view.problem.is_none().then(|| export_button(url_with_filter(paths::ACTIVITY_CSV, view, None)))}
        </header>
    }
}

/// Renders the filters: a plain form with a submit button, so that a keyboard can move through the choices first.
fn filters(view: &ActivityView) -> impl IntoView + use<> {
    let outcomes = Outcome::ALL.iter().map(|&one| (one.as_str().to_owned(), outcome_badge(one).label.to_owned()));
    let chosen = view.filter.outcome.map(Outcome::as_str);
    view! {
        <form class="filters" method="get" action=paths::ACTIVITY>
            {connection_filter(&view.connections, view.filter.connection.as_ref())}
            {filter_choice("Result", "outcome", words::ALL_RESULTS, chosen, outcomes)}
            {range_fields(&view.range, view.problem)}
            <button class="button">"Show"</button>
            {is_filtered(view).then(|| view! { <a class="button" href=paths::ACTIVITY>{words::CLEAR_FILTERS}</a> })}
        </form>
    }
}

fn is_filtered(view: &ActivityView) -> bool {
    view.filter != ActivityFilter::default() || view.range.narrows()
}

fn empty_list(is_filtered: bool) -> impl IntoView {
    if is_filtered { no_results().rendered() } else { empty_state(words::NOTHING_YET, words::NO_REFRESHES).rendered() }
}

fn pagination(view: &ActivityView, before: Option<&str>) -> impl IntoView + use<> {
    let older = view.older.as_ref().map(|older| url_with_filter(paths::ACTIVITY, view, Some(&older.to_string())));
    let newest = before.map(|_| url_with_filter(paths::ACTIVITY, view, None));
    pagination_links(newest, older)
}

/// Returns a URL with the filter in its query. Ids and cursors need no escaping.
fn url_with_filter(path: &str, view: &ActivityView, before: Option<&str>) -> String {
    let connection = view.filter.connection.as_ref().map(|id| format!("&connection={id}"));
    let outcome = view.filter.outcome.map(|outcome| format!("&outcome={}", outcome.as_str()));
    let before = before.map(|before| format!("&before={before}"));
    let query: String = [connection, outcome, Some(range_query(&view.range)), before].into_iter().flatten().collect();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{}", &query[1..]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_page_keeps_the_filter() {
        let filter = ActivityFilter {
            connection: Some("b-1".into()),
            outcome: Some(Outcome::Transient),
            ..ActivityFilter::default()
        };
        let range = ActivityRange { person: "Ann".into(), ..ActivityRange::default() };
        let view = ActivityView { filter, range, ..ActivityView::default() };
        assert_eq!(
            url_with_filter(paths::ACTIVITY, &view, Some("17.a-1")),
            "/activity?connection=b-1&outcome=transient&person=Ann&before=17.a-1"
        );
        assert_eq!(url_with_filter(paths::ACTIVITY_CSV, &ActivityView::default(), None), "/activity.csv");
    }
}
