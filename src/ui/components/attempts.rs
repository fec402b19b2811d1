//! Refresh attempts as a table, for the activity page and a connection's history.

use leptos::prelude::*;

use super::badge::Badge;
use super::time;
use crate::model::{ActivityEntry, AttemptView, Outcome, Tone, Trigger};
use crate::ui::components::rendered::{IntoRendered as _, Rendered};
use crate::ui::shared::time_text;

/// How many of its connections an attempt names. One consent of a practice may cover hundreds.
const NAMED_CONNECTIONS: usize = 3;

/// Renders the attempts of one connection.
pub fn table(attempts: &[AttemptView]) -> impl IntoView + use<> {
    let rows = attempts.iter().map(|attempt| row(attempt, None)).collect_view();
    frame(None, rows.rendered())
}

/// Renders attempts with a column that names their connections.
pub fn table_with_connections(entries: &[ActivityEntry]) -> impl IntoView + use<> {
    let rows = entries.iter().map(|entry| match entry {
        ActivityEntry::Attempt { connections, attempt } => row(attempt, Some(connections)),
    });
    frame(Some(view! { <th scope="col">"Connection"</th> }.rendered()), rows.collect_view().rendered())
}

fn frame(connection_head: Option<Rendered>, rows: Rendered) -> impl IntoView {
    view! {
        <table class="table">
            <thead>
                <tr>
                    <th scope="col">"When"</th>
                    {connection_head}
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
fn row(attempt: &AttemptView, connections: Option<&[String]>) -> impl IntoView + use<> {
    let names = connections.map(names_text);
    view! {
        <tr data-key=attempt.id.0.clone()>
            <td data-label="When">{time::absolute(attempt.started_at)}</td>
            {names.map(|names| view! { <td data-label="Connection">{names}</td> })}
            <td data-label="Result">{outcome_badge(attempt.outcome).render()}</td>
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

/// Names the first connections, and counts the others.
fn names_text(names: &[String]) -> String {
    match names.get(..NAMED_CONNECTIONS).map(|first| (first, names.len() - first.len())) {
        Some((first, 1)) => format!("{} and 1 other", first.join(", ")),
        Some((first, others @ 2..)) => format!("{} and {others} others", first.join(", ")),
        _ if names.is_empty() => "None".to_owned(),
        _ => names.join(", "),
    }
}

fn duration_text(attempt: &AttemptView) -> String {
    let seconds = || attempt.finished_at.map(|end| time_text::duration((end - attempt.started_at) * 1_000));
    let exact = attempt.duration_ms.map(time_text::duration);
    exact.or_else(seconds).unwrap_or_else(|| "not finished".to_owned())
}

/// Returns an outcome's badge.
pub fn outcome_badge(outcome: Outcome) -> Badge {
    match outcome {
        Outcome::Refreshed => Badge::plain(Tone::Good, "Refreshed"),
        Outcome::Reconnect => Badge::plain(Tone::Bad, "Reconnect needed"),
        Outcome::Operator => Badge::plain(Tone::Bad, "Needs your administrator"),
        Outcome::Transient => Badge::plain(Tone::Warn, "Xero error, will retry"),
        Outcome::Refused => Badge::plain(Tone::Quiet, "Supplied token refused"),
        Outcome::Abandoned => Badge::plain(Tone::Warn, "Interrupted, retried"),
        Outcome::Superseded => Badge::plain(Tone::Quiet, "Already refreshed"),
        Outcome::Running => Badge::plain(Tone::Info, "In progress"),
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
        Trigger::Import => "Import",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Stored;

    #[test]
    fn attempt_of_many_connections_names_the_first_and_counts_the_others() {
        let names = ["Client 1", "Client 2", "Client 3", "Client 4", "Client 5"].map(str::to_owned);
        for (count, text) in [
            (0, "None"),
            (2, "Client 1, Client 2"),
            (3, "Client 1, Client 2, Client 3"),
            (4, "Client 1, Client 2, Client 3 and 1 other"),
            (5, "Client 1, Client 2, Client 3 and 2 others"),
        ] {
            assert_eq!(names_text(&names[..count]), text);
        }
    }

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
        let mut labels: Vec<_> = Outcome::ALL.iter().map(|one| outcome_badge(*one).label).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), Outcome::ALL.len(), "{labels:?}");
    }
}
