//! A connection's latest refresh attempts, with their evidence.

use leptos::either::Either;
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;

use super::integrations::list::live_body;
use super::load_failure;
use crate::api;
use crate::model::{ApiError, AttemptView, BindingId, SettingsView};
use crate::ui::components::attempts::{row, table};
use crate::ui::layout::{Layout, page};

/// The page at `/settings/integrations/{id}/history`.
#[component]
pub fn History() -> impl IntoView {
    let id = use_params_map().read_untracked().get("id").unwrap_or_default();
    let org = page().session.and_then(|session| session.org).map(|org| org.id.0);
    view! {
        <Layout title="History">
            {Suspend::new(async move {
                match load_history(BindingId(id.clone())).await {
                    Ok(found) => live_body(found.as_of, org, loaded(found).into_any()).into_any(),
                    Err(error) => {
                        load_failure("History", &error, format!("/settings/integrations/{id}/history")).into_any()
                    }
                }
            })}
        </Layout>
    }
}

/// A connection's name and its latest attempts.
struct ConnectionHistory {
    id: BindingId,
    name: String,
    attempts: Vec<AttemptView>,
    as_of: i64,
}

async fn load_history(id: BindingId) -> Result<ConnectionHistory, ApiError> {
    let attempts = api::connection_history(id.clone()).await?;
    let SettingsView { connections, as_of, .. } = api::settings().await?;
    let name = connections.into_iter().find(|one| one.id == id).map(|one| one.tenant_name);
    Ok(ConnectionHistory { id, name: name.unwrap_or_else(|| "This connection".to_owned()), attempts, as_of })
}

fn loaded(found: ConnectionHistory) -> impl IntoView {
    let ConnectionHistory { id, name, attempts, .. } = found;
    let rows = attempts.iter().map(|attempt| row(attempt, None)).collect_view();
    let all = format!("/activity?connection={id}");
    view! {
        <header class="page-head">
            <div>
                <p class="crumb"><a href="/settings/integrations">"Integrations"</a></p>
                <h1>{name}</h1>
                <p class="lead">"Every time Evergrant asked Xero for a new token, newest first."</p>
            </div>
            <div class="page-actions">
                <a class="button" href=all>"Search and export"</a>
            </div>
        </header>
        {if attempts.is_empty() {
            Either::Left(view! {
                <section class="empty">
                    <h2>"Nothing yet"</h2>
                    <p>"The token will be refreshed before it expires."</p>
                </section>
            })
        } else {
            Either::Right(table(false, rows.into_any()))
        }}
    }
}
