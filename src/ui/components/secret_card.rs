//! The card that shows a new secret once.

use leptos::prelude::*;

use crate::ui::components::rendered::Rendered;
use crate::ui::islands::page_action::PageAction;
use crate::ui::shared::icons::{INFO, icon};

/// Shows a secret with a button that copies it.
#[component]
pub fn SecretCard(
    /// Id of the secret's element.
    id: &'static str,
    /// Title of the card.
    title: &'static str,
    /// The secret, exposed.
    secret: String,
    /// Label of the button.
    copy: &'static str,
    /// What to do with the secret.
    text: Rendered,
    /// What follows the button.
    #[prop(optional)]
    children: Option<Children>,
) -> impl IntoView {
    let title_id = format!("{id}-title");
    view! {
        <section class="card secret" aria-labelledby=title_id.clone()>
            <h2 id=title_id.clone()>{icon(INFO)} {title}</h2>
            <p>{text}</p>
            <pre>
                <code id=id>{secret}</code>
            </pre>
            <p class="copy">
                <button type="button" class="button" data-action=PageAction::Copy(id.to_owned()).to_string()>
                    {copy}
                </button>
                <span role="status" class="meta"></span>
            </p>
            {children.map(|children| children())}
        </section>
    }
}
