//! A connection's latest refresh attempts, with their evidence, and the access that it has.

mod access;

use leptos::either::Either;
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;

use crate::api;
use crate::model::{ApiError, BindingId, ConnectionHistoryView, ProxyUsageView, SettingsView, paths};
use crate::ui::components::attempts::table;
use crate::ui::components::list_parts::empty_state;
use crate::ui::components::live_body::live_body;
use crate::ui::components::load_failure::load_failure;
use crate::ui::layout::Layout;
use access::access;

/// The page at `/settings/integrations/{id}/history`.
#[component]
pub fn History() -> impl IntoView {
    let id = BindingId(use_params_map().read_untracked().get("id").unwrap_or_default());
    view! {
        <Layout title="History">
            {Suspend::new(async move {
                match load_history(id.clone()).await {
                    Ok(found) => live_body(found.as_of, loaded(&found).into_any()).into_any(),
                    Err(error) => load_failure("History", &error, paths::history(&id)).into_any(),
                }
            })}
        </Layout>
    }
}

/// A connection's name and its latest attempts.
struct ConnectionHistory {
    id: BindingId,
    name: String,
    history: ConnectionHistoryView,
    as_of: i64,
}

async fn load_history(id: BindingId) -> Result<ConnectionHistory, ApiError> {
    let history = api::connection_history(id.clone()).await?;
    let SettingsView { connections, as_of, .. } = api::settings().await?;
    let name = connections.into_iter().find(|one| one.id == id).map(|one| one.tenant_name);
    Ok(ConnectionHistory { id, name: name.unwrap_or_else(|| "This connection".to_owned()), history, as_of })
}

fn loaded(found: &ConnectionHistory) -> impl IntoView + use<> {
    let ConnectionHistory { id, name, history: ConnectionHistoryView { attempts, usage, consent }, .. } = found;
    let all = format!("{}?connection={id}", paths::ACTIVITY);
    view! {
        <header class="page-head">
            <div>
                <p class="crumb"><a href="/settings/integrations">"Integrations"</a></p>
                <h1>{name.clone()}</h1>
                <p class="lead">"Every time Evergrant asked Xero for a new token, newest first."</p>
            </div>
            <div class="page-actions">
                <a class="button" href=all>"Search and export"</a>
            </div>
        </header>
        {if attempts.is_empty() {
            Either::Left(empty_state("Nothing yet", "The token will be refreshed before it expires."))
        } else {
            Either::Right(table(attempts))
        }}
        <p class="prose">{usage_text(*usage)}</p>
        {consent.as_ref().map(access)}
    }
}

/// Says what programs used.
fn usage_text(ProxyUsageView { calls, bytes_sent, bytes_received }: ProxyUsageView) -> String {
    match calls {
        0 => "No program has called Xero through Evergrant in the last 30 days.".to_owned(),
        1 => "Programs have called Xero once through Evergrant in the last 30 days.".to_owned(),
        _ => format!(
            "Programs have called Xero {calls} times through Evergrant in the last 30 days. They sent {} and received {}.",
            size_text(bytes_sent),
            size_text(bytes_received),
        ),
    }
}

/// Returns a size in words, in the largest unit of which there is one.
fn size_text(bytes: i64) -> String {
    const UNITS: [(i64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    let unit = UNITS.iter().find(|(unit, _)| bytes >= *unit);
    unit.map_or_else(|| format!("{bytes} bytes"), |(unit, name)| format!("{} {name}", bytes / unit))
}
