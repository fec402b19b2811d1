//! Activity → Changes: the audit log, with who did what, when and from where.

use leptos::prelude::*;

use super::export_button;
use super::tabs::{CHANGES_PATH, Tab, tabs};
use super::words;
use crate::api;
use crate::model::{Action, ActivityRange, ActorKind, AuditView, ChangesFilter, ChangesView, paths};
use crate::ui::components::list_parts::{empty_state, filter_choice, no_results, pagination_links};
use crate::ui::components::live_body::live_body;
use crate::ui::components::load_failure::load_failure;
use crate::ui::components::range_fields::{range_fields, range_query};
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::components::time;
use crate::ui::components::title::page_title;

/// Renders the tab's content. `before` is the cursor of the page shown, `None` for the newest entries.
pub fn changes(
    action: Option<String>,
    actor: Option<String>,
    before: Option<String>,
    range: ActivityRange,
) -> impl IntoView {
    Suspend::new(async move {
        let ActivityRange { from, to, zone, person } = range;
        match api::changes(action, actor, before.clone(), Some(from), Some(to), Some(zone), Some(person)).await {
            Ok(view) => loaded(&view, before.as_deref()).rendered(),
            Err(error) => load_failure(words::TITLE, &error, CHANGES_PATH.to_owned()).rendered(),
        }
    })
}

fn loaded(view: &ChangesView, before: Option<&str>) -> impl IntoView + use<> {
    let body = match (view.problem, view.events.is_empty()) {
        // What is wrong stands at its field. Nothing was searched.
        (Some(_), _) => ().rendered(),
        (None, true) => empty_list(is_filtered(view)).rendered(),
        (None, false) => list(view).rendered(),
    };
    let links = pagination(view, before);
    view! {
        {view.problem.map(|_| page_title(&words::title_of_a_refused_filter(words::TITLE_OF_CHANGES)))}
        <header class="page-head">
            <div>
                <h1>{words::TITLE}</h1>
                <p class="lead">{words::WHAT_CHANGES_ARE}</p>
            </div>
            {view.problem.is_none().then(|| export_button(url_with_filter("/activity.csv?show=changes", view, None)))}
        </header>
        {tabs(Tab::Changes)}
        {filters(view)}
        {live_body(view.as_of, view! { {body} {links} }.rendered())}
    }
}

fn filters(view: &ChangesView) -> impl IntoView + use<> {
    let actions = Action::ALL.iter().map(|one| (one.as_str().to_owned(), one.label().to_owned()));
    let actors = ActorKind::ALL.iter().map(|one| (one.as_str().to_owned(), one.label().to_owned()));
    view! {
        <form class="filters" method="get" action=paths::ACTIVITY>
            <input type="hidden" name="show" value="changes" />
            {filter_choice("Change", "action", words::ALL_CHANGES, view.filter.action.map(Action::as_str), actions)}
            {filter_choice("By", "actor", "Anyone", view.filter.actor.map(ActorKind::as_str), actors)}
            {range_fields(&view.range, view.problem)}
            <button class="button">"Show"</button>
            {is_filtered(view).then(|| view! { <a class="button" href=CHANGES_PATH>{words::CLEAR_FILTERS}</a> })}
        </form>
    }
}

fn list(view: &ChangesView) -> impl IntoView + use<> {
    let rows = view.events.iter().map(row).collect_view();
    view! {
        <table class="table">
            <thead>
                <tr>
                    <th scope="col">"When"</th>
                    <th scope="col">"Who"</th>
                    <th scope="col">"What"</th>
                    <th scope="col">"From"</th>
                </tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
    }
}

fn row(event: &AuditView) -> impl IntoView + use<> {
    let what = event.action.label(Action::label).to_owned();
    let detail: Vec<String> = event
        .detail
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    let from = match event.address.as_deref() {
        None => words::FROM_THE_SERVER.to_owned(),
        Some("cli") => words::FROM_THE_COMMAND_LINE.to_owned(),
        Some(address) => address.to_owned(),
    };
    // An address shows that it is a person, and Evergrant's own name is its kind, too.
    let kind =
        Some(event.actor_kind.label()).filter(|kind| event.actor_kind != ActorKind::User && *kind != event.actor);
    view! {
        <tr data-key=event.id.clone()>
            <td data-label="When">{time::absolute(event.at)}</td>
            <td data-label="Who">
                {event.actor.clone()} {kind.map(|kind| view! { <span class="meta">{kind}</span> })}
            </td>
            <td data-label="What">
                {what}
                {(!detail.is_empty()).then(|| view! { <span class="meta">{detail.join(", ")}</span> })}
            </td>
            <td data-label="From">{from}</td>
        </tr>
    }
    .rendered()
}

fn is_filtered(view: &ChangesView) -> bool {
    view.filter != ChangesFilter::default() || view.range.narrows()
}

fn empty_list(is_filtered: bool) -> impl IntoView {
    if is_filtered { no_results().rendered() } else { empty_state(words::NOTHING_YET, words::NO_CHANGES).rendered() }
}

fn pagination(view: &ChangesView, before: Option<&str>) -> impl IntoView + use<> {
    let older = view.older.as_ref().map(|older| url_with_filter(CHANGES_PATH, view, Some(&older.to_string())));
    let newest = before.map(|_| url_with_filter(CHANGES_PATH, view, None));
    pagination_links(newest, older)
}

/// Returns a URL with the filter in its query. Wire values and cursors need no escaping.
fn url_with_filter(path: &str, view: &ChangesView, before: Option<&str>) -> String {
    let action = view.filter.action.map(|action| format!("&action={}", action.as_str())).unwrap_or_default();
    let actor = view.filter.actor.map(|actor| format!("&actor={}", actor.as_str())).unwrap_or_default();
    let before = before.map(|before| format!("&before={before}")).unwrap_or_default();
    format!("{path}{action}{actor}{}{before}", range_query(&view.range))
}
