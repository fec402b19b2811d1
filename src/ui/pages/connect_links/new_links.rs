//! New links, which are shown once.

use leptos::prelude::*;

use super::words;
use crate::model::RevealedSecret;
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::components::secret_card::SecretCard;
use crate::ui::islands::page_action::PageAction;
use crate::ui::shared::icons::{INFO, icon};

/// Shows a new link once.
pub fn new_link(url: &str) -> impl IntoView + use<> {
    view! {
        <SecretCard
            id="connect-link-address"
            title=words::NEW_CONNECT_LINK
            secret=url.to_owned()
            copy=words::COPY_THE_LINK
            text=words::SEND_IT_ONLY_TO.rendered()
        />
    }
}

/// Shows new links for several connections once.
pub fn new_links(links: &[(String, RevealedSecret)]) -> impl IntoView + use<> {
    let rows = links.iter().enumerate().map(|(number, (name, url))| {
        let id = format!("batch-link-{number}");
        let label = words::copy_the_link_for(name);
        view! {
            <li class="stack">
                <strong>{name.clone()}</strong>
                <pre>
                    <code id=id.clone()>{url.expose().to_owned()}</code>
                </pre>
                <p class="copy">
                    <button type="button" class="button" data-action=PageAction::Copy(id).to_string() aria-label=label>
                        "Copy"
                    </button>
                    <span role="status" class="meta"></span>
                </p>
            </li>
        }
    });
    let rows = rows.collect_view();
    (!links.is_empty()).then(|| {
        view! {
            <section class="card secret" aria-labelledby="new-links">
                <h2 id="new-links">{icon(INFO)} {words::NEW_CONNECT_LINKS}</h2>
                <p>
                    {words::SEND_EACH_ONLY_TO}
                </p>
                <ul class="stack">{rows}</ul>
            </section>
        }
    })
}
