//! New links, which are shown once.

use leptos::prelude::*;

use crate::model::RevealedSecret;
use crate::ui::components::secret_card::SecretCard;
use crate::ui::islands::page_action::PageAction;
use crate::ui::shared::icons::{INFO, icon};

/// Shows a new link once.
pub fn new_link(url: &str) -> impl IntoView + use<> {
    let text = "Send it only to the person who is to connect Xero: anyone with the link can use it, once. You won't be able to see it again.";
    view! {
        <SecretCard
            id="connect-link-address"
            title="Connect link"
            secret=url.to_owned()
            copy="Copy the link"
            text=text.into_any()
        />
    }
}

/// Shows new links for several connections once.
pub fn new_links(links: &[(String, RevealedSecret)]) -> impl IntoView + use<> {
    let rows = links.iter().enumerate().map(|(number, (name, url))| {
        let id = format!("batch-link-{number}");
        let label = format!("Copy the link for {name}");
        view! {
            <li class="stack">
                <strong>{name.clone()}</strong>
                <pre>
                    <code id=id.clone()>{url.expose().to_owned()}</code>
                </pre>
                <p class="copy">
                    <button type="button" class="button" data-action=PageAction::Copy(id).to_attribute() aria-label=label>
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
                <h2 id="new-links">{icon(INFO)} "New connect links"</h2>
                <p>
                    "Send each only to the person who is to reconnect that organisation: anyone with a link can use it, once. You won't be able to see them again."
                </p>
                <ul class="stack">{rows}</ul>
            </section>
        }
    })
}
