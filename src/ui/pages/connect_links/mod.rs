//! Settings → Integrations → Connect links: creating links, the open ones, and where links may return to.

mod forms;
mod missing_access;
mod new_links;
mod words;

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::api;
use crate::model::{ConnectLinksView, Permission, paths};
use crate::ui::components::live_body::around_live_body;
use crate::ui::components::load_failure::load_failure;
use crate::ui::components::open_links::open_links;
use crate::ui::components::rendered::{IntoRendered, Rendered};
use crate::ui::context::{may, page};
use crate::ui::layout::Layout;
use forms::{create_form, return_urls};
use missing_access::missing_access;
use new_links::{new_link, new_links};
pub use words::lacking;

/// The page at `/settings/integrations/links`.
#[component]
pub fn ConnectLinks() -> impl IntoView {
    // Set by the page of a connection.
    let chosen = use_query_map().read_untracked().get("connection");
    let page = page();
    let (link, links) = (page.new_connect_link.clone(), page.new_connect_links.clone());
    let is_allowed = may(Permission::ManageConnections);
    view! {
        <Layout title=words::PAGE_TITLE>
            {link.map(|link| new_link(link.expose()))} {new_links(&links)}
            {Suspend::new(async move {
                if !is_allowed {
                    return forbidden().rendered();
                }
                match api::connect_links().await {
                    Ok(view) => loaded(&view, chosen.as_deref()).rendered(),
                    Err(error) => load_failure(words::TITLE, &error, paths::CONNECT_LINK_LIST.to_owned()).rendered(),
                }
            })}
        </Layout>
    }
}

fn loaded(view: &ConnectLinksView, chosen: Option<&str>) -> Rendered {
    let list = open_links(&view.links)
        .map_or_else(|| view! { <p class="hint">{words::NO_LINK_IS_OPEN}</p> }.rendered(), IntoRendered::rendered);
    let lists = view! {
        {missing_access(&view.connections, &view.links)}
        <section class="stack" aria-labelledby="open-links">
            <h2 id="open-links">{words::OPEN_LINKS}</h2>
            {list}
        </section>
    };
    let after = view! {
        <section class="stack" aria-labelledby="new-link">
            <h2 id="new-link">{words::NEW_LINK}</h2>
            {create_form(view, chosen)}
        </section>
        {return_urls(view)}
    };
    around_live_body(head().rendered(), (view.as_of, lists.rendered()), after.rendered())
}

fn head() -> impl IntoView {
    view! {
        <header class="page-head">
            <div>
                <p class="crumb"><a href=paths::INTEGRATIONS>"Integrations"</a></p>
                <h1>{words::TITLE}</h1>
                <p class="lead">
                    {words::WHAT_LINKS_ARE_FOR}
                </p>
            </div>
        </header>
    }
}

fn forbidden() -> impl IntoView {
    view! {
        {head()}
        <p class="hint">{words::FORBIDDEN}</p>
    }
}
