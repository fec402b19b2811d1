//! The question before a connection is removed: a dialog, and a card of the page where there is no wasm.

use leptos::prelude::*;

use super::live::{DIALOG, DIALOG_ERROR, DIALOG_NAME};
use crate::model::ConnectionView;

/// What happens then.
const CONSEQUENCE: &str = "From then on nobody here, and no program, gets a token for it. Nothing in Xero is deleted, and you can connect it again.";

/// The card. It stands where a row's Disconnect leads as a link.
pub fn question(one: &ConnectionView) -> impl IntoView + use<> {
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

/// The dialog, closed; the island puts in whom it is about. Cancel is the browser's own doing.
pub fn dialog() -> impl IntoView {
    view! {
        <dialog id=DIALOG aria-labelledby="disconnect-title">
            <form method="dialog">
                <h2 id="disconnect-title">"Disconnect " <span id=DIALOG_NAME></span> " from Xero?"</h2>
                <p>{CONSEQUENCE}</p>
                <p id=DIALOG_ERROR role="alert" class="outcome" data-tone="bad"></p>
                <div class="dialog-actions">
                    <button class="button" autofocus=true>"Cancel"</button>
                    <button class="button danger" data-act="disconnect" aria-busy="false">"Disconnect"</button>
                </div>
            </form>
        </dialog>
    }
}
