//! Settings → Integrations: pending questions and the connections.

pub mod confirm_dialog;
pub mod list;
pub mod row;

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use super::load_failure;
use crate::api;
use crate::model::{DepartingConnection, PendingConfirmation, SettingsView};
use crate::ui::components::time;
use crate::ui::layout::Layout;
use list::{connections, disconnect_card};

const PATH: &str = "/settings/integrations";

/// The page at `/settings/integrations`.
#[component]
pub fn Integrations() -> impl IntoView {
    // Set by a row's Disconnect link, without wasm.
    let asked = use_query_map().read_untracked().get("disconnect");
    view! {
        <Layout title="Integrations">
            {Suspend::new(async move {
                match api::settings().await {
                    Ok(view) => loaded(view, asked).into_any(),
                    Err(error) => load_failure("Integrations", &error, PATH.to_owned()).into_any(),
                }
            })}
        </Layout>
    }
}

fn loaded(view: SettingsView, asked: Option<String>) -> impl IntoView {
    let asked = asked.and_then(|id| view.connections.iter().find(|one| one.id.0 == id)).filter(|_| view.may_manage);
    let asked = asked.map(disconnect_card);
    let pending = view.pending.iter().map(xero_user_card).collect_view();
    let departing = view.departing.iter().map(departing_card).collect_view();
    connections(&view, (asked, pending, departing).into_any())
}

fn departing_card(one: &DepartingConnection) -> impl IntoView + use<> {
    let title = format!("leaves-{}", one.binding_id);
    view! {
        <section class="card question" aria-labelledby=title.clone()>
            <h2 id=title.clone()>{format!("{} will be disconnected", one.tenant_name)}</h2>
            <p>
                {one.connected_by.clone()} " connected it and has left this organisation. It will be disconnected on "
                <time datetime=time::iso(one.ends_at)>{time::date(one.ends_at)}</time>
                " unless you keep it. If you do, it becomes yours."
            </p>
            <form class="dialog-actions" method="post" action="/api/integrations/xero/keep">
                <input type="hidden" name="binding_id" value=one.binding_id.0.clone() />
                <button class="button primary">"Keep it"</button>
            </form>
        </section>
    }
}

fn xero_user_card(pending: &PendingConfirmation) -> impl IntoView + use<> {
    let names = pending.tenant_names.join(", ");
    let title = format!("pending-{}", pending.id);
    let verb = if pending.tenant_names.len() == 1 { " is" } else { " are" };
    view! {
        <section class="card question" aria-labelledby=title.clone()>
            <h2 id=title.clone()>{names} {verb} " connected through another Xero user"</h2>
            <p>
                "You have just signed in to Xero as a different user. Use this sign-in from now on, or keep the current one?"
            </p>
            <form class="dialog-actions" method="post" action="/api/integrations/xero/confirm">
                <input type="hidden" name="id" value=pending.id.clone() />
                <button class="button" name="decision" value="keep">"Keep the current one"</button>
                <button class="button primary" name="decision" value="replace">"Use my sign-in"</button>
            </form>
        </section>
    }
}
