//! Confirmation before a connection is disconnected: a dialog, or a card on the page without wasm.

use leptos::prelude::*;

use super::words;
use crate::model::{ConnectionName, paths};
use crate::ui::components::connection_texts::DISCONNECT_CONSEQUENCE;
use crate::ui::components::question_card::ConfirmationCard;
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::islands::ids;

/// Renders the card. A row's Disconnect link leads to it.
pub fn disconnect_card(one: &ConnectionName) -> impl IntoView + use<> {
    view! {
        <ConfirmationCard
            title=words::disconnect_question(&one.name)
            text=DISCONNECT_CONSEQUENCE.rendered()
            action="/api/integrations/xero/disconnect"
            field=("binding_id", one.id.0.clone())
            cancel=paths::INTEGRATIONS
            verb="Disconnect"
        />
    }
}

/// Renders the closed dialog. The island fills in the connection; the browser handles Cancel.
pub fn disconnect_dialog() -> impl IntoView {
    let name = view! { <span id=ids::DISCONNECT_NAME></span> };
    view! {
        <dialog id=ids::DISCONNECT_DIALOG aria-labelledby="disconnect-title">
            <form method="dialog">
                <h2 id="disconnect-title">{words::disconnect_question_in_place(name)}</h2>
                <p>{DISCONNECT_CONSEQUENCE}</p>
                <p id=ids::DISCONNECT_STATUS role="status" class="outcome" data-tone="quiet"></p>
                <p id=ids::DISCONNECT_ERROR role="alert" class="outcome" data-tone="bad"></p>
                <div class="dialog-actions">
                    <button class="button" id=ids::DISCONNECT_CANCEL autofocus=true>"Cancel"</button>
                    <button type="button" class="button danger" id=ids::DISCONNECT_BUTTON>"Disconnect"</button>
                </div>
            </form>
        </dialog>
    }
}
