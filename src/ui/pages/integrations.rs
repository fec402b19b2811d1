//! Settings → Integrations: the questions that wait, and the connections.

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use super::failure;
use crate::api;
use crate::model::{Departing, PendingConfirmation, SettingsView};
use crate::ui::connections::{connections, question};
use crate::ui::frame::Frame;
use crate::ui::time;

const HERE: &str = "/settings/integrations";

#[component]
pub fn Integrations() -> impl IntoView {
    // A row's Disconnect without wasm leads here.
    let asked = use_query_map().read_untracked().get("disconnect");
    view! {
        <Frame title="Integrations">
            {Suspend::new(async move {
                match api::settings().await {
                    Ok(view) => loaded(view, asked).into_any(),
                    Err(error) => failure("Integrations", &error, HERE.to_owned()).into_any(),
                }
            })}
        </Frame>
    }
}

fn loaded(view: SettingsView, asked: Option<String>) -> impl IntoView {
    let asked = asked.and_then(|id| view.connections.iter().find(|one| one.id.0 == id)).filter(|_| view.may_manage);
    let asked = asked.map(question);
    let pending = view.pending.iter().map(replace).collect_view();
    let departing = view.departing.iter().map(leaves).collect_view();
    connections(&view, (asked, pending, departing).into_any())
}

fn leaves(one: &Departing) -> impl IntoView + use<> {
    let title = format!("leaves-{}", one.binding_id);
    view! {
        <section class="card question" aria-labelledby=title.clone()>
            <h2 id=title.clone()>{format!("{} will be disconnected", one.tenant_name)}</h2>
            <p>
                {one.connected_by.clone()} " connected it and has left this organisation. The connection ends on "
                <time datetime=time::iso(one.ends_at)>{time::date(one.ends_at)}</time>
                " unless you keep it; then it is yours."
            </p>
            <form class="dialog-actions" method="post" action="/api/integrations/xero/keep">
                <input type="hidden" name="binding_id" value=one.binding_id.0.clone() />
                <button class="button primary">"Keep it"</button>
            </form>
        </section>
    }
}

fn replace(pending: &PendingConfirmation) -> impl IntoView + use<> {
    let names = pending.tenant_names.join(", ");
    let title = format!("pending-{}", pending.id);
    let verb = if pending.tenant_names.len() == 1 { " is" } else { " are" };
    view! {
        <section class="card question" aria-labelledby=title.clone()>
            <h2 id=title.clone()>{names} {verb} " connected through another Xero user"</h2>
            <p>
                "You have just signed in at Xero as somebody else. Use your sign-in from now on, or keep the one that works?"
            </p>
            <form class="dialog-actions" method="post" action="/api/integrations/xero/confirm">
                <input type="hidden" name="id" value=pending.id.clone() />
                <button class="button" name="decision" value="keep">"Keep the current one"</button>
                <button class="button primary" name="decision" value="replace">"Use my sign-in"</button>
            </form>
        </section>
    }
}
