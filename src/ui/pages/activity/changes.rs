//! Activity → Changes: the audit log, with who did what, when and from where.

use leptos::prelude::*;

use super::tabs::{CHANGES_PATH, Tab, tabs};
use crate::api;
use crate::model::{Action, ActorKind, AuditView, ChangesFilter, ChangesView, paths};
use crate::ui::components::list_parts::{empty_state, no_results, pagination_links};
use crate::ui::components::live_body::live_body;
use crate::ui::components::load_failure::load_failure;
use crate::ui::components::time;

/// Renders the tab's content. `before` is the cursor of the page shown, `None` for the newest entries.
pub fn changes(action: Option<String>, actor: Option<String>, before: Option<String>) -> impl IntoView {
    Suspend::new(async move {
        match api::changes(action, actor, before.clone()).await {
            Ok(view) => loaded(&view, before.as_deref()).into_any(),
            Err(error) => load_failure("Activity", &error, CHANGES_PATH.to_owned()).into_any(),
        }
    })
}

fn loaded(view: &ChangesView, before: Option<&str>) -> impl IntoView + use<> {
    let body = if view.events.is_empty() { empty_list(&view.filter).into_any() } else { list(view).into_any() };
    let links = pagination(view, before);
    view! {
        <header class="page-head">
            <div>
                <h1>"Activity"</h1>
                <p class="lead">"Everything that people, API keys and administrators did here, newest first."</p>
            </div>
            <div class="page-actions">
                <a class="button" href=url_with_filter("/activity.csv?show=changes", &view.filter, None) download=true>
                    "Export CSV"
                </a>
            </div>
        </header>
        {tabs(Tab::Changes)}
        {filters(&view.filter)}
        {live_body(view.as_of, view! { {body} {links} }.into_any())}
    }
}

fn filters(filter: &ChangesFilter) -> impl IntoView + use<> {
    let (chosen, by) = (filter.action, filter.actor);
    let actions = Action::ALL.iter().map(|&one| {
        view! { <option value=one.as_str() selected=chosen == Some(one)>{one.label()}</option> }
    });
    let actors = ActorKind::ALL.iter().map(|&one| {
        view! { <option value=one.as_str() selected=by == Some(one)>{one.label()}</option> }
    });
    view! {
        <form class="filters" method="get" action=paths::ACTIVITY>
            <input type="hidden" name="show" value="changes" />
            <label class="field">
                <span>"Change"</span>
                <select name="action">
                    <option value="">"All changes"</option>
                    {actions.collect_view()}
                </select>
            </label>
            <label class="field">
                <span>"By"</span>
                <select name="actor">
                    <option value="">"Anyone"</option>
                    {actors.collect_view()}
                </select>
            </label>
            <button class="button">"Show"</button>
            {(*filter != ChangesFilter::default()).then(|| view! { <a class="button" href=CHANGES_PATH>"Clear filters"</a> })}
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
    let detail: Vec<String> = event.detail.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let from = match event.address.as_deref() {
        None => "the server".to_owned(),
        Some("cli") => "the command line".to_owned(),
        Some(address) => address.to_owned(),
    };
    let kind = (event.actor_kind != ActorKind::User).then(|| event.actor_kind.label());
    view! {
        <tr>
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
    .into_any()
}

fn empty_list(filter: &ChangesFilter) -> impl IntoView + use<> {
    if *filter == ChangesFilter::default() {
        empty_state("Nothing yet", "Sign-ins, connections, invitations and other changes are listed here.").into_any()
    } else {
        no_results().into_any()
    }
}

fn pagination(view: &ChangesView, before: Option<&str>) -> impl IntoView + use<> {
    let older = view.older.as_ref().map(|older| url_with_filter(CHANGES_PATH, &view.filter, Some(&older.to_string())));
    let newest = before.map(|_| url_with_filter(CHANGES_PATH, &view.filter, None));
    pagination_links(newest, older)
}

/// Returns a URL with the filter in its query. Wire values and cursors need no escaping.
fn url_with_filter(path: &str, filter: &ChangesFilter, before: Option<&str>) -> String {
    let action = filter.action.map(|action| format!("&action={}", action.as_str())).unwrap_or_default();
    let actor = filter.actor.map(|actor| format!("&actor={}", actor.as_str())).unwrap_or_default();
    let before = before.map(|before| format!("&before={before}")).unwrap_or_default();
    format!("{path}{action}{actor}{before}")
}
