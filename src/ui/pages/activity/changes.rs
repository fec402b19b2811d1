//! Activity → Changes: the audit log, with who did what, when and from where.

use leptos::prelude::*;

use super::tabs;
use crate::api;
use crate::model::{Action, ActorKind, AuditView, ChangesFilter, ChangesView};
use crate::ui::components::time;
use crate::ui::pages::integrations::list::live_body;
use crate::ui::pages::{empty_state, load_failure, pagination_links};

const PATH: &str = "/activity?show=changes";

/// Renders the page's content.
pub fn changes(
    action: Option<String>,
    actor: Option<String>,
    before: Option<String>,
    org: Option<String>,
) -> impl IntoView {
    Suspend::new(async move {
        match api::changes(action, actor, before.clone()).await {
            Ok(view) => loaded(&view, org, before.is_some()).into_any(),
            Err(error) => load_failure("Activity", &error, PATH.to_owned()).into_any(),
        }
    })
}

fn loaded(view: &ChangesView, org: Option<String>, paged: bool) -> impl IntoView + use<> {
    let body = if view.events.is_empty() { empty_list(&view.filter).into_any() } else { list(view).into_any() };
    let links = pagination(view, paged);
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
        {tabs(true)}
        {filters(&view.filter)}
        {live_body(view.as_of, org, view! { {body} {links} }.into_any())}
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
        <form class="filters" method="get" action="/activity">
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
            {(*filter != ChangesFilter::default()).then(|| view! { <a class="button" href=PATH>"Clear filters"</a> })}
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
            <td data-label="When">
                <time datetime=time::iso(event.at)>{time::absolute(event.at)}</time>
            </td>
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
    let (title, text) = if *filter == ChangesFilter::default() {
        ("Nothing yet", "Sign-ins, connections, invitations and other changes are listed here.")
    } else {
        ("No results", "Change or clear the filters.")
    };
    empty_state(title, text)
}

fn pagination(view: &ChangesView, paged: bool) -> impl IntoView + use<> {
    let older = view.older.as_ref().map(|older| url_with_filter(PATH, &view.filter, Some(&older.to_string())));
    let newest = paged.then(|| url_with_filter(PATH, &view.filter, None));
    pagination_links(newest, older)
}

/// Returns a URL with the filter in its query. Wire values and cursors need no escaping.
fn url_with_filter(path: &str, filter: &ChangesFilter, before: Option<&str>) -> String {
    let action = filter.action.map(|action| format!("&action={}", action.as_str())).unwrap_or_default();
    let actor = filter.actor.map(|actor| format!("&actor={}", actor.as_str())).unwrap_or_default();
    let before = before.map(|before| format!("&before={before}")).unwrap_or_default();
    format!("{path}{action}{actor}{before}")
}
