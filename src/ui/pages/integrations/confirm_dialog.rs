//! Confirmation before a connection is disconnected: a dialog, or a card on the page without wasm.

use leptos::prelude::*;

use crate::model::{ConnectionView, paths};
use crate::ui::components::question_card::ConfirmationCard;
use crate::ui::islands::ids::{ACT_DISCONNECT, DISCONNECT_DIALOG, DISCONNECT_ERROR, DISCONNECT_NAME};

/// What disconnecting does.
const CONSEQUENCE: &str =
    "People and programs will no longer get tokens for it. Nothing in Xero is deleted, and you can connect it again.";

/// Renders the card. A row's Disconnect link leads to it.
pub fn disconnect_card(one: &ConnectionView) -> impl IntoView + use<> {
    view! {
        <ConfirmationCard
            title=format!("Disconnect {} from Xero?", one.tenant_name)
            text=CONSEQUENCE.into_any()
            action="/api/integrations/xero/disconnect"
            field=("binding_id", one.id.0.clone())
            cancel=paths::INTEGRATIONS
            verb="Disconnect"
        />
    }
}

/// Renders the closed dialog. The island fills in the connection; the browser handles Cancel.
pub fn disconnect_dialog() -> impl IntoView {
    view! {
        <dialog id=DISCONNECT_DIALOG aria-labelledby="disconnect-title">
            <form method="dialog">
                <h2 id="disconnect-title">"Disconnect " <span id=DISCONNECT_NAME></span> " from Xero?"</h2>
                <p>{CONSEQUENCE}</p>
                <p id=DISCONNECT_ERROR role="alert" class="outcome" data-tone="bad"></p>
                <div class="dialog-actions">
                    <button class="button" autofocus=true>"Cancel"</button>
                    <button class="button danger" data-act=ACT_DISCONNECT aria-busy="false">"Disconnect"</button>
                </div>
            </form>
        </dialog>
    }
}
