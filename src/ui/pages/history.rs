//! A connection's last attempts, with their evidence.

use leptos::either::Either;
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;

use super::failure;
use crate::api;
use crate::model::{ApiError, AttemptView, BindingId, Trigger};
use crate::ui::frame::Frame;
use crate::ui::time;

#[component]
pub fn History() -> impl IntoView {
    let id = use_params_map().read_untracked().get("id").unwrap_or_default();
    view! {
        <Frame title="History">
            {Suspend::new(async move {
                match read(BindingId(id.clone())).await {
                    Ok((name, attempts)) => loaded(name, attempts).into_any(),
                    Err(error) => {
                        failure("History", &error, format!("/settings/integrations/{id}/history")).into_any()
                    }
                }
            })}
        </Frame>
    }
}

async fn read(id: BindingId) -> Result<(String, Vec<AttemptView>), ApiError> {
    let attempts = api::connection_history(id.clone()).await?;
    let connections = api::settings().await?.connections;
    let name = connections.into_iter().find(|one| one.id == id).map(|one| one.tenant_name);
    Ok((name.unwrap_or_else(|| "This connection".to_owned()), attempts))
}

fn loaded(name: String, attempts: Vec<AttemptView>) -> impl IntoView {
    let rows = attempts.iter().map(row).collect_view();
    view! {
        <header class="page-head">
            <div>
                <p class="crumb"><a href="/settings/integrations">"Integrations"</a></p>
                <h1>{name}</h1>
                <p class="lead">"Every time Evergrant asked Xero for a new token, newest first."</p>
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
            Either::Right(view! {
                <table class="table">
                    <thead>
                        <tr>
                            <th scope="col">"When"</th>
                            <th scope="col">"Result"</th>
                            <th scope="col">"Why"</th>
                            <th scope="col">"Took"</th>
                            <th scope="col">"Xero's answer"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            })
        }}
    }
}

fn row(attempt: &AttemptView) -> impl IntoView + use<> {
    let (tone, result) = outcome(attempt.outcome.as_deref());
    let why = match &attempt.actor {
        Some(actor) => format!("{}, {actor}", why(&attempt.trigger)),
        None => why(&attempt.trigger).to_owned(),
    };
    let duration = attempt.finished_at.map(|end| time::took(end - attempt.started_at));
    view! {
        <tr>
            <td data-label="When">
                <time datetime=time::iso(attempt.started_at)>{time::absolute(attempt.started_at)}</time>
            </td>
            <td data-label="Result">
                <span class="badge" data-tone=tone>{result}</span>
            </td>
            <td data-label="Why">{why}</td>
            <td data-label="Took">{duration.unwrap_or_else(|| "not finished".to_owned())}</td>
            <td data-label="Xero's answer">
                {attempt.evidence()}
                {attempt.trace_id.clone().map(|id| view! { <span class="meta">"Xero reference " <code>{id}</code></span> })}
            </td>
        </tr>
    }
}

fn outcome(word: Option<&str>) -> (&'static str, &'static str) {
    match word {
        Some("refreshed") => ("good", "Refreshed"),
        Some("reconnect") => ("bad", "Reconnect needed"),
        Some("operator") => ("bad", "Refused, see the set-up"),
        Some("transient") => ("warn", "No answer, tried later"),
        Some("refused") => ("quiet", "The token given was no good"),
        Some("abandoned") => ("warn", "Cut off, sent again"),
        Some("superseded") => ("quiet", "Another try was first"),
        Some(_) => ("quiet", "Unknown"),
        None => ("info", "Under way"),
    }
}

fn why(trigger: &str) -> &'static str {
    match Trigger::parse(trigger) {
        Some(Trigger::OrgSwitch) => "Somebody came to the organisation",
        Some(Trigger::Manual) => "Asked for",
        Some(Trigger::Sweep) => "It was due",
        Some(Trigger::Client | Trigger::Vend) => "A program needed it",
        Some(Trigger::Cli) => "Command line",
        None => "Unknown",
    }
}
