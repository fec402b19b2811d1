//! A connection's last attempts, with their evidence.

use leptos::either::Either;
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;

use super::failure;
use crate::api;
use crate::model::{ApiError, AttemptView, BindingId, SettingsView};
use crate::ui::attempts::{row, table};
use crate::ui::connections::live;
use crate::ui::frame::{Frame, page};

#[component]
pub fn History() -> impl IntoView {
    let id = use_params_map().read_untracked().get("id").unwrap_or_default();
    let org = page().session.and_then(|session| session.org).map(|org| org.id.0);
    view! {
        <Frame title="History">
            {Suspend::new(async move {
                match read(BindingId(id.clone())).await {
                    Ok(found) => live(found.as_of, org, loaded(found).into_any()).into_any(),
                    Err(error) => {
                        failure("History", &error, format!("/settings/integrations/{id}/history")).into_any()
                    }
                }
            })}
        </Frame>
    }
}

/// A connection's name, and what was tried for it.
struct Found {
    id: BindingId,
    name: String,
    attempts: Vec<AttemptView>,
    as_of: i64,
}

async fn read(id: BindingId) -> Result<Found, ApiError> {
    let attempts = api::connection_history(id.clone()).await?;
    let SettingsView { connections, as_of, .. } = api::settings().await?;
    let name = connections.into_iter().find(|one| one.id == id).map(|one| one.tenant_name);
    Ok(Found { id, name: name.unwrap_or_else(|| "This connection".to_owned()), attempts, as_of })
}

fn loaded(found: Found) -> impl IntoView {
    let Found { id, name, attempts, .. } = found;
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
                    <p>"The first token came with the consent. It is refreshed before it ends."</p>
                </section>
            })
        } else {
            Either::Right(table(false, rows.into_any()))
        }}
    }
}
