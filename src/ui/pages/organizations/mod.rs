//! All of a person's organizations at a glance: what each needs, and the way into it.

mod words;

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::api;
use crate::model::{OrganizationView, OrganizationsView, Tone, paths};
use crate::ui::components::badge::Badge;
use crate::ui::components::create_organization_form::create_organization_form;
use crate::ui::components::health_badge::count_badge;
use crate::ui::components::list_parts::empty_state;
use crate::ui::components::live_body::around_live_body;
use crate::ui::components::load_failure::load_failure;
use crate::ui::components::rendered::{IntoRendered as _, Rendered};
use crate::ui::context::page;
use crate::ui::layout::Layout;
use crate::ui::shared::icons::LOCK;

/// How many organizations are easy to look through. With more, the page has a search.
const EASY_TO_LOOK_THROUGH: usize = 10;

/// The page at `/organizations`.
#[component]
pub fn Organizations() -> impl IntoView {
    // Set by the search of the switcher, and of this page.
    let search = use_query_map().read_untracked().get("q").unwrap_or_default();
    view! {
        <Layout title=words::TITLE personal=true>
            {Suspend::new(async move {
                match api::organizations(search).await {
                    Ok(view) => loaded(&view).rendered(),
                    Err(error) => load_failure(words::TITLE, &error, paths::ORGANIZATIONS.to_owned()).rendered(),
                }
            })}
        </Layout>
    }
}

fn loaded(view: &OrganizationsView) -> Rendered {
    let by_clerk = page().clerk.is_some();
    let rows = view.organizations.iter().map(|one| row(one, by_clerk)).collect_view();
    let is_searched = !view.search.is_empty();
    let list = if view.organizations.is_empty() && is_searched {
        nothing_found().rendered()
    } else if view.organizations.is_empty() {
        empty_state(words::NO_ORGANIZATIONS, words::ASK_OR_CREATE).rendered()
    } else {
        view! { <ul class="connections" aria-label=words::TITLE>{rows}</ul> }.rendered()
    };
    let live = view! {
        <header class="page-head">
            <div>
                <h1>{words::TITLE}</h1>
                <p class="lead">{(!is_searched).then(|| words::lead(&view.organizations))}</p>
            </div>
        </header>
        {(view.total > EASY_TO_LOOK_THROUGH || is_searched).then(|| search_form(&view.search))}
        {list}
    };
    let after = if by_clerk {
        view! { <p class="hint">{words::CLERK_SWITCHES}</p> }.rendered()
    } else {
        create_organization_form("button").rendered()
    };
    around_live_body(().rendered(), (view.as_of, live.rendered()), after)
}

fn search_form(search: &str) -> impl IntoView + use<> {
    let is_searched = !search.is_empty();
    view! {
        <form class="filters" role="search" method="get" action=paths::ORGANIZATIONS>
            <label class="field">
                <span>"Name"</span>
                <input type="search" name="q" value=search.to_owned() maxlength="100" autocomplete="off" />
            </label>
            <button class="button">"Show"</button>
            {is_searched.then(|| view! { <a class="button" href=paths::ORGANIZATIONS>{words::SHOW_ALL}</a> })}
        </form>
    }
}

fn nothing_found() -> impl IntoView {
    view! {
        <section class="empty" role="status">
            <h2>{words::NO_ORGANIZATION_MATCHES}</h2>
            <p>{words::SEARCH_FOR_SOMETHING_ELSE}</p>
        </section>
    }
}

fn row(one: &OrganizationView, by_clerk: bool) -> impl IntoView + use<> {
    let title = format!("organisation-{}", one.org.id);
    let counts = one.counts.present().map(|(health, count)| count_badge(health, count)).collect_view();
    let is_empty = !one.is_locked && one.counts.present().next().is_none();
    view! {
        <li class="connection brief" data-key=one.org.id.0.clone()>
            <div class="connection-name">
                <h2 id=title.clone()>{one.org.name.clone()}</h2>
                <span class="meta">{words::role(one.org.role.label(), one.is_current)}</span>
                {counts}
                {one.is_locked.then(|| Badge::new(Tone::Warn, LOCK, words::REQUIRES_SECOND_FACTOR).render())}
                {is_empty.then(|| view! { <span class="meta">{words::NO_CONNECTIONS}</span> })}
            </div>
            {way_in(one, title, by_clerk)}
        </li>
    }
    .rendered()
}

/// Renders what leads into the organization. `title` is the id of its name.
fn way_in(one: &OrganizationView, title: String, by_clerk: bool) -> impl IntoView + use<> {
    if one.is_locked {
        return view! { <a class="button" href="/account#second-factor" aria-describedby=title>{words::SET_YOURS_UP}</a> }
            .rendered();
    }
    if one.is_current {
        return view! { <a class="button" href=paths::INTEGRATIONS aria-describedby=title>"Open"</a> }.rendered();
    }
    if by_clerk {
        return ().rendered();
    }
    view! {
        <form method="post" action="/api/session/switch-organization">
            <input type="hidden" name="org_id" value=one.org.id.0.clone() />
            <input type="hidden" name="next" value=paths::INTEGRATIONS />
            <button class="button" aria-describedby=title>
                "Open"
            </button>
        </form>
    }
    .rendered()
}
