//! The connection's open connect links.

use leptos::prelude::*;

use super::words;
use crate::model::{ConnectionPageView, paths};
use crate::ui::components::open_links::open_links;
use crate::ui::components::rendered::IntoRendered;

/// Renders the section. `None` if the viewer may not manage connections.
pub fn links(view: &ConnectionPageView) -> impl IntoView + use<> {
    let make = paths::connect_links_of(&view.connection.id);
    let list = open_links(&view.links)
        .map_or_else(|| view! { <p class="hint">{words::NO_LINK_IS_OPEN}</p> }.rendered(), IntoRendered::rendered);
    view.may_manage.then(|| {
        view! {
            <section class="stack" aria-labelledby="links">
                <div class="section-head">
                    <h2 id="links">{words::CONNECT_LINKS}</h2>
                    <a href=make>{words::CREATE_A_LINK}</a>
                </div>
                {list}
            </section>
        }
    })
}
