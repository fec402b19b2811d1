//! Activity: what was done to keep the connections alive, by whom, and what came of it.

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use super::{changes, empty, failure, leaves};
use crate::api;
use crate::model::{ActivityFilter, ActivityView, BindingId, Entry, Outcome};
use crate::ui::attempts::{outcome, row, table};
use crate::ui::connections::live;
use crate::ui::frame::{Frame, page};

const HERE: &str = "/activity";

#[component]
pub fn Activity() -> impl IntoView {
    let org = page().session.and_then(|session| session.org).map(|org| org.id.0);
    let query = use_query_map().read_untracked().clone();
    let asked = |name: &str| query.get(name).filter(|value| !value.is_empty());
    let (connection, outcome, before) = (asked("connection"), asked("outcome"), asked("before"));
    if asked("show").as_deref() == Some("changes") {
        let (action, actor) = (asked("action"), asked("actor"));
        return view! { <Frame title="Activity">{changes::changes(action, actor, before, org)}</Frame> };
    }
    view! {
        <Frame title="Activity">
            {Suspend::new(async move {
                match api::activity(connection.map(BindingId), outcome, before.clone()).await {
                    Ok(view) => loaded(view, org, before.is_some()).into_any(),
                    Err(error) => failure("Activity", &error, HERE.to_owned()).into_any(),
                }
            })}
        </Frame>
    }
}

fn loaded(view: ActivityView, org: Option<String>, paged: bool) -> impl IntoView {
    let (head, form) = (head(&view.filter), filters(&view).into_any());
    let body = if view.entries.is_empty() { nothing(&view.filter).into_any() } else { list(&view).into_any() };
    let links = pages(&view, paged);
    view! {
        {head}
        {tabs(false)}
        {form}
        {live(view.as_of, org, view! { {body} {links} }.into_any())}
    }
}

/// The journal of the tries, and that of what people and programs did.
pub fn tabs(changes: bool) -> impl IntoView {
    let current = |here: bool| here.then_some("page");
    view! {
        <nav class="tabs" aria-label="Activity">
            <a href=HERE aria-current=current(!changes)>"Refreshes"</a>
            <a href="/activity?show=changes" aria-current=current(changes)>"Changes"</a>
        </nav>
    }
}

fn head(filter: &ActivityFilter) -> impl IntoView + use<> {
    view! {
        <header class="page-head">
            <div>
                <h1>"Activity"</h1>
                <p class="lead">"Every time Evergrant asked Xero for a new token, newest first."</p>
            </div>
            <div class="page-actions">
                <a class="button" href=address("/activity.csv", filter, None) download=true>"Export CSV"</a>
            </div>
        </header>
    }
}

/// A plain form; choosing is not yet asking, so that a keyboard can walk through the choices.
fn filters(view: &ActivityView) -> impl IntoView + use<> {
    let connections = view.connections.iter().map(|one| {
        let chosen = view.filter.connection.as_ref() == Some(&one.id);
        view! { <option value=one.id.0.clone() selected=chosen>{one.name.clone()}</option> }
    });
    let connections = connections.collect_view();
    let outcomes = Outcome::ALL.iter().map(|&one| {
        let chosen = view.filter.outcome == Some(one);
        view! { <option value=one.as_str() selected=chosen>{outcome(Some(one.as_str())).1}</option> }
    });
    let filtered = view.filter != ActivityFilter::default();
    view! {
        <form class="filters" method="get" action=HERE>
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
            {filtered.then(|| view! { <a class="button" href=HERE>"Show all"</a> })}
        </form>
    }
}

fn list(view: &ActivityView) -> impl IntoView + use<> {
    let rows = view.entries.iter().map(|entry| match entry {
        Entry::Attempt { connections, attempt } => row(attempt, Some(connections)),
    });
    table(true, rows.collect_view().into_any())
}

fn nothing(filter: &ActivityFilter) -> impl IntoView + use<> {
    let (title, text) = if *filter == ActivityFilter::default() {
        ("Nothing yet", "The first token comes with a consent. Each time that it is refreshed shows here.")
    } else {
        ("Nothing like that", "No attempt fits both choices. Choose others, or show all.")
    };
    empty(title, text)
}

fn pages(view: &ActivityView, paged: bool) -> impl IntoView + use<> {
    let older = view.older.as_ref().map(|older| address(HERE, &view.filter, Some(&older.to_string())));
    let newest = paged.then(|| address(HERE, &view.filter, None));
    leaves(newest, older)
}

/// An address with the filter in it. Ids and places hold nothing that an address has to escape.
fn address(path: &str, filter: &ActivityFilter, before: Option<&str>) -> String {
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
    fn a_page_further_on_keeps_the_filter() {
        let filter = ActivityFilter { connection: Some("b-1".into()), outcome: Some(Outcome::Transient) };
        assert_eq!(address(HERE, &filter, Some("17.a-1")), "/activity?connection=b-1&outcome=transient&before=17.a-1");
        assert_eq!(address("/activity.csv", &ActivityFilter::default(), None), "/activity.csv");
    }
}
