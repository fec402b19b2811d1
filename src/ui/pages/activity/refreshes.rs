//! Activity → Refreshes: refresh attempts, what triggered them, and how they ended.

use leptos::prelude::*;

use super::tabs::{Tab, tabs};
use crate::api;
use crate::model::{ActivityFilter, ActivityView, BindingId, Outcome, paths};
use crate::ui::components::attempts::{outcome_badge, table_with_connections};
use crate::ui::components::list_parts::{empty_state, no_results, pagination_links};
use crate::ui::components::live_body::live_body;
use crate::ui::components::load_failure::load_failure;

/// Renders the tab's content. `before` is the cursor of the page shown, `None` for the newest entries.
pub fn refreshes(connection: Option<BindingId>, outcome: Option<String>, before: Option<String>) -> impl IntoView {
    Suspend::new(async move {
        match api::activity(connection, outcome, before.clone()).await {
            Ok(view) => loaded(&view, before.as_deref()).into_any(),
            Err(error) => load_failure("Activity", &error, paths::ACTIVITY.to_owned()).into_any(),
        }
    })
}

fn loaded(view: &ActivityView, before: Option<&str>) -> impl IntoView + use<> {
    let body = if view.entries.is_empty() {
        empty_list(&view.filter).into_any()
    } else {
        table_with_connections(&view.entries).into_any()
    };
    let links = pagination(view, before);
    view! {
        {page_head(&view.filter)}
        {tabs(Tab::Refreshes)}
        {filters(view)}
        {live_body(view.as_of, view! { {body} {links} }.into_any())}
    }
}

fn page_head(filter: &ActivityFilter) -> impl IntoView + use<> {
    view! {
        <header class="page-head">
            <div>
                <h1>"Activity"</h1>
                <p class="lead">"Every time Evergrant asked Xero for a new token, newest first."</p>
            </div>
            <div class="page-actions">
                <a class="button" href=url_with_filter(paths::ACTIVITY_CSV, filter, None) download=true>"Export CSV"</a>
            </div>
        </header>
    }
}

/// Renders the filters: a plain form with a submit button, so that a keyboard can move through the choices first.
fn filters(view: &ActivityView) -> impl IntoView + use<> {
    let connections = view.connections.iter().map(|one| {
        let chosen = view.filter.connection.as_ref() == Some(&one.id);
        view! { <option value=one.id.0.clone() selected=chosen>{one.name.clone()}</option> }
    });
    let connections = connections.collect_view();
    let outcomes = Outcome::ALL.iter().map(|&one| {
        let chosen = view.filter.outcome == Some(one);
        view! { <option value=one.as_str() selected=chosen>{outcome_badge(one).label}</option> }
    });
    let filtered = view.filter != ActivityFilter::default();
    view! {
        <form class="filters" method="get" action=paths::ACTIVITY>
            <label class="field">
                <span>"Connection"</span>
                <select name="connection">
                    <option value="">"All connections"</option>
                    {connections}
                </select>
            </label>
            <label class="field">
                <span>"Result"</span>
                <select name="outcome">
                    <option value="">"All results"</option>
                    {outcomes.collect_view()}
                </select>
            </label>
            <button class="button">"Show"</button>
            {filtered.then(|| view! { <a class="button" href=paths::ACTIVITY>"Clear filters"</a> })}
        </form>
    }
}

fn empty_list(filter: &ActivityFilter) -> impl IntoView + use<> {
    if *filter == ActivityFilter::default() {
        empty_state("Nothing yet", "After you connect Xero, every token refresh is listed here.").into_any()
    } else {
        no_results().into_any()
    }
}

fn pagination(view: &ActivityView, before: Option<&str>) -> impl IntoView + use<> {
    let older =
        view.older.as_ref().map(|older| url_with_filter(paths::ACTIVITY, &view.filter, Some(&older.to_string())));
    let newest = before.map(|_| url_with_filter(paths::ACTIVITY, &view.filter, None));
    pagination_links(newest, older)
}

/// Returns a URL with the filter in its query. Ids and cursors need no escaping.
fn url_with_filter(path: &str, filter: &ActivityFilter, before: Option<&str>) -> String {
    let connection = filter.connection.as_ref().map(|id| format!("connection={id}"));
    let outcome = filter.outcome.map(|outcome| format!("outcome={}", outcome.as_str()));
    let before = before.map(|before| format!("before={before}"));
    let query: Vec<String> = [connection, outcome, before].into_iter().flatten().collect();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_page_keeps_the_filter() {
        let filter = ActivityFilter { connection: Some("b-1".into()), outcome: Some(Outcome::Transient) };
        assert_eq!(
            url_with_filter(paths::ACTIVITY, &filter, Some("17.a-1")),
            "/activity?connection=b-1&outcome=transient&before=17.a-1"
        );
        assert_eq!(url_with_filter(paths::ACTIVITY_CSV, &ActivityFilter::default(), None), "/activity.csv");
    }
}
