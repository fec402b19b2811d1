//! The question before a connection is removed.

use leptos::ev::SubmitEvent;
use leptos::html;
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::state::State;
use crate::api;

/// What happens then, as the dialog and the page without wasm say it.
pub const CONSEQUENCE: &str = "From then on nobody here, and no program, gets a token for it. Nothing in Xero is deleted, and you can connect it again.";

/// Opens when a row asks. An error is shown inside it, and it stays open.
pub fn dialog(state: State) -> impl IntoView {
    let dialog = NodeRef::<html::Dialog>::new();
    let running = RwSignal::new(false);
    let error = RwSignal::new(None::<String>);
    Effect::new(move |_| {
        if let (true, Some(dialog)) = (state.asked.with(Option::is_some), dialog.get()) {
            error.set(None);
            // Refused only where it is open already.
            let _ = dialog.show_modal();
        }
    });
    let close = move || {
        if let Some(dialog) = dialog.get_untracked() {
            dialog.close();
        }
    };
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let Some((id, name)) = state.asked.get_untracked().filter(|_| !running.get_untracked()) else { return };
        running.set(true);
        spawn_local(async move {
            match api::disconnect(id).await {
                Ok(()) => {
                    close();
                    state.say(None, "good", format!("{name} is disconnected."));
                    state.read_again().await;
                }
                Err(failed) => error.set(Some(failed.to_string())),
            }
            running.set(false);
        });
    };
    let name = move || state.asked.with(|asked| asked.as_ref().map(|(_, name)| name.clone()));
    view! {
        <dialog node_ref=dialog aria-labelledby="disconnect-title" on:close=move |_| state.asked.set(None)>
            <form on:submit=submit>
                <h2 id="disconnect-title">"Disconnect " {name} " from Xero?"</h2>
                <p>{CONSEQUENCE}</p>
                <p role="alert" class="outcome" data-tone="bad">
                    {move || error.get()}
                </p>
                <div class="dialog-actions">
                    <button type="button" class="button" autofocus=true on:click=move |_| close()>
                        "Cancel"
                    </button>
                    <button
                        class="button danger"
                        disabled=move || running.get()
                        aria-busy=move || if running.get() { "true" } else { "false" }
                    >
                        "Disconnect"
                    </button>
                </div>
            </form>
        </dialog>
    }
}
