//! Confirmation before a connection is disconnected: a dialog, or a card on the page without wasm.

use leptos::prelude::*;

use crate::model::ConnectionView;
use crate::ui::islands::connections::{DIALOG_ERROR_ID, DIALOG_ID, DIALOG_NAME_ID};

/// What disconnecting does.
const CONSEQUENCE: &str =
    "People and programs will no longer get tokens for it. Nothing in Xero is deleted, and you can connect it again.";

/// Renders the card. A row's Disconnect link leads to it.
pub fn disconnect_card(one: &ConnectionView) -> impl IntoView + use<> {
    view! {
        <section class="card question" aria-labelledby="question">
            <h2 id="question">"Disconnect " {one.tenant_name.clone()} " from Xero?"</h2>
            <p>{CONSEQUENCE}</p>
            <form class="dialog-actions" method="post" action="/api/integrations/xero/disconnect">
                <input type="hidden" name="binding_id" value=one.id.0.clone() />
                <a class="button" href="/settings/integrations">"Cancel"</a>
                <button class="button danger">"Disconnect"</button>
            </form>
        </section>
    }
}

/// Renders the closed dialog. The island fills in the connection; the browser handles Cancel.
pub fn disconnect_dialog() -> impl IntoView {
    view! {
        <dialog id=DIALOG_ID aria-labelledby="disconnect-title">
            <form method="dialog">
                <h2 id="disconnect-title">"Disconnect " <span id=DIALOG_NAME_ID></span> " from Xero?"</h2>
                <p>{CONSEQUENCE}</p>
                <p id=DIALOG_ERROR_ID role="alert" class="outcome" data-tone="bad"></p>
                <div class="dialog-actions">
                    <button class="button" autofocus=true>"Cancel"</button>
                    <button class="button danger" data-act="disconnect" aria-busy="false">"Disconnect"</button>
                </div>
            </form>
        </dialog>
    }
}
