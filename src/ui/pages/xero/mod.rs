//! Xero's state: whether it renews tokens, since when not, what that affects, and who has to act.

mod details;

use leptos::prelude::*;

use crate::api;
use crate::model::{Tone, XeroCondition, XeroStateView, XeroTroubleView, paths};
use crate::ui::components::live_body::live_body_until;
use crate::ui::components::load_failure::load_failure;
use crate::ui::components::reread::after_retry;
use crate::ui::components::time;
use crate::ui::layout::Layout;
use crate::ui::shared::icons::{CHECK, CLOCK, WARNING, icon};
use details::details;

/// The page at `/xero`.
#[component]
pub fn Xero() -> impl IntoView {
    view! {
        <Layout title="Xero's state">
            {Suspend::new(async move {
                match api::xero_state().await {
                    Ok(view) => {
                        let again = view.trouble.next_attempt_at.map(|at| after_retry(at, view.as_of));
                        live_body_until(view.as_of, again, loaded(&view).into_any()).into_any()
                    }
                    Err(error) => load_failure("Xero's state", &error, paths::XERO.to_owned()).into_any(),
                }
            })}
        </Layout>
    }
}

fn loaded(view: &XeroStateView) -> impl IntoView + use<> {
    let trouble = view.trouble;
    let (tone, path) = match trouble.condition {
        XeroCondition::Answering => (Tone::Good, CHECK),
        XeroCondition::NotAnswering
        | XeroCondition::Limiting
        | XeroCondition::RefusesMany
        | XeroCondition::RefusesSome => (Tone::Warn, CLOCK),
        XeroCondition::RefusesApp | XeroCondition::NeedsOperator | XeroCondition::AnotherApp => (Tone::Bad, WARNING),
    };
    let since = trouble
        .since
        .filter(|_| trouble.condition != XeroCondition::Answering)
        .map(|at| view! { <p>"Since " {time::absolute(at)} "."</p> });
    let next =
        trouble.next_attempt_at.map(|at| view! { <p>"Evergrant tries again at " {time::time_of_day(at)} "."</p> });
    view! {
        <header class="page-head">
            <div>
                <p class="crumb"><a href="/">"Overview"</a></p>
                <h1>"Xero's state"</h1>
            </div>
        </header>
        <section class="verdict" data-tone=tone.as_str()>
            {icon(path)}
            <p>{headline(trouble.condition)}</p>
        </section>
        <section class="prose stack">
            {since} <p>{affected_text(trouble)}</p> {next} <p>{advice(trouble.condition)}</p>
        </section>
        {view.details.as_ref().map(details)}
    }
}

fn headline(condition: XeroCondition) -> &'static str {
    match condition {
        XeroCondition::Answering => "Xero is answering.",
        XeroCondition::NotAnswering => "Xero isn't answering.",
        XeroCondition::RefusesApp => "Xero refuses Evergrant's app credentials.",
        XeroCondition::RefusesMany => "Xero refuses several connections at once.",
        XeroCondition::Limiting => "Xero is limiting Evergrant's requests.",
        XeroCondition::NeedsOperator => "Some connections can't be refreshed.",
        XeroCondition::AnotherApp => "Some connections can't be refreshed with Evergrant's present Xero app.",
        XeroCondition::RefusesSome => "Xero refused access, and Evergrant is checking that.",
    }
}

/// Says how many connections wait for Xero.
fn affected_text(XeroTroubleView { condition, affected, active, .. }: XeroTroubleView) -> String {
    match (affected, active) {
        (1, 1) if condition == XeroCondition::Answering => "The connection waits for its next refresh.".to_owned(),
        (1.., 1..) if condition == XeroCondition::Answering => {
            format!("{affected} of {active} connections wait for their next refresh.")
        }
        (_, 0) => "There are no active connections.".to_owned(),
        (0, 1) => "The connection has a token that works.".to_owned(),
        (0, _) => format!("All {active} connections have a token that works."),
        (1, 1) => "It affects the only connection.".to_owned(),
        _ => format!("It affects {affected} of {active} connections."),
    }
}

/// Says who has to act.
fn advice(condition: XeroCondition) -> &'static str {
    match condition {
        XeroCondition::Answering => "Tokens are refreshed before they expire.",
        XeroCondition::NotAnswering | XeroCondition::Limiting => {
            "Your connections are safe, and a token that hasn't expired keeps working. You don't need to do anything."
        }
        XeroCondition::RefusesApp | XeroCondition::NeedsOperator | XeroCondition::AnotherApp => {
            "Your connections are safe, but get no new tokens until your Evergrant administrator has fixed this."
        }
        XeroCondition::RefusesSome => {
            "Somebody may have removed the access in Xero. Evergrant asks again within minutes: if Xero still refuses, the connection needs reconnecting."
        }
        XeroCondition::RefusesMany => {
            "Rarely do several organisations end their access at the same time, so Evergrant has ended no connection and asks Xero again. You don't need to do anything."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentence_about_affected_connections_counts_the_active_ones() {
        let of = |condition, affected, active| {
            affected_text(XeroTroubleView { condition, affected, active, ..XeroTroubleView::default() })
        };
        let text = |affected, active| of(XeroCondition::NotAnswering, affected, active);
        let recovering = of(XeroCondition::Answering, 16, 20);
        assert_eq!(recovering, "16 of 20 connections wait for their next refresh.");
        assert_eq!(text(16, 20), "It affects 16 of 20 connections.");
        assert_eq!(text(1, 1), "It affects the only connection.");
        assert_eq!(text(0, 20), "All 20 connections have a token that works.");
        assert_eq!(text(0, 0), "There are no active connections.");
    }
}
