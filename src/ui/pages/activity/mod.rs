//! Activity: refresh attempts, what triggered them, and how they ended.

pub mod changes;

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use super::integrations::list::live_body;
use super::{empty_state, load_failure, pagination_links};
use crate::api;
use crate::model::{ActivityEntry, ActivityFilter, ActivityView, BindingId, Outcome};
use crate::ui::components::attempts::{outcome_label, row, table};
use crate::ui::layout::{Layout, page};

const PATH: &str = "/activity";

/// The page at `/activity`.
#[component]
pub fn Activity() -> impl IntoView {
    let org = page().session.and_then(|session| session.org).map(|org| org.id.0);
    let query = use_query_map().read_untracked().clone();
    let asked = |name: &str| query.get(name).filter(|value| !value.is_empty());
    let (connection, outcome, before) = (asked("connection"), asked("outcome"), asked("before"));
    if asked("show").as_deref() == Some("changes") {
        let (action, actor) = (asked("action"), asked("actor"));
        return view! { <Layout title="Activity">{changes::changes(action, actor, before, org)}</Layout> };
    }
    view! {
        <Layout title="Activity">
            {Suspend::new(async move {
                match api::activity(connection.map(BindingId), outcome, before.clone()).await {
                    Ok(view) => loaded(view, org, before.is_some()).into_any(),
                    Err(error) => load_failure("Activity", &error, PATH.to_owned()).into_any(),
                }
            })}
        </Layout>
    }
}

fn loaded(view: ActivityView, org: Option<String>, paged: bool) -> impl IntoView {
    let (head, form) = (page_head(&view.filter), filters(&view).into_any());
    let body = if view.entries.is_empty() { empty_list(&view.filter).into_any() } else { list(&view).into_any() };
    let links = pagination(&view, paged);
    view! {
        {head}
        {tabs(false)}
        {form}
        {live_body(view.as_of, org, view! { {body} {links} }.into_any())}
    }
}

/// Renders the tabs: refresh attempts, and changes by people and programs.
pub fn tabs(changes: bool) -> impl IntoView {
    let current = |here: bool| here.then_some("page");
    view! {
        <nav class="tabs" aria-label="Activity">
            <a href=PATH aria-current=current(!changes)>"Refreshes"</a>
            <a href="/activity?show=changes" aria-current=current(changes)>"Changes"</a>
        </nav>
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
                <a class="button" href=url_with_filter("/activity.csv", filter, None) download=true>"Export CSV"</a>
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
        view! { <option value=one.as_str() selected=chosen>{outcome_label(one).1}</option> }
    });
    let filtered = view.filter != ActivityFilter::default();
    view! {
        <form class="filters" method="get" action=PATH>
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
            {filtered.then(|| view! { <a class="button" href=PATH>"Clear filters"</a> })}
        </form>
    }
}

fn list(view: &ActivityView) -> impl IntoView + use<> {
    let rows = view.entries.iter().map(|entry| match entry {
        ActivityEntry::Attempt { connections, attempt } => row(attempt, Some(connections)),
    });
    table(true, rows.collect_view().into_any())
}

fn empty_list(filter: &ActivityFilter) -> impl IntoView + use<> {
    let (title, text) = if *filter == ActivityFilter::default() {
        ("Nothing yet", "After you connect Xero, every token refresh is listed here.")
    } else {
        ("No results", "Change or clear the filters.")
    };
    empty_state(title, text)
}

fn pagination(view: &ActivityView, paged: bool) -> impl IntoView + use<> {
    let older = view.older.as_ref().map(|older| url_with_filter(PATH, &view.filter, Some(&older.to_string())));
    let newest = paged.then(|| url_with_filter(PATH, &view.filter, None));
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
            url_with_filter(PATH, &filter, Some("17.a-1")),
            "/activity?connection=b-1&outcome=transient&before=17.a-1"
        );
        assert_eq!(url_with_filter("/activity.csv", &ActivityFilter::default(), None), "/activity.csv");
    }
}
