//! Refresh attempts as table rows, for the activity page and a connection's history.

use leptos::prelude::*;

use super::time;
use crate::model::{AttemptView, Outcome, Trigger};

/// Renders the table. `named` adds the column with the connections' names.
pub fn table(named: bool, rows: AnyView) -> impl IntoView {
    view! {
        <table class="table">
            <thead>
                <tr>
                    <th scope="col">"When"</th>
                    {named.then(|| view! { <th scope="col">"Connection"</th> })}
                    <th scope="col">"Result"</th>
                    <th scope="col">"Why"</th>
                    <th scope="col">"Duration"</th>
                    <th scope="col">"Xero's response"</th>
                </tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
    }
}

/// Renders one attempt with its evidence.
pub fn row(attempt: &AttemptView, connections: Option<&[String]>) -> impl IntoView + use<> {
    let (tone, result) = outcome_label(attempt.outcome);
    let names = connections.map(|names| if names.is_empty() { "None".to_owned() } else { names.join(", ") });
    view! {
        <tr>
            <td data-label="When">
                <time datetime=time::iso(attempt.started_at)>{time::absolute(attempt.started_at)}</time>
            </td>
            {names.map(|names| view! { <td data-label="Connection">{names}</td> })}
            <td data-label="Result">
                <span class="badge" data-tone=tone>{result}</span>
            </td>
            <td data-label="Why">
                {attempt.trigger.label(trigger_label).to_owned()}
                {attempt.actor.clone().map(|actor| view! { <span class="meta">{actor}</span> })}
            </td>
            <td data-label="Duration" class="brief-cell">{duration_text(attempt)}</td>
            <td data-label="Xero's response">
                {attempt.evidence()}
                {attempt.correlation_id.clone().map(|id| view! { <span class="meta">"Xero reference " <code>{id}</code></span> })}
                {attempt.trace_id.clone().map(|id| view! { <span class="meta">"Trace " <code>{id}</code></span> })}
            </td>
        </tr>
    }
}

fn duration_text(attempt: &AttemptView) -> String {
    let seconds = || attempt.finished_at.map(|end| time::duration((end - attempt.started_at) * 1_000));
    let exact = attempt.duration_ms.map(time::duration);
    exact.or_else(seconds).unwrap_or_else(|| "not finished".to_owned())
}

/// Returns the tone and label of an attempt's outcome.
pub fn outcome_label(outcome: Outcome) -> (&'static str, &'static str) {
    match outcome {
        Outcome::Refreshed => ("good", "Refreshed"),
        Outcome::Reconnect => ("bad", "Reconnect needed"),
        Outcome::Operator => ("bad", "Needs your administrator"),
        Outcome::Transient => ("warn", "Xero error, will retry"),
        Outcome::Refused => ("quiet", "Supplied token refused"),
        Outcome::Abandoned => ("warn", "Interrupted, retried"),
        Outcome::Superseded => ("quiet", "Already refreshed"),
        Outcome::Running => ("info", "In progress"),
    }
}

fn trigger_label(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::OrgSwitch => "Someone opened Evergrant",
        Trigger::Manual => "Requested by",
        Trigger::Sweep => "Scheduled",
        Trigger::Client => "Needed for a call to Xero",
        Trigger::Vend => "Requested by an API key",
        Trigger::Cli => "Command line",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Stored;

    #[test]
    fn duration_is_as_exact_as_recorded() {
        let mut attempt = AttemptView {
            id: "a".into(),
            trigger: Stored::Known(Trigger::Sweep),
            actor: None,
            started_at: 0,
            finished_at: Some(1),
            duration_ms: Some(420),
            outcome: Outcome::Refreshed,
            error_code: None,
            http_status: Some(200),
            trace_id: None,
            correlation_id: None,
        };
        assert_eq!(duration_text(&attempt), "420 ms");
        attempt.duration_ms = None;
        assert_eq!(duration_text(&attempt), "1.0 s");
        attempt.finished_at = None;
        assert_eq!(duration_text(&attempt), "not finished");
    }

    #[test]
    fn every_outcome_has_its_own_label() {
        let mut words: Vec<_> = Outcome::ALL.iter().map(|one| outcome_label(*one).1).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Outcome::ALL.len(), "{words:?}");
    }
}
